//! What happens to connections and banks.

use basiq_alerter::evidence::{Facts, State, Traffic};
use daemon::Timestamp;

use super::{BANK, World};

impl World {
    /// A connection `c-NAME` of the user `u-NAME` begins to fail now.
    pub(crate) fn fails(&mut self, name: &str, scenario: &str) {
        self.fails_since(name, scenario, self.now);
    }

    pub(crate) fn fails_since(&mut self, name: &str, scenario: &str, since: Timestamp) {
        let user = format!("u-{name}");
        self.fails_of(name, &user, scenario, since);
    }

    pub(crate) fn fails_of(&mut self, name: &str, user: &str, scenario: &str, since: Timestamp) {
        self.facts.insert(
            format!("c-{name}"),
            Facts {
                user: user.into(),
                institution: BANK.into(),
                method: "web".into(),
                state: State::Failing {
                    scenario: scenario.into(),
                    failed_jobs: 1,
                    since,
                    last_failure: since,
                    baseline: false,
                    never_succeeded: false,
                },
            },
        );
    }

    /// A connection of this bank begins to fail now.
    pub(crate) fn fails_at(&mut self, name: &str, bank: &str, scenario: &str) {
        self.fails(name, scenario);
        self.banks.entry((bank.to_owned(), "web".to_owned())).or_insert_with(|| "operational".to_owned());
        if let Some(facts) = self.facts.get_mut(&format!("c-{name}")) {
            facts.institution = bank.into();
        }
    }

    /// A hundred jobs of this bank finished in the last half hour; so many users newly fail, and so many jobs failed.
    pub(crate) fn jobs(&mut self, bank: &str, newly_failing: f64, failed: f64) {
        let traffic = Traffic { finished: 100.0, failed, newly_failing, usual: Some(0.01) };
        self.traffic.insert((bank.into(), "web".into()), traffic);
    }

    /// Another job of it fails now.
    pub(crate) fn fails_again(&mut self, name: &str) {
        self.fails_again_at(name, self.now);
    }

    /// Another job failed, at this time by Basiq's clock.
    pub(crate) fn fails_again_at(&mut self, name: &str, at: Timestamp) {
        if let Some(Facts { state: State::Failing { failed_jobs, last_failure, .. }, .. }) =
            self.facts.get_mut(&format!("c-{name}"))
        {
            *failed_jobs += 1;
            *last_failure = at;
        }
    }

    /// It goes on failing, as something else.
    pub(crate) fn turns(&mut self, name: &str, into: &str) {
        if let Some(Facts { state: State::Failing { scenario, .. }, .. }) =
            self.facts.get_mut(&format!("c-{name}"))
        {
            *scenario = into.into();
        }
    }

    /// From now on it is this user's.
    pub(crate) fn of_user(&mut self, name: &str, user: &str) {
        if let Some(facts) = self.facts.get_mut(&format!("c-{name}")) {
            facts.user = user.into();
        }
    }

    /// What the exporter says of its failure: it is from before its user was discovered; it never worked.
    pub(crate) fn marks(&mut self, name: &str, old: bool, never: bool) {
        if let Some(Facts { state: State::Failing { baseline, never_succeeded, .. }, .. }) =
            self.facts.get_mut(&format!("c-{name}"))
        {
            (*baseline, *never_succeeded) = (old, never);
        }
    }

    pub(crate) fn recovers(&mut self, name: &str) {
        self.ends(name, "recovered");
    }

    pub(crate) fn ends(&mut self, name: &str, reason: &str) {
        let at = self.now;
        if let Some(facts) = self.facts.get_mut(&format!("c-{name}")) {
            facts.state = State::Ended { reason: reason.into(), at };
        }
    }

    /// The exporter no longer shows it.
    pub(crate) fn vanishes(&mut self, name: &str) {
        self.facts.remove(&format!("c-{name}"));
    }

    pub(crate) fn bank(&mut self, status: &str) {
        self.banks.insert((BANK.to_owned(), "web".to_owned()), status.to_owned());
    }
}
