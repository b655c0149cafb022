//! Desks through a whole incident and a storm, driven by the engine, the store and the outbox: Request
//! Tracker 5, the real one, and doubles of Jira, Jira Service Management and Zendesk that keep state and
//! refuse what the documentation says is refused.

mod atlassian;
mod fields;
mod rt;
mod zendesk;

use std::{sync::Arc, time::Duration};

use basiq_alerter::{
    channels::{Desk, Standing},
    store::EffectState,
};

use crate::{
    engine::{Process, Remembers, begin, pass, start_with},
    store::Place,
    support::http::{Fault, Faults, Said},
    world::World,
};

/// What a desk holds, as its people see it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub id: String,
    pub text: String,
    pub comments: Vec<String>,
    pub open: bool,
}

/// A desk on stage.
pub(super) trait Stage {
    /// The plugin, set to close tickets that are over and to open them again.
    fn desk(&self) -> Arc<dyn Desk>;
    /// Between plugin and desk.
    fn faults(&self) -> &Faults;
    /// How the path of a create ends, and of a comment on the first ticket.
    fn paths(&self) -> (&'static str, &'static str);
    /// How the path of a comment on the third ticket ends.
    fn third(&self) -> &'static str {
        self.paths().1
    }
    /// All tickets.
    fn seen(&self) -> impl Future<Output = Vec<Seen>>;
    /// A person closes the ticket, or declines it for good.
    fn person_closes(&self, id: &str) -> impl Future<Output = ()>;
}

/// Waits in real time: a real desk takes its time.
async fn until<F: AsyncFn() -> bool>(what: &str, check: F) {
    for _ in 0..6000 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never happened: {what}");
}

async fn settled(process: &Process, what: &str) {
    until(what, async || {
        let waiting = [EffectState::Planned, EffectState::Attempting];
        for state in waiting {
            if process.count(state).await > 0 {
                return false;
            }
        }
        true
    })
    .await;
}

/// One failure from its ticket to its relapse: the answer to the ticket is lost, the process dies meanwhile,
/// the answers to comments are lost, the desk asks for patience. One ticket, each comment once, in order.
pub(super) async fn one_incident<S: Stage>(
    stage: &S,
    clock: &daemon::Clock,
    world: &mut World,
    hand: &daemon::Hand,
) {
    let place = Place::file();
    let hands = Arc::new(Remembers::default());
    let (create, comment) = stage.paths();
    let process = start_with(&place, clock, &hands, stage.desk()).await;
    stage.faults().next(create, Fault::Refuse(Said::empty(429).with("retry-after: 90")));
    stage.faults().next(create, Fault::CutAfter);
    world.fails("a", "unknown");
    // Due after six hours, and settled a quarter of an hour later.
    pass(&process, world, hand, 6 * 60 + 16).await;
    until("the refusal", async || process.count(EffectState::Deferred).await == 1).await;
    assert!(stage.seen().await.is_empty(), "nothing was taken");
    pass(&process, world, hand, 2).await;
    until("the lost answer", async || process.count(EffectState::Unknown).await == 1).await;
    assert!(stage.faults().spent());
    assert_eq!(stage.seen().await.len(), 1, "it was taken");
    process.dies().await;

    let process = start_with(&place, clock, &hands, stage.desk()).await;
    pass(&process, world, hand, 6).await;
    until("found by its key", async || process.count(EffectState::Delivered).await == 1).await;
    let tickets = stage.seen().await;
    assert_eq!(tickets.len(), 1, "a ticket was doubled: {tickets:?}");
    for fact in ["c-a", "u-a", "job-77", "corr-1", "AU00001"] {
        assert!(tickets[0].text.contains(fact), "{fact} is missing in:\n{}", tickets[0].text);
    }

    stage.faults().next(comment, Fault::CutAfter);
    world.recovers("a");
    pass(&process, world, hand, 1).await;
    until("the comment's lost answer", async || process.count(EffectState::Unknown).await == 1).await;
    pass(&process, world, hand, 6).await;
    until("the comment was found", async || process.count(EffectState::Delivered).await == 2).await;
    let ticket = stage.seen().await.remove(0);
    assert_eq!(ticket.comments.len(), 1, "{ticket:?}");
    assert!(ticket.comments[0].contains("recovered") && !ticket.open, "{ticket:?}");

    world.fails("a", "unknown");
    pass(&process, world, hand, 2).await;
    until("the relapse", async || process.count(EffectState::Delivered).await >= 3).await;
    let ticket = stage.seen().await.remove(0);
    assert_eq!(ticket.comments.len(), 2, "{ticket:?}");
    assert!(ticket.comments[1].contains("fails again") && ticket.open, "{ticket:?}");

    // Closed by a person: the desk says so; its recovery is still said, and nothing turns the ticket.
    assert_eq!(stage.desk().standing(&ticket.id).await.unwrap(), Some(Standing::Open));
    stage.person_closes(&ticket.id).await;
    assert_eq!(stage.desk().standing(&ticket.id).await.unwrap(), Some(Standing::Closed));
    world.recovers("a");
    pass(&process, world, hand, 2).await;
    until("the second recovery", async || stage.seen().await[0].comments.len() == 3).await;
    settled(&process, "all is quiet").await;
    let tickets = stage.seen().await;
    assert!(tickets.len() == 1 && !tickets[0].open, "{tickets:?}");
    process.ends().await;
}

/// Twelve of a kind make one ticket, whose answer is lost; one joins; half, nine of ten and all recover.
pub(super) async fn storm<S: Stage>(
    stage: &S,
    clock: &daemon::Clock,
    world: &mut World,
    hand: &daemon::Hand,
) {
    let place = Place::file();
    let hands = Arc::new(Remembers::default());
    let (create, _) = stage.paths();
    let before = stage.seen().await.len();
    let process = start_with(&place, clock, &hands, stage.desk()).await;
    stage.faults().next(create, Fault::CutAfter);
    for n in 0..12 {
        world.fails(&format!("s{n:02}"), "unknown");
    }
    pass(&process, world, hand, 6 * 60 + 16).await;
    until("the lost answer", async || process.count(EffectState::Unknown).await == 1).await;
    pass(&process, world, hand, 6).await;
    until("found by its key", async || process.count(EffectState::Delivered).await == 1).await;
    let tickets = stage.seen().await;
    assert_eq!(tickets.len(), before + 1, "one storm, one ticket: {tickets:?}");
    let ticket = tickets.last().unwrap();
    for n in 0..12 {
        assert!(ticket.text.contains(&format!("c-s{n:02}")), "c-s{n:02} is missing in:\n{}", ticket.text);
    }
    let of_storm = async || stage.seen().await.last().unwrap().clone();

    world.fails("late", "unknown");
    pass(&process, world, hand, 6 * 60 + 16).await;
    until("it is said that one joined", async || of_storm().await.comments.len() == 1).await;
    assert_eq!(stage.seen().await.len(), before + 1, "it joins");
    for n in 0..7 {
        world.recovers(&format!("s{n:02}"));
    }
    pass(&process, world, hand, 62).await;
    until("half", async || of_storm().await.comments.len() == 2).await;
    for n in 7..12 {
        world.recovers(&format!("s{n:02}"));
    }
    pass(&process, world, hand, 62).await;
    until("nine of ten", async || of_storm().await.comments.len() == 3).await;
    assert!(of_storm().await.open);
    world.recovers("late");
    pass(&process, world, hand, 2).await;
    until("all", async || of_storm().await.comments.len() == 4).await;
    until("closed", async || !of_storm().await.open).await;
    let comments = of_storm().await.comments;
    for (comment, said) in comments.iter().zip(["1 more joined", "7 of 13", "12 of 13", "13 of 13"]) {
        assert!(comment.contains(said), "{said}: {comments:?}");
    }
    settled(&process, "all is quiet").await;
    assert_eq!(stage.seen().await.len(), before + 1);
    process.ends().await;
}

/// Three hundred of a kind make one ticket whose text the desk may not take whole. All of them are named on it, once,
/// though the answer to what goes on in a comment is lost.
pub(super) async fn long_storm<S: Stage>(
    stage: &S,
    clock: &daemon::Clock,
    world: &mut World,
    hand: &daemon::Hand,
) {
    let place = Place::file();
    let hands = Arc::new(Remembers::default());
    let before = stage.seen().await.len();
    let process = start_with(&place, clock, &hands, stage.desk()).await;
    let goes_on = stage.desk().longest().is_some();
    let name = |n: usize| format!("{n:03}-{}", "x".repeat(60));
    for n in 0..300 {
        world.fails(&name(n), "unknown");
    }
    if goes_on {
        stage.faults().next(stage.third(), Fault::CutAfter);
    }
    pass(&process, world, hand, 6 * 60 + 16).await;
    if goes_on {
        until("the lost answer", async || process.count(EffectState::Unknown).await == 1).await;
        pass(&process, world, hand, 6).await;
    }
    until("all is said", async || process.count(EffectState::Delivered).await == 1).await;
    assert!(stage.faults().spent());
    let tickets = stage.seen().await;
    assert_eq!(tickets.len(), before + 1, "one storm, one ticket");
    let ticket = tickets.last().unwrap();
    assert_eq!(ticket.comments.is_empty(), !goes_on, "{} comments", ticket.comments.len());
    let text = format!("{}{}", ticket.text, ticket.comments.concat()).replace("\\n", "\n");
    for n in 0..300 {
        let line = format!("c-{0} u-{0}", name(n));
        assert_eq!(text.matches(&line).count(), 1, "{line}");
    }
    assert!(text.contains("corr-1"), "the facts of its samples are there too");
    process.ends().await;
}

/// All of them, one after the other, at one desk and on one clock.
pub(super) async fn whole<S: Stage>(make: impl AsyncFnOnce(daemon::Clock) -> Option<S>) {
    let (mut world, clock, hand) = begin();
    let Some(stage) = make(clock.clone()).await else { return };
    one_incident(&stage, &clock, &mut world, &hand).await;
    let (mut other, _, _) = begin();
    other.now = world.now;
    storm(&stage, &clock, &mut other, &hand).await;
    let (mut third, _, _) = begin();
    third.now = other.now;
    long_storm(&stage, &clock, &mut third, &hand).await;
}
