//! Users named by an endpoint of the partner's, in the shape of Prometheus `http_sd`.
//!
//! <https://prometheus.io/docs/prometheus/latest/http_sd/>: status 200, `Content-Type: application/json`, the whole
//! list in each answer. An endpoint that fails says nothing: what it said before holds.

use std::{path::PathBuf, time::Duration as StdDuration};

use async_trait::async_trait;
use daemon::config::{self, Duration};
use reqwest::{Certificate, Identity, Url, header};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Found, Reporter, Source,
    groups::{self, MAX_BYTES},
};
use crate::ledger::IdSet;

/// An endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its address; `https://`, or `http://` to this machine.
    pub url: String,
    /// How often it is asked.
    #[serde(default = "interval")]
    pub refresh_interval: Duration,
    /// The header `Authorization`.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// A user and a password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// How TLS is done.
    #[serde(default)]
    pub tls_config: Tls,
}

/// The header `Authorization`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// Its scheme.
    #[serde(rename = "type", default = "bearer")]
    pub scheme: String,
    /// File with what follows the scheme; read for each request.
    pub credentials_file: PathBuf,
}

/// A user and a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// File with the password; read for each request.
    pub password_file: PathBuf,
}

/// How TLS is done; by default with the certificates of the platform.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// File with the only certificates (PEM) that vouch for the endpoint.
    pub ca_file: Option<PathBuf>,
    /// File with our certificate (PEM), for endpoints that ask for one.
    pub cert_file: Option<PathBuf>,
    /// File with its key (PEM).
    pub key_file: Option<PathBuf>,
}

impl super::Settings for Config {
    fn place(&mut self, place: &dyn Fn(&mut PathBuf)) {
        let Self { authorization, basic_auth, tls_config: Tls { ca_file, cert_file, key_file }, .. } = self;
        let credentials = authorization.as_mut().map(|it| &mut it.credentials_file);
        let password = basic_auth.as_mut().map(|it| &mut it.password_file);
        let tls = [ca_file, cert_file, key_file].into_iter().flatten();
        credentials.into_iter().chain(password).chain(tls).for_each(place);
    }
}

fn interval() -> Duration {
    Duration(StdDuration::from_secs(60))
}

fn bearer() -> String {
    "Bearer".to_owned()
}

/// How long an answer may take, to its last byte. Real time.
const PATIENCE: StdDuration = StdDuration::from_secs(60);

/// The source.
#[derive(Debug)]
pub(super) struct Endpoint(Config);

impl Endpoint {
    pub(super) fn new(config: &Config) -> Self {
        Self(config.clone())
    }

    /// A client; made for each request, so that certificates that were renewed are used.
    fn client(&self) -> Result<reqwest::Client, String> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("basiq-exporter/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(StdDuration::from_secs(10))
            .timeout(PATIENCE)
            // A redirect would carry the credentials to wherever it points.
            .redirect(reqwest::redirect::Policy::none());
        let tls = &self.0.tls_config;
        if let Some(path) = &tls.ca_file {
            let wrong = |what: String| format!("tls_config.ca_file: {}: {what}", path.display());
            let pem = std::fs::read(path).map_err(|error| wrong(config::unreadable(&error)))?;
            let found =
                Certificate::from_pem_bundle(&pem).map_err(|_| wrong("no certificate (PEM)".to_owned()))?;
            if found.is_empty() {
                return Err(wrong("no certificate (PEM)".to_owned()));
            }
            builder = builder.tls_certs_only(found);
        }
        match (&tls.cert_file, &tls.key_file) {
            (None, None) => {}
            (Some(cert), Some(key)) => {
                let read = |path: &PathBuf| {
                    let why =
                        |error| format!("tls_config: {}: {}", path.display(), config::unreadable(&error));
                    std::fs::read(path).map_err(why)
                };
                let pem = [read(cert)?, b"\n".to_vec(), read(key)?].concat();
                let identity = Identity::from_pem(&pem).map_err(
                    |_| "tls_config: cert_file and key_file are no certificate with its key (PEM)",
                )?;
                builder = builder.identity(identity);
            }
            _ => return Err("tls_config: cert_file and key_file are given together or not at all".to_owned()),
        }
        builder.build().map_err(|error| format!("TLS cannot be set up: {}", error.without_url()))
    }

    fn request(&self, client: &reqwest::Client) -> Result<reqwest::RequestBuilder, String> {
        let mut request = client.get(&self.0.url).header(header::ACCEPT, "application/json").header(
            "X-Prometheus-Refresh-Interval-Seconds",
            self.0.refresh_interval.0.as_secs_f64().to_string(),
        );
        let secret = |key: &str, path: &PathBuf| {
            daemon::config::secret_from(&format!("discovery.http.{key}"), path)
                .map_err(|error| error.to_string())
        };
        if let Some(authorization) = &self.0.authorization {
            let credentials = secret("authorization.credentials_file", &authorization.credentials_file)?;
            let value = format!("{} {}", authorization.scheme, credentials.expose());
            let mut value = header::HeaderValue::from_str(&value)
                .map_err(|_| "authorization: it has characters that no header can carry")?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        if let Some(basic) = &self.0.basic_auth {
            let password = secret("basic_auth.password_file", &basic.password_file)?;
            request = request.basic_auth(&basic.username, Some(password.expose()));
        }
        Ok(request)
    }

    /// Whom the endpoint names now.
    async fn ask(&self) -> Result<IdSet, String> {
        let lost = |error: reqwest::Error| match () {
            () if error.is_timeout() => "it did not answer in time".to_owned(),
            () if error.is_connect() => "it cannot be reached".to_owned(),
            () => format!("the connection broke: {}", error.without_url()),
        };
        let mut response = self.request(&self.client()?)?.send().await.map_err(lost)?;
        let status = response.status();
        if status != reqwest::StatusCode::OK {
            let redirect = if status.is_redirection() { "; configure where it leads to" } else { "" };
            return Err(format!("it answered {}{redirect}", status.as_u16()));
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let json = |kind: &str| kind.trim().to_ascii_lowercase().starts_with("application/json");
        if !kind.is_some_and(json) {
            return Err("its answer is not of the type application/json".to_owned());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err("its answer is larger than 256 MiB".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        groups::read_json(body.as_slice())
    }
}

#[async_trait]
impl Source for Endpoint {
    fn name(&self) -> String {
        super::name("http", &self.0.url)
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |reason: String| Err(format!("discovery.http: {reason}"));
        let Ok(url) = Url::parse(&self.0.url) else {
            return wrong("url: must be a full address, https://…".to_owned());
        };
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("url: must hold no user and no password; use basic_auth".to_owned());
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if url.scheme() != "https" && !(url.scheme() == "http" && here) {
            return wrong("url: must begin with https:// (http:// works only to this machine)".to_owned());
        }
        if self.0.refresh_interval.0.is_zero() {
            return wrong("refresh_interval: 0 is no interval; give one, for example 1m".to_owned());
        }
        if self.0.authorization.is_some() && self.0.basic_auth.is_some() {
            return wrong("authorization and basic_auth exclude each other; keep one".to_owned());
        }
        let made = self.client().and_then(|client| self.request(&client));
        made.map(|_| ()).or_else(wrong)
    }

    async fn run(self: Box<Self>, reporter: Reporter) {
        let mut last = None;
        loop {
            let told = match self.ask().await {
                Ok(ids) if last.as_ref() == Some(&ids) => reporter.tell(Found::Same).await,
                Ok(ids) => {
                    last = Some(ids.clone());
                    reporter.tell(Found::All(ids)).await
                }
                Err(reason) => {
                    tracing::error!(reason, "the users cannot be had by HTTP; what was said before holds");
                    true
                }
            };
            if !told {
                return;
            }
            tokio::select! {
                () = reporter.context.stop.cancelled() => return,
                () = reporter.context.clock.sleep(self.0.refresh_interval.0) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config: Config = daemon::config::decode("test", text).unwrap();
        Endpoint::new(&config).check().unwrap_err()
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        assert!(wrong("url: users").contains("full address"));
        assert!(wrong("url: 'http://users.example/basiq'").contains("https://"));
        assert!(wrong("url: 'https://u:p@users.example/basiq'").contains("basic_auth"));
        assert!(wrong("{url: 'https://a.example', refresh_interval: 0s}").contains("refresh_interval"));
        assert!(wrong("{url: 'https://a.example', tls_config: {cert_file: /a}}").contains("together"));
        assert!(wrong("{url: 'https://a.example', tls_config: {ca_file: /nowhere}}").contains("ca_file"));
        let missing = wrong("{url: 'https://a.example', authorization: {credentials_file: /nowhere}}");
        assert!(missing.contains("authorization.credentials_file"), "{missing}");
    }
}
