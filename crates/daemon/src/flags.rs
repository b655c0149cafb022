//! The flags that both daemons share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::Clock;

/// Flags named as Prometheus names its own; each `main` flattens them into its command line.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Configuration file (YAML). Without it the defaults hold.
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    pub config_file: Option<PathBuf>,

    /// Address to listen on, as HOST:PORT or :PORT for all interfaces.
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub listen_address: Option<String>,

    /// File with TLS, client certificates, basic authentication and headers, in the format of
    /// Prometheus's exporter-toolkit. Reread when it changes.
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,

    /// Least severe messages that are logged.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// How messages are logged, to standard error.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt")]
    pub log_format: LogFormat,

    /// Time (Unix milliseconds) at which this clock agreed with the system's; for the quickstart.
    #[arg(long = "clock.anchor", value_name = "MS", hide = true)]
    pub clock_anchor: Option<i64>,

    /// How many seconds of the clock pass in a real one; for the quickstart.
    #[arg(long = "clock.speed", value_name = "FACTOR", default_value = "1", hide = true, value_parser = speed)]
    pub clock_speed: f64,
}

/// Values of `--log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Every step; for developers.
    Debug,
    /// What changed.
    Info,
    /// What may need attention.
    Warn,
    /// What failed.
    Error,
}

/// Values of `--log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `ts=… level=info msg=…`
    Logfmt,
    /// One JSON object a line.
    Json,
}

impl Default for Flags {
    /// What holds where no flag is given.
    fn default() -> Self {
        Self {
            config_file: None,
            listen_address: None,
            web_config_file: None,
            log_level: LogLevel::Info,
            log_format: LogFormat::Logfmt,
            clock_anchor: None,
            clock_speed: 1.0,
        }
    }
}

impl Flags {
    /// The clock that the hidden flags ask for; the system's without them.
    pub fn clock(&self) -> Clock {
        match self.clock_anchor.map(Timestamp::from_millisecond) {
            Some(Ok(anchor)) => Clock::scaled(anchor, self.clock_speed),
            Some(Err(_)) | None if self.clock_speed == 1.0 => Clock::system(),
            Some(Err(_)) | None => Clock::scaled(Timestamp::now(), self.clock_speed),
        }
    }

    /// The address to listen on: the flag's, or the daemon's own default.
    pub fn listen_address<'a>(&'a self, default: &'a str) -> &'a str {
        self.listen_address.as_deref().unwrap_or(default)
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && (0.001..=1_000_000.0).contains(&speed) => Ok(speed),
        _ => Err("expected a factor between 0.001 and 1000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        Cli::try_parse_from(std::iter::once("daemon").chain(args.iter().copied())).map(|cli| cli.flags)
    }

    #[test]
    fn defaults_are_prometheus_defaults() {
        let flags = parse(&[]).unwrap();
        assert_eq!((flags.log_level, flags.log_format), (LogLevel::Info, LogFormat::Logfmt));
        assert_eq!(flags.listen_address("127.0.0.1:1"), "127.0.0.1:1");
        assert_eq!(flags.clock().speed(), 1.0);
    }

    #[test]
    fn the_hidden_flags_set_the_clock() {
        let flags = parse(&["--clock.anchor=1790000000000", "--clock.speed=120"]).unwrap();
        assert_eq!(flags.clock().speed(), 120.0);
        for bad in ["0", "-1", "inf", "NaN", "fast"] {
            assert!(parse(&[&format!("--clock.speed={bad}")]).is_err(), "{bad}");
        }
    }

    #[test]
    fn unknown_values_are_refused() {
        assert!(parse(&["--log.format=xml"]).is_err());
        assert!(parse(&["--log.level=loud"]).is_err());
    }
}
