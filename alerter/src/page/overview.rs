//! The numbers that head every list: counted at most every two seconds, however many look, and while nobody waits.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use daemon::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;

use super::{banks::Names, steering, words};
use crate::plan::Hold;
use crate::store::{Browse, Group, StoreError, Waiting};

/// How long counts are good for, in real time.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// Counts that are older are shown once more, while they are made anew, up to this age. Nobody waits for a count of a
/// million incidents but who comes first after a while.
const GOOD_ENOUGH_FOR: Duration = Duration::from_secs(30);

/// The newest counts. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Cache(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// The newest counts, and when they were made.
    made: Option<(Instant, Arc<Counted>)>,
    /// They are being made anew.
    making: bool,
}

/// What was counted at one time.
pub(super) struct Counted {
    pub(super) waiting: Waiting,
    pub(super) groups: Vec<Group>,
    pub(super) pauses: usize,
    /// Messages that holds keep back.
    pub(super) held: u64,
}

impl Cache {
    /// The counts: at most two seconds old where the page is in use, thirty where it was not.
    pub(super) async fn get(
        &self,
        store: &Arc<dyn Browse>,
        now: Timestamp,
    ) -> Result<Arc<Counted>, StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((at, counted)) = kept.made.clone()
            && at.elapsed() < GOOD_ENOUGH_FOR
        {
            if at.elapsed() >= GOOD_FOR && !std::mem::replace(&mut kept.making, true) {
                tokio::spawn(self.clone().make_anew(store.clone(), now, at));
            }
            return Ok(counted);
        }
        // Who comes while they are made waits for them.
        let counted = Arc::new(Counted::of(&**store, now).await?);
        kept.made = Some((Instant::now(), counted.clone()));
        Ok(counted)
    }

    /// Replaces the counts that were made at `old`.
    async fn make_anew(self, store: Arc<dyn Browse>, now: Timestamp, old: Instant) {
        let counted = Counted::of(&*store, now).await;
        let mut kept = self.0.lock().await;
        kept.making = false;
        match counted {
            // What was forgotten meanwhile was changed after this count began.
            Ok(counted) if kept.made.as_ref().is_some_and(|(at, _)| *at == old) => {
                kept.made = Some((Instant::now(), Arc::new(counted)));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the page cannot count anew; it shows what it counted before")
            }
        }
    }

    /// Somebody changed something.
    pub(super) async fn forget(&self) {
        self.0.lock().await.made = None;
    }
}

impl Counted {
    async fn of(store: &dyn Browse, now: Timestamp) -> Result<Self, StoreError> {
        let held: Vec<Hold> = steering::read(store.kept("hold").await?);
        Ok(Self {
            waiting: store.waiting().await?,
            groups: store.groups(now).await?,
            pauses: store.kept("pause").await?.len(),
            held: held.iter().map(|hold| (hold.incidents.len() + hold.effects.len()) as u64).sum(),
        })
    }
}

/// A choice of a filter, with how many there are.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Choice {
    pub value: String,
    pub name: String,
    pub count: u64,
}

/// What fails at one bank.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Bank {
    pub institution: String,
    pub name: String,
    pub status: Option<super::view::Chip>,
    pub open: u64,
    pub fresh: u64,
    pub scenarios: Vec<Choice>,
}

/// The numbers above a list.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Overview {
    pub open: u64,
    pub baseline: u64,
    pub held: u64,
    pub dead: u64,
    pub paused: usize,
    pub banks: Vec<Bank>,
    pub more_banks: usize,
    pub scenarios: Vec<Choice>,
    pub ages: Vec<Choice>,
}

/// Names of ages in addresses and for people.
pub(super) const AGES: [(&str, &str); 4] =
    [("hour", "up to 1 hour"), ("day", "1 to 24 hours"), ("week", "1 to 7 days"), ("longer", "over 7 days")];

impl Overview {
    /// At most `banks` banks, those with the most failing connections.
    pub(super) fn new(counted: &Counted, names: &Names, banks: usize) -> Self {
        let mut scenarios: BTreeMap<&str, u64> = BTreeMap::new();
        let mut by_bank: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
        let mut ages = [0_u64; 4];
        for group in &counted.groups {
            *scenarios.entry(&group.scenario).or_default() += group.open;
            by_bank.entry(&group.institution).or_default().push(group);
            for (sum, count) in ages.iter_mut().zip(group.ages) {
                *sum += count;
            }
        }
        let choice =
            |value: &str, name: &str, count| Choice { value: value.to_owned(), name: name.to_owned(), count };
        let mut scenarios: Vec<Choice> =
            scenarios.into_iter().map(|(name, count)| choice(name, words::scenario(name), count)).collect();
        scenarios.sort_by_key(|choice| std::cmp::Reverse(choice.count));
        let mut all: Vec<Bank> = by_bank
            .into_iter()
            .map(|(institution, groups)| Bank {
                institution: institution.to_owned(),
                name: names.of(institution),
                status: names.status(institution),
                open: groups.iter().map(|group| group.open).sum(),
                fresh: groups.iter().map(|group| group.ages[0]).sum(),
                scenarios: groups
                    .iter()
                    .map(|group| choice(&group.scenario, words::scenario(&group.scenario), group.open))
                    .collect(),
            })
            .collect();
        all.sort_by_key(|bank| std::cmp::Reverse(bank.open));
        let more_banks = all.len().saturating_sub(banks);
        all.truncate(banks);
        let baseline = counted.groups.iter().map(|group| group.baseline).sum();
        Self {
            open: counted.groups.iter().map(|group| group.open).sum::<u64>().saturating_sub(baseline),
            baseline,
            held: counted.held + counted.waiting.held,
            dead: counted.waiting.dead,
            paused: counted.pauses,
            banks: all,
            more_banks,
            scenarios,
            ages: AGES.iter().zip(ages).map(|((value, name), count)| choice(value, name, count)).collect(),
        }
    }
}
