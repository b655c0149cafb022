//! Exact under duplicates, reordering and overlapping answers.

use proptest::prelude::*;

use super::*;

/// How one job goes: when it fails and succeeds, minutes after noon; 0 for never.
#[derive(Clone, Debug)]
struct Story {
    connection: u8,
    created: Ms,
    failed: Ms,
    succeeded: Ms,
}

impl Story {
    fn at(&self, nth: usize, now: Ms) -> Option<JobSeen> {
        let created = NOON + self.created * MINUTE;
        if now < created {
            return None;
        }
        let (failed_at, succeeded_at) = (created + self.failed * MINUTE, created + self.succeeded * MINUTE);
        let has_succeeded = self.succeeded != 0 && now >= succeeded_at;
        let (status, updated) = if has_succeeded {
            (StepStatus::Success, succeeded_at)
        } else if self.failed != 0 && now >= failed_at {
            (failed("service-unavailable"), failed_at)
        } else {
            (StepStatus::Open, created)
        };
        let mut seen = job(&format!("j{nth}"), created, updated, status);
        seen.connection = Some(id(&format!("c{}", self.connection)));
        Some(seen)
    }
}

fn stories() -> impl Strategy<Value = Vec<Story>> {
    let story =
        (1..3_u8, 0..500_i64, 0..60_i64, 0..200_i64).prop_map(|(connection, created, failed, later)| Story {
            connection,
            created,
            failed,
            // A failed job heals after its failure; a job that never fails may run for ever.
            succeeded: if later == 0 { 0 } else { failed + later },
        });
    proptest::collection::vec(story, 0..12)
}

fn list(stories: &[Story], at: Ms) -> Vec<JobSeen> {
    stories.iter().enumerate().filter_map(|(nth, story)| story.at(nth, at)).collect()
}

fn two_connections() -> Ledger {
    let mut ledger = ledger();
    let mut other = connection("c2", Status::Active);
    other.institution = "AU00001".to_owned();
    ledger.observe_connections(&id("u"), &[connection("c1", Status::Active), other], NOON - 1, NOON - 1);
    ledger
}

type Summary = (Vec<(Counter, u64)>, Vec<(Gauge, i64)>, Vec<Standing>);

/// Everything that is counted, with how the connections stand; what is shown as ended is left out, since an
/// end that lies between two looks is never seen.
fn summary(ledger: &Ledger, now: Ms) -> Summary {
    let counters =
        ledger.counters.iter().filter(|(_, cell)| cell.value != 0).map(|(c, cell)| (*c, cell.value));
    // Whether a job that was only seen healed had been queued cannot be known.
    let counters = counters.filter(|(counter, _)| !matches!(counter, Counter::Left(..)));
    let gauges =
        ledger.gauges.iter().filter(|(_, value)| **value != 0).map(|(gauge, value)| (*gauge, *value));
    let standings = ["c1", "c2"].map(|name| ledger.stands(name, now)).to_vec();
    (counters.collect(), gauges.collect(), standings)
}

proptest! {
    /// Answers come late by up to an hour; the client's deadlines make it a minute.
    #[test]
    fn duplicates_and_late_answers_change_nothing(
        stories in stories(),
        asked in proptest::collection::vec((0..900_i64, 0..60_i64, 0..60_i64), 1..16),
    ) {
        let end = NOON + 1000 * MINUTE;
        let mut ordered: Vec<(Ms, Ms)> = Vec::new();
        let mut arrivals: Vec<(Ms, Ms)> = Vec::new();
        for (at, late, later) in asked {
            let at = NOON + at * MINUTE;
            ordered.push((at, at));
            arrivals.extend([(at + late * MINUTE, at), (at + later * MINUTE, at)]);
        }
        for all in [&mut ordered, &mut arrivals] {
            all.sort_unstable();
            all.push((end, end));
        }
        let run = |answers: &[(Ms, Ms)]| {
            let mut ledger = two_connections();
            for (now, asked) in answers {
                ledger.observe_jobs(&id("u"), &list(&stories, *asked), true, *asked, *now);
                ledger.tick(*now);
            }
            summary(&ledger, end)
        };
        prop_assert_eq!(run(&arrivals), run(&ordered));
    }

    #[test]
    fn the_sums_are_those_of_a_ledger_that_learns_everything_anew(
        stories in stories(),
        times in proptest::collection::vec(0..900_i64, 1..12),
    ) {
        let mut ledger = two_connections();
        let mut asked: Vec<Ms> = times.iter().map(|at| NOON + at * MINUTE).collect();
        asked.sort_unstable();
        for at in &asked {
            ledger.jobs(&list(&stories, *at), *at);
            ledger.tick(*at);
        }
        let now = asked[asked.len() - 1];
        let place = ledger.place(&id("u")).unwrap();
        let user = ledger.user(place).unwrap();
        let mut anew = Gauges::default();
        anew.add(&ledger.contribution(user, now));
        for (gauge, value) in ledger.gauges.iter() {
            prop_assert_eq!(*value, anew.value(*gauge).unwrap_or(0), "{:?}", gauge);
        }
    }
}
