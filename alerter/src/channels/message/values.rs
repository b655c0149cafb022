//! The variables of templates, cleaned: whatever came from outside is one line of bounded length
//! without control characters and without marks that reverse or hide text.

use daemon::{Secret, Timestamp};
use jiff::tz::{Offset, TimeZone};
use serde::Serialize;

use super::Sender;
use crate::channels::{Contact, MessageConnection, UserMessage};

/// What a template sees.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Values {
    /// `Hello Richard,` or `Hello,`.
    pub greeting: String,
    /// The name customers know.
    pub brand: String,
    /// What customers call the place where they link accounts.
    pub app: String,
    /// Its address, or nothing.
    pub app_url: String,
    /// The page of preferences, or nothing.
    pub preferences_url: String,
    /// The colour of the brand.
    pub color: String,
    /// Every connection of the message.
    pub connections: Vec<Connection>,
    /// The names of their institutions, each once: `A`, `A and B`, `A, B and C`.
    pub institutions: String,
    /// How many institutions that are.
    pub count: usize,
    /// The day since which the first of them fails, in words: `Sunday 22 November`.
    pub since: String,
    /// The incident's reference.
    pub reference: String,
    pub legal_name: String,
    pub contact: String,
}

/// One connection in a template.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Connection {
    pub institution: String,
    pub scenario: String,
    /// The partner's sentence about this institution, or nothing.
    pub help: String,
    /// The day since which it fails, in words.
    pub since: String,
}

impl Values {
    pub(super) fn new(message: &UserMessage, to: &Contact, sender: &Sender) -> Self {
        let connections: Vec<Connection> =
            message.connections.iter().map(|c| connection(c, sender)).collect();
        let mut names: Vec<&str> = Vec::new();
        for connection in &connections {
            if !names.contains(&connection.institution.as_str()) {
                names.push(&connection.institution);
            }
        }
        let since = message.connections.iter().map(|c| c.since).min().unwrap_or(message.at);
        Self {
            greeting: match to.name.as_ref().map(|name| clean(name.expose(), 60)) {
                Some(name) if !name.is_empty() => format!("Hello {name},"),
                _ => "Hello,".to_owned(),
            },
            brand: clean(sender.brand(), 80),
            app: clean(&sender.app, 80),
            app_url: sender.app_url.clone().unwrap_or_default(),
            preferences_url: sender.preferences_url.clone().unwrap_or_default(),
            color: sender.color.clone(),
            institutions: list(&names),
            count: names.len(),
            since: day(since, sender.utc_offset_hours),
            reference: clean(&message.reference, 80),
            legal_name: clean(sender.legal_name(), 160),
            contact: clean(sender.contact(), 160),
            connections,
        }
    }
}

fn connection(of: &MessageConnection, sender: &Sender) -> Connection {
    let name = clean(&of.institution_name, 80);
    Connection {
        institution: if name.is_empty() { "your bank".to_owned() } else { name },
        scenario: clean(&of.scenario, 64),
        help: sender.help.get(&of.institution).map(|help| clean(help, 400)).unwrap_or_default(),
        since: day(of.since, sender.utc_offset_hours),
    }
}

/// `A`, `A and B`, `A, B and C`.
fn list(names: &[&str]) -> String {
    match names {
        [] => "your bank".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn day(at: Timestamp, offset_hours: i8) -> String {
    at.to_zoned(TimeZone::fixed(Offset::constant(offset_hours))).strftime("%A %-d %B").to_string()
}

/// One line without control characters, without characters that change the direction of text or cannot
/// be seen, of at most `max` characters.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(4 * max));
    let mut count = 0;
    for c in text.chars() {
        let c = match c {
            c if c.is_whitespace() => ' ',
            c if c.is_control() => continue,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => continue,
            '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => {
                continue;
            }
            c => c,
        };
        if c == ' ' && (out.is_empty() || out.ends_with(' ')) {
            continue;
        }
        if count == max {
            out.push('…');
            break;
        }
        out.push(c);
        count += 1;
    }
    out.trim_end().to_owned()
}

/// A message with which templates are tried when they are loaded.
pub(super) fn sample(template: &str, connections: usize) -> (UserMessage, Contact) {
    let at = Timestamp::UNIX_EPOCH;
    let connections = (0..connections)
        .map(|n| MessageConnection {
            connection: format!("connection-{n}"),
            user: String::new(),
            institution: format!("AU{n:05}"),
            institution_name: format!("Bank {n}"),
            scenario: "service-unavailable".to_owned(),
            since: at,
        })
        .collect();
    let message = UserMessage {
        key: "sample".to_owned(),
        user: "user".to_owned(),
        template: template.to_owned(),
        connections,
        message_id: "<sample@localhost>".to_owned(),
        in_reply_to: None,
        reference: "sample".to_owned(),
        at,
    };
    let contact =
        Contact { address: None, name: Some(Secret::new("Sample")), language: None, external_id: None };
    (message, contact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_short_line() {
        assert_eq!(clean("a\r\nBcc: x@y\u{202e}\u{0}\tb\u{200b}", 80), "a Bcc: x@y b");
        assert_eq!(clean(&"é".repeat(100), 5), "ééééé…");
        assert_eq!(clean(" \u{85} ", 5), "");
    }

    #[test]
    fn names_are_listed_as_people_do() {
        assert_eq!(list(&["A"]), "A");
        assert_eq!(list(&["A", "B"]), "A and B");
        assert_eq!(list(&["A", "B", "C"]), "A, B and C");
        assert_eq!(list(&[]), "your bank");
    }

    #[test]
    fn days_are_the_customers() {
        let at: Timestamp = "2026-11-22T15:00:00Z".parse().unwrap();
        assert_eq!(day(at, 0), "Sunday 22 November");
        assert_eq!(day(at, 10), "Monday 23 November");
    }
}
