//! What a digest says (pure but for reading the store).

use std::{collections::BTreeMap, fmt::Write};

use daemon::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::{
    channels::Notice,
    store::{EffectFilter, EffectState, IncidentFilter, Payload, Phase, Read, StoreError},
};

/// So many banks are named.
const BANKS: usize = 5;
/// A page of the store, and so many are read at most: beyond, the figures say that they are at least.
const PAGE: u32 = 1000;
const PAGES: u32 = 100;

/// A bank and how many of its connections fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bank {
    /// Its name for people.
    pub name: String,
    /// Basiq's institution id.
    pub institution: String,
    /// Open incidents.
    pub failing: u64,
}

/// The numbers of one digest. None of them names a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Openings delivered, by template.
    pub told: BTreeMap<String, u64>,
    /// Closings delivered.
    pub closed: u64,
    /// Messages that had nobody to go to.
    pub unreachable: u64,
    /// Effects that ended dead or expired, by action.
    pub failed: BTreeMap<String, u64>,
    /// Tickets filed.
    pub tickets: u64,
    /// Refreshes asked for.
    pub refreshes: u64,
    /// Effects that only went the way of a dry run.
    pub dry_run: u64,
    /// Effects that wait for a person now.
    pub held: u64,
    /// Open incidents now, by scenario.
    pub open: Vec<(String, u64)>,
    /// Open incidents of the baseline now.
    pub baseline: u64,
    /// Banks by open incidents now, most first.
    pub banks: Vec<Bank>,
    /// More happened than was counted.
    pub at_least: bool,
}

/// Reads the figures of what ended after `from`, and of what stands now.
///
/// # Errors
/// The store cannot be read.
pub async fn gather(store: &dyn Read, from: Timestamp) -> Result<Figures, StoreError> {
    let counts = store.counts().await?;
    let mut figures = Figures {
        held: counts
            .effects
            .iter()
            .filter(|(_, state, _)| *state == EffectState::Held)
            .map(|(_, _, number)| number)
            .sum(),
        open: counts.open,
        baseline: counts.baseline,
        at_least: true,
        ..Figures::default()
    };
    for page in 0..PAGES {
        let filter = EffectFilter { limit: PAGE, offset: page * PAGE, ..EffectFilter::default() };
        let effects = store.effects(&filter).await?;
        let recent = effects.iter().take_while(|effect| effect.changed > from).count();
        for effect in &effects[..recent] {
            let one = match (effect.state, effect.phase, &effect.payload) {
                (EffectState::Delivered, Phase::Closing, _) => &mut figures.closed,
                (EffectState::Delivered, _, Payload::Message(message)) => {
                    figures.told.entry(message.template.clone()).or_default()
                }
                (EffectState::Delivered, Phase::Ticket, _) => &mut figures.tickets,
                (EffectState::Delivered, Phase::Refresh, _) => &mut figures.refreshes,
                (EffectState::Unreachable, ..) => &mut figures.unreachable,
                (EffectState::Dead | EffectState::Expired, ..) => {
                    figures.failed.entry(effect.action.as_str().to_owned()).or_default()
                }
                (EffectState::DryRun, ..) => &mut figures.dry_run,
                _ => continue,
            };
            *one += 1;
        }
        if recent < PAGE as usize {
            figures.at_least = false;
            break;
        }
    }
    let mut banks: BTreeMap<String, Bank> = BTreeMap::new();
    for page in 0..PAGES {
        let filter = IncidentFilter {
            open: Some(true),
            limit: PAGE,
            offset: page * PAGE,
            ..IncidentFilter::default()
        };
        let incidents = store.incidents(&filter).await?;
        for incident in incidents.iter().filter(|incident| incident.baseline.is_none()) {
            let bank = banks.entry(incident.institution.clone()).or_default();
            bank.name.clone_from(&incident.institution_name);
            bank.institution.clone_from(&incident.institution);
            bank.failing += 1;
        }
        if incidents.len() < PAGE as usize {
            break;
        }
    }
    figures.banks = banks.into_values().collect();
    figures.banks.sort_by(|a, b| b.failing.cmp(&a.failing).then_with(|| a.institution.cmp(&b.institution)));
    figures.banks.truncate(BANKS);
    Ok(figures)
}

/// The digest of the time between, as its readers get it. The same day gives the same key.
pub fn notice(
    figures: &Figures,
    environment: &str,
    from: Timestamp,
    to: Timestamp,
    utc_offset_hours: i8,
) -> Notice {
    let zone = TimeZone::fixed(Offset::constant(utc_offset_hours));
    let (begin, end) = (from.to_zoned(zone.clone()), to.to_zoned(zone));
    let told: u64 = figures.told.values().sum();
    let open: u64 = figures.open.iter().map(|(_, number)| number).sum();
    let mut text = format!(
        "From {} to {} (UTC{utc_offset_hours:+}).\n\nTold\n",
        begin.strftime("%A %-d %B %H:%M"),
        end.strftime("%A %-d %B %H:%M")
    );
    let least = if figures.at_least { "at least " } else { "" };
    // Writing into a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "  {least}{told} messages that something is wrong, {least}{} that it is well again",
        figures.closed
    );
    for (template, number) in &figures.told {
        let _ = writeln!(text, "  {number:>6}  {template}");
    }
    let _ = writeln!(
        text,
        "\nDone\n  {} tickets filed, {} refreshes asked for",
        figures.tickets, figures.refreshes
    );
    if figures.dry_run > 0 {
        let _ = writeln!(text, "  {} more were dry run: nothing left this machine", figures.dry_run);
    }
    let _ = writeln!(
        text,
        "\nNeeds a person\n  {} held now (basiq-alerter outbox list --state held)",
        figures.held
    );
    let _ =
        writeln!(text, "  {} could not be reached: no address, or one that was refused", figures.unreachable);
    for (action, number) in &figures.failed {
        let _ = writeln!(text, "  {number} {action} ended dead or expired");
    }
    let _ = writeln!(text, "\nFailing now\n  {open} connections, and {} of the baseline", figures.baseline);
    for (scenario, number) in &figures.open {
        let _ = writeln!(text, "  {number:>6}  {scenario}");
    }
    if !figures.banks.is_empty() {
        text.push_str("\nBanks with most of them\n");
        for bank in &figures.banks {
            let _ = writeln!(text, "  {:>6}  {} ({})", bank.failing, bank.name, bank.institution);
        }
    }
    let labels = [("alertname", "BasiqAlerterDigest"), ("severity", "info")];
    Notice {
        key: format!("{environment}/digest/{}", end.strftime("%Y-%m-%d")),
        summary: format!(
            "Digest of {}: {told} told, {} tickets, {} held, {open} failing",
            end.strftime("%-d %B"),
            figures.tickets,
            figures.held
        ),
        description: text,
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        since: to,
        ended: None,
    }
}
