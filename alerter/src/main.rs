//! The `basiq-alerter` binary.

use std::process::ExitCode;

use basiq_alerter::{app, config::Config, tools};
use clap::{Parser, Subcommand};
use daemon::{Context, Fatal, Flags};

/// Acts on alert rules about Basiq connections: messages to users, refreshes, tickets, notices.
#[derive(Parser)]
#[command(name = "basiq-alerter", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the alerter (the default).
    Run,
    #[command(flatten)]
    Tool(tools::Tool),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let flags = cli.flags.clone();
    daemon::main("basiq-alerter", &flags, |context| start(cli, context))
}

async fn start(cli: Cli, context: Context) -> Result<(), Fatal> {
    let Cli { flags, command } = cli;
    let config = Config::load(flags.config_file.as_deref())?;
    if let Some(Command::Tool(tool)) = command {
        return tools::run(tool, &config, flags.config_file.as_deref(), &context.clock).await;
    }
    let web = web::WebConfig::load(flags.web_config_file.as_deref())?;
    let address = flags.listen_address("127.0.0.1:9766");
    let listener = daemon::listen("--web.listen-address", address).await?;
    app::run(config, app::Run { file: flags.config_file, listener, web }, context).await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_references_of_settings_and_metrics_are_up_to_date() {
        let variables = [("BASIQ_API_KEY", "The API key, where `basiq.api_key_file` is not set.")];
        let config = daemon::reference::configuration::<Config>(&Cli::command(), &variables);
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        daemon::reference::compare(&here.join("CONFIG.md"), &config).unwrap();
        daemon::reference::compare(&here.join("METRICS.md"), &basiq_alerter::metrics::reference()).unwrap();
    }
}
