//! Starting and steering a sandbox from the process it runs in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use daemon::{Clock, Hand};
use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Change,
    app::App,
    faults::Fault,
    http,
    scenario::{Act, At, BadScenario, ConnectorStatus, Failure, Method, Outage, Scenario},
    switches::Switches,
    truth::{self, Truth},
    webhooks,
};

/// How to start a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where to listen; port 0 of 127.0.0.1 takes a free one.
    pub listen: SocketAddr,
    /// The clock that all of its world runs on.
    pub clock: Clock,
    /// The hand of a manual clock, if the admin interface may move it.
    pub hand: Option<Hand>,
    /// What offsets of the scenario are counted from; the clock's time at the start if absent.
    pub epoch: Option<Timestamp>,
    /// What happens.
    pub scenario: Scenario,
    /// The API keys that `/token` takes, as issued (already base64).
    pub api_keys: Vec<String>,
    /// Entries of a page of any list, with `links.next`; if absent, only events and messages are paged (500).
    pub page_size: Option<usize>,
    /// Requests in a second of the clock beyond which 429 is answered; no limit if absent.
    pub rate_limit: Option<u64>,
}

/// The API key that a sandbox takes unless told otherwise.
pub const DEFAULT_API_KEY: &str = "c2FuZGJveDprZXk=";

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: Clock::system(),
            hand: None,
            epoch: None,
            scenario: Scenario::default(),
            api_keys: vec![DEFAULT_API_KEY.to_owned()],
            page_size: None,
            rate_limit: None,
        }
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenario contradicts itself.
    #[error("scenario: {0}")]
    Scenario(#[from] BadScenario),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another with --web.listen-address")]
    Listen(SocketAddr, std::io::Error),
}

/// A Basiq on loopback.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Starts a sandbox on the current runtime.
    ///
    /// # Errors
    /// The scenario is bad or the address is taken.
    pub async fn start(config: SandboxConfig) -> Result<Handle, StartError> {
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| StartError::Listen(config.listen, error))?;
        Self::start_on(listener, config)
    }

    /// Starts a sandbox on a listener that is bound already; it must be called on a runtime.
    ///
    /// # Errors
    /// The scenario is bad.
    pub fn start_on(listener: TcpListener, config: SandboxConfig) -> Result<Handle, StartError> {
        let addr = listener.local_addr().map_err(|error| StartError::Listen(config.listen, error))?;
        let app = App::new(&config, addr)?;
        let stop = CancellationToken::new();
        let served = tokio::spawn(http::serve(listener, Arc::clone(&app), stop.clone()));
        let sender = tokio::spawn(webhooks::run(Arc::clone(&app), stop.clone()));
        let api_key = config.api_keys.first().cloned().unwrap_or_default();
        Ok(Handle { addr, api_key, stop, app, tasks: vec![served, sender] })
    }
}

/// A running sandbox. It stops when stopped or dropped, and then cuts its connections.
#[derive(Debug)]
pub struct Handle {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The first API key it takes.
    pub api_key: String,
    /// Stops it when cancelled.
    pub stop: CancellationToken,
    app: Arc<App>,
    tasks: Vec<JoinHandle<()>>,
}

impl Handle {
    /// The base URL for clients.
    pub fn base_url(&self) -> String {
        self.app.base.clone()
    }

    /// The clock's time at the start: what the scenario's offsets are counted from.
    pub fn epoch(&self) -> Timestamp {
        self.app.epoch
    }

    /// The ids of all users, the scenario's first.
    pub fn user_ids(&self) -> Vec<String> {
        let ids = self.app.world.env().ids;
        let told = self.app.world.held_numbers();
        self.app.world.numbers(0).map(|number| truth::user_id(&self.app, &told, ids, number)).collect()
    }

    /// The id of the generated user of this number, from 0.
    pub fn user_id_at(&self, number: usize) -> Option<String> {
        self.app.world.generated_id(u32::try_from(number).ok()?)
    }

    /// The id of the user of this name in the scenario.
    pub fn user_id(&self, name: &str) -> Option<String> {
        let number = self.app.world.find_user(name)?;
        self.app.world.read(number, self.app.clock.now(), |user, _| user.id.clone())
    }

    /// The ids of a user's connections, in the order of the scenario.
    pub fn connection_ids(&self, name: &str) -> Vec<String> {
        self.truth_of(name)
            .map(|user| user.connections.into_iter().map(|connection| connection.id).collect())
            .unwrap_or_default()
    }

    /// What really happened, of all users that are held in memory.
    pub fn truth(&self) -> Truth {
        truth::tell(&self.app)
    }

    /// What really happened to one user, named by the scenario's name or by id.
    pub fn truth_of(&self, name_or_id: &str) -> Option<truth::User> {
        truth::of_user(&self.app, name_or_id)
    }

    /// Makes a change while it runs; the admin interface takes the same.
    ///
    /// # Errors
    /// What it names does not exist, or a value is out of range.
    pub fn change(&self, change: Change) -> Result<(), BadScenario> {
        crate::admin::apply(&self.app, change)
    }

    /// Does something to a connection of a user now.
    ///
    /// # Errors
    /// There is no such user or connection.
    pub fn act(&self, user: &str, connection: u8, act: Act) -> Result<(), BadScenario> {
        self.change(Change::Act { user: user.to_owned(), connection, act })
    }

    /// Makes a connection fail from now on.
    ///
    /// # Errors
    /// There is no such user or connection.
    pub fn fail(&self, user: &str, connection: u8, failure: Failure) -> Result<(), BadScenario> {
        self.change(Change::Fail { user: user.to_owned(), connection, failure: Box::new(failure) })
    }

    /// Ends all failures of a connection.
    ///
    /// # Errors
    /// There is no such user or connection.
    pub fn heal(&self, user: &str, connection: u8) -> Result<(), BadScenario> {
        self.change(Change::Heal { user: user.to_owned(), connection })
    }

    /// Gives a connector another status from now on.
    ///
    /// # Errors
    /// The institution is none.
    pub fn set_connector(
        &self,
        institution: &str,
        method: Option<Method>,
        status: ConnectorStatus,
    ) -> Result<(), BadScenario> {
        let from = At::Date(self.app.clock.now());
        self.change(Change::Connector(Outage {
            institution: institution.to_owned(),
            method,
            status,
            from,
            until: None,
            failing: 0.0,
        }))
    }

    /// Replaces all faults of the API.
    ///
    /// # Errors
    /// A fault's share or status is out of range.
    pub fn set_faults(&self, faults: Vec<Fault>) -> Result<(), BadScenario> {
        self.change(Change::Faults(faults))
    }

    /// Replaces the switches.
    pub fn set_switches(&self, switches: Switches) {
        let now = self.app.clock.now();
        self.app.world.change_env(now, |env| env.switches = switches);
    }

    /// Moves a manual clock forward; nothing if the sandbox has no hand.
    pub fn advance(&self, by: Duration) {
        if let Some(hand) = &self.app.hand {
            hand.advance(by);
        }
    }

    /// Stops it and waits until its port is free.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
