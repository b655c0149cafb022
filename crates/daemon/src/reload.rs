//! Asking a running daemon to read its files again, by SIGHUP or `POST /-/reload`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use crate::notify::{State, notify};

/// How long a part of the daemon may take to answer a reload.
const PATIENCE: Duration = Duration::from_secs(60);

/// The handle by which a reload is asked for, and by which parts of the daemon hear of it.
/// Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Reload(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    parts: Mutex<Vec<(&'static str, mpsc::Sender<ReloadRequest>)>>,
    /// One reload at a time: the second reads what the first may not have seen.
    turn: tokio::sync::Mutex<()>,
}

/// What one part of the daemon hears; see [`Reload::subscribe`].
#[derive(Debug)]
pub struct Reloads(mpsc::Receiver<ReloadRequest>);

/// One reload. Dropped without an answer it counts as failed.
#[derive(Debug)]
pub struct ReloadRequest(oneshot::Sender<Result<(), String>>);

impl Reload {
    /// A handle without subscribers, on which a reload succeeds at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the part `name` of the daemon (`rules`, `web configuration`) hear of reloads, in the order
    /// of subscription, from now until the result is dropped.
    pub fn subscribe(&self, name: &'static str) -> Reloads {
        let (sender, receiver) = mpsc::channel(1);
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner).push((name, sender));
        Reloads(receiver)
    }

    /// Has every part read its files again, and returns once all have.
    ///
    /// # Errors
    /// What each part that failed says, in one line; such a part keeps what it had.
    pub async fn trigger(&self) -> Result<(), String> {
        let _turn = self.0.turn.lock().await;
        notify(State::Reloading);
        let parts = {
            let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.retain(|(_, sender)| !sender.is_closed());
            parts.clone()
        };
        let mut failures = Vec::new();
        for (name, sender) in parts {
            let (answer, answered) = oneshot::channel();
            let ask = async {
                // A part that has ended has nothing to reload.
                if sender.send(ReloadRequest(answer)).await.is_err() {
                    return Ok(());
                }
                answered.await.unwrap_or_else(|_| Err("gave no answer".to_owned()))
            };
            match tokio::time::timeout(PATIENCE, ask).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => failures.push(format!("{name}: {reason}")),
                Err(_) => failures.push(format!("{name}: no answer within {} s", PATIENCE.as_secs())),
            }
        }
        // Also after a failure: it goes on with what it had.
        notify(State::Ready);
        if failures.is_empty() {
            tracing::info!("configuration reloaded");
            Ok(())
        } else {
            let failures = failures.join("; ");
            tracing::error!(reason = failures, "reload failed; what was loaded before is kept");
            Err(failures)
        }
    }
}

impl Reloads {
    /// The next reload, or nothing once the handle is gone. May be dropped and called again, as
    /// `select!` does, without losing one.
    pub async fn next(&mut self) -> Option<ReloadRequest> {
        self.0.recv().await
    }
}

impl ReloadRequest {
    /// Says how it went; an error is what the operator reads.
    pub fn answer(self, result: Result<(), String>) {
        // Whoever asked may have stopped waiting.
        let _ = self.0.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(reload: &Reload, name: &'static str, result: Result<(), String>) -> tokio::task::JoinHandle<()> {
        let mut reloads = reload.subscribe(name);
        tokio::spawn(async move {
            while let Some(request) = reloads.next().await {
                request.answer(result.clone());
            }
        })
    }

    #[tokio::test]
    async fn every_part_is_asked_and_failures_are_named() {
        let reload = Reload::new();
        assert_eq!(reload.trigger().await, Ok(()));
        let _a = part(&reload, "users file", Ok(()));
        assert_eq!(reload.trigger().await, Ok(()));
        let _b = part(&reload, "rules", Err("a.yml:3:1: no such action".to_owned()));
        assert_eq!(reload.trigger().await, Err("rules: a.yml:3:1: no such action".to_owned()));
    }

    #[tokio::test]
    async fn a_part_that_ended_is_forgotten_and_one_that_panics_is_a_failure() {
        let reload = Reload::new();
        drop(reload.subscribe("gone"));
        assert_eq!(reload.trigger().await, Ok(()));
        let mut reloads = reload.subscribe("rules");
        tokio::spawn(async move { drop(reloads.next().await) });
        assert_eq!(reload.trigger().await, Err("rules: gave no answer".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_is_not_waited_for_for_ever() {
        let reload = Reload::new();
        let _never_read = reload.subscribe("rules");
        assert_eq!(reload.trigger().await, Err("rules: no answer within 60 s".to_owned()));
    }
}
