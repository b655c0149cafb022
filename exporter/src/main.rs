//! The `basiq-exporter` binary.

use std::process::ExitCode;

use basiq_exporter::{Config, DEFAULT_ADDRESS, Exporter};
use clap::Parser;
use daemon::{Context, Fatal, Flags, Secret};

/// Metrics of Basiq's jobs, connections and connectors for Prometheus.
#[derive(Parser)]
#[command(name = "basiq-exporter", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    daemon::main("basiq-exporter", &cli.flags, |context| run(cli.flags.clone(), context))
}

async fn run(flags: Flags, context: Context) -> Result<(), Fatal> {
    let config: Config = match &flags.config_file {
        Some(path) => daemon::config::load(path)?,
        None => Config::default(),
    };
    let listener = daemon::listen("--web.listen-address", flags.listen_address(DEFAULT_ADDRESS)).await?;
    let api_key = std::env::var("BASIQ_API_KEY").ok().filter(|key| !key.is_empty()).map(Secret::new);
    let exporter = Exporter { config, api_key, listener, web_config_file: flags.web_config_file };
    basiq_exporter::run(exporter, context).await
}
