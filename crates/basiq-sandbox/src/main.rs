//! The `basiq-sandbox` binary.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use basiq_sandbox::{DEFAULT_API_KEY, Sandbox, SandboxConfig, Scenario};
use clap::Parser;
use daemon::{Context, Fatal, Flags, Secret, listen};
use jiff::Timestamp;

/// A Basiq on loopback, harder than the real one.
#[derive(Parser, Debug)]
#[command(name = "basiq-sandbox", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    /// What happens: a scenario file (YAML). Without it, the stories of the quickstart.
    #[arg(long = "scenario.file", value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Replaces the scenario's seed.
    #[arg(long = "scenario.seed", value_name = "NUMBER")]
    seed: Option<u64>,
    /// What the scenario's times are counted from (RFC 3339); the clock's time at the start if absent.
    #[arg(long = "scenario.epoch", value_name = "DATE")]
    epoch: Option<Timestamp>,
    /// Replaces the number of generated users.
    #[arg(long = "population.users", value_name = "NUMBER")]
    population: Option<u32>,
    /// File with the API key that /token takes.
    #[arg(long = "api-key.file", value_name = "FILE")]
    api_key: Option<PathBuf>,
    /// Entries of a page of any list; without it only events and messages are paged.
    #[arg(long = "page-size", value_name = "NUMBER")]
    page_size: Option<usize>,
    /// Requests in a second beyond which 429 is answered; no limit without it.
    #[arg(long = "rate-limit", value_name = "NUMBER")]
    rate_limit: Option<u64>,
    /// Writes the ids of all users to a file, one a line, before the first request is answered.
    #[arg(long = "users.write-file", value_name = "FILE")]
    users_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let flags = cli.flags.clone();
    daemon::main("basiq-sandbox", &flags, |context| run(cli, context))
}

async fn run(cli: Cli, context: Context) -> Result<(), Fatal> {
    if cli.flags.config_file.is_some() || cli.flags.web_config_file.is_some() {
        return Err(Fatal::settings(
            "--config.file and --web.config.file mean nothing to the sandbox: use --scenario.file",
        ));
    }
    let mut scenario = match &cli.scenario {
        Some(path) => Scenario::from_file(path),
        None => Scenario::quickstart(),
    }
    .map_err(Fatal::settings)?;
    scenario.seed = cli.seed.unwrap_or(scenario.seed);
    scenario.population.users = cli.population.unwrap_or(scenario.population.users);
    let api_key = match &cli.api_key {
        Some(path) => Secret::from_file(path)
            .map_err(|error| Fatal::settings(format!("--api-key.file {}: {error}", path.display())))?
            .expose()
            .to_owned(),
        None => DEFAULT_API_KEY.to_owned(),
    };
    let listener = listen("--web.listen-address", cli.flags.listen_address("127.0.0.1:9767")).await?;
    let address: SocketAddr = listener.local_addr().map_err(Fatal::running)?;
    if !address.ip().is_loopback() {
        return Err(Fatal::settings(format!(
            "--web.listen-address: {address} is not loopback, and anyone can change a sandbox: use 127.0.0.1"
        )));
    }
    let config = SandboxConfig {
        clock: context.clock,
        epoch: cli.epoch,
        scenario,
        api_keys: vec![api_key],
        page_size: cli.page_size,
        rate_limit: cli.rate_limit,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start_on(listener, config).map_err(Fatal::settings)?;
    if let Some(path) = &cli.users_file {
        let ids = sandbox.user_ids().join("\n") + "\n";
        std::fs::write(path, ids)
            .map_err(|error| Fatal::settings(format!("--users.write-file {}: {error}", path.display())))?;
    }
    tracing::info!(%address, epoch = %sandbox.epoch(), "listening");
    context.stop.cancelled().await;
    sandbox.stop().await;
    Ok(())
}
