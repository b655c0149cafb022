//! `deploy/quickstart`, once everything is built.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use daemon::{Context, Fatal};
use stories::{live, play, tale::Proof};

/// Plays the whole product on this machine, or watches the real Basiq in dry run.
#[derive(Debug, Parser)]
#[command(name = "quickstart")]
struct Arguments {
    /// Play until all stories have been told, print what proves each; exit 1 if something was missing.
    #[arg(long, conflicts_with = "live")]
    once: bool,
    /// Watch the real Basiq with the key in BASIQ_API_KEY, in dry run: nothing is sent to anybody.
    #[arg(long, requires = "users")]
    live: bool,
    /// The users to watch: JSON or YAML in Prometheus's file_sd shape.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Start a real Prometheus, which evaluates the rules for operators, and a real Alertmanager beside them.
    #[arg(long, conflicts_with = "live")]
    with_prometheus: bool,
    /// Where configuration, messages, tickets and logs go.
    #[arg(long, value_name = "DIR", default_value = "target/quickstart")]
    work: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    daemon::main("quickstart", &daemon::Flags::default(), |context| run(arguments, context))
}

async fn run(arguments: Arguments, context: Context) -> Result<(), Fatal> {
    if let (true, Some(users)) = (arguments.live, arguments.users) {
        return live::watch(&arguments.work, &users, &tell, &context.stop).await;
    }
    let options = play::Options {
        work: arguments.work,
        once: arguments.once,
        with_prometheus: arguments.with_prometheus,
    };
    let proofs = play::play(&options, &tell, &context.stop)
        .await
        .map_err(|error| Fatal::Running(format!("{error:#}")))?;
    tell(&table(&proofs));
    match proofs.iter().filter(|proof| proof.evidence.is_err()).count() {
        0 => Ok(()),
        _ if !arguments.once => Ok(()),
        missing => Err(Fatal::Running(format!(
            "{missing} of {} stories were not told as they should be",
            proofs.len()
        ))),
    }
}

#[expect(clippy::print_stdout, reason = "the tale is what this program prints")]
fn tell(text: &str) {
    println!("{text}");
}

fn table(proofs: &[Proof]) -> String {
    let mut text = String::from("\nStory by story, and what proves it:\n");
    for proof in proofs {
        let (mark, evidence) = match &proof.evidence {
            Ok(evidence) => ("told   ", evidence),
            Err(missing) => ("MISSING", missing),
        };
        text += &format!("\n{mark}  {:<12} {}\n", proof.who, proof.story);
        for line in evidence.lines() {
            text += &format!("           {line}\n");
        }
    }
    text
}
