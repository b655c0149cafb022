//! The partner's HTTP endpoint as a contact source: who a user is, and who an external id is.

use basiq_alerter::channels::contacts::ContactSource;
use serde_json::json;

use crate::channels_files::parts;
use crate::support::{
    http::{AsyncHandler, Faults, Said, parts as pieces, serve},
    web::Got,
};

/// Knows one user, by both ids.
struct Partner;

impl AsyncHandler for Partner {
    async fn answer(&self, got: Got) -> Said {
        if got.header("authorization") != Some("Bearer its token") {
            return Said::empty(401);
        }
        let (path, query) = pieces(&got);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (path.as_slice(), query.as_slice()) {
            (["contacts", "u-1"], []) => Said::json(
                200,
                &json!({ "address": "ann@example.test", "name": " ", "external_id": "customer 7&7" }),
            ),
            (["contacts"], [(key, value)]) if key == "external_id" && value == "customer 7&7" => {
                Said::json(200, &json!({ "user_id": "u-1" }))
            }
            (["contacts"], [(key, value)]) if key == "external_id" && value == "odd" => {
                Said::json(200, &json!({ "user": "u-1" }))
            }
            _ => Said::empty(404),
        }
    }
}

#[tokio::test]
async fn an_http_endpoint_says_who_a_user_is_and_whose_an_external_id_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "its token\n").unwrap();
    let url = serve(Faults::default(), Partner).await;
    let section = |token: &str| {
        let text =
            format!("http: {{url: '{url}/contacts', token_file: '{}'}}", folder.path().join(token).display());
        serde_saphyr::from_str::<ContactSource>(&text).unwrap()
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = basiq::KeySource::value(daemon::Secret::new("unused"));
    let client = basiq::Client::new(basiq::ClientConfig::new(key)).unwrap();
    let contacts = section("token").build(&client, &parts(folder.path())).unwrap();

    let ann = contacts.resolve("u-1").await.unwrap().unwrap();
    assert_eq!(ann.address.unwrap().expose(), "ann@example.test");
    assert!(ann.name.is_none(), "a blank name is none");
    assert!(contacts.resolve("u-2").await.unwrap().is_none());
    assert_eq!(contacts.user_of("customer 7&7").await.unwrap().as_deref(), Some("u-1"));
    assert_eq!(contacts.user_of("customer 8").await.unwrap(), None);
    let error = contacts.user_of("odd").await.unwrap_err().to_string();
    assert!(!error.contains("u-1"), "{error}");

    std::fs::write(folder.path().join("wrong"), "another").unwrap();
    let refused = section("wrong").build(&client, &parts(folder.path())).unwrap();
    assert!(refused.user_of("customer 7&7").await.is_err());
    let error = section("none").build(&client, &parts(folder.path())).err().unwrap().to_string();
    assert!(error.contains("contacts.http"), "{error}");
}
