//! A sandbox under a manual clock, and a plain HTTP client that knows nothing of the product's.

use std::{sync::Mutex, time::Duration};

use basiq_sandbox::{Handle, Sandbox, SandboxConfig, Scenario};
use daemon::{Clock, Hand};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::openapi;

pub(crate) struct Basiq {
    pub(crate) handle: Handle,
    pub(crate) hand: Hand,
    client: reqwest::Client,
    token: Mutex<String>,
    /// Whether responses are broken on purpose, and not held against Basiq's OpenAPI files.
    pub(crate) unchecked: bool,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

pub(crate) fn start_time() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(crate) fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

impl Basiq {
    pub(crate) async fn start(scenario: Scenario) -> Self {
        Self::start_with(SandboxConfig { scenario, ..SandboxConfig::default() }).await
    }

    pub(crate) async fn yaml(text: &str) -> Self {
        Self::start(Scenario::from_yaml(text).unwrap()).await
    }

    pub(crate) async fn start_with(config: SandboxConfig) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (clock, hand) = Clock::manual(start_time());
        let handle =
            Sandbox::start(SandboxConfig { clock, hand: Some(hand.clone()), ..config }).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let basiq = Self { handle, hand, client, token: Mutex::default(), unchecked: false };
        basiq.renew().await;
        basiq
    }

    pub(crate) async fn renew(&self) {
        let answer = self.token_with(&self.handle.api_key, "SERVER_ACCESS").await;
        self.use_token(answer.body["access_token"].as_str().unwrap_or_default());
    }

    /// Lets time pass, and takes a new token, since the old one may have expired.
    pub(crate) async fn pass(&self, time: Duration) {
        self.hand.advance(time);
        self.renew().await;
    }

    pub(crate) fn use_token(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    pub(crate) async fn token_with(&self, key: &str, scope: &str) -> Answer {
        let request = self
            .client
            .post(format!("{}/token", self.handle.base_url()))
            .header("authorization", format!("Basic {key}"));
        self.answer("POST", "/token", request.header("basiq-version", "3.0").form(&[("scope", scope)])).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method.clone(), path, body);
        self.answer(method.as_str(), path.trim_start_matches(&self.handle.base_url()), request).await
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.handle.base_url())
        };
        let request = self.client.request(method, url).bearer_auth(self.token.lock().unwrap());
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    async fn answer(&self, method: &str, path: &str, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if !self.unchecked {
            openapi::check(method, path, status.as_u16(), &body);
        }
        Answer { status, body }
    }

    pub(crate) fn user(&self, name: &str) -> String {
        self.handle.user_id(name).unwrap()
    }

    /// `POST …/refresh` of a user's first connection.
    pub(crate) async fn refresh(&self, name: &str) -> Answer {
        let connection = &self.handle.connection_ids(name)[0];
        self.post(&format!("/users/{}/connections/{connection}/refresh", self.user(name))).await
    }

    pub(crate) async fn jobs(&self, name: &str) -> Vec<Value> {
        let answer = self.get(&format!("/users/{}/jobs", self.user(name))).await;
        assert_eq!(answer.status, 200);
        answer.body["data"].as_array().unwrap().clone()
    }

    pub(crate) async fn connection(&self, name: &str) -> Value {
        let answer = self.get(&format!("/users/{}/connections", self.user(name))).await;
        assert_eq!(answer.status, 200);
        answer.body["data"][0].clone()
    }
}

/// The step of a job that failed, with its result.
pub(crate) fn failed(job: &Value) -> Option<(String, Value)> {
    let steps = job["steps"].as_array().unwrap();
    steps
        .iter()
        .find(|step| step["status"] == "failed")
        .map(|step| (step["title"].as_str().unwrap().to_owned(), step["result"].clone()))
}
