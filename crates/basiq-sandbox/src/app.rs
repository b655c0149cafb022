//! What all requests share.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daemon::{Clock, Hand};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    draw::Draw,
    faults::Faults,
    requests::Requests,
    scenario::{BadScenario, Scenario},
    webhooks::Webhooks,
    world::World,
};

/// Shared by routes, admin interface and the sender of webhooks.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) clock: Clock,
    pub(crate) hand: Option<Hand>,
    pub(crate) epoch: Timestamp,
    pub(crate) seed: u64,
    pub(crate) base: String,
    pub(crate) keys: Vec<String>,
    /// Entries of a page of a list; lists that Basiq does not page are whole if absent.
    pub(crate) page_size: Option<usize>,
    /// Requests in a second of the sandbox's clock beyond which it answers 429.
    pub(crate) rate_limit: Option<u64>,
    pub(crate) world: World,
    pub(crate) webhooks: Webhooks,
    /// Wakes the sender of webhooks when something may have happened earlier than it expected.
    pub(crate) changed: Notify,
    faults: Mutex<Faults>,
    requests: Mutex<Requests>,
    tokens: Mutex<HashMap<String, Token>>,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    expires: Timestamp,
    server: bool,
}

/// What a bearer token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenState {
    Valid,
    Unknown,
    Expired,
    WrongScope,
}

/// A token lives so many seconds of the sandbox's clock ("Authentication": an hour).
pub(crate) const TOKEN_SECONDS: i64 = 3600;

impl App {
    pub(crate) fn new(config: &crate::SandboxConfig, addr: SocketAddr) -> Result<Arc<Self>, BadScenario> {
        let scenario: &Scenario = &config.scenario;
        scenario.check()?;
        let epoch = config.epoch.unwrap_or_else(|| config.clock.now());
        Ok(Arc::new(Self {
            clock: config.clock.clone(),
            hand: config.hand.clone(),
            epoch,
            seed: scenario.seed,
            base: format!("http://{addr}"),
            keys: config.api_keys.clone(),
            page_size: config.page_size,
            rate_limit: config.rate_limit,
            world: World::new(scenario, epoch)?,
            webhooks: Webhooks::default(),
            changed: Notify::new(),
            faults: Mutex::new(Faults::new(scenario.faults.clone())),
            requests: Mutex::default(),
            tokens: Mutex::default(),
        }))
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Issues a token that lives an hour of the sandbox's clock.
    pub(crate) fn issue_token(&self, now: Timestamp, server: bool) -> String {
        let mut tokens = self.tokens();
        // Expired tokens are kept for a day, so that they are told from unknown ones.
        tokens.retain(|_, token| now.duration_since(token.expires).as_hours() < 24);
        let draw =
            Draw::new(self.seed, "token").with(now.as_millisecond().unsigned_abs()).with(tokens.len() as u64);
        let text = format!(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{:016x}.{:016x}{:016x}",
            draw.bits(),
            draw.with(1).bits(),
            draw.with(2).bits()
        );
        tokens.insert(
            text.clone(),
            Token { expires: now + jiff::SignedDuration::from_secs(TOKEN_SECONDS), server },
        );
        text
    }

    pub(crate) fn token_state(&self, text: &str, now: Timestamp) -> TokenState {
        match self.tokens().get(text) {
            None => TokenState::Unknown,
            Some(token) if token.expires <= now => TokenState::Expired,
            Some(token) if !token.server => TokenState::WrongScope,
            Some(_) => TokenState::Valid,
        }
    }

    /// All tokens are worth nothing from now on, as after a change of the API key.
    pub(crate) fn revoke_tokens(&self) {
        self.tokens().clear();
    }
}
