//! `/metrics`: everything of bounded cardinality.

use std::collections::{BTreeMap, BTreeSet};

use basiq::ConnectorStatus;
use exposition::{Families, Part};

use super::{Connector, contract::*, seconds};
use crate::ledger::{BUCKETS, Counter, Gauge, Ledger, Method, Ms, Name, Outcome};

type Banks = BTreeMap<(Name, Method), Connector>;

/// Everything that the ledger and the connectors say at `now`.
pub(super) fn render(ledger: &Ledger, connectors: Option<&Banks>, up: bool, now: Ms) -> Part {
    let mut families = Families::new();
    families.family(&UP).sample(&[], if up { 1.0 } else { 0.0 });
    counters(&mut families, ledger, now);
    gauges(&mut families, ledger);
    if let Some(connectors) = connectors {
        banks(&mut families, ledger, connectors);
    }
    families.part()
}

fn counters(families: &mut Families, ledger: &Ledger, now: Ms) {
    let institution = |name: Name| ledger.institutions.get(name);
    // Samples of one family stand together, and counters are in the order of their families.
    for desc in [&STEPS, &STEPS_FAILED, &FINISHED, &CODES_UNKNOWN, &QUEUE_LEFT] {
        let mut family = families.family(desc);
        for (counter, _) in ledger.counters.iter() {
            let Some(value) = ledger.counters.shown(*counter, now) else { continue };
            let value = value as f64;
            match *counter {
                Counter::Step(bank, method, step) if desc.name == STEPS.name => {
                    let (bank, step) = (institution(bank), ledger.steps.get(step));
                    family.sample(
                        &[("institution", &bank), ("method", method.as_str()), ("step", &step)],
                        value,
                    );
                }
                Counter::StepFailed(bank, method, step, code, scenario) if desc.name == STEPS_FAILED.name => {
                    let (bank, step, code) =
                        (institution(bank), ledger.steps.get(step), ledger.codes.get(code));
                    let labels = [
                        ("institution", &*bank),
                        ("method", method.as_str()),
                        ("step", &*step),
                        ("code", &*code),
                        ("scenario", scenario.as_str()),
                    ];
                    family.sample(&labels, value);
                }
                Counter::Finished(bank, method, outcome) if desc.name == FINISHED.name => {
                    let bank = institution(bank);
                    let labels =
                        [("institution", &*bank), ("method", method.as_str()), ("outcome", outcome.as_str())];
                    family.sample(&labels, value);
                }
                Counter::CodesUnknown if desc.name == CODES_UNKNOWN.name => {
                    family.sample(&[], value);
                }
                Counter::Left(bank, reason) if desc.name == QUEUE_LEFT.name => {
                    family.sample(&[("institution", &institution(bank)), ("reason", reason.as_str())], value);
                }
                _ => {}
            }
        }
    }
    let mut family = families.family(&DURATION);
    for method in Method::ALL {
        for outcome in Outcome::ALL {
            let Some(durations) = ledger.counters.durations((*method, *outcome)) else { continue };
            let mut total = 0;
            let buckets: Vec<(f64, u64)> = BUCKETS
                .iter()
                .zip(&durations.buckets)
                .map(|(bound, count)| {
                    total += count;
                    (*bound, total)
                })
                .collect();
            let count = total + durations.buckets[BUCKETS.len()];
            let labels = [("method", method.as_str()), ("outcome", outcome.as_str())];
            family.histogram(&labels, &buckets, durations.sum as f64 / 1000.0, count);
        }
    }
}

fn gauges(families: &mut Families, ledger: &Ledger) {
    let institution = |name: Name| ledger.institutions.get(name);
    for desc in [&RUNNING, &STUCK, &QUEUE, &CONNECTIONS, &FAILING, &STALE, &CONSENT_EXPIRING, &NEWLY_FAILING]
    {
        let mut family = families.family(desc);
        for (gauge, value) in ledger.gauges.iter() {
            let value = *value as f64;
            let (bank, more, of): (Name, Vec<(&str, &str)>, _) = match gauge {
                Gauge::Running(bank) => (*bank, vec![], &RUNNING),
                Gauge::Stuck(bank) => (*bank, vec![], &STUCK),
                Gauge::Queued(bank) => (*bank, vec![], &QUEUE),
                Gauge::Stale(bank) => (*bank, vec![], &STALE),
                Gauge::Expiring(bank) => (*bank, vec![], &CONSENT_EXPIRING),
                Gauge::Connections(bank, method, status) => {
                    (*bank, vec![("method", method.as_str()), ("status", status.as_str())], &CONNECTIONS)
                }
                Gauge::Failing(bank, method, scenario) => {
                    (*bank, vec![("method", method.as_str()), ("scenario", scenario.as_str())], &FAILING)
                }
                Gauge::NewlyFailing(bank, method, scenario) => (
                    *bank,
                    vec![("method", method.as_str()), ("scenario", scenario.as_str())],
                    &NEWLY_FAILING,
                ),
            };
            if of.name == desc.name {
                let bank = institution(bank);
                let labels: Vec<_> = std::iter::once(("institution", &*bank)).chain(more).collect();
                family.sample(&labels, value);
            }
        }
    }
    let mut family = families.family(&QUEUE_OLDEST);
    let banks: BTreeSet<Name> = ledger
        .gauges
        .iter()
        .filter_map(|(gauge, _)| if let Gauge::Queued(bank) = gauge { Some(*bank) } else { None })
        .collect();
    for bank in banks {
        if let Some(oldest) = ledger.gauges.oldest_queued(bank) {
            family.sample(&[("institution", &institution(bank))], seconds(oldest));
        }
    }
}

fn banks(families: &mut Families, ledger: &Ledger, connectors: &Banks) {
    let mut family = families.family(&CONNECTOR_STATUS);
    for ((bank, method), connector) in connectors {
        let bank = ledger.institutions.get(*bank);
        for status in ConnectorStatus::ALL {
            let labels = [("institution", &*bank), ("method", method.as_str()), ("status", status.as_str())];
            family.sample(&labels, if status == connector.status { 1.0 } else { 0.0 });
        }
    }
    let mut family = families.family(&OUTAGE);
    for ((bank, method), connector) in connectors {
        let bank = ledger.institutions.get(*bank);
        for (level, status) in
            [("major", ConnectorStatus::MajorOutage), ("partial", ConnectorStatus::PartialOutage)]
        {
            let labels = [("institution", &*bank), ("method", method.as_str()), ("level", level)];
            family.sample(&labels, if status == connector.status { 1.0 } else { 0.0 });
        }
    }
    // One name for each institution, though each of its connectors brings one.
    let mut named = BTreeSet::new();
    let mut family = families.family(&INSTITUTION_INFO);
    for ((bank, _), connector) in connectors {
        if named.insert(*bank) {
            let labels = [
                ("institution", &*ledger.institutions.get(*bank)),
                ("institution_name", &connector.name),
                ("tier", &connector.tier),
                ("country", &connector.country),
            ];
            family.sample(&labels, 1.0);
        }
    }
    let mut family = families.family(&CONNECTOR_INFO);
    for ((bank, method), connector) in connectors {
        let bank = ledger.institutions.get(*bank);
        let labels =
            [("institution", &*bank), ("method", method.as_str()), ("connector_stage", connector.stage)];
        family.sample(&labels, 1.0);
    }
    let mut family = families.family(&STEP_AVERAGE);
    for ((bank, method), connector) in connectors {
        let bank = ledger.institutions.get(*bank);
        for (step, average) in &connector.averages {
            let labels = [("institution", &*bank), ("method", method.as_str()), ("step", step)];
            family.sample(&labels, *average);
        }
    }
}
