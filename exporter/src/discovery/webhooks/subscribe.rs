//! Making the subscription, once, before the exporter first runs.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use basiq::{Client, NewSubscription, Priority, Subscription};
use daemon::Secret;

use super::{NEEDED, Webhooks};

impl Webhooks {
    /// Has Basiq post its events to the configured address, and writes the secret, which Basiq shows this once.
    pub(super) async fn make_subscription(&self, client: &Client, replace: bool) -> Result<(), String> {
        let (url, path) = (&self.0.url, &self.0.secret_file);
        let wrong = |reason: String| format!("discovery.webhooks: {url}: {reason}");
        self.path()?;
        if path.exists() && !replace {
            return Err(wrong(format!(
                "secret_file: {} exists; --replace makes a new subscription and overwrites it",
                path.display()
            )));
        }
        let refused = |error: basiq::Error| wrong(error.to_string());
        let all = client.subscriptions(Priority::Effect).await.map_err(refused)?;
        let ours: Vec<&Subscription> = all.iter().filter(|one| one.url == *url).collect();
        if !ours.is_empty() && !replace {
            return Err(wrong(
                "Basiq has this subscription already and shows its secret never again; --replace makes a new one"
                    .to_owned(),
            ));
        }
        // Before anything changes at Basiq: a secret that cannot be kept would be lost.
        let kept = Kept::at(path).map_err(wrong)?;
        for one in ours {
            client.unsubscribe(&one.id, Priority::Effect).await.map_err(refused)?;
        }
        let new = NewSubscription {
            name: "basiq-exporter".to_owned(),
            description: "Tells basiq-exporter when connections break, heal, come and go.".to_owned(),
            url: url.clone(),
            subscribed_events: NEEDED.map(str::to_owned).to_vec(),
        };
        let made = client.subscribe(&new, Priority::Effect).await.map_err(refused)?;
        let secret = made.secret.ok_or_else(|| "Basiq's answer holds no secret".to_owned());
        if let Err(reason) = secret.and_then(|secret| kept.keep(&secret)) {
            // Nobody could verify what it sends.
            let undone = client.unsubscribe(&made.id, Priority::Effect).await;
            let rest =
                undone.err().map_or(String::new(), |error| format!("; nor could it be undone: {error}"));
            return Err(wrong(format!("{reason}{rest}")));
        }
        tracing::info!(status = made.status, secret_file = %path.display(), "subscribed to Basiq's webhooks");
        Ok(())
    }
}

/// A file that only its owner may read, beside the one whose place it takes once it is whole.
struct Kept {
    file: File,
    beside: PathBuf,
    path: PathBuf,
}

impl Kept {
    fn at(path: &Path) -> Result<Self, String> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        // One that an earlier try left may be readable by others.
        let _ = std::fs::remove_file(&beside);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
        let file = opened.map_err(|error| format!("secret_file: {}: {error}", path.display()))?;
        Ok(Self { file, beside, path: path.to_owned() })
    }

    fn keep(mut self, secret: &Secret) -> Result<(), String> {
        let written = self.file.write_all(secret.expose().as_bytes()).and_then(|()| self.file.sync_all());
        written
            .and_then(|()| std::fs::rename(&self.beside, &self.path))
            .map_err(|error| format!("secret_file: {}: {error}", self.path.display()))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Gone already where it has taken its place.
        let _ = std::fs::remove_file(&self.beside);
    }
}
