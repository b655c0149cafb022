//! What every plugin that delivers must do: tell apart what can be tried again, what is the channel's
//! fault, what nobody knows and what is final; survive servers that hang, cut and lie; carry hostile text
//! as text; and say nothing of secrets and addresses.
//!
//! The tables below name every plugin in a `match` without a wildcard: a new one does not compile until
//! it has its row.

use std::{path::Path, sync::Arc, time::Duration};

use basiq_alerter::channels::{
    Channel, Contact, DeliveryError, Desk, Notice, Operators, Plugin, Receipt, Ticket, UserMessage,
    desks::{self, DeskKind},
    message::TEMPLATES,
    operators::{self, OperatorChannelKind},
    smtp::{Deadlines, RelaySettings, TlsMode},
    users::{self, UserChannelKind},
};
use daemon::{Secret, config};

use crate::{
    channels_files::{notice, parts, ticket},
    messages::{contact, message},
    smtp as mail,
    support::{
        relay::{Answer, At, Relay},
        web::{Reply, Web},
    },
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
    Notice,
    End,
}

impl Made {
    fn works(&self) -> Vec<Work> {
        match self {
            Self::User(_) => vec![Work::Message],
            Self::Desk(desk) if desk.searchable() => vec![Work::Create, Work::Comment, Work::Find],
            Self::Desk(_) => vec![Work::Create, Work::Comment],
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
            (Self::Desk(desk), Work::Comment) => desk.comment("42", "comment-key", &load.ticket.body).await,
            (Self::Desk(desk), Work::Find) => desk.find(&load.ticket.key).await.map(found),
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

/// How a plugin reaches its other side.
enum Way {
    /// This machine's files: tested in `channels_files`.
    Files,
    /// SMTP to this port.
    Mail(fn(&Path, u16) -> Made),
    /// HTTP to this address; what its answer to a success is.
    Http(fn(&Path, &str) -> Made, &'static str),
}

fn file(folder: &Path, name: &str, content: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn timeout() -> Option<config::Duration> {
    Some(config::Duration(Duration::from_millis(300)))
}

fn relay(port: u16) -> RelaySettings {
    RelaySettings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        tls: TlsMode::None,
        deadlines: Deadlines {
            connect: Duration::from_secs(5),
            command: Duration::from_millis(300),
            content: Duration::from_millis(300),
        },
        ..RelaySettings::default()
    }
}

fn hook(folder: &Path, url: &str) -> users::webhook::Settings {
    users::webhook::Settings {
        name: "hook".to_owned(),
        url: format!("{url}/in"),
        secret_file: file(folder, "secret", SIGNING),
        timeout: timeout(),
    }
}

fn user_way(kind: UserChannelKind) -> Way {
    match kind {
        UserChannelKind::Files => Way::Files,
        UserChannelKind::Smtp => {
            Way::Mail(|folder, port| Made::User(mail::settings(port).build(&parts(folder)).unwrap()))
        }
        UserChannelKind::Webhook => Way::Http(
            |folder, url| {
                Made::User(Plugin::<dyn Channel>::build(hook(folder, url), &parts(folder)).unwrap())
            },
            r#"{"id":"m-1"}"#,
        ),
    }
}

fn desk_way(kind: DeskKind) -> Way {
    fn desk(made: Arc<dyn Desk>) -> Made {
        Made::Desk(made)
    }
    match kind {
        DeskKind::Files => Way::Files,
        DeskKind::Mail => Way::Mail(|folder, port| {
            let settings = desks::mail::Settings {
                name: "support".to_owned(),
                from: "alerter@piper.example".to_owned(),
                to: "support@desk.example".to_owned(),
                relay: relay(port),
            };
            desk(settings.build(&parts(folder)).unwrap())
        }),
        DeskKind::Webhook => Way::Http(
            |folder, url| desk(Plugin::<dyn Desk>::build(hook(folder, url), &parts(folder)).unwrap()),
            r#"{"id":42}"#,
        ),
        DeskKind::Rt => Way::Http(
            |folder, url| {
                let settings = desks::rt::Settings {
                    name: "rt".to_owned(),
                    url: url.to_owned(),
                    token_file: file(folder, "token", TOKEN),
                    queue: "{% if institution == 'AU00000' %}Test{% else %}Basiq{% endif %}".to_owned(),
                    requestor: None,
                    priority: Some("50".to_owned()),
                    custom_fields: [("ConnectionId".to_owned(), "{{ connections[0] }}".to_owned())].into(),
                    timeout: timeout(),
                };
                // The template sees a ticket without connections when it is tried.
                desk(settings.build(&parts(folder)).unwrap())
            },
            r#"{"id":"42","items":[{"id":"42","type":"ticket"}]}"#,
        ),
        DeskKind::Jira => Way::Http(
            |folder, url| {
                let settings = desks::jira::Settings {
                    name: "jira".to_owned(),
                    url: url.to_owned(),
                    email: PASSWORD_USER.to_owned(),
                    token_file: file(folder, "token", TOKEN),
                    project: "BANK".to_owned(),
                    issue_type: "Task".to_owned(),
                    labels: vec!["bank".to_owned()],
                    fields: [("customfield_1".to_owned(), "{{ scenario }}".to_owned())].into(),
                    timeout: timeout(),
                };
                desk(settings.build(&parts(folder)).unwrap())
            },
            r#"{"key":"BANK-1","issues":[{"key":"BANK-1"}]}"#,
        ),
        DeskKind::Jsm => Way::Http(
            |folder, url| {
                let settings = desks::jsm::Settings {
                    name: "jsm".to_owned(),
                    url: url.to_owned(),
                    email: PASSWORD_USER.to_owned(),
                    token_file: file(folder, "token", TOKEN),
                    service_desk: "7".to_owned(),
                    request_type: "11".to_owned(),
                    fields: [("customfield_2".to_owned(), "{{ environment }}".to_owned())].into(),
                    internal_comments: true,
                    timeout: timeout(),
                };
                desk(settings.build(&parts(folder)).unwrap())
            },
            r#"{"issueKey":"HELP-1","values":[]}"#,
        ),
        DeskKind::Zendesk => Way::Http(
            |folder, url| {
                let settings = desks::zendesk::Settings {
                    name: "zendesk".to_owned(),
                    url: url.to_owned(),
                    email: PASSWORD_USER.to_owned(),
                    token_file: file(folder, "token", TOKEN),
                    priority: Some("high".to_owned()),
                    tags: vec!["{{ institution }}".to_owned()],
                    timeout: timeout(),
                };
                desk(settings.build(&parts(folder)).unwrap())
            },
            r#"{"ticket":{"id":42},"tickets":[{"id":42}]}"#,
        ),
    }
}

fn operators_way(kind: OperatorChannelKind) -> Way {
    fn operators(made: Arc<dyn Operators>) -> Made {
        Made::Operators(made)
    }
    match kind {
        OperatorChannelKind::Files => Way::Files,
        OperatorChannelKind::Mail => Way::Mail(|folder, port| {
            let settings = operators::mail::Settings {
                name: "oncall".to_owned(),
                from: "alerter@piper.example".to_owned(),
                to: "oncall@piper.example".to_owned(),
                relay: relay(port),
            };
            operators(settings.build(&parts(folder)).unwrap())
        }),
        OperatorChannelKind::Webhook => Way::Http(
            |folder, url| {
                operators(Plugin::<dyn Operators>::build(hook(folder, url), &parts(folder)).unwrap())
            },
            "{}",
        ),
        OperatorChannelKind::Alertmanager => Way::Http(
            |folder, url| {
                let settings = operators::alertmanager::Settings {
                    name: "am".to_owned(),
                    url: url.to_owned(),
                    username: Some(PASSWORD_USER.to_owned()),
                    password_file: Some(file(folder, "password", TOKEN)),
                    expires_after: None,
                    timeout: timeout(),
                };
                operators(settings.build(&parts(folder)).unwrap())
            },
            "",
        ),
    }
}

/// Every plugin of the three folders.
fn rows() -> Vec<(String, Way)> {
    let users =
        UserChannelKind::ALL.iter().map(|kind| (format!("channels.{}", kind.as_str()), user_way(*kind)));
    let desks = DeskKind::ALL.iter().map(|kind| (format!("desks.{}", kind.as_str()), desk_way(*kind)));
    let operators = OperatorChannelKind::ALL
        .iter()
        .map(|kind| (format!("operators.{}", kind.as_str()), operators_way(*kind)));
    users.chain(desks).chain(operators).collect()
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
    matches!(work, Work::Find | Work::Notice | Work::End)
}

#[tokio::test]
async fn answers_of_http_servers_mean_the_same_for_every_plugin() {
    // A status, and what it means for work that can and that cannot be repeated.
    let table = [
        (400, "permanent", "permanent"),
        (401, "channel", "channel"),
        (403, "channel", "channel"),
        (404, "channel", "channel"),
        (408, "retry", "retry"),
        (409, "permanent", "permanent"),
        (413, "permanent", "permanent"),
        (422, "permanent", "permanent"),
        (429, "retry", "retry"),
        (500, "retry", "unknown"),
        (502, "retry", "unknown"),
        (503, "retry", "retry"),
        (504, "retry", "unknown"),
        (302, "channel", "channel"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, success) = way else { continue };
        let web = Web::start(Reply::HangUp).await;
        let made = make(folder.path(), &web.url);
        let check = async |reply: Reply, again: &'static str, once: &'static str| {
            web.answer(reply.clone());
            for work in made.works() {
                let outcome = made.run(work, &usual()).await;
                let expected = if repeatable(work) { again } else { once };
                assert_eq!(kind(&outcome), expected, "{who} {work:?} {reply:?}: {outcome:?}");
                discreet(&who, &outcome);
                assert!(web.got().len() <= made.works().len(), "{who} asks more than once");
            }
        };
        check(Reply::Say(200, "", success.to_owned()), "delivered", "delivered").await;
        for (status, again, once) in table {
            let quoting = format!("richard@hendricks.example leak {TOKEN}");
            check(Reply::Say(status, "location: /elsewhere\r\n", quoting), again, once).await;
        }
        check(Reply::HangUp, "retry", "unknown").await;
        check(Reply::CutShort, "retry", "unknown").await;
        check(Reply::Hang, "retry", "unknown").await;
    }
}

#[tokio::test]
async fn what_never_left_is_tried_again_and_a_wait_that_was_asked_for_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, _) = way else { continue };
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let made = make(folder.path(), &format!("http://{nobody}"));
        for work in made.works() {
            let outcome = made.run(work, &usual()).await;
            assert_eq!(kind(&outcome), "retry", "{who} {work:?}: {outcome:?}");
            discreet(&who, &outcome);
        }
        let web = Web::start(Reply::HangUp).await;
        let made = make(folder.path(), &web.url);
        for status in [429, 503] {
            web.answer(Reply::Say(status, "retry-after: 7\r\n", String::new()));
            let outcome = made.run(made.works()[0], &usual()).await;
            let Err(DeliveryError::Retry { after: Some(after), .. }) = &outcome else {
                panic!("{who}: {outcome:?}")
            };
            assert_eq!(after.as_secs(), 7, "{who}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, _) = way else { continue };
        let web = Web::start(Reply::Say(200, "", "x".repeat(3 * 1024 * 1024))).await;
        let made = make(folder.path(), &web.url);
        for work in made.works() {
            let outcome = made.run(work, &usual()).await;
            assert_eq!(kind(&outcome), "unknown", "{who} {work:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn hostile_text_stays_text_in_every_request() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, success) = way else { continue };
        let web = Web::start(Reply::Say(200, "", success.to_owned())).await;
        let made = make(folder.path(), &web.url);
        for work in made.works() {
            let outcome = made.run(work, &hostile()).await;
            assert_eq!(kind(&outcome), "delivered", "{who} {work:?}: {outcome:?}");
        }
        for got in web.got() {
            assert!(got.header("x-evil").is_none() && !got.head.contains("QUIT"), "{who}: {}", got.head);
            if !got.body.is_empty() {
                assert!(got.json().is_object() || got.json().is_array(), "{who}");
            }
            let everything = format!("{}{}", got.head, got.body);
            assert!(!everything.contains("richard@hendricks.example"), "{who} gives the address away");
        }
    }
}

#[tokio::test]
async fn mail_to_desks_and_operators_is_judged_like_mail_to_users_but_never_suppressed() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Mail(make) = way else { continue };
        let unknown_user = if who.starts_with("channels.") { "recipient" } else { "channel" };
        for (at, answer, expected) in [
            (At::Content, Answer::Say("250 2.0.0 ok id=Q1"), "delivered"),
            (At::Rcpt, Answer::Say("550 5.1.1 <oncall@piper.example> unknown"), unknown_user),
            (At::Rcpt, Answer::Say("450 4.2.1 later"), "retry"),
            (At::Mail, Answer::Say("550 5.7.1 leak"), "channel"),
            (At::Data, Answer::HangUp, "retry"),
            (At::Content, Answer::HangUp, "unknown"),
            (At::Content, Answer::Hang, "unknown"),
        ] {
            let relay = Relay::start(vec![(at, answer)]).await;
            let made = make(folder.path(), relay.port);
            for work in made.works() {
                let outcome = made.run(work, &usual()).await;
                assert_eq!(kind(&outcome), expected, "{who} {work:?} {at:?} {answer:?}: {outcome:?}");
                discreet(&who, &outcome);
            }
        }
        let relay = Relay::start(vec![]).await;
        let made = make(folder.path(), relay.port);
        for work in made.works() {
            assert_eq!(kind(&made.run(work, &hostile()).await), "delivered", "{who} {work:?}");
        }
        assert_eq!(relay.messages().len(), made.works().len(), "{who}: text ended a message early");
        for text in relay.messages() {
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.is_ascii() && !head.to_ascii_lowercase().contains("\r\nx-evil"), "{who}: {head}");
            assert!(head.contains("Auto-Submitted: auto-generated"), "{who}");
        }
    }
}

#[tokio::test]
async fn a_repetition_is_recognisable_to_the_other_side() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, success) = way else { continue };
        let web = Web::start(Reply::Say(200, "", success.to_owned())).await;
        let made = make(folder.path(), &web.url);
        let work = made.works()[0];
        made.run(work, &usual()).await.unwrap();
        made.run(work, &usual()).await.unwrap();
        let got = web.got();
        let stable = |got: &crate::support::web::Got| {
            (got.header("webhook-id").map(str::to_owned), got.header("idempotency-key").map(str::to_owned))
        };
        assert_eq!(stable(&got[0]), stable(&got[1]), "{who}");
        assert_eq!(got[0].json(), got[1].json(), "{who}");
    }
}
