//! Settings of desks that depend on the ticket: routing, priority, required fields.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::channels::{DeliveryError, SettingsError, Ticket};

/// Text settings of desks are templates over the ticket, so that queue, priority and required fields may
/// depend on institution, scenario or number of connections.
pub(super) struct Field(minijinja::Environment<'static>);

#[derive(Serialize)]
struct Seen<'a> {
    key: &'a str,
    subject: &'a str,
    institution: &'a str,
    scenario: &'a str,
    severity: &'a str,
    connections: &'a [String],
    environment: &'a str,
}

impl Field {
    pub(super) fn new(setting: &str, source: &str) -> Result<Self, SettingsError> {
        let mut environment = minijinja::Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .add_template_owned("field", source.to_owned())
            .map_err(|error| SettingsError::new(format!("`{setting}` is not a template: {error}")))?;
        let field = Self(environment);
        // Tried once, so that a wrong variable is found at the start and not with the first ticket.
        let connections = ["connection".to_owned()];
        let seen = Seen {
            key: "",
            subject: "",
            institution: "",
            scenario: "",
            severity: "",
            connections: &connections,
            environment: "",
        };
        field
            .render(&seen)
            .map_err(|kind| SettingsError::new(format!("`{setting}` cannot be rendered: {kind}")))?;
        Ok(field)
    }

    fn render(&self, seen: &Seen<'_>) -> Result<String, String> {
        let template = self.0.get_template("field").map_err(|error| error.kind().to_string())?;
        template.render(seen).map_err(|error| error.kind().to_string())
    }

    pub(super) fn of(&self, ticket: &Ticket, environment: &str) -> Result<String, DeliveryError> {
        let seen = Seen {
            key: &ticket.key,
            subject: &ticket.subject,
            institution: &ticket.institution,
            scenario: &ticket.scenario,
            severity: &ticket.severity,
            connections: &ticket.connections,
            environment,
        };
        let rendered = self.render(&seen);
        rendered.map_err(|why| DeliveryError::Permanent {
            why: format!("a field of the desk cannot be rendered: {why}"),
        })
    }
}

/// Further fields of a ticket: numbers, words, lists and objects as the desk's API takes them, in which
/// every text is a template over the ticket.
pub(super) struct Fields(Vec<(String, Shape)>);

enum Shape {
    Text(Field),
    Fixed(Value),
    List(Vec<Shape>),
    Object(Vec<(String, Shape)>),
}

impl Fields {
    pub(super) fn new(fields: BTreeMap<String, Value>) -> Result<Self, SettingsError> {
        let shape = |(name, value): (String, Value)| Ok((name.clone(), Shape::new(&name, value)?));
        Ok(Self(fields.into_iter().map(shape).collect::<Result<_, SettingsError>>()?))
    }

    /// Adds them to `object`.
    pub(super) fn fill(
        &self,
        object: &mut Value,
        ticket: &Ticket,
        environment: &str,
    ) -> Result<(), DeliveryError> {
        for (name, shape) in &self.0 {
            object[name] = shape.of(ticket, environment)?;
        }
        Ok(())
    }
}

impl Shape {
    fn new(setting: &str, value: Value) -> Result<Self, SettingsError> {
        Ok(match value {
            Value::String(source) => Self::Text(Field::new(setting, &source)?),
            Value::Array(items) => {
                Self::List(items.into_iter().map(|item| Self::new(setting, item)).collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let entry = |(name, value): (String, Value)| {
                    let shape = Self::new(&format!("{setting}.{name}"), value)?;
                    Ok((name, shape))
                };
                Self::Object(entries.into_iter().map(entry).collect::<Result<_, SettingsError>>()?)
            }
            fixed => Self::Fixed(fixed),
        })
    }

    fn of(&self, ticket: &Ticket, environment: &str) -> Result<Value, DeliveryError> {
        Ok(match self {
            Self::Text(field) => Value::String(field.of(ticket, environment)?),
            Self::Fixed(value) => value.clone(),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.of(ticket, environment)).collect::<Result<_, _>>()?)
            }
            Self::Object(entries) => {
                let entry =
                    |(name, shape): &(String, Shape)| Ok((name.clone(), shape.of(ticket, environment)?));
                Value::Object(entries.iter().map(entry).collect::<Result<_, DeliveryError>>()?)
            }
        })
    }
}
