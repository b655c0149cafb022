//! The keys of the file, as exporter-toolkit documents them in `docs/web-configuration.md`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use daemon::{Fatal, config};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::{Loaded, tls};
use crate::auth::Users;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<TlsServer>,
    http_server_config: HttpServer,
    basic_auth_users: BTreeMap<String, String>,
}

/// `tls_server_config`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsServer {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
    #[serde(default)]
    pub(super) client_auth_type: ClientAuth,
    pub(super) client_ca_file: Option<PathBuf>,
    #[serde(default)]
    pub(super) client_allowed_sans: Vec<String>,
    #[serde(default)]
    pub(super) min_version: Version,
    pub(super) max_version: Option<Version>,
    #[serde(default)]
    pub(super) cipher_suites: Vec<String>,
    #[serde(default)]
    pub(super) curve_preferences: Vec<String>,
    /// Always so with rustls; known so that a file that has it is accepted.
    #[serde(default, rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: bool,
}

/// `client_auth_type`. The two that do not verify what they ask for are refused.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) enum ClientAuth {
    #[default]
    #[serde(alias = "NoClientCert", rename = "")]
    None,
    RequestClientCert,
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

/// Versions of TLS. Those before 1.2 are not spoken.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    TLS10,
    TLS11,
    #[default]
    TLS12,
    TLS13,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpServer {
    /// HTTP/1.1 is spoken in any case; known so that a file that has it is accepted.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: BTreeMap<String, String>,
}

/// The headers that the file may set.
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "strict-transport-security",
];

/// Reads the file and what it names.
pub(super) fn load(path: &Path) -> Result<Loaded, Fatal> {
    let file: File = config::load(path)?;
    let wrong = |message: String| Fatal::Settings(format!("{}: {message}", path.display()));
    let mut loaded = Loaded { files: vec![path.to_owned()], ..Loaded::default() };
    loaded.headers = headers(&file.http_server_config).map_err(wrong)?;
    loaded.users = Users::new(file.basic_auth_users).map_err(wrong)?;
    if let Some(server) = &file.tls_server_config {
        tls::load(path, server, &mut loaded).map_err(wrong)?;
    }
    Ok(loaded)
}

fn headers(server: &HttpServer) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &server.headers {
        let lower = name.to_ascii_lowercase();
        if !HEADERS.contains(&lower.as_str()) {
            return Err(format!(
                "http_server_config.headers: {name:?} cannot be set; possible are {}",
                HEADERS.join(", ")
            ));
        }
        let wrong = || format!("http_server_config.headers: the value of {name:?} is not allowed in HTTP");
        let header = HeaderName::try_from(&lower).map_err(|_| wrong())?;
        headers.insert(header, HeaderValue::try_from(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}
