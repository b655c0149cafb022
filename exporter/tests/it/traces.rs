//! Looks at users, what they ask of Basiq, and requests that make the exporter do something are spans.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{SpanId, TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::world::World;

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
    fn named(&self, name: &str) -> Vec<SpanData> {
        let spans = self.0.lock().unwrap();
        spans.iter().filter(|span| span.name == name).cloned().collect()
    }
}

#[tokio::test]
async fn polling_and_hints_are_spans() {
    let ended = Ended::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    // While there is but one subscriber, `tracing` asks only the one of the thread that meets a span first: a test beside
    // this one, which has none, would switch that span off for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _traces = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let world = World::new("users: [{name: ann, connections: [{institution: AU00000}]}]").await;
    let exporter = world.start().await;
    let user = world.sandbox.user_ids()[0].clone();
    assert_eq!(exporter.hint(&format!("{{\"user_id\": \"{user}\", \"kind\": \"created\"}}")).await, 202);
    exporter.stop().await.unwrap();

    let looks = ended.named("poll user");
    let looked: Vec<SpanId> = looks.iter().map(|span| span.span_context.span_id()).collect();
    let asked = ended.named("ask Basiq");
    assert!(asked.iter().any(|span| looked.contains(&span.parent_span_id)), "{asked:?}");
    assert!(!ended.named("poll connectors").is_empty());
    let status = |span: &SpanData| {
        let found = span.attributes.iter().find(|pair| pair.key.as_str() == "status");
        found.map(|pair| pair.value.as_str().into_owned())
    };
    let requests: Vec<_> = ended.named("request").iter().map(status).collect();
    assert_eq!(requests, [Some("202".to_owned())], "scrapes are no spans");
}
