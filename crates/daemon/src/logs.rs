//! Logs: one message a line, to standard error.

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, registry::LookupSpan,
};

use crate::{
    Flags,
    flags::{LogFormat, LogLevel},
    traces::{self, Traces},
};

/// Libraries whose own messages interest nobody who runs the daemon, below warnings.
const CAPPED: [&str; 10] = [
    "h2",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "sqlx",
    "tonic",
    "tower",
];

/// The layer that writes what the flags ask for.
pub(crate) fn layer<S, W>(flags: &Flags, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let level = match flags.log_level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let all = Targets::new().with_default(level).with_target(traces::TARGET, LevelFilter::OFF);
    let targets = CAPPED.into_iter().fold(all, |t, name| t.with_target(name, level.min(LevelFilter::WARN)));
    match flags.log_format {
        LogFormat::Logfmt => {
            tracing_logfmt::builder().layer().with_writer(writer).with_filter(targets).boxed()
        }
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(writer)
            .with_filter(targets)
            .boxed(),
    }
}

/// Everything from `level` on, of chatty libraries from `capped` on.
pub(crate) fn targets(level: LevelFilter, capped: LevelFilter) -> Targets {
    Targets::new().with_default(level).with_targets(CAPPED.map(|name| (name, capped)))
}

/// Installs logs and traces for the whole process. Does nothing if a subscriber is there already, as in
/// tests that run a daemon in their own process.
pub(crate) fn install(flags: &Flags, traces: Option<&Traces>) {
    let subscriber =
        tracing_subscriber::registry().with(traces.map(Traces::layer)).with(layer(flags, std::io::stderr));
    let _ = tracing::subscriber::set_global_default(subscriber);
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(args: &[&str], log: impl FnOnce()) -> String {
        let flags = Cli::parse_from(std::iter::once("daemon").chain(args.iter().copied())).flags;
        let page = Page::default();
        let out = page.clone();
        let subscriber = tracing_subscriber::registry().with(layer(&flags, move || out.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn logfmt_is_one_line_a_message() {
        let text = written(&[], || {
            tracing::info!(users = 3, "two\nlines");
            tracing::debug!("not shown");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("level=info") && text.contains("users=3"), "{text}");
    }

    #[test]
    fn json_has_its_fields_at_the_top() {
        let text = written(&["--log.format=json", "--log.level=warn"], || {
            tracing::warn!(users = 3, "short");
            tracing::info!("not shown");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.starts_with('{') && text.contains(r#""users":3"#) && text.contains(r#""message":"short""#)
        );
    }

    #[test]
    fn chatty_libraries_are_capped() {
        let text = written(&["--log.level=debug"], || {
            tracing::debug!("ours");
            tracing::info!(target: "hyper::proto", "theirs");
            tracing::warn!(target: "hyper::proto", "a warning");
        });
        assert!(text.contains("ours") && text.contains("a warning") && !text.contains("theirs"), "{text}");
    }
}
