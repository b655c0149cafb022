//! What goes over the wire.

use basiq::{
    ConnectionStatus, ConnectorFilter, ConnectorStatus, ErrorKind, EventFilter, Method, NewSubscription,
    Priority,
};

use crate::server::{KEY, Server, TOKEN, json};

const P: Priority = Priority::Routine;

#[tokio::test]
async fn requests_are_as_the_reference_has_them() {
    let server = Server::with_token(|asked| match asked.path.as_str() {
        path if path.ends_with("/refresh") => json(202, r#"{"type":"job","id":"j1"}"#),
        "/users/u1" | "/jobs/j1" | "/events/e1" => json(200, r#"{"id":"x1"}"#),
        _ if asked.method == "DELETE" => crate::server::Reply::Of(204, String::new(), Vec::new()),
        path if path.starts_with("/notifications/webhooks") && asked.method == "POST" => {
            json(201, r#"{"id":"w1","url":"https://x","status":"active","secret":"whsec_x"}"#)
        }
        _ => json(200, r#"{"type":"list","data":[]}"#),
    })
    .await;
    let client = server.client();
    client.user("u1", P).await.unwrap();
    client.jobs("u1", None, P).await.unwrap();
    client.jobs("u1", Some("c1"), P).await.unwrap();
    client.job("j1", P).await.unwrap();
    client.connections("u1", None, P).await.unwrap();
    client.connections("u1", Some("c1"), P).await.unwrap();
    client.refresh("u1", "c1", P).await.unwrap();
    let major = ConnectorFilter { status: Some(ConnectorStatus::MajorOutage), ..ConnectorFilter::default() };
    client.connectors(&major, P).await.unwrap();
    let of_user = EventFilter { user_id: Some("u1".into()), ..EventFilter::default() };
    client.events(&of_user, P).await.unwrap();
    client.event("e1", P).await.unwrap();
    client.subscriptions(P).await.unwrap();
    let new = NewSubscription {
        name: "n".into(),
        description: "d".into(),
        url: "https://x/".into(),
        subscribed_events: vec!["connection.invalidated".into()],
    };
    let made = client.subscribe(&new, P).await.unwrap();
    assert_eq!(made.secret.unwrap().expose(), "whsec_x");
    client.update_subscription("w1", &new, P).await.unwrap();
    client.messages("w1", P).await.unwrap();
    client.unsubscribe("w1", P).await.unwrap();

    let asked = server.asked();
    let lines: Vec<_> = asked.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    assert_eq!(
        lines,
        [
            "POST /token",
            "GET /users/u1",
            "GET /users/u1/jobs",
            "GET /users/u1/jobs?filter=connection.id.eq%28%27c1%27%29",
            "GET /jobs/j1",
            "GET /users/u1/connections",
            "GET /users/u1/connections?filter=connection.id.eq%28%27c1%27%29",
            "POST /users/u1/connections/c1/refresh",
            "GET /connectors?filter=connector.status.eq%28%27major-outage%27%29",
            "GET /events?filter=user.id.eq%28%27u1%27%29",
            "GET /events/e1",
            "GET /notifications/webhooks",
            "POST /notifications/webhooks",
            "POST /notifications/webhooks/w1",
            "GET /notifications/webhooks/w1/messages",
            "DELETE /notifications/webhooks/w1",
        ]
    );
    assert_eq!(asked[0].header("authorization"), format!("Basic {KEY}"));
    assert_eq!(asked[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(asked[0].body, "scope=SERVER_ACCESS");
    for asked in &asked {
        assert_eq!(asked.header("basiq-version"), "3.0");
        assert_eq!(asked.header("accept"), "application/json");
    }
    assert!(asked[1..].iter().all(|asked| asked.header("authorization") == format!("Bearer {TOKEN}")));
    assert_eq!((asked[7].body.as_str(), asked[7].header("content-length")), ("", "0"));
    assert_eq!(
        asked[12].body,
        r#"{"name":"n","description":"d","url":"https://x/","subscribedEvents":["connection.invalidated"]}"#
    );
}

#[tokio::test]
async fn a_base_url_may_have_a_path() {
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/gw/basiq/token" => crate::server::token(),
        "/gw/basiq/jobs/j1" => json(200, r#"{"id":"j1"}"#),
        _ => json(404, "{}"),
    })
    .await;
    for end in ["", "/"] {
        let mut config = server.config();
        config.base_url = format!("{}/gw/basiq{end}", server.url);
        basiq::Client::new(config).unwrap().job("j1", P).await.unwrap();
    }
}

#[tokio::test]
async fn ids_that_are_none_never_reach_the_wire() {
    let server = Server::with_token(|_| json(200, "{}")).await;
    let client = server.client();
    for bad in ["", "..", "a/b", "a?b=c", "x'),connection.id.ne('"] {
        for error in [
            client.user(bad, P).await.map(|_| ()).unwrap_err(),
            client.jobs("u1", Some(bad), P).await.map(|_| ()).unwrap_err(),
            client.connections("u1", Some(bad), P).await.map(|_| ()).unwrap_err(),
            client.refresh("u1", bad, P).await.map(|_| ()).unwrap_err(),
            client.event(bad, P).await.map(|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error.kind, ErrorKind::InvalidId(_)), "{error}");
            assert!(bad.is_empty() || !error.to_string().contains(bad) || bad == "..", "{error}");
        }
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn one_connection_is_found_whatever_the_filter_is_called() {
    let list = r#"{"type":"list","data":[
        {"type":"connection","id":"c1","status":"active","method":"open-banking","institution":{"id":"AU00000"}},
        {"type":"connection","id":"c2","status":"invalid","method":"web","institution":{"id":"AU00001"}}]}"#;
    for refuses in [false, true] {
        let server = Server::with_token(move |asked| match asked.path.contains("filter=") {
            true if refuses => crate::server::error(400, "parameter-not-valid"),
            _ => json(200, list),
        })
        .await;
        let found = server.client().connections("u1", Some("c2"), P).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id.as_str(), found[0].status), ("c2", ConnectionStatus::Invalid));
        let all = server.client().connections("u1", None, P).await.unwrap();
        assert_eq!((all.len(), all[0].method), (2, Method::OpenBanking));
    }
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_honoured() {
    let proxy = Server::start(|asked, _| match asked.path.as_str() {
        "http://basiq.invalid/token" => crate::server::token(),
        _ => json(200, r#"{"id":"j1"}"#),
    })
    .await;
    // Another process, since the environment of this one is everybody's.
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "requests::asks_through_the_proxy_that_it_is_given", "--ignored"])
        .env("http_proxy", &proxy.url)
        .env_remove("HTTP_PROXY")
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .await
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(proxy.count("http://basiq.invalid/jobs/j1"), 1);
}

#[tokio::test]
#[ignore = "run by a_proxy_of_the_environment_is_honoured, in a process of its own"]
async fn asks_through_the_proxy_that_it_is_given() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = basiq::KeySource::value(daemon::Secret::new(KEY));
    let mut config = basiq::ClientConfig::new(key);
    config.base_url = "http://basiq.invalid".into();
    basiq::Client::new(config).unwrap().job("j1", P).await.unwrap();
}
