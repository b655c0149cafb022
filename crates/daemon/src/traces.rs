//! Traces over OTLP, off unless the standard `OTEL_*` variables ask for them.
//!
//! The variables are those of the OpenTelemetry specification: an endpoint
//! (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) or `OTEL_TRACES_EXPORTER=otlp`
//! switches traces on, `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` switch them off, and
//! protocol, headers, timeouts, sampler, queue and resource are read by the SDK. Spans wait in a bounded
//! queue; when nobody takes them they are dropped, and nothing else waits.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    propagation::TextMapPropagator,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, SpanData},
};
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::{Fatal, logs};

/// The variables that are minded, for the reference; the SDK reads more of the specification's.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    (
        "OTEL_TRACES_EXPORTER",
        "`otlp` sends traces, `none` does not. Without it an endpoint switches them on.",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Where the collector listens; also `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.",
    ),
    (
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "`http/protobuf` (the default) or `grpc`; also `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`.",
    ),
    ("OTEL_EXPORTER_OTLP_HEADERS", "Headers of requests to the collector, as `name=value,name=value`."),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "How long a request to the collector may take, in milliseconds."),
    (
        "OTEL_TRACES_SAMPLER",
        "Which traces are kept, with `OTEL_TRACES_SAMPLER_ARG`: `parentbased_traceidratio`, for example.",
    ),
    ("OTEL_SERVICE_NAME", "The name under which the daemon's spans are shown; its own without it."),
    ("OTEL_RESOURCE_ATTRIBUTES", "More that is said of the daemon, as `name=value,name=value`."),
    ("OTEL_SDK_DISABLED", "`true` switches traces off, whatever else is set."),
];

/// The target of spans that are for traces only: logs do not show them, and they cost nothing while traces are off.
pub const TARGET: &str = "traces";

/// How long a stop waits for the last spans.
const FLUSH: Duration = Duration::from_secs(2);

/// The W3C header in which the place of a span in its trace travels.
const TRACEPARENT: &str = "traceparent";

/// Traces that are switched on.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Grpc,
    Http,
}

impl Traces {
    /// Starts what the variables ask for. Called inside the runtime, on which spans are sent.
    pub(crate) fn start(name: &'static str) -> Result<Option<Self>, Fatal> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(protocol) = wanted(variable)? else { return Ok(None) };
        let exporter = match protocol {
            Protocol::Grpc => SpanExporter::builder().with_tonic().build(),
            Protocol::Http => SpanExporter::builder().with_http().build(),
        };
        let exporter = exporter.map_err(|error| Fatal::settings(format!("OTEL_EXPORTER_OTLP_*: {error}")))?;
        let exporter = OnRuntime {
            exporter: Arc::new(exporter),
            runtime: Handle::current(),
            fails: AtomicBool::new(false),
        };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(name, variable))
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer(name);
        Ok(Some(Self { provider, tracer }))
    }

    /// The layer that turns spans of `tracing` into OpenTelemetry's.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(logs::targets(
                tracing::level_filters::LevelFilter::INFO,
                tracing::level_filters::LevelFilter::OFF,
            ))
    }

    /// Sends the last spans, within two seconds. Blocks; the runtime must still run.
    pub(crate) fn stop(&self) {
        // A collector that is gone has been logged, and the spans are lost either way.
        let _ = self.provider.shutdown_with_timeout(FLUSH);
    }
}

/// Whether traces are wanted, and how they are sent.
fn wanted(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Protocol>, Fatal> {
    let is = |name: &str, value: &str| variable(name).is_some_and(|set| set.eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None if endpoints.iter().all(|name| variable(name).is_none()) => return Ok(None),
        None | Some("otlp") => {}
        Some(other) => {
            return Err(Fatal::Settings(format!(
                "OTEL_TRACES_EXPORTER: {other:?} is not known; use otlp or none"
            )));
        }
    }
    let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let Some((name, protocol)) = protocols.iter().find_map(|name| Some((name, variable(name)?))) else {
        // The default of the specification.
        return Ok(Some(Protocol::Http));
    };
    match protocol.as_str() {
        "grpc" => Ok(Some(Protocol::Grpc)),
        "http/protobuf" => Ok(Some(Protocol::Http)),
        other => Err(Fatal::Settings(format!("{name}: {other:?} is not spoken; use grpc or http/protobuf"))),
    }
}

/// What the spans are of: the variables', with the daemon's name where they name no service.
fn resource(name: &'static str, variable: impl Fn(&str) -> Option<String>) -> Resource {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let named = attributes.split(',').any(|pair| pair.trim_start().starts_with("service.name="));
    if named || variable("OTEL_SERVICE_NAME").is_some() {
        Resource::builder().build()
    } else {
        Resource::builder().with_service_name(name).build()
    }
}

/// Sends on the daemon's runtime, from the SDK's own thread, which has none; and says once when
/// spans begin to be lost, and once when they are taken again.
#[derive(Debug)]
struct OnRuntime {
    exporter: Arc<SpanExporter>,
    runtime: Handle,
    fails: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let sending = self.runtime.spawn(async move { exporter.export(batch).await });
        let result =
            sending.await.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        let failed = result.is_err();
        if self.fails.swap(failed, Ordering::Relaxed) != failed {
            match &result {
                Ok(()) => tracing::info!("traces are taken again"),
                Err(error) => {
                    tracing::warn!(%error, "traces are not taken by the collector; spans are dropped")
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}

/// Where `span` stands in its trace, as the W3C's `traceparent`: to be kept with work that is done later
/// (an effect in the outbox), or sent with a request. Nothing if traces are off.
pub fn traceparent(span: &Span) -> Option<String> {
    let context = span.context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut headers);
    headers.remove(TRACEPARENT)
}

/// Makes `span` a part of the trace that `traceparent` came from. Anything that is no `traceparent` leaves
/// it as it is. To be called before the span is entered.
pub fn continue_from(span: &Span, traceparent: &str) {
    let headers = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&headers);
    if context.span().span_context().is_valid() {
        // Fails where traces are off, which is as well.
        let _ = span.set_parent(context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Result<Option<Protocol>, Fatal> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        wanted(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn off_unless_asked_for() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert_eq!(asked(&[]), Ok(None));
        assert_eq!(asked(&[endpoint]), Ok(Some(Protocol::Http)));
        assert_eq!(asked(&[("OTEL_TRACES_EXPORTER", "otlp")]), Ok(Some(Protocol::Http)));
        assert_eq!(asked(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), Ok(Some(Protocol::Grpc)));
        let both = [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ];
        assert_eq!(asked(&[endpoint, both[0], both[1]]), Ok(Some(Protocol::Http)));
        assert_eq!(asked(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
        assert_eq!(asked(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
    }

    #[test]
    fn what_is_not_spoken_is_a_wrong_setting() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let error = asked(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]).unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("OTEL_EXPORTER_OTLP_PROTOCOL")), (2, true));
        assert_eq!(asked(&[("OTEL_TRACES_EXPORTER", "zipkin")]).unwrap_err().code(), 2);
    }

    #[test]
    fn a_trace_goes_on_where_its_traceparent_was_kept() {
        use tracing_subscriber::layer::SubscriberExt;
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let kept = traceparent(&tracing::info_span!("plan")).unwrap();
            let later = tracing::info_span!("deliver");
            continue_from(&later, &kept);
            let trace = |header: &str| header.split('-').nth(1).unwrap().to_owned();
            assert_eq!(trace(&traceparent(&later).unwrap()), trace(&kept));
            continue_from(&later, "nonsense");
            assert_eq!(trace(&traceparent(&later).unwrap()), trace(&kept));
        });
        assert_eq!(traceparent(&tracing::info_span!("off")), None);
    }
}
