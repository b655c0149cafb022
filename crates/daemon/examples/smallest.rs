//! The smallest daemon: what every `main` does, and nothing else. The tests of this crate run it.
//!
//! `cargo run -p daemon --example smallest -- --web.listen-address=127.0.0.1:9999`

use std::process::ExitCode;

use clap::Parser;
use daemon::{Context, Fatal, Flags, config};
use serde::Deserialize;

/// Listens, and does what it is told.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// How it shall end, other than by a signal.
    end: End,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    #[default]
    Signal,
    Panic,
    PanicOfATask,
}

fn main() -> ExitCode {
    let flags = Cli::parse().flags;
    daemon::main("smallest", &flags, |context| run(flags.clone(), context))
}

async fn run(flags: Flags, context: Context) -> Result<(), Fatal> {
    let config: Config = flags.config_file.as_deref().map_or_else(|| Ok(Config::default()), config::load)?;
    let listener = daemon::listen("--web.listen-address", flags.listen_address("127.0.0.1:0")).await?;
    let mut reloads = context.reload.subscribe("nothing");
    {
        // A span, for whoever collects traces.
        let _span = tracing::info_span!("start", answer = 42).entered();
        tracing::info!(address = ?listener.local_addr().ok(), "ready");
    }
    match config.end {
        End::Signal => {}
        End::Panic => panic!("as it was told"),
        End::PanicOfATask => {
            let task = tokio::spawn(async { panic!("as it was told") });
            return task.await.map_err(|_| Fatal::running("a task ended; start again"));
        }
    }
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            Some(request) = reloads.next() => request.answer(Ok(())),
        }
    }
}
