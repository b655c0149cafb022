//! Prints the banks that are not operational: `connectors KEY_FILE [BASE_URL]`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use basiq::{Client, ClientConfig, ConnectorFilter, ConnectorStatus, Error, KeySource, Priority};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(key_file) = arguments.next() else {
        eprintln!("usage: connectors KEY_FILE [BASE_URL]");
        return ExitCode::from(2);
    };
    match run(key_file, arguments.next()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(key_file: String, base_url: Option<String>) -> Result<(), Error> {
    // Fails only if a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = ClientConfig::new(KeySource::file(key_file));
    if let Some(base_url) = base_url {
        config.base_url = base_url;
    }
    let connectors = Client::new(config)?.connectors(&ConnectorFilter::default(), Priority::Routine).await?;
    for bank in connectors.iter().filter(|bank| bank.status != ConnectorStatus::Operational) {
        println!("{} {} {}: {}", bank.id, bank.method.as_str(), bank.name, bank.status.as_str());
    }
    println!("{} connectors in all", connectors.len());
    Ok(())
}
