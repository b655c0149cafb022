//! The numbers of behaviour's sections 3 to 8.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The limits of `plan`. A rule's annotation may ask for other times within them; each is a setting.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Whether what already failed at the first sight is baseline.
    pub baseline: bool,
    /// Whether users are told of connections that never worked. While a bank is being connected, its failures are the
    /// partner app's own conversation with the user.
    pub tell_never_succeeded: bool,
    /// A newest failure this much older than the store is baseline.
    #[serde(with = "AsText")]
    pub baseline_before_birth: Duration,
    /// A newest failure older than this is baseline.
    #[serde(with = "AsText")]
    pub baseline_age: Duration,
    /// A failure this soon after the end continues the incident.
    #[serde(with = "AsText")]
    pub reopen: Duration,
    /// Settling before an opening that asks the user to do something.
    #[serde(with = "AsText")]
    pub settle: Duration,
    /// Settling before `delayed`, unless the first refresh fails before.
    #[serde(with = "AsText")]
    pub settle_delayed: Duration,
    /// Health before a closing message.
    #[serde(with = "AsText")]
    pub settle_closing: Duration,
    /// Settling before a ticket.
    #[serde(with = "AsText")]
    pub settle_ticket: Duration,
    /// How long a person is left in peace after a message of one template.
    #[serde(with = "AsText")]
    pub cooldown: Duration,
    /// How long after the newest failure a refresh is tried.
    #[serde(with = "AsText")]
    pub retry_after: Duration,
    /// How many refreshes an incident gets.
    pub retry_max: u32,
    /// After how long outside major outage a ticket is due anyway.
    #[serde(with = "AsText")]
    pub escalate_after: Duration,
    /// Basiq's smart cache is on: after an outage its own next refresh is awaited instead of ours.
    pub smart_cache: bool,
    /// How long Basiq's retry queue keeps a job.
    #[serde(with = "AsText")]
    pub queue_expiry: Duration,
    /// Over how long refreshes and escalations restart when an outage lifts.
    #[serde(with = "AsText")]
    pub outage_spread: Duration,
    /// Over how long messages restart that were due while Basiq or a relay was out.
    #[serde(with = "AsText")]
    pub catch_up_spread: Duration,
    /// A connector longer in major outage than this: one notice, one ticket for the institution.
    #[serde(with = "AsText")]
    pub long_outage: Duration,
    /// Distinct users newly failing at a bank in half an hour before it is named as having an outage.
    pub cause_users: u32,
    /// The share of the bank's finished jobs that must newly fail for that.
    pub cause_share: f64,
    /// How many times its usual share that must be.
    pub cause_times: f64,
    /// Institutions over that threshold at once before the cause is Basiq.
    pub platform_banks: u32,
    /// Their share of all institutions with jobs for that.
    pub platform_share: f64,
    /// After how long a ticket that a person closed hears that its connection still fails.
    #[serde(with = "AsText")]
    pub closed_ticket: Duration,
    /// A notice of something that merely happened ends when it has not happened again for so long.
    #[serde(with = "AsText")]
    pub notice_quiet: Duration,
    /// Evidence older than this is none.
    #[serde(with = "AsText")]
    pub evidence_age: Duration,
    /// Openings of one settling batch before all of it is held.
    pub hold_batch: u32,
    /// People that the first evaluation of a new or changed rule may reach before all of it is held; a quarter of
    /// `hold_batch` where it is not set.
    pub hold_new_rule: Option<u32>,
    /// Openings in an hour for one rule before the rest is held.
    pub hold_rule: u32,
    /// Openings in an hour for one institution before the rest is held.
    pub hold_institution: u32,
    /// Openings in an hour altogether before the rest is held.
    pub hold_all: u32,
    /// Suppressions in an hour before suppressing stops.
    pub suppress_hour: u32,
    /// Suppressions as a share of the hour's recipients before suppressing stops.
    pub suppress_share: f64,
    /// Connections of one institution, method and class that make one storm ticket.
    pub storm: u32,
    /// Connections whose details a storm ticket shows.
    pub storm_samples: u32,
    /// Lifetime of a refresh; then it is planned anew.
    #[serde(with = "AsText")]
    pub lifetime_refresh: Duration,
    /// Lifetime of `delayed` and `outage`.
    #[serde(with = "AsText")]
    pub lifetime_delayed: Duration,
    /// Lifetime of a message that asks the user to do something.
    #[serde(with = "AsText")]
    pub lifetime_action: Duration,
    /// Lifetime of a closing message.
    #[serde(with = "AsText")]
    pub lifetime_ready: Duration,
    /// Lifetime of a ticket and its comments.
    #[serde(with = "AsText")]
    pub lifetime_ticket: Duration,
    /// Lifetime of a notice to operators.
    #[serde(with = "AsText")]
    pub lifetime_notice: Duration,
}

impl Limits {
    /// How many people the first evaluation of a new or changed rule may reach.
    pub fn new_rule_limit(&self) -> u32 {
        self.hold_new_rule.unwrap_or(self.hold_batch / 4)
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            baseline: true,
            tell_never_succeeded: false,
            baseline_before_birth: seconds(HOUR),
            baseline_age: seconds(DAY),
            reopen: seconds(DAY),
            settle: seconds(15 * MINUTE),
            settle_delayed: seconds(2 * HOUR),
            settle_closing: seconds(30 * MINUTE),
            settle_ticket: seconds(15 * MINUTE),
            cooldown: seconds(DAY),
            retry_after: seconds(10 * MINUTE),
            retry_max: 2,
            escalate_after: seconds(6 * HOUR),
            smart_cache: false,
            queue_expiry: seconds(7 * DAY),
            outage_spread: seconds(HOUR),
            catch_up_spread: seconds(30 * MINUTE),
            long_outage: seconds(DAY),
            cause_users: 10,
            cause_share: 0.2,
            cause_times: 5.0,
            platform_banks: 5,
            platform_share: 0.3,
            closed_ticket: seconds(DAY),
            notice_quiet: seconds(DAY),
            evidence_age: seconds(5 * MINUTE),
            hold_batch: 200,
            hold_new_rule: None,
            hold_rule: 500,
            hold_institution: 500,
            hold_all: 1000,
            suppress_hour: 20,
            suppress_share: 0.02,
            storm: 10,
            storm_samples: 20,
            lifetime_refresh: seconds(15 * MINUTE),
            lifetime_delayed: seconds(12 * HOUR),
            lifetime_action: seconds(72 * HOUR),
            lifetime_ready: seconds(72 * HOUR),
            lifetime_ticket: seconds(7 * DAY),
            lifetime_notice: seconds(4 * HOUR),
        }
    }
}

/// Durations as Prometheus writes them: `90s`, `15m`, `2h30m`, `7d`.
#[derive(JsonSchema)]
#[schemars(inline)]
struct AsText(#[expect(dead_code, reason = "what the reference says of it")] daemon::config::Duration);

impl AsText {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        daemon::config::Duration::deserialize(from).map(Into::into)
    }

    /// For the defaults in the reference.
    fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        daemon::config::Duration(*duration).serialize(to)
    }
}
