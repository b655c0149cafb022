//! What webhooks are signed with: the current secret, and the one that is to replace it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use daemon::Secret;
use standardwebhooks::Webhook;

use super::guard::Signed;

/// How often the files are read again. Real time.
const REREAD: Duration = Duration::from_secs(10);

/// The secrets as they are now.
pub(super) struct Secrets {
    current: PathBuf,
    next: Option<PathBuf>,
    keys: Vec<Webhook>,
    read: Option<Instant>,
}

impl Secrets {
    pub(super) fn new(current: PathBuf, next: Option<PathBuf>) -> Self {
        Self { current, next, keys: Vec::new(), read: None }
    }

    /// Reads the files.
    pub(super) fn read(&self) -> Result<Vec<Webhook>, String> {
        let mut keys = vec![key("secret_file", &self.current)?];
        if let Some(next) = self.next.as_deref().filter(|path| path.exists()) {
            keys.push(key("next_secret_file", next)?);
        }
        Ok(keys)
    }

    /// Whether one of the secrets signed this. The crate's own check goes by the system's clock; the window is
    /// therefore kept in `guard`, and only the signature is left to the crate.
    pub(super) fn verify(&mut self, signed: &Signed, body: &[u8]) -> bool {
        if self.read.is_none_or(|at| at.elapsed() >= REREAD) {
            self.read = Some(Instant::now());
            match self.read() {
                Ok(keys) => self.keys = keys,
                Err(reason) => {
                    tracing::error!(reason, "the webhook secret cannot be read; the old one holds")
                }
            }
        }
        let given: Vec<Secret> = signed.signatures.split(' ').map(Secret::new).collect();
        let expected = self.keys.iter().filter_map(|key| key.sign(&signed.id, signed.timestamp, body).ok());
        // Compared in constant time.
        expected.map(Secret::new).any(|expected| given.contains(&expected))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("current", &self.current)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

fn key(setting: &str, path: &Path) -> Result<Webhook, String> {
    let setting = format!("discovery.webhooks.{setting}");
    let secret = daemon::config::secret_from(&setting, path).map_err(|error| error.to_string())?;
    Webhook::new(secret.expose().trim()).map_err(|_| {
        format!("{setting}: {}: not a secret of Basiq's webhooks (whsec_ and base64)", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_secrets_are_accepted_and_a_removed_one_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let (current, next) = (dir.path().join("current"), dir.path().join("next"));
        let (old, new) = ("whsec_b2xkIHNlY3JldA==", "whsec_bmV3IHNlY3JldA==");
        std::fs::write(&current, old).unwrap();
        let mut secrets = Secrets::new(current.clone(), Some(next.clone()));
        let by = |secret: &str| Signed {
            id: "m".to_owned(),
            timestamp: 5,
            signatures: format!("v1,bm9uZQ== {}", Webhook::new(secret).unwrap().sign("m", 5, b"{}").unwrap()),
        };
        assert!(secrets.verify(&by(old), b"{}") && !secrets.verify(&by(new), b"{}"));
        assert!(!secrets.verify(&by(old), b"{ }"), "of another body");
        std::fs::write(&next, new).unwrap();
        secrets.read = None;
        assert!(secrets.verify(&by(old), b"{}") && secrets.verify(&by(new), b"{}"));
        std::fs::write(&current, new).unwrap();
        std::fs::remove_file(&next).unwrap();
        secrets.read = None;
        assert!(!secrets.verify(&by(old), b"{}") && secrets.verify(&by(new), b"{}"));
        std::fs::write(&current, "not base64!").unwrap();
        assert!(secrets.read().is_err_and(|reason| reason.contains("secret_file")));
    }
}
