//! The exporters that are looked at, from the configuration.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::{Fatal, Secret, config};
use reqwest::{Client, RequestBuilder, Url, redirect};
use schemars::JsonSchema;
use serde::Deserialize;

/// How long connecting to an exporter may take, in real time.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an exporter may take to store that a user is forgotten.
const FORGET: Duration = Duration::from_secs(10);

/// One exporter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExporterConfig {
    /// Its base address, without `/metrics`.
    pub url: String,
    /// The file with the token to send, if it asks for one.
    pub bearer_token_file: Option<PathBuf>,
    /// The name to log in with, if it asks for name and password.
    pub username: Option<String>,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
}

impl Default for ExporterConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:9765".into(),
            bearer_token_file: None,
            username: None,
            password_file: None,
        }
    }
}

/// One page of an exporter, under the labels that Prometheus would give its series.
#[derive(Clone, Debug)]
pub struct Target {
    /// The label `job`: `basiq-exporter`, or `basiq-connections` for the page with a series for each connection.
    pub job: &'static str,
    /// The label `instance`: host and port.
    pub instance: Arc<str>,
    /// Which exporter it is, in the order of the configuration.
    pub exporter: usize,
    pub(super) url: Url,
    pub(super) login: Login,
}

impl Target {
    /// The labels of the alerter's own page, which is not fetched.
    pub(super) fn own(&self) -> Self {
        Self { job: "basiq-alerter", instance: "self".into(), login: Login::Nobody, ..self.clone() }
    }

    /// A page that was recorded, and cannot be asked for again.
    pub(crate) fn recorded(instance: &str, connections: bool) -> Option<Self> {
        let [(_, exporter), (_, of_connections)] = PAGES;
        Some(Self {
            job: if connections { of_connections } else { exporter },
            instance: instance.into(),
            exporter: 0,
            url: Url::parse("http://127.0.0.1/").ok()?,
            login: Login::Nobody,
        })
    }
}

/// How a request proves who asks.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    Nobody,
    Token(Secret),
    Password(String, Secret),
}

impl Login {
    /// Reads the login of the settings `bearer_token_file`, `username` and `password_file`, which `key` names in
    /// full; paths are relative to the configuration file.
    pub(crate) fn read(
        key: impl Fn(&str) -> String,
        file: Option<&Path>,
        token: &Option<PathBuf>,
        username: &Option<String>,
        password: &Option<PathBuf>,
    ) -> Result<Self, Fatal> {
        let secret =
            |name: &str, path: &Path| config::secret_from(&key(name), &config::relative_to(file, path));
        match (token, username, password) {
            (None, None, None) => Ok(Self::Nobody),
            (Some(token), None, None) => Ok(Self::Token(secret("bearer_token_file", token)?)),
            (None, Some(name), Some(password)) => {
                Ok(Self::Password(name.clone(), secret("password_file", password)?))
            }
            _ => Err(Fatal::settings(format!(
                "{}: set bearer_token_file, or username and password_file",
                key("username")
            ))),
        }
    }

    /// Shows it with a request.
    pub(crate) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nobody => request,
            Self::Token(token) => request.bearer_auth(token.expose()),
            Self::Password(name, password) => request.basic_auth(name, Some(password.expose())),
        }
    }
}

/// The paths of the two pages and the jobs that they are.
const PAGES: [(&str, &str); 2] =
    [("metrics", "basiq-exporter"), ("metrics/connections", "basiq-connections")];

/// The pages of the exporters; secrets are read, relative to the configuration file.
pub(super) fn targets(exporters: &[ExporterConfig], file: Option<&Path>) -> Result<Vec<Target>, Fatal> {
    if exporters.is_empty() {
        return Err(Fatal::settings("exporters: name at least one, as `- url: http://127.0.0.1:9765`"));
    }
    let mut targets: Vec<Target> = Vec::new();
    for (exporter, settings) in exporters.iter().enumerate() {
        let key = |name: &str| format!("exporters[{exporter}].{name}");
        let wrong = |why: &str| {
            Fatal::settings(format!(
                "{}: {:?} {why}; write it as http://127.0.0.1:9765",
                key("url"),
                settings.url
            ))
        };
        let mut base = Url::parse(&settings.url).map_err(|_| wrong("is no address"))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong("is no http or https address"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(Fatal::settings(format!(
                "{}: takes no password; use username and password_file",
                key("url")
            )));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let ExporterConfig { url: _, bearer_token_file, username, password_file } = settings;
        let login = Login::read(key, file, bearer_token_file, username, password_file)?;
        let host = base.host_str().unwrap_or_default();
        let instance: Arc<str> = match base.port_or_known_default() {
            Some(port) => format!("{host}:{port}").into(),
            None => host.into(),
        };
        if targets.iter().any(|known| known.instance == instance) {
            return Err(wrong("is there twice"));
        }
        for (path, job) in PAGES {
            let url = base.join(path).map_err(|_| wrong("is no address"))?;
            targets.push(Target { job, instance: instance.clone(), exporter, url, login: login.clone() });
        }
    }
    Ok(targets)
}

/// Where one exporter takes hints, and as whom.
#[derive(Clone, Debug)]
pub struct HintTarget {
    pub(crate) instance: Arc<str>,
    pub(crate) url: Url,
    pub(crate) login: Login,
}

/// Where the exporters take hints (`POST /api/v1/hints`); secrets are read, relative to the configuration file.
///
/// # Errors
/// An address or a secret that cannot be used.
pub fn hints(exporters: &[ExporterConfig], file: Option<&Path>) -> Result<Vec<HintTarget>, Fatal> {
    let pages = targets(exporters, file)?;
    let bases = pages.into_iter().filter(|target| target.job == PAGES[0].1).map(|target| {
        let Target { instance, mut url, login, .. } = target;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().extend(["api", "v1", "hints"]);
        }
        HintTarget { instance, url, login }
    });
    Ok(bases.collect())
}

/// Asks every exporter to forget a user. Gives those that did not say that they have, each with the reason.
pub(crate) async fn forget(
    exporters: &[ExporterConfig],
    file: Option<&Path>,
    user: &str,
) -> Result<Vec<(Arc<str>, String)>, Fatal> {
    let (client, mut unheard) = (client()?, Vec::new());
    let pages = targets(exporters, file)?;
    for target in pages.iter().filter(|target| target.job == PAGES[0].1) {
        let mut url = target.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().extend(["api", "v1", "users", user]);
        }
        let why = match target.login.sign(client.delete(url)).timeout(FORGET).send().await {
            Ok(answer) if answer.status().is_success() => continue,
            Ok(answer) => format!("it answered {}", answer.status().as_u16()),
            Err(error) if error.is_connect() => "no connection".to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        unheard.push((target.instance.clone(), why));
    }
    Ok(unheard)
}

/// A client for pages of exporters: no redirects, which would carry the token elsewhere, and no proxy.
pub(super) fn client() -> Result<Client, Fatal> {
    Client::builder()
        .connect_timeout(CONNECT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("basiq-alerter/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Fatal::running(format!("no HTTP client can be made: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(url: &str) -> Result<Vec<Target>, Fatal> {
        targets(&[ExporterConfig { url: url.into(), ..ExporterConfig::default() }], None)
    }

    #[test]
    fn two_pages_of_each_exporter() {
        let targets = one("https://exporter.test/base").unwrap();
        let seen: Vec<_> = targets.iter().map(|t| (t.job, &*t.instance, t.url.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("basiq-exporter", "exporter.test:443", "https://exporter.test/base/metrics"),
                ("basiq-connections", "exporter.test:443", "https://exporter.test/base/metrics/connections"),
            ]
        );
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_the_setting() {
        for url in ["", "127.0.0.1:9765", "ftp://a.test", "http://me:secret@a.test"] {
            let error = one(url).unwrap_err();
            assert_eq!(error.code(), 2);
            assert!(error.to_string().starts_with("exporters[0].url: "), "{error}");
        }
        assert!(!one("http://me:hunter2@a.test").unwrap_err().to_string().contains("hunter2"));
        assert!(targets(&[], None).is_err());
        let half = ExporterConfig { username: Some("me".into()), ..ExporterConfig::default() };
        assert!(targets(&[half], None).is_err());
    }
}
