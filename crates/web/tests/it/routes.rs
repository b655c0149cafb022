//! The standard routes, as Prometheus's people know them.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use web::{Limits, WebConfig};

use crate::server::{ask, start, status};

#[tokio::test]
async fn standard_routes_answer() {
    let server = start(WebConfig::open(), Limits::default()).await;
    let (head, body) = ask(&server, "GET /").await;
    assert_eq!(status(&head), 200);
    let page = String::from_utf8(body).unwrap();
    assert!(
        page.contains("test-daemon") && page.contains("/metrics") && page.contains("for people"),
        "{page}"
    );
    assert_eq!(status(&ask(&server, "GET /-/healthy").await.0), 200);
    let (head, body) = ask(&server, "GET /-/ready").await;
    assert_eq!((status(&head), body), (503, b"test-daemon is not ready: still warming up\n".to_vec()));
    assert_eq!(status(&ask(&server, "GET /nothing").await.0), 404);
    assert_eq!(status(&ask(&server, "DELETE /metrics").await.0), 405);
}

#[tokio::test]
async fn metrics_in_the_form_that_is_asked_for() {
    let server = start(WebConfig::open(), Limits::default()).await;
    let (head, plain) = ask(&server, "GET /metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.contains(&format!("content-length: {}", plain.len())), "{head}");
    assert_eq!(plain.iter().filter(|byte| **byte == b'\n').count(), 1002);
    let (head, compressed) =
        ask(&server, "GET /metrics\nAccept-Encoding: deflate\nAccept-Encoding: gzip").await;
    assert!(
        head.contains("content-encoding: gzip") && head.contains("vary: accept, accept-encoding"),
        "{head}"
    );
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain);
    let (head, text) = ask(&server, "GET /metrics\nAccept: application/openmetrics-text;version=1.0.0").await;
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(text.ends_with(b"# EOF\n"));
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let server = start(WebConfig::open(), Limits::default()).await;
    let (_, body) = ask(&server, "GET /metrics").await;
    let (head, none) = ask(&server, "HEAD /metrics").await;
    assert_eq!(status(&head), 200);
    assert!(head.contains(&format!("content-length: {}", body.len())) && none.is_empty(), "{head}");
}

#[tokio::test]
async fn reload_is_a_post_and_says_how_it_went() {
    let server = start(WebConfig::open(), Limits::default()).await;
    assert_eq!(status(&ask(&server, "GET /-/reload").await.0), 405);
    assert_eq!(status(&ask(&server, "POST /-/reload").await.0), 200);
    let mut reloads = server.reload.subscribe("rules");
    tokio::spawn(async move {
        while let Some(request) = reloads.next().await {
            request.answer(Err("a.yml:3:1: no such action".to_owned()));
        }
    });
    let (head, body) = ask(&server, "POST /-/reload").await;
    assert_eq!(status(&head), 500);
    assert_eq!(body, b"failed to reload: rules: a.yml:3:1: no such action\n");
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let server = start(WebConfig::open(), Limits::default()).await;
    for site in ["cross-site", "same-site"] {
        assert_eq!(status(&ask(&server, &format!("POST /-/reload\nSec-Fetch-Site: {site}")).await.0), 403);
        assert_eq!(status(&ask(&server, &format!("GET /metrics\nSec-Fetch-Site: {site}")).await.0), 200);
    }
    assert_eq!(status(&ask(&server, "POST /-/reload\nSec-Fetch-Site: same-origin").await.0), 200);
}

#[tokio::test]
async fn users_and_headers_of_the_web_configuration_hold_and_follow_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    let write = |password: &str| {
        let hash = bcrypt::hash(password, 4).unwrap();
        let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
        std::fs::write(&path, format!("basic_auth_users:\n  ali: {hash}\n{headers}")).unwrap();
    };
    write("open sesame");
    let config = WebConfig::load(Some(&path)).unwrap();
    let server = start(config.clone(), Limits::default()).await;
    let get = |password: &str| {
        format!("GET /metrics\nAuthorization: Basic {}", STANDARD.encode(format!("ali:{password}")))
    };
    let (head, body) = ask(&server, "GET /metrics").await;
    assert_eq!((status(&head), body), (401, b"Unauthorized\n".to_vec()));
    assert!(head.contains("www-authenticate: basic") && head.contains("x-frame-options: deny"), "{head}");
    assert_eq!(status(&ask(&server, &get("open")).await.0), 401);
    assert_eq!(status(&ask(&server, &get("open sesame")).await.0), 200);
    write("close sesame, and longer");
    config.reread().unwrap();
    assert_eq!(status(&ask(&server, &get("open sesame")).await.0), 401);
    assert_eq!(status(&ask(&server, &get("close sesame, and longer")).await.0), 200);
    std::fs::write(&path, "basic_auth_user: {}\n").unwrap();
    assert!(config.reread().unwrap_err().contains("web.yml:1:1"), "a wrong file is refused");
    assert_eq!(status(&ask(&server, &get("close sesame, and longer")).await.0), 200);
}

#[test]
fn wrong_web_configurations_say_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.yml");
    let cases = [
        ("basic_auth_user: {}\n", "web.yml:1:1: "),
        ("http_server_config:\n  headers:\n    Server: x\n", "\"Server\" cannot be set"),
        ("http_server_config:\n  headers:\n    X-Frame-Options: \"a\\nb\"\n", "not allowed in HTTP"),
        ("basic_auth_users:\n  ali: hunter2\n", "basic_auth_users.ali: not a bcrypt hash"),
        ("tls_server_config:\n  cert_file: a.pem\n", "key_file"),
        ("tls_server_config:\n  cert_file: a.pem\n  key_file: b.pem\n", "cert_file: "),
    ];
    for (text, part) in cases {
        std::fs::write(&path, text).unwrap();
        let error = WebConfig::load(Some(&path)).unwrap_err();
        assert_eq!(error.code(), 2);
        let line = error.to_string();
        assert!(line.contains(part) && !line.contains("hunter2"), "{line}");
    }
}
