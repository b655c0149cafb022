//! The client reads what a mock that was generated from the OpenAPI files answers.

use basiq::{Client, ClientConfig, KeySource};
use daemon::Secret;

use crate::documents::{Call, OPERATIONS};

/// `PRISM_URL` is where Prism serves Basiq's files merged (core and data; with webhooks if
/// `PRISM_WEBHOOKS=1`). Without webhooks it may also be dynamic; with them it would invent a `links.next` that
/// leads nowhere.
#[tokio::test]
async fn a_generated_mock_is_read() {
    let Ok(base_url) = std::env::var("PRISM_URL") else {
        let text = "PRISM_URL is not set: the client has NOT been tested against Prism";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
        eprintln!("\n*** {text} ***\n");
        return;
    };
    let webhooks = std::env::var("PRISM_WEBHOOKS").as_deref() == Ok("1");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = ClientConfig::new(KeySource::value(Secret::new("eHg=")));
    config.base_url = base_url;
    config.quota.per_second = 1000.0;
    let client = Client::new(config).unwrap();
    for operation in OPERATIONS {
        if operation.file == "webhooks.json" && !webhooks {
            continue;
        }
        // Prism wants a body that its schema allows, which an empty name is.
        let ids = operation.call.ask(&client).await.unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        let without_id = matches!(operation.call, Call::Token | Call::Unsubscribe);
        assert!(without_id || ids.iter().all(|id| !id.is_empty()), "{operation:?}: {ids:?}");
    }
}
