//! When a user must next be looked at, and what must be asked then.

use crate::{
    config::Poll,
    ledger::{Failing, Job, Ms, Standing, Status, User, span, standing},
};

use super::{Need, Plan};

/// How often what is looked at, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub(super) pass: Ms,
    pub(super) connections: Ms,
    pub(super) running: Ms,
    pub(super) failing: Ms,
    pub(super) queued: Ms,
    /// Within what time users of a bank in trouble are looked at; 0 for no sooner than others.
    pub suspect: Ms,
}

/// How the banks of a user are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Banks {
    /// Nothing is known against them.
    Well,
    /// One is in trouble.
    InTrouble,
    /// None is any more since the last look, which a bank in trouble was the reason for.
    Calmed,
}

/// The longest gap between looks at a running job.
const RUNNING_AT_MOST: Ms = span::MINUTE;
/// How long a job may run before it is looked at rarely.
const STUCK: Ms = span::HOUR;
/// The longest gap between looks at a failing connection, as a multiple of the shortest.
const FAILING_AT_MOST: Ms = 72;
/// How long after the seventh day a queued job is read for the last time.
const AFTER_EXPIRY: Ms = 1000;

impl Pace {
    /// How long a turn may be overdue before it has a claim of its own beside users of banks in trouble.
    pub fn late(&self) -> Ms {
        self.pass / 20
    }
}

impl From<&Poll> for Pace {
    fn from(poll: &Poll) -> Self {
        let ms =
            |duration: daemon::config::Duration| Ms::try_from(duration.0.as_millis()).unwrap_or(Ms::MAX / 4);
        let pass = ms(poll.pass).max(1);
        Self {
            pass,
            connections: ms(poll.connections),
            running: ms(poll.running),
            failing: ms(poll.failing),
            queued: ms(poll.queued),
            suspect: ms(poll.suspect).min(pass / 2),
        }
    }
}

/// When `user` must next be looked at, after a look at `now` (or at none, for one restored from disk).
pub fn need(user: &User, pace: &Pace, banks: Banks, now: Ms) -> (Need, Ms) {
    let looked = user.jobs_listed.min(user.connections_listed);
    if looked == 0 {
        return (Need::New, now);
    }
    let looked = user.jobs_listed;
    let mut next = match banks {
        Banks::Well => (Need::Quiet, turn(user, pace, looked)),
        Banks::InTrouble => (Need::Suspect, looked + pace.suspect),
        Banks::Calmed => (Need::Quiet, turn_after_trouble(user, pace, looked)),
    };
    let mut consider = |need: Need, due: Ms| {
        if due < next.1 {
            next = (need, due);
        }
    };
    for job in &user.jobs {
        if job.is_running() {
            let age = now - if job.created == 0 { job.first_seen } else { job.created };
            let gap = if age > STUCK { pace.failing } else { (age / 4).clamp(pace.running, RUNNING_AT_MOST) };
            consider(Need::Running, looked + gap);
        } else if job.is_queued() {
            let expiry = job.created + span::WEEK + AFTER_EXPIRY;
            let regular = looked.max(job.asked) + pace.queued;
            let last = if looked.max(job.asked) < expiry { expiry } else { regular };
            consider(Need::Failing, regular.min(last));
        }
    }
    for connection in &user.connections {
        if let Standing::Failing(Failing { since, .. }) = standing(user, connection, now) {
            let gap = ((now - since) / 4).clamp(pace.failing, pace.failing.saturating_mul(FAILING_AT_MOST));
            consider(Need::Failing, looked + gap);
        }
    }
    next
}

/// The user's place in the pass: everybody has a fixed one, so that looks are spread evenly however they began.
fn turn(user: &User, pace: &Pace, looked: Ms) -> Ms {
    let phase = (user.id.spread() % pace.pass.unsigned_abs()).cast_signed();
    // The first of the user's moments that is not just after the last look: nobody waits for longer than 1.1 passes,
    // also after a look out of turn.
    let earliest = looked + pace.pass / 10;
    earliest + (phase - earliest).rem_euclid(pace.pass)
}

/// After the last look at a user of a bank that was in trouble: about a pass later, since that look was as good as a turn, but
/// drawn a little to the user's own place, so that those who were looked at together do not come up together again.
fn turn_after_trouble(user: &User, pace: &Pace, looked: Ms) -> Ms {
    let phase = (user.id.spread() % pace.pass.unsigned_abs()).cast_signed();
    let away = (phase - looked + pace.pass / 2).rem_euclid(pace.pass) - pace.pass / 2;
    looked + pace.pass + away / 5
}

/// What to ask about a user now.
pub fn plan(user: &User, need: Need, pace: &Pace, now: Ms) -> Plan {
    let unlisted = |job: &Job| job.created != 0 && now >= job.created + span::WEEK;
    let failing_unlisted = user.connections.iter().any(|connection| {
        let evidence = user
            .jobs
            .iter()
            .any(|job| job.is_failed() && !unlisted(job) && job.connection.as_ref() == Some(&connection.id));
        let failing = || matches!(standing(user, connection, now), Standing::Failing(_));
        !evidence && (connection.status == Status::Invalid || failing())
    });
    let unknown = user.jobs.iter().any(|job| {
        let named = job.connection.as_ref();
        named.is_some_and(|id| user.connection(id).is_none() && user.connections_listed < job.first_seen)
    });
    // Read only if the list does not show them: queued jobs, hinted ones, and what has left the list.
    let named = user
        .jobs
        .iter()
        .filter(|job| job.is_queued() || job.is_running() && (job.created == 0 || unlisted(job)));
    Plan {
        user: user.id.clone(),
        connections: user.connections_listed == 0
            || now - user.connections_listed >= pace.connections
            || unknown
            || failing_unlisted,
        jobs: named.map(|job| job.id.clone()).take(16).collect(),
        need,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Id;

    fn user(text: &str) -> User {
        User {
            id: Id::parse(text).unwrap(),
            discovered: 0,
            watermark: 0,
            jobs_listed: 1,
            connections_listed: 1,
            sources: 1,
            settled: 0,
            timer: 0,
            connections: Vec::new(),
            jobs: Vec::new(),
        }
    }

    #[test]
    fn quiet_users_are_spread_evenly_over_the_pass_and_keep_their_turn() {
        let pace = Pace::from(&Poll::default());
        let noon = 40 * span::DAY + 5;
        let mut hours = [0; 24];
        for n in 0..2400 {
            let mut user = user(&format!("user-{n}"));
            user.jobs_listed = noon;
            let (need_of, due) = need(&user, &pace, Banks::Well, noon);
            assert_eq!(need_of, Need::Quiet);
            assert!(due > noon && due <= noon + 11 * span::DAY / 10 + 1, "{due}");
            hours[((due / span::HOUR) % 24) as usize] += 1;
            // Looked at late, it comes back to its turn.
            user.jobs_listed = due + span::HOUR;
            assert_eq!(need(&user, &pace, Banks::Well, due + span::HOUR).1, due + span::DAY);
        }
        assert!(hours.iter().all(|count| (60..140).contains(count)), "{hours:?}");
    }

    #[test]
    fn trouble_brings_looks_forward_and_those_looked_at_together_part_again() {
        let pace = Pace::from(&Poll::default());
        let noon = 40 * span::DAY + 5;
        let mut hours = [0; 24];
        for n in 0..2400 {
            let mut user = user(&format!("user-{n}"));
            user.jobs_listed = noon;
            let suspect = need(&user, &pace, Banks::InTrouble, noon);
            assert_eq!(suspect, (Need::Suspect, noon + span::HOUR / 2));
            let (need_of, due) = need(&user, &pace, Banks::Calmed, noon);
            assert_eq!(need_of, Need::Quiet);
            assert!((due - noon - span::DAY).abs() <= span::DAY / 10, "{due}");
            hours[((due / span::HOUR) % 24) as usize] += 1;
            // Its next turn is its own.
            user.jobs_listed = due;
            let own = need(&user, &pace, Banks::Well, due).1;
            assert_eq!((own - need(&user, &pace, Banks::Well, noon).1).rem_euclid(span::DAY), 0);
        }
        // A fifth of the day around the time of the look, evenly.
        assert!([22, 23, 0, 1].iter().all(|hour| (400..600).contains(&hours[*hour])), "{hours:?}");
    }

    #[test]
    fn sooner_is_at_most_half_a_pass_also_where_a_pass_is_short() {
        let hour = daemon::config::Duration(std::time::Duration::from_secs(1800));
        let pace = Pace::from(&Poll { pass: hour, ..Poll::default() });
        assert_eq!(pace.suspect, span::HOUR / 4);
    }
}
