//! A delivery stands in the trace of the demand that it follows, however long that takes, also across a restart.

use std::sync::Mutex;

use opentelemetry::trace::{TraceId, TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// Spans that ended.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Ended {
    fn traces_of(&self, name: &str) -> Vec<TraceId> {
        let spans = self.0.lock().unwrap();
        spans.iter().filter(|span| span.name == name).map(|span| span.span_context.trace_id()).collect()
    }
}

#[tokio::test]
async fn deliveries_go_on_in_the_trace_of_their_demand() {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // With one dispatcher only, a span that another test's thread meets first would count as wanted by nobody.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _traces = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let place = Place::file();
    let (mut world, clock, hand) = begin();
    let hands = Arc::new(Remembers::default());
    hands.says(&[DeliveryError::Retry { after: Some(Duration::from_secs(600)), why: "busy".into() }]);
    let process = start(&place, &clock, &hands).await;
    world.fails("a", "invalid-credentials");
    pass(&process, &mut world, &hand, 1).instrument(tracing::info_span!("demand")).await;
    // The opening settles, and is planned and refused once long after the demand.
    pass(&process, &mut world, &hand, 15).await;
    until("refused", async || process.count(EffectState::Deferred).await == 1).await;
    process.dies().await;

    let process = start(&place, &clock, &hands).await;
    pass(&process, &mut world, &hand, 11).await;
    until("the opening", async || process.count(EffectState::Delivered).await == 1).await;
    process.ends().await;
    let demand = ended.traces_of("demand");
    assert_eq!(demand.len(), 1);
    assert_eq!(ended.traces_of("deliver"), [demand[0], demand[0]], "{:?}", ended.0.lock().unwrap());
    assert!(ended.traces_of("plan").contains(&demand[0]));
}
