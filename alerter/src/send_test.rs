//! `basiq-alerter send-test`: one message, ticket or notice through a configured channel, so that a wrong
//! password or a missing field is found before a customer needs it.

use std::path::Path;

use daemon::{Clock, Fatal, Secret, Timestamp};

use crate::{
    app,
    channels::{Contact, DeliveryError, MessageConnection, Notice, Receipt, Ticket, UserMessage},
    config::Config,
};

/// What is to be tried.
#[derive(Clone, Debug, clap::Args)]
pub struct SendTest {
    /// The name of a channel, desk or operators' channel, as under `channels`, `desks` or `operators`; with its
    /// section where several have it: `desks/rt`.
    pub channel: String,
    /// The address that a message to a user goes to.
    #[arg(long)]
    pub to: Option<String>,
    /// The template of a message to a user.
    #[arg(long, default_value = "credentials")]
    pub template: String,
    /// The language of a message to a user, e.g. `fr`.
    #[arg(long)]
    pub language: Option<String>,
}

/// Delivers the test and says what the other side said.
///
/// # Errors
/// There is no such channel, an option is missing, or the other side did not take it: the reason is in the
/// error, exit code 2 for what a setting or option must change, 1 for what the other side said.
pub async fn run(
    ask: &SendTest,
    config: &Config,
    file: Option<&Path>,
    clock: &Clock,
) -> Result<String, Fatal> {
    let plugins = app::plugins(config, file, clock, app::data(config, file))?;
    let (section, name) = match ask.channel.split_once('/') {
        Some((section, name)) => (Some(section), name),
        None => (None, ask.channel.as_str()),
    };
    let wanted = |own: &str| section.is_none_or(|section| section == own);
    let user = plugins.channels.get(name).filter(|_| wanted("channels"));
    let desk = plugins.desks.get(name).filter(|_| wanted("desks"));
    let operators = plugins.operators.get(name).filter(|_| wanted("operators"));
    let now = clock.now();
    let (what, told) = match (user, desk, operators) {
        (Some(channel), None, None) => {
            if ask.to.is_none() && channel.needs_address() {
                return Err(Fatal::settings(format!(
                    "--to: {} writes to an address; say to which, --to you@example.com",
                    ask.channel
                )));
            }
            if !plugins.renderer.has(&ask.template) {
                let names: Vec<&str> = plugins.renderer.names().collect();
                return Err(Fatal::settings(format!(
                    "--template: there is no {:?}; there are {}",
                    ask.template,
                    names.join(", ")
                )));
            }
            let contact = Contact {
                address: ask.to.clone().map(Secret::new),
                name: None,
                language: ask.language.clone(),
                external_id: None,
            };
            ("message", channel.deliver(&message(&ask.template, now), &contact).await)
        }
        (None, Some(desk), None) => ("ticket", desk.create(&ticket(&config.environment, now)).await),
        (None, None, Some(operators)) => ("notice", operators.notify(&notice(now)).await),
        (None, None, None) => {
            let names = |section: &str, names: Vec<String>| -> Vec<String> {
                names.into_iter().map(|name| format!("{section}/{name}")).collect()
            };
            let all = [
                names("channels", plugins.channels.iter().map(|(name, _)| name.to_string()).collect()),
                names("desks", plugins.desks.iter().map(|(name, _)| name.to_string()).collect()),
                names("operators", plugins.operators.iter().map(|(name, _)| name.to_string()).collect()),
            ];
            return Err(Fatal::settings(format!(
                "there is no channel {:?}; there are {}",
                ask.channel,
                all.concat().join(", ")
            )));
        }
        _ => {
            return Err(Fatal::settings(format!(
                "{name:?} is the name of several; name its section too: channels/{name}, desks/{name} or operators/{name}"
            )));
        }
    };
    say(what, &ask.channel, told)
}

fn say(what: &str, channel: &str, told: Result<Receipt, DeliveryError>) -> Result<String, Fatal> {
    match told {
        Ok(receipt) => {
            let id = if receipt.remote.is_empty() { String::new() } else { format!(" [{}]", receipt.remote) };
            Ok(format!("the test {what} was delivered through {channel}: {}{id}\n", receipt.detail))
        }
        Err(error) => {
            let advice = match &error {
                DeliveryError::Retry { .. } => "a real one would be tried again",
                DeliveryError::Channel { .. } => {
                    "the channel is at fault: check its settings and credentials"
                }
                DeliveryError::Recipient { .. } => {
                    "the recipient does not exist there; a real one is suppressed"
                }
                DeliveryError::Unreachable { .. } => "a real one would end as unreachable",
                DeliveryError::Unknown { .. } => "look on the other side whether it was taken",
                DeliveryError::Permanent { .. } => "a real one would not be tried again",
            };
            Err(Fatal::running(format!(
                "the test {what} was not delivered through {channel}: {error}; {advice}"
            )))
        }
    }
}

/// Each test is another one: nobody takes it for a repetition.
fn key(now: Timestamp) -> String {
    format!("send-test/{}", now.as_millisecond())
}

fn message(template: &str, now: Timestamp) -> UserMessage {
    UserMessage {
        key: key(now),
        user: "send-test".to_owned(),
        template: template.to_owned(),
        connections: vec![MessageConnection {
            connection: "send-test".to_owned(),
            user: String::new(),
            institution: "AU00000".to_owned(),
            institution_name: "Example Bank".to_owned(),
            scenario: "service-unavailable".to_owned(),
            since: now,
        }],
        message_id: format!("<send-test.{}@basiq-alerter.invalid>", now.as_millisecond()),
        in_reply_to: None,
        reference: "TEST".to_owned(),
        at: now,
    }
}

fn ticket(environment: &str, now: Timestamp) -> Ticket {
    Ticket {
        key: key(now),
        subject: "[TEST] A test of basiq-alerter; close it".to_owned(),
        body: format!(
            "This ticket was filed by `basiq-alerter send-test` of the environment {environment}.\nNothing is wrong. Close it."
        ),
        connections: vec!["send-test".to_owned()],
        institution: "AU00000".to_owned(),
        scenario: "service-unavailable".to_owned(),
        severity: "info".to_owned(),
        at: now,
    }
}

fn notice(now: Timestamp) -> Notice {
    let labels = [("alertname", "BasiqAlerterTest"), ("severity", "info")];
    Notice {
        key: key(now),
        summary: "A test of basiq-alerter".to_owned(),
        description: "Sent by `basiq-alerter send-test`. Nothing is wrong.".to_owned(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        since: now,
        ended: None,
    }
}
