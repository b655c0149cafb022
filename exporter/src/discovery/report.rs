//! What sources say, and how it reaches the ledger.

use basiq::Client;
use daemon::Context;
use tokio::sync::{mpsc, oneshot};

use crate::{
    core::Message,
    ledger::{EventSeen, Id, IdSet, Ms},
    metrics::Own,
};

/// What a source says.
#[derive(Debug)]
pub enum Found {
    /// The users that it names now, all of them.
    All(IdSet),
    /// Nothing has changed since it last spoke.
    Same,
    /// What has happened since.
    News(News),
}

/// What has happened, oldest first.
#[derive(Debug, Default)]
pub struct News {
    /// One by one.
    pub items: Vec<Item>,
    /// All that happened up to here is told now; kept with what it led to, and given back after a restart.
    pub mark: Option<Ms>,
}

/// Something that happened to a user.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Whom.
    pub user: Id,
    /// When, by Basiq's clock.
    pub at: Ms,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Something that a look at the user will show.
    Changed,
    /// A job of the user may have ended, which matters only where one was waited for.
    Worked,
    /// Evidence about a connection; about all consents of the user if none is named.
    Connection(Option<Id>, EventSeen),
    /// Basiq has deleted the user.
    Deleted,
}

/// A source's line to the ledger, and what it may work with.
#[derive(Clone, Debug)]
pub struct Reporter {
    name: String,
    core: mpsc::Sender<Message>,
    /// Basiq.
    pub client: Client,
    /// Clock, stop and reload.
    pub context: Context,
    /// The daemon's own metrics.
    pub own: Own,
    /// Up to when it had told everything when the exporter last stopped.
    pub mark: Option<Ms>,
}

impl Reporter {
    pub(crate) fn new(
        name: String,
        core: mpsc::Sender<Message>,
        client: Client,
        context: Context,
        own: Own,
        mark: Option<Ms>,
    ) -> Self {
        Self { name, core, client, context, own, mark }
    }

    /// The clock's time.
    pub fn now(&self) -> Ms {
        self.context.clock.now().as_millisecond()
    }

    /// Says something; whether anybody still listens.
    pub async fn tell(&self, found: Found) -> bool {
        self.core.send(Message::Found(self.name.clone(), found, None)).await.is_ok()
    }

    /// Says something and waits until it is stored; whether it is.
    pub async fn tell_durably(&self, found: Found) -> bool {
        let (stored, answer) = oneshot::channel();
        self.core.send(Message::Found(self.name.clone(), found, Some(stored))).await.is_ok()
            && answer.await.is_ok()
    }
}
