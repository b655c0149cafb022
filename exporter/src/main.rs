//! The `basiq-exporter` binary.

use std::process::ExitCode;

use basiq_exporter::{Config, DEFAULT_ADDRESS, Exporter};
use clap::{Parser, Subcommand};
use daemon::{Context, Fatal, Flags, Secret};

/// Metrics of Basiq's jobs, connections and connectors for Prometheus.
#[derive(Parser)]
#[command(name = "basiq-exporter", version)]
struct Cli {
    #[command(flatten)]
    flags: Flags,

    /// Address on which Basiq's webhooks come in, and nothing else is served. For discovery.webhooks; put a proxy
    /// that ends TLS before it.
    #[arg(long = "web.public-address", value_name = "ADDRESS")]
    public_address: Option<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the exporter (the default).
    Run,
    /// Erase what is known of a user and keep it from coming back, while the exporter is stopped; a running one does
    /// it on DELETE /api/v1/users/<user id>.
    Forget {
        /// Basiq's id of the user.
        user: String,
    },
    /// Make the webhook subscription of discovery.webhooks at Basiq and write its secret, which Basiq shows once, to
    /// secret_file, readable by its owner only. Do it before the exporter first runs with discovery.webhooks.
    Subscribe {
        /// Delete a subscription that Basiq has for that address already, and overwrite the secret.
        #[arg(long)]
        replace: bool,
    },
}

/// The variable with the API key.
const API_KEY: &str = "BASIQ_API_KEY";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let flags = cli.flags.clone();
    daemon::main("basiq-exporter", &flags, |context| run(cli, context))
}

async fn run(cli: Cli, context: Context) -> Result<(), Fatal> {
    let Cli { flags, public_address, command } = cli;
    let config: Config = match &flags.config_file {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    let api_key = std::env::var(API_KEY).ok().filter(|key| !key.is_empty()).map(Secret::new);
    match command {
        None | Some(Command::Run) => {}
        Some(Command::Forget { user }) => return basiq_exporter::forget(&config, &user, &context).await,
        Some(Command::Subscribe { replace }) => {
            return basiq_exporter::subscribe(&config, api_key, replace, &context).await;
        }
    }
    let public = match &public_address {
        Some(address) => Some(daemon::listen("--web.public-address", address).await?),
        None => None,
    };
    let listener = daemon::listen("--web.listen-address", flags.listen_address(DEFAULT_ADDRESS)).await?;
    let exporter = Exporter { config, api_key, listener, public, web_config_file: flags.web_config_file };
    basiq_exporter::run(exporter, context).await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_reference_of_settings_is_up_to_date() {
        let variables = [(API_KEY, "The API key, where `basiq.api_key_file` is not set.")];
        let text = daemon::reference::configuration::<Config>(&Cli::command(), &variables);
        daemon::reference::compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFIG.md"), &text).unwrap();
    }
}
