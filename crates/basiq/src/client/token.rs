//! The one token of the process: who holds it, when it is renewed, and which key it came from.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use daemon::{Clock, Secret, Timestamp};
use jiff::SignedDuration;
use tokio::sync::Mutex as Flight;

use super::{
    Endpoint, KeyState,
    config::KeySource,
    keys::{self, Keys, Which},
};
use crate::{Error, ErrorKind, model::TokenBody};

/// Tokens live an hour (Basiq's page on authentication); taken where an answer does not say.
const LIFETIME: f64 = 3600.0;

/// The longest and the relatively longest time ahead of its end at which a token is renewed.
const AHEAD: f64 = 300.0;
const AHEAD_PART: f64 = 0.1;

/// How long, by the clock, all keys stay refused before they are tried again, and how long a renewal that
/// failed is let be while the old token still lives.
const REST: SignedDuration = SignedDuration::from_secs(60);

/// A token as it is used.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) value: Secret,
    generation: u64,
    obtained: Timestamp,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

/// Holds the token; one flight at a time gets a new one.
pub(super) struct Tokens {
    clock: Clock,
    state: Mutex<State>,
    flight: Flight<()>,
}

struct State {
    keys: Keys,
    token: Option<Token>,
    generation: u64,
    key_state: KeyState,
    refused_until: Option<Timestamp>,
}

impl Tokens {
    pub(super) fn new(source: KeySource, clock: Clock) -> Self {
        let state = State {
            keys: Keys::new(source),
            token: None,
            generation: 0,
            key_state: KeyState::Untried,
            refused_until: None,
        };
        Self { clock, state: Mutex::new(state), flight: Flight::new(()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn key_state(&self) -> KeyState {
        self.lock().key_state
    }

    /// A token that lives. `fetch` asks Basiq for one with a key; at most one does at a time: while a new one
    /// is fetched ahead of the old one's end, others use the old one; where there is none, they wait.
    pub(super) async fn get<F, A>(&self, fetch: F) -> Result<Token, Error>
    where
        F: Fn(Secret) -> A,
        A: Future<Output = Result<TokenBody, Error>>,
    {
        let (living, due) = self.present();
        let _flight = match living {
            Some(token) if !due => return Ok(token),
            Some(token) => match self.flight.try_lock() {
                Ok(flight) => flight,
                Err(_) => return Ok(token),
            },
            None => self.flight.lock().await,
        };
        // Whoever had the flight before may have brought what is needed.
        if let (Some(token), false) = self.present() {
            return Ok(token);
        }
        self.reread_keys().await;
        let (living, due) = self.present_of_token();
        match (living, due) {
            (Some(token), false) => Ok(token),
            (Some(token), true) => match self.renew(&fetch).await {
                Ok(token) => Ok(token),
                Err(error) => {
                    tracing::warn!(%error, "the token could not be renewed ahead of its end");
                    let later = self.clock.now() + REST;
                    if let Some(held) = &mut self.lock().token {
                        held.renew_at = later;
                    }
                    Ok(token)
                }
            },
            (None, _) => self.renew(&fetch).await,
        }
    }

    /// The token if it lives, and whether anything is due: a renewal, or rereading the keys.
    fn present(&self) -> (Option<Token>, bool) {
        let (token, due) = self.present_of_token();
        (token, due || self.lock().keys.due(self.clock.now()))
    }

    fn present_of_token(&self) -> (Option<Token>, bool) {
        let now = self.clock.now();
        let token = self.lock().token.clone().filter(|token| now < token.expires_at);
        let due = token.as_ref().is_none_or(|token| now >= token.renew_at);
        (token, due)
    }

    async fn reread_keys(&self) {
        let source = {
            let state = self.lock();
            if !state.keys.due(self.clock.now()) {
                return;
            }
            state.keys.source()
        };
        let Ok(read) = tokio::task::spawn_blocking(move || keys::read(&source)).await else { return };
        let now = self.clock.now();
        let mut state = self.lock();
        if state.keys.update(read, now) {
            state.refused_until = None;
            // A token of a key that is being withdrawn is replaced before that happens.
            if let Some(token) = &mut state.token {
                token.renew_at = now;
            }
        }
    }

    /// Gets a new token with the first key that Basiq knows.
    async fn renew<F, A>(&self, fetch: &F) -> Result<Token, Error>
    where
        F: Fn(Secret) -> A,
        A: Future<Output = Result<TokenBody, Error>>,
    {
        let refusal = |kind| Error { endpoint: Endpoint::Token, kind, correlation_id: None };
        let keys = {
            let mut state = self.lock();
            let now = self.clock.now();
            if state.refused_until.is_some_and(|until| now < until && until <= now + REST) {
                return Err(refusal(ErrorKind::KeyRefused));
            }
            let keys = state.keys.to_try();
            if keys.is_empty() {
                state.key_state = KeyState::Unreadable;
                return Err(refusal(ErrorKind::KeyUnreadable(state.keys.problem().to_owned())));
            }
            keys
        };
        let mut refused = refusal(ErrorKind::KeyRefused);
        for (key, which) in keys {
            let sent = self.clock.now();
            match fetch(key).await {
                Ok(body) => return Ok(self.accept(body, which, sent)),
                Err(error) if error.kind == ErrorKind::KeyRefused => refused = error,
                Err(error) => return Err(error),
            }
        }
        let mut state = self.lock();
        state.key_state = KeyState::Refused;
        // A token that lives serves on: Basiq says itself when it is worth nothing.
        state.refused_until = Some(self.clock.now() + REST);
        Err(refused)
    }

    fn accept(&self, body: TokenBody, which: Which, sent: Timestamp) -> Token {
        let lifetime =
            body.expires_in.filter(|seconds| *seconds > 0.0).unwrap_or(LIFETIME).min(24.0 * LIFETIME);
        let ahead = (lifetime * AHEAD_PART).min(AHEAD);
        let mut state = self.lock();
        state.generation += 1;
        state.refused_until = None;
        state.key_state = match which {
            Which::Current => KeyState::Current,
            Which::Next => KeyState::Next,
        };
        let token = Token {
            value: Secret::new(body.access_token),
            generation: state.generation,
            obtained: sent,
            renew_at: sent + seconds(lifetime - ahead),
            expires_at: sent + seconds(lifetime),
        };
        state.token = Some(token.clone());
        token
    }

    /// Basiq refused this token. Says whether to try again with another: not if the token is younger than
    /// `min_age`, since then it is not its age that is wrong.
    pub(super) fn reject(&self, token: &Token, min_age: Duration) -> bool {
        let mut state = self.lock();
        let Some(held) = &state.token else { return true };
        if held.generation != token.generation {
            return true;
        }
        let age = self.clock.now().duration_since(token.obtained);
        if !age.is_negative() && age < SignedDuration::try_from(min_age).unwrap_or(SignedDuration::MAX) {
            return false;
        }
        state.token = None;
        true
    }
}

fn seconds(seconds: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use daemon::Hand;

    use super::*;

    struct Basiq {
        asked: AtomicU32,
        known: Mutex<Vec<&'static str>>,
        up: std::sync::atomic::AtomicBool,
    }

    impl Basiq {
        async fn token(&self, key: Secret) -> Result<TokenBody, Error> {
            let n = self.asked.fetch_add(1, Ordering::SeqCst);
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            let kind = if !self.up.load(Ordering::SeqCst) {
                ErrorKind::Unavailable { status: 503, code: None }
            } else if !self.known.lock().unwrap().contains(&key.expose()) {
                ErrorKind::KeyRefused
            } else {
                return Ok(TokenBody { access_token: format!("token-{n}"), expires_in: Some(3600.0) });
            };
            Err(Error { endpoint: Endpoint::Token, kind, correlation_id: None })
        }
    }

    fn setup(source: KeySource) -> (Arc<Tokens>, Arc<Basiq>, Hand) {
        let (clock, hand) = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
        let basiq = Basiq { asked: 0.into(), known: Mutex::new(vec!["good"]), up: true.into() };
        (Arc::new(Tokens::new(source, clock)), Arc::new(basiq), hand)
    }

    async fn get(tokens: &Tokens, basiq: &Basiq) -> Result<Token, Error> {
        tokens.get(|key| basiq.token(key)).await
    }

    fn good() -> KeySource {
        KeySource::value(Secret::new("good"))
    }

    #[tokio::test]
    async fn many_ask_and_one_flies() {
        let (tokens, basiq, hand) = setup(good());
        for round in 1..=2 {
            let calls = (0..100).map(|_| {
                let (tokens, basiq) = (Arc::clone(&tokens), Arc::clone(&basiq));
                tokio::spawn(async move { get(&tokens, &basiq).await.unwrap().value })
            });
            for call in calls.collect::<Vec<_>>() {
                assert_eq!(call.await.unwrap(), Secret::new(format!("token-{}", round - 1)));
            }
            assert_eq!(basiq.asked.load(Ordering::SeqCst), round);
            hand.advance(Duration::from_secs(3600));
        }
    }

    #[tokio::test]
    async fn renewal_is_ahead_of_the_end_and_holds_up_nobody() {
        let (tokens, basiq, hand) = setup(good());
        get(&tokens, &basiq).await.unwrap();
        hand.advance(Duration::from_secs(3600 - 301));
        get(&tokens, &basiq).await.unwrap();
        assert_eq!(basiq.asked.load(Ordering::SeqCst), 1);
        hand.advance(Duration::from_secs(2));
        let renewing = {
            let (tokens, basiq) = (Arc::clone(&tokens), Arc::clone(&basiq));
            tokio::spawn(async move { get(&tokens, &basiq).await.unwrap().value })
        };
        while basiq.asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(get(&tokens, &basiq).await.unwrap().value, Secret::new("token-0"));
        assert_eq!(renewing.await.unwrap(), Secret::new("token-1"));
        assert_eq!(get(&tokens, &basiq).await.unwrap().value, Secret::new("token-1"));
    }

    #[tokio::test]
    async fn a_failed_renewal_ahead_keeps_the_old_token_and_rests() {
        let (tokens, basiq, hand) = setup(good());
        get(&tokens, &basiq).await.unwrap();
        basiq.up.store(false, Ordering::SeqCst);
        hand.advance(Duration::from_secs(3400));
        for _ in 0..10 {
            assert_eq!(get(&tokens, &basiq).await.unwrap().value, Secret::new("token-0"));
        }
        assert_eq!(basiq.asked.load(Ordering::SeqCst), 2);
        hand.advance(Duration::from_secs(201));
        assert!(get(&tokens, &basiq).await.is_err());
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once_unless_it_is_young() {
        let (tokens, basiq, hand) = setup(good());
        let token = get(&tokens, &basiq).await.unwrap();
        assert!(!tokens.reject(&token, Duration::from_secs(10)));
        hand.advance(Duration::from_secs(10));
        assert!(tokens.reject(&token, Duration::from_secs(10)));
        let renewed = get(&tokens, &basiq).await.unwrap();
        // Another call that still used the old one tries again without costing a second renewal.
        assert!(tokens.reject(&token, Duration::from_secs(10)));
        assert_eq!(get(&tokens, &basiq).await.unwrap().value, renewed.value);
        assert_eq!(basiq.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_wrong_key_is_a_state_that_a_new_key_file_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "bad").unwrap();
        let (tokens, basiq, hand) = setup(KeySource::file(&file));
        for _ in 0..3 {
            assert_eq!(get(&tokens, &basiq).await.unwrap_err().kind, ErrorKind::KeyRefused);
        }
        assert_eq!((basiq.asked.load(Ordering::SeqCst), tokens.key_state()), (1, KeyState::Refused));
        std::fs::write(&file, "good").unwrap();
        assert!(get(&tokens, &basiq).await.is_err());
        hand.advance(Duration::from_secs(60));
        assert!(get(&tokens, &basiq).await.is_ok());
        assert_eq!(tokens.key_state(), KeyState::Current);
    }

    #[tokio::test]
    async fn a_refused_key_leaves_a_living_token_to_serve_until_its_end() {
        let (tokens, basiq, hand) = setup(good());
        let token = get(&tokens, &basiq).await.unwrap();
        basiq.known.lock().unwrap().clear();
        hand.advance(Duration::from_secs(3600 - 200));
        for _ in 0..2 {
            assert_eq!(get(&tokens, &basiq).await.unwrap().value, token.value);
            hand.advance(Duration::from_secs(61));
        }
        assert_eq!(tokens.key_state(), KeyState::Refused);
        hand.advance(Duration::from_secs(200));
        assert_eq!(get(&tokens, &basiq).await.unwrap_err().kind, ErrorKind::KeyRefused);
    }

    #[tokio::test]
    async fn the_next_key_serves_when_the_current_is_withdrawn() {
        let source = KeySource::value(Secret::new("old")).with_next_value(Secret::new("good"));
        let (tokens, basiq, _hand) = setup(source);
        assert!(get(&tokens, &basiq).await.is_ok());
        assert_eq!((basiq.asked.load(Ordering::SeqCst), tokens.key_state()), (2, KeyState::Next));
    }

    #[tokio::test]
    async fn a_changed_key_file_replaces_the_token_before_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "good").unwrap();
        let (tokens, basiq, hand) = setup(KeySource::file(&file));
        get(&tokens, &basiq).await.unwrap();
        std::fs::write(&file, "better").unwrap();
        basiq.known.lock().unwrap().push("better");
        hand.advance(Duration::from_secs(60));
        assert_eq!(get(&tokens, &basiq).await.unwrap().value, Secret::new("token-1"));
    }
}
