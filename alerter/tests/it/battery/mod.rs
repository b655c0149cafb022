//! What every plugin that delivers must do: tell apart what can be tried again, what is the channel's
//! fault, what nobody knows and what is final; survive servers that hang, cut and lie; carry hostile text
//! as text; and say nothing of secrets and addresses.
//!
//! `plugins` names every plugin in a `match` without a wildcard: a new one does not compile until it has
//! its row.

mod http;
mod mail;
mod plugins;

use std::sync::Arc;

use basiq_alerter::channels::{
    Channel, Comment, Contact, DeliveryError, Desk, News, Notice, Operators, Receipt, Ticket, UserMessage,
    message::TEMPLATES,
};
use daemon::Secret;

use crate::{
    channels_files::{notice, ticket},
    messages::{contact, message},
};

const TOKEN: &str = "t0ken-5ecret";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PASSWORD_USER: &str = "robot@partner.example";

/// Something made from a plugin that can do its one or more kinds of work.
#[derive(Clone)]
enum Made {
    User(Arc<dyn Channel>),
    Desk(Arc<dyn Desk>),
    Operators(Arc<dyn Operators>),
}

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Message,
    Create,
    Comment,
    Find,
    FindComment,
    Notice,
    End,
}

impl Made {
    fn works(&self) -> Vec<Work> {
        match self {
            Self::User(_) => vec![Work::Message],
            Self::Desk(desk) if desk.searchable() => {
                vec![Work::Create, Work::Comment, Work::Find, Work::FindComment]
            }
            Self::Desk(_) => vec![Work::Create, Work::Comment],
            // A heartbeat's end is that nothing is said.
            Self::Operators(it) if it.repeat().is_some_and(|repeat| repeat.only_while_heard) => {
                vec![Work::Notice]
            }
            Self::Operators(_) => vec![Work::Notice, Work::End],
        }
    }

    async fn run(&self, work: Work, load: &Load) -> Result<Receipt, DeliveryError> {
        let found = |found: Option<Receipt>| {
            found.unwrap_or(Receipt { remote: String::new(), detail: "not found".to_owned() })
        };
        match (self, work) {
            (Self::User(channel), Work::Message) => channel.deliver(&load.message, &load.contact).await,
            (Self::Desk(desk), Work::Create) => desk.create(&load.ticket).await,
            (Self::Desk(desk), Work::Comment) => {
                let at = load.ticket.at;
                desk.comment(
                    "42",
                    &Comment { key: "comment-key", text: &load.ticket.body, at, news: News::Progress },
                )
                .await
            }
            (Self::Desk(desk), Work::Find) => desk.find(&load.ticket.key).await.map(found),
            (Self::Desk(desk), Work::FindComment) => desk.find_comment("42", "comment-key").await.map(found),
            (Self::Operators(operators), Work::Notice) => operators.notify(&load.notice).await,
            (Self::Operators(operators), Work::End) => {
                let ended = Some(load.notice.since + jiff::SignedDuration::from_secs(60));
                operators.notify(&Notice { ended, ..load.notice.clone() }).await
            }
            (_, work) => panic!("{work:?} is not of this plugin"),
        }
    }
}

/// What is delivered.
struct Load {
    message: UserMessage,
    contact: Contact,
    ticket: Ticket,
    notice: Notice,
}

fn usual() -> Load {
    Load { message: message("delayed"), contact: contact(), ticket: ticket(), notice: notice() }
}

fn hostile() -> Load {
    let text = "x\r\nX-Evil: 1\r\n\r\n.\r\nQUIT\r\n<b onclick=1>\"'\\{{ key }}\u{202e}\u{0}\u{7}é".to_owned();
    let long = format!("{text}{}", "long ".repeat(20_000));
    let mut message = message(TEMPLATES[0]);
    message.reference.clone_from(&long);
    message.user.clone_from(&text);
    message.connections[0].institution_name.clone_from(&long);
    message.connections[0].scenario.clone_from(&text);
    let contact =
        Contact { name: Some(Secret::new(long.clone())), external_id: Some(text.clone()), ..contact() };
    let ticket = Ticket {
        key: format!("test/{text}"),
        subject: text.clone(),
        body: long.clone(),
        connections: vec![text.clone()],
        institution: text.clone(),
        scenario: text.clone(),
        ..ticket()
    };
    let labels = [("alertname".to_owned(), text.clone()), (text.clone(), text.clone())].into();
    let notice = Notice { key: text.clone(), summary: text, description: long, labels, ..notice() };
    Load { message, contact, ticket, notice }
}

fn kind(outcome: &Result<Receipt, DeliveryError>) -> &'static str {
    match outcome {
        Ok(_) => "delivered",
        Err(DeliveryError::Retry { .. }) => "retry",
        Err(DeliveryError::Channel { .. }) => "channel",
        Err(DeliveryError::Recipient { .. }) => "recipient",
        Err(DeliveryError::Unreachable { .. }) => "unreachable",
        Err(DeliveryError::Unknown { .. }) => "unknown",
        Err(DeliveryError::Permanent { .. }) => "permanent",
    }
}

/// Nothing that a log, a metric or the page could show gives anything away.
fn discreet(who: &str, outcome: &Result<Receipt, DeliveryError>) {
    let said = match outcome {
        Ok(receipt) => format!("{receipt:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    for hidden in [TOKEN, SIGNING, "@", "hendricks", "Richard", "leak", "127.0.0.1"] {
        assert!(!said.contains(hidden), "{who} shows {hidden}: {said}");
    }
}

/// Whether asking again does no more than asking once.
fn repeatable(work: Work) -> bool {
    matches!(work, Work::Find | Work::FindComment | Work::Notice | Work::End)
}

/// Whether the request names one ticket, which a person may have deleted.
fn of_ticket(work: Work) -> bool {
    matches!(work, Work::Comment | Work::FindComment)
}
