//! A mail relay: what the user channel, the mail desk and operators' mail deliver through.

mod pace;
mod reply;
mod session;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use lettre::{
    Address,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, TlsParameters},
        response::Response,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};
use tokio_rustls::TlsConnector;

use super::{DeliveryError, Parts, Receipt, SettingsError, http, message::Mail};
use pace::Pace;
use session::Session;

/// An idle connection older than this is not trusted: relays close idle ones after a minute or more.
const IDLE: Duration = Duration::from_secs(30);
/// A connection is replaced after this many messages, before a relay counts them.
const MESSAGES: u32 = 100;

/// Deadlines of the steps of a session, in real time. A relay that has the whole message gets long
/// (RFC 5321 asks for ten minutes), because giving up then leaves an unknown outcome.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For the name and the connection.
    pub connect: Duration,
    /// For TLS, the greeting, and each command.
    pub command: Duration,
    /// For the content and the reply to its end.
    pub content: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(60),
            content: Duration::from_secs(300),
        }
    }
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// A plain connection that becomes TLS before anything is said; refused if the relay cannot (port 587).
    #[default]
    StartTls,
    /// TLS from the first byte (port 465).
    Implicit,
    /// No protection; only to this machine.
    None,
}

/// Where and how a relay is reached.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RelaySettings {
    /// Its name; checked against its certificate.
    pub host: String,
    /// Its port; 587, 465 or 25 by `tls` where not set.
    pub port: Option<u16>,
    /// `starttls`, `implicit` or `none`.
    pub tls: TlsMode,
    /// The user to authenticate as, if any.
    pub username: Option<String>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// A PEM file of the only certificates to trust, instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// The name to greet with; the connection's own address where not set.
    pub hello: Option<String>,
    /// Messages a second; 10 where not set.
    pub rate: Option<f64>,
    /// Messages at once; 10 where not set.
    pub burst: Option<f64>,
    /// Connections at once; 4 where not set.
    pub connections: Option<usize>,
    /// How long each step may take; not a setting of the file.
    #[serde(skip)]
    pub deadlines: Deadlines,
}

enum Security {
    None,
    StartTls { parameters: TlsParameters },
    Implicit { connector: TlsConnector },
}

struct RelayParts {
    host: String,
    port: u16,
    tls: Security,
    credentials: Option<Credentials>,
    hello: Option<String>,
    deadlines: Deadlines,
}

/// A relay with its idle connections and its pace.
pub(crate) struct Relay {
    parts: RelayParts,
    idle: Mutex<Vec<Session>>,
    connections: Semaphore,
    pace: Mutex<Pace>,
}

impl Relay {
    pub(crate) fn new(settings: RelaySettings, parts: &Parts) -> Result<Self, SettingsError> {
        let refuse = |why: String| Err(SettingsError::new(why));
        let RelaySettings {
            host,
            port,
            tls: mode,
            username,
            password_file,
            ca_file,
            hello,
            rate,
            burst,
            connections,
            deadlines,
        } = settings;
        if host.trim().is_empty() {
            return refuse("`host` must name the relay".to_owned());
        }
        let loopback =
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if mode == TlsMode::None && !loopback {
            return refuse("`tls: none` works only to localhost; use starttls or implicit".to_owned());
        }
        let (rate, burst) = (rate.unwrap_or(10.0), burst.unwrap_or(10.0));
        if !(rate.is_finite() && rate > 0.0 && burst.is_finite() && burst >= 1.0) || connections == Some(0) {
            return refuse("`rate` must be above 0, `burst` and `connections` at least 1".to_owned());
        }
        let credentials = match (username, password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => {
                let password = http::secret("password_file", &parts.path(file))?;
                Some(Credentials::new(user, password.expose().to_owned()))
            }
            _ => return refuse("`username` and `password_file` go together".to_owned()),
        };
        let ca = match &ca_file {
            Some(file) => {
                let file = parts.path(file);
                Some(std::fs::read(&file).map_err(|error| http::unreadable("ca_file", &file, &error))?)
            }
            None => None,
        };
        let tls = match mode {
            TlsMode::None => Security::None,
            TlsMode::Implicit => Security::Implicit {
                connector: session::connector(ca.as_deref())
                    .map_err(|why| SettingsError::new(format!("`ca_file` {why}")))?,
            },
            TlsMode::StartTls => Security::StartTls { parameters: parameters(&host, ca.as_deref())? },
        };
        let port = port.unwrap_or(match mode {
            TlsMode::StartTls => 587,
            TlsMode::Implicit => 465,
            TlsMode::None => 25,
        });
        Ok(Self {
            parts: RelayParts { host, port, tls, credentials, hello, deadlines },
            idle: Mutex::new(Vec::new()),
            connections: Semaphore::new(connections.unwrap_or(4)),
            pace: Mutex::new(Pace::new(rate, burst, Instant::now())),
        })
    }

    /// Hands over one mail for its one recipient. It is made once there is a connection for it, so that those that
    /// wait for one take no room.
    pub(crate) async fn send(
        &self,
        from: &Address,
        mail: impl FnOnce() -> Result<Mail, DeliveryError>,
    ) -> Result<Receipt, DeliveryError> {
        let stopped = |_| DeliveryError::Retry { after: None, why: "the relay is being closed".to_owned() };
        let _connection = self.connections.acquire().await.map_err(stopped)?;
        let wait = self.pace.lock().await.take(Instant::now());
        tokio::time::sleep(wait).await;
        let mail = mail()?;
        let mut reused = true;
        loop {
            let idle = if reused { self.idle().await } else { None };
            let mut session = match idle {
                Some(session) => session,
                None => {
                    reused = false;
                    match Session::open(&self.parts).await {
                        Ok(session) => session,
                        Err(failure) => return self.give_up(failure).await,
                    }
                }
            };
            match session.send(from, &mail.to, &mail.content).await {
                Ok(response) => {
                    self.keep(session).await;
                    return Ok(receipt(&response));
                }
                // The relay closed the idle connection, and nothing was handed over: a new one shows.
                Err(failure)
                    if reused && !failure.usable && matches!(failure.error, DeliveryError::Retry { .. }) =>
                {
                    reused = false;
                }
                Err(failure) => {
                    if failure.usable && session.reset().await {
                        self.keep(session).await;
                    }
                    return self.give_up(failure).await;
                }
            }
        }
    }

    async fn give_up(&self, failure: reply::Failure) -> Result<Receipt, DeliveryError> {
        if failure.throttled {
            self.pace.lock().await.halve(Instant::now());
        }
        Err(failure.error)
    }

    async fn idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().await;
        idle.retain(|session| session.used.elapsed() < IDLE);
        idle.pop()
    }

    async fn keep(&self, session: Session) {
        if session.messages < MESSAGES {
            self.idle.lock().await.push(session);
        } else {
            session.close().await;
        }
    }
}

fn parameters(host: &str, ca: Option<&[u8]>) -> Result<TlsParameters, SettingsError> {
    let refuse = |_| SettingsError::new("`ca_file` is not a PEM file of certificates");
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(pem) = ca {
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(pem).map_err(refuse)?);
    }
    builder
        .build_rustls()
        .map_err(|_| SettingsError::new("TLS cannot be set up with the platform's certificates"))
}

/// The relay's queue id, where its reply shows one; the rest of a reply may hold an address.
fn receipt(response: &Response) -> Receipt {
    let text = response.message().collect::<Vec<_>>().join(" ");
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let id = after("queued as ").or_else(|| after("id=")).and_then(|rest| {
        let id: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            .take(64)
            .collect();
        (!id.is_empty()).then_some(id)
    });
    Receipt { remote: id.unwrap_or_default(), detail: format!("the relay accepted it ({})", response.code()) }
}
