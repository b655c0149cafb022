//! Lists follow `links.next`, within the base URL and within bounds.

use basiq::{Client, ConnectorFilter, ErrorKind, Priority};

use crate::server::{Reply, Server, json};

const P: Priority = Priority::Routine;

fn page(ids: &[&str], next: Option<&str>) -> Reply {
    let data: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
    let next = next.map(|next| format!(r#","next":"{next}""#)).unwrap_or_default();
    json(200, format!(r#"{{"data":[{}],"links":{{"self":"x"{next}}}}}"#, data.join(",")))
}

#[tokio::test]
async fn all_pages_are_read_in_order() {
    let server = Server::with_token(|asked| match asked.path.as_str() {
        "/connectors" => page(&["AU00000", "AU00001"], Some("/connectors?next=b")),
        "/connectors?next=b" => page(&["AU00002"], Some("?next=c")),
        _ => page(&["AU00003"], None),
    })
    .await;
    let connectors = server.client().connectors(&ConnectorFilter::default(), P).await.unwrap();
    let ids: Vec<_> = connectors.iter().map(|connector| connector.id.as_str()).collect();
    assert_eq!(ids, ["AU00000", "AU00001", "AU00002", "AU00003"]);
}

/// A gateway's words under a 200 are no empty list: everything would seem deleted.
#[tokio::test]
async fn a_document_that_is_no_list_is_malformed() {
    let server = Server::with_token(|asked| match asked.path.as_str() {
        "/connectors" => json(200, r#"{"message":"maintenance"}"#),
        _ => json(200, r#"{"type":"list","data":null}"#),
    })
    .await;
    let error = server.client().connectors(&ConnectorFilter::default(), P).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Malformed { .. }), "{error}");
    assert_eq!(server.client().jobs("u-1", None, P).await.unwrap(), []);
}

#[tokio::test]
async fn a_hostile_next_link_takes_nothing_elsewhere() {
    let other = Server::with_token(|_| page(&[], None)).await;
    for next in
        [format!("{}/connectors", other.url), "//evil.invalid/x".into(), "http://user@evil.invalid/".into()]
    {
        let server = Server::with_token(move |_| page(&["AU00000"], Some(&next))).await;
        let error = server.client().connectors(&ConnectorFilter::default(), P).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::BadNextLink(_)), "{error}");
        assert!(!error.to_string().contains("evil"));
        assert_eq!(server.count("/connectors"), 1);
    }
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn circles_and_endless_lists_end() {
    let itself = Server::with_token(|_| page(&["AU00000"], Some("/connectors"))).await;
    let error = itself.client().connectors(&ConnectorFilter::default(), P).await.unwrap_err();
    assert_eq!((error.kind.as_str(), itself.count("/connectors")), ("malformed", 1));

    let circle = Server::with_token(|asked| match asked.path.as_str() {
        "/connectors" => page(&["AU00000"], Some("?a")),
        "/connectors?a" => page(&["AU00000"], Some("?b")),
        _ => page(&["AU00000"], Some("?a")),
    })
    .await;
    circle.client().connectors(&ConnectorFilter::default(), P).await.unwrap_err();
    assert_eq!(circle.count("/connectors"), 3);

    let endless = Server::start(|asked, before| match asked.path.as_str() {
        "/token" => crate::server::token(),
        _ => page(&["AU00000", "AU00001"], Some(&format!("?n={before}"))),
    })
    .await;
    let mut config = endless.config();
    config.max_pages = 7;
    let client = Client::new(config).unwrap();
    let error = client.connectors(&ConnectorFilter::default(), P).await.unwrap_err();
    assert_eq!((error.kind.as_str(), endless.count("/connectors")), ("malformed", 7));

    let mut config = endless.config();
    config.max_entries = 5;
    let client = Client::new(config).unwrap();
    client.connectors(&ConnectorFilter::default(), P).await.unwrap_err();
    assert_eq!(endless.count("/connectors"), 7 + 3);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Server::with_token(|_| page(&[], None)).await;
    let location = format!("location: {}/connectors\r\n", other.url);
    let server = Server::with_token(move |_| Reply::Of(302, location.clone(), Vec::new())).await;
    let error = server.client().connectors(&ConnectorFilter::default(), P).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Refused { status: 302, .. }), "{error}");
    assert!(other.asked().is_empty());
}
