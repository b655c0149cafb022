//! What nobody tells the alerter and it looks up: tickets that people closed, users who are gone.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use basiq_alerter::{
    channels::{Comment, DeliveryError, Desk, Receipt, Standing, Ticket},
    rounds::{Rounds, Users},
    store::{IncidentFilter, IncidentRow},
};
use daemon::{CancellationToken, Clock, Hand};

use crate::{
    engine::{Process, Remembers, begin, pass, start_with},
    store::Place,
    world::World,
};

/// A desk where people close tickets.
#[derive(Default)]
struct People {
    stands: Mutex<Option<Standing>>,
    comments: Mutex<Vec<String>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Desk for People {
    fn searchable(&self) -> bool {
        true
    }
    async fn create(&self, _ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        Ok(Receipt { remote: "T-1".to_owned(), detail: "filed".to_owned() })
    }
    async fn find(&self, _key: &str) -> Result<Option<Receipt>, DeliveryError> {
        Ok(None)
    }
    async fn comment(&self, remote: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        self.comments.lock().unwrap().push(comment.text.to_owned());
        Ok(Receipt { remote: remote.to_owned(), detail: "said".to_owned() })
    }
    async fn standing(&self, remote: &str) -> Result<Option<Standing>, DeliveryError> {
        assert_eq!(remote, "T-1");
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(*self.stands.lock().unwrap())
    }
}

/// Basiq, of which these users are gone.
#[derive(Clone, Default)]
struct Gone(Arc<Mutex<BTreeSet<String>>>);

#[async_trait]
impl Users for Gone {
    async fn gone(&self, user: &str) -> Option<bool> {
        Some(self.0.lock().unwrap().contains(user))
    }
}

struct Stage {
    process: Process,
    world: World,
    hand: Hand,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn stage(place: &Place, desk: Arc<People>, gone: Gone) -> (Stage, Clock) {
    let (world, clock, hand) = begin();
    let process = start_with(place, &clock, &Arc::new(Remembers::default()), desk.clone()).await;
    let stop = CancellationToken::new();
    let rounds = Rounds {
        store: process.store.clone(),
        desks: HashMap::from([("desk".to_owned(), desk as Arc<dyn Desk>)]),
        users: gone,
        clock: clock.clone(),
        stop: stop.clone(),
    };
    let task = tokio::spawn(rounds.run());
    (Stage { process, world, hand, stop, task }, clock)
}

impl Stage {
    async fn pass(&mut self, minutes: i64) {
        pass(&self.process, &mut self.world, &self.hand, minutes).await;
    }

    async fn incident(&self) -> IncidentRow {
        self.process.store.incidents(&IncidentFilter::default()).await.unwrap().remove(0)
    }

    /// Lets hours pass until it holds; rounds and planner work in real time.
    async fn until<F: AsyncFn(&Self) -> bool>(&mut self, what: &str, check: F) {
        for _ in 0..300 {
            if check(self).await {
                return;
            }
            self.pass(15).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never happened: {what}");
    }

    async fn ends(self) {
        self.stop.cancel();
        self.task.await.unwrap();
        self.process.ends().await;
    }
}

/// "Closed by a human while still failing: after 24 h one comment": the desk is asked whether a human did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_a_person_closed_is_noticed_without_being_told() {
    let (place, desk) = (Place::file(), Arc::new(People::default()));
    let (mut stage, _) = stage(&place, desk.clone(), Gone::default()).await;
    stage.world.fails("a", "unknown");
    *desk.stands.lock().unwrap() = Some(Standing::Open);
    stage.pass(6 * 60 + 16).await;
    let asked = |desk: &People| desk.asked.load(Ordering::SeqCst);
    stage.until("it is asked", async |_| asked(&desk) > 0).await;
    assert!(!stage.incident().await.ticket.as_ref().unwrap().closed);
    *desk.stands.lock().unwrap() = Some(Standing::Closed);
    stage
        .until("the planner knows", async |stage| stage.incident().await.ticket.as_ref().unwrap().closed)
        .await;
    stage.until("one comment a day later", async |_| desk.comments.lock().unwrap().len() == 1).await;
    assert!(desk.comments.lock().unwrap()[0].contains("still fails"));
    // As if its window allowed to open it again.
    *desk.stands.lock().unwrap() = Some(Standing::Open);
    stage.until("it is open", async |stage| !stage.incident().await.ticket.as_ref().unwrap().closed).await;
    *desk.stands.lock().unwrap() = Some(Standing::Declined);
    stage
        .until("won't fix is final", async |stage| {
            let state = stage.incident().await.ticket.as_ref().unwrap().state;
            state == basiq_alerter::incidents::TicketState::WontFix
        })
        .await;
    assert_eq!(desk.comments.lock().unwrap().len(), 1);
    stage.ends().await;
}

/// "`forget` a user (command, `user.deleted`, user 404, …)": of a connection that was deleted, Basiq is asked whether
/// its user still is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whom_basiq_has_no_more_is_forgotten_and_one_who_only_deleted_a_connection_is_not() {
    let (place, gone) = (Place::file(), Gone::default());
    gone.0.lock().unwrap().insert("u-gone".to_owned());
    let (mut stage, _) = stage(&place, Arc::new(People::default()), gone).await;
    for name in ["gone", "stays", "fails"] {
        stage.world.fails(name, "invalid-credentials");
    }
    stage.pass(30).await;
    stage.world.ends("gone", "deleted");
    stage.world.ends("stays", "deleted");
    let of = async |stage: &Stage, user: &str| {
        let filter = IncidentFilter { user: Some(user.to_owned()), ..IncidentFilter::default() };
        stage.process.store.incidents(&filter).await.unwrap().len()
    };
    stage.until("it is forgotten", async |stage| of(stage, "u-gone").await == 0).await;
    stage.pass(90).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((of(&stage, "u-stays").await, of(&stage, "u-fails").await), (1, 1));
    stage.ends().await;
}
