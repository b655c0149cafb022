//! The web configuration file of Prometheus's exporter-toolkit, reread when it changes.

mod file;
mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use daemon::{Fatal, Reload};
use http::HeaderMap;
use rustls::ServerConfig;

use crate::auth::Users;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What `--web.config.file` asks for; without one, plain HTTP for everybody. Clones are one
/// configuration, which follows its files: whoever reads it gets what they said a second ago. A file
/// that has become wrong is logged, and what was read before holds.
#[derive(Clone, Debug)]
pub struct WebConfig(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: Arc<Loaded>,
    seen: Vec<Stamp>,
    looked: Instant,
    must_authenticate: bool,
}

/// A state of the files.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// TLS, if it is asked for.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// DNS names and addresses of which a client's certificate must have one; none means any.
    pub(crate) client_sans: Vec<rustls::pki_types::ServerName<'static>>,
    /// Who may log in; nobody configured means no log in.
    pub(crate) users: Users,
    /// Headers of every answer.
    pub(crate) headers: HeaderMap,
    /// Whether a client must show a certificate that was verified.
    pub(crate) client_certificates: bool,
    /// The files that were read.
    files: Vec<PathBuf>,
}

impl Loaded {
    fn authenticates(&self) -> bool {
        self.client_certificates || !self.users.is_empty()
    }
}

/// What tells one version of a file from the next.
type Stamp = Option<(SystemTime, u64, u64)>;

impl WebConfig {
    /// Plain HTTP, without authentication.
    pub fn open() -> Self {
        Self::of(None, Loaded::default())
    }

    /// Reads the file that `--web.config.file` names, if it names one, and the files named in it.
    ///
    /// # Errors
    /// [`Fatal::Settings`] with the place of what is wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, Fatal> {
        let Some(path) = path else { return Ok(Self::open()) };
        Ok(Self::of(Some(path.to_owned()), file::load(path)?))
    }

    fn of(path: Option<PathBuf>, loaded: Loaded) -> Self {
        let seen = stamps(&loaded.files);
        let state =
            State { loaded: Arc::new(loaded), seen, looked: Instant::now(), must_authenticate: false };
        Self(Arc::new(Shared { path, state: Mutex::new(state) }))
    }

    /// Whether everybody who asks must authenticate: there are users, or client certificates are
    /// required and verified.
    pub fn authenticates(&self) -> bool {
        self.current().authenticates()
    }

    /// Whether connections are encrypted.
    pub fn encrypts(&self) -> bool {
        self.current().tls.is_some()
    }

    /// The rule for routes that say things about people: open only where the machine itself asks, or
    /// whoever asks authenticates. From now on a file that no longer asks for authentication is refused.
    ///
    /// # Errors
    /// [`Fatal::Settings`] if `address` can be reached from other machines and nobody need authenticate.
    pub fn require_authentication(&self, address: SocketAddr, routes: &[&str]) -> Result<(), Fatal> {
        if is_loopback(address) {
            return Ok(());
        }
        self.state().must_authenticate = true;
        if self.authenticates() {
            return Ok(());
        }
        Err(Fatal::Settings(format!(
            "{} would be open to the network on {address}: add basic_auth_users or client certificates to \
             the file of --web.config.file, or listen on 127.0.0.1",
            routes.join(", ")
        )))
    }

    /// Reads the files again now; for a reload. What was read before holds if they are wrong.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn reread(&self) -> Result<(), String> {
        let Some(path) = &self.0.path else { return Ok(()) };
        let mut state = self.state();
        state.read(path)
    }

    /// Reads the files again with each reload of the daemon, which fails if they are wrong. Called inside the runtime.
    pub fn follow(&self, reload: &Reload) {
        let (config, mut reloads) = (self.clone(), reload.subscribe("web configuration"));
        tokio::spawn(async move {
            while let Some(request) = reloads.next().await {
                request.answer(config.reread());
            }
        });
    }

    /// The present state of the files.
    pub(crate) fn current(&self) -> Arc<Loaded> {
        let mut state = self.state();
        if let Some(path) = &self.0.path
            && state.looked.elapsed() >= LOOK_EVERY
        {
            state.looked = Instant::now();
            if stamps(&state.loaded.files) != state.seen {
                match state.read(path) {
                    Ok(()) => tracing::info!("web configuration reread"),
                    Err(reason) => {
                        tracing::error!(reason, "web configuration is wrong; what was read before holds");
                    }
                }
            }
        }
        Arc::clone(&state.loaded)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read(&mut self, path: &Path) -> Result<(), String> {
        // Before reading: a change while we read is then seen as one.
        self.seen = stamps(&self.loaded.files);
        let loaded = file::load(path).map_err(|fatal| fatal.to_string())?;
        if self.must_authenticate && !loaded.authenticates() {
            return Err("it would open private routes to the network: basic_auth_users is missing".to_owned());
        }
        if loaded.tls.is_some() != self.loaded.tls.is_some() {
            tracing::warn!(encrypted = loaded.tls.is_some(), "the protocol of new connections changes");
        }
        self.seen = stamps(&loaded.files);
        self.loaded = Arc::new(loaded);
        Ok(())
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let stamp = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len(), meta.ino()))
    };
    files.iter().map(stamp).collect()
}

/// Whether only this machine can reach a listener at `address`.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_loopback_in_every_spelling() {
        for yes in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(yes.parse().unwrap()), "{yes}");
        }
        for no in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            assert!(!is_loopback(no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn private_routes_are_not_opened_to_the_network() {
        let open = WebConfig::open();
        assert!(open.require_authentication("127.0.0.1:9765".parse().unwrap(), &["/x"]).is_ok());
        let error = open.require_authentication("0.0.0.0:9765".parse().unwrap(), &["/x", "/y"]).unwrap_err();
        assert_eq!(error.code(), 2);
        assert!(error.to_string().starts_with("/x, /y would be open to the network on 0.0.0.0:9765: add "));
    }

    #[tokio::test]
    async fn a_reload_of_the_daemon_reads_the_file_and_says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.yml");
        std::fs::write(&path, "{}\n").unwrap();
        let (config, reload) = (WebConfig::load(Some(&path)).unwrap(), Reload::new());
        config.follow(&reload);
        assert_eq!(reload.trigger().await, Ok(()));
        std::fs::write(&path, "basic_auth_user: {}\n").unwrap();
        let error = reload.trigger().await.unwrap_err();
        assert!(error.starts_with("web configuration: ") && error.contains("web.yml:1:1"), "{error}");
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        std::fs::write(&path, format!("basic_auth_users:\n  ali: {hash}\n")).unwrap();
        assert_eq!(reload.trigger().await, Ok(()));
        assert!(config.authenticates());
    }

    #[test]
    fn a_file_that_stops_authenticating_is_refused_off_loopback() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web.yml");
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        std::fs::write(&path, format!("basic_auth_users:\n  ali: {hash}\n")).unwrap();
        let config = WebConfig::load(Some(&path)).unwrap();
        config.require_authentication("0.0.0.0:9765".parse().unwrap(), &["/x"]).unwrap();
        std::fs::write(&path, "{}\n").unwrap();
        assert!(config.reread().unwrap_err().contains("basic_auth_users"));
        assert!(config.authenticates());
    }
}
