//! What an alerting rule asks of the alerter, checked when it is loaded.

use std::{sync::Arc, time::Duration};

use daemon::config::parse_duration;

use crate::demand::{Action, Numbers};

/// The annotations that are numbers.
const NUMBERS: [&str; 6] = ["settle", "retry_after", "retry_max", "escalate_after", "cooldown", "lifetime"];
/// More refreshes than this are no retry but a load; plan's own limit is lower.
const MOST_RETRIES: u32 = 100;
/// A number longer than a year is a slip.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The label `action` of a rule that asks for nothing on purpose: it is for those who read Prometheus.
pub const NOTHING: &str = "none";

/// The demand in each of a rule's alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The label `action`.
    pub action: Action,
    /// The annotation `template`.
    pub template: Option<Arc<str>>,
    /// The annotation `closing_template`.
    pub closing_template: Option<Arc<str>>,
    /// The annotations that are numbers.
    pub numbers: Arc<Numbers>,
}

impl Ask {
    /// Reads the demand from plain labels and annotations. `None` if there is no label `action`, or it is [`NOTHING`].
    ///
    /// # Errors
    /// The names of what cannot work, each with the reason.
    pub fn read<'a>(
        action: Option<&str>,
        annotation: impl Fn(&str) -> Option<&'a str>,
        templates: &[&str],
    ) -> Result<Option<Self>, Vec<(&'static str, String)>> {
        let Some(action) = action.filter(|action| *action != NOTHING) else { return Ok(None) };
        let mut errors = Vec::new();
        let action = Action::parse(action);
        if action.is_none() {
            let known = Action::ALL.map(Action::as_str).join(", ");
            errors.push(("action", format!("there is no such action; there are {known}, and {NOTHING}")));
        }
        let template = |key: &'static str, errors: &mut Vec<_>| {
            let name = annotation(key)?;
            if !templates.contains(&name) {
                errors.push((
                    key,
                    format!("there is no message template {name:?}; there are {}", templates.join(", ")),
                ));
            }
            Some(Arc::from(name))
        };
        let message = template("template", &mut errors);
        let closing_template = template("closing_template", &mut errors);
        if action == Some(Action::NotifyUser) && message.is_none() {
            errors.push((
                "template",
                "a rule with the action notify-user needs it: the message to send".to_owned(),
            ));
        }
        let duration = |key: &'static str, errors: &mut Vec<_>| {
            let parsed = parse_duration(annotation(key)?).map_err(|error| error.to_string());
            match parsed.and_then(|d| if d <= LONGEST { Ok(d) } else { Err("longer than a year".to_owned()) })
            {
                Ok(duration) => Some(duration),
                Err(error) => {
                    errors.push((key, error));
                    None
                }
            }
        };
        let numbers = Numbers {
            settle: duration("settle", &mut errors),
            retry_after: duration("retry_after", &mut errors),
            retry_max: annotation("retry_max").and_then(|text| match text.parse() {
                Ok(number) if number <= MOST_RETRIES => Some(number),
                _ => {
                    errors.push(("retry_max", format!("{text:?} is no number from 0 to {MOST_RETRIES}")));
                    None
                }
            }),
            escalate_after: duration("escalate_after", &mut errors),
            cooldown: duration("cooldown", &mut errors),
            lifetime: duration("lifetime", &mut errors),
        };
        match action {
            Some(action) if errors.is_empty() => {
                Ok(Some(Self { action, template: message, closing_template, numbers: Arc::new(numbers) }))
            }
            _ => Err(errors),
        }
    }

    /// Whether the annotation `name` steers the alerter, so that it cannot be a template.
    pub(super) fn steers(name: &str) -> bool {
        NUMBERS.contains(&name) || matches!(name, "template" | "closing_template")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        action: &str,
        annotations: &[(&'static str, &'static str)],
    ) -> Result<Option<Ask>, Vec<(&'static str, String)>> {
        let get = |key: &str| annotations.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        Ask::read(Some(action), get, &["locked", "ready"])
    }

    #[test]
    fn a_demand_with_its_numbers() {
        let ask = read("notify-user", &[("template", "locked"), ("settle", "15m"), ("lifetime", "7d")])
            .unwrap()
            .unwrap();
        assert_eq!(ask.action, Action::NotifyUser);
        assert_eq!(ask.template.as_deref(), Some("locked"));
        assert_eq!(ask.numbers.settle, Some(Duration::from_secs(900)));
        assert_eq!(ask.numbers.lifetime, Some(Duration::from_secs(604_800)));
        assert_eq!(ask.numbers.retry_max, None);
    }

    #[test]
    fn everything_that_cannot_work_is_named_at_once() {
        let errors = read("mail-user", &[("template", "lokced"), ("settle", "15 min"), ("retry_max", "-1")])
            .unwrap_err();
        let names: Vec<_> = errors.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["action", "template", "settle", "retry_max"]);
        assert_eq!(read("notify-user", &[]).unwrap_err()[0].0, "template");
        assert!(read("file-ticket", &[("lifetime", "400d")]).is_err());
    }
}
