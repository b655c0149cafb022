//! The `smtp` channel against a relay that answers as it is told.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use basiq_alerter::channels::{
    Channel, DeliveryError, Plugin,
    smtp::{Deadlines, TlsMode},
    users::smtp::Settings,
};

use crate::{
    channels_files::parts,
    messages::{contact, message},
    support::relay::{
        Answer::{Hang, HangUp, Say},
        At, Relay,
    },
};

pub(crate) fn settings(port: u16) -> Settings {
    Settings {
        name: "relay".to_owned(),
        from: "no-reply@piper.example".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        tls: TlsMode::None,
        username: None,
        password_file: None,
        ca_file: None,
        hello: None,
        rate: Some(1000.0),
        burst: Some(1000.0),
        connections: None,
        deadlines: Deadlines {
            connect: Duration::from_secs(5),
            command: Duration::from_millis(300),
            content: Duration::from_millis(300),
        },
    }
}

fn channel(settings: Settings) -> Arc<dyn Channel> {
    let folder = tempfile::tempdir().unwrap();
    settings.build(&parts(folder.path())).unwrap()
}

fn kind(outcome: &Result<impl Sized, DeliveryError>) -> &'static str {
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

/// Behaviour, section 5: "only a reply to RCPT with 5.1.1, 5.1.2, 5.1.3, 5.1.6, 5.1.10 or 5.2.1 suppresses,
/// only a user's address. 5xx at connect, EHLO, AUTH, MAIL or DATA, any 5.7.x and any 5xx without enhanced
/// code are failures of the channel". All six codes: the tests of `channels::smtp::reply`; "Operators and
/// desks are never suppressed": `battery::mail`.
#[tokio::test]
async fn replies_mean_what_behaviour_says_at_every_step() {
    let quoting = "550 5.1.1 <richard@hendricks.example> s3cret does not exist";
    let table = [
        (At::Greeting, Say("554 5.7.1 richard@hendricks.example is blocked"), "channel"),
        (At::Greeting, Say("421 4.3.2 busy"), "retry"),
        (At::Greeting, HangUp, "retry"),
        (At::Greeting, Hang, "retry"),
        (At::Ehlo, Say("550 no"), "channel"),
        (At::Ehlo, HangUp, "retry"),
        (At::Mail, Say("550 5.1.1 sender"), "channel"),
        (At::Mail, Say("550 5.7.1 sender refused"), "channel"),
        (At::Mail, Say("452 4.3.1 full"), "retry"),
        (At::Mail, HangUp, "retry"),
        (At::Rcpt, Say(quoting), "recipient"),
        (At::Rcpt, Say("550 5.1.10 null MX"), "recipient"),
        (At::Rcpt, Say("550 5.2.1 disabled"), "recipient"),
        (At::Rcpt, Say("552 5.2.2 full"), "permanent"),
        (At::Rcpt, Say("550 5.7.1 relaying denied"), "channel"),
        (At::Rcpt, Say("550 no such user"), "channel"),
        (At::Rcpt, Say("451 4.2.0 richard@hendricks.example: greylisted"), "retry"),
        (At::Rcpt, Hang, "retry"),
        (At::Data, Say("554 5.5.1 no valid recipients"), "channel"),
        (At::Data, HangUp, "retry"),
        (At::Content, Say("550 5.6.0 content refused"), "channel"),
        (At::Content, Say("550 5.1.1 too late"), "channel"),
        (At::Content, Say("451 4.6.0 not now"), "retry"),
        (At::Content, HangUp, "unknown"),
        (At::Content, Hang, "unknown"),
        (At::Content, Say("250 2.0.0 ok"), "delivered"),
    ];
    // To a relay that takes commands at once, and to one that does not.
    let each = [vec![], vec![(At::Ehlo, Say("250 double"))]];
    for ((at, answer, expected), offers) in
        table.into_iter().flat_map(|row| each.iter().map(move |it| (row, it)))
    {
        let relay = Relay::start([vec![(at, answer)], offers.clone()].concat()).await;
        let outcome = channel(settings(relay.port)).deliver(&message("delayed"), &contact()).await;
        assert_eq!(kind(&outcome), expected, "{at:?} {answer:?}: {outcome:?}");
        let taken = matches!(expected, "delivered" | "unknown");
        assert_eq!(relay.messages().len(), usize::from(taken), "{at:?} {answer:?}");
        let said = match &outcome {
            Ok(receipt) => format!("{receipt:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!said.contains('@') && !said.contains("s3cret") && !said.contains("hendricks"), "{said}");
    }
}

#[tokio::test]
async fn nobody_listening_is_tried_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let outcome = channel(settings(port)).deliver(&message("delayed"), &contact()).await;
    assert_eq!(kind(&outcome), "retry");
}

/// Behaviour, section 5: "One bad mailbox, domain or relay holds up nobody else."
#[tokio::test]
async fn a_connection_carries_many_messages_and_a_refused_recipient_does_not_end_it() {
    for offers in [vec![], vec![(At::Ehlo, Say("250 double"))]] {
        carries_many_messages(Relay::start(offers).await).await;
    }
}

async fn carries_many_messages(relay: Relay) {
    let channel = channel(settings(relay.port));
    let receipt = channel.deliver(&message("delayed"), &contact()).await.unwrap();
    assert_eq!(receipt.remote, "1abc-Q");
    relay.script(vec![(At::Rcpt, Say("550 5.1.1 unknown"))]);
    assert_eq!(kind(&channel.deliver(&message("delayed"), &contact()).await), "recipient");
    relay.script(vec![]);
    channel.deliver(&message("ready"), &contact()).await.unwrap();
    assert_eq!(relay.seen.connections.load(Ordering::SeqCst), 1);
    let messages = relay.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages[1].contains("In-Reply-To: <delayed.1@alerts.piper.example>"));
}

#[tokio::test]
async fn an_idle_connection_that_the_relay_closed_costs_no_attempt() {
    let relay = Relay::start(vec![]).await;
    let channel = channel(settings(relay.port));
    channel.deliver(&message("delayed"), &contact()).await.unwrap();
    for answer in [HangUp, Say("421 4.4.2 idle too long")] {
        relay.once(At::Mail, answer);
        channel.deliver(&message("locked"), &contact()).await.unwrap();
    }
    assert_eq!(relay.seen.connections.load(Ordering::SeqCst), 3);
    assert_eq!(relay.messages().len(), 3);
    // What broke after the content is never repeated on another connection.
    relay.once(At::Content, HangUp);
    assert_eq!(kind(&channel.deliver(&message("locked"), &contact()).await), "unknown");
    assert_eq!(relay.messages().len(), 4);
}

#[tokio::test]
async fn starttls_and_authentication_are_never_given_up_quietly() {
    let relay = Relay::start(vec![]).await;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret\n").unwrap();
    let plain_auth = Settings {
        username: Some("alice".to_owned()),
        password_file: Some(password),
        ..settings(relay.port)
    };
    for settings in [Settings { tls: TlsMode::StartTls, ..settings(relay.port) }, plain_auth] {
        let outcome = channel(settings).deliver(&message("delayed"), &contact()).await;
        assert_eq!(kind(&outcome), "channel", "{outcome:?}");
    }
    let implicit = Settings { tls: TlsMode::Implicit, ..settings(relay.port) };
    let outcome = channel(implicit).deliver(&message("delayed"), &contact()).await;
    assert_eq!(kind(&outcome), "retry", "{outcome:?}");
    assert!(relay.messages().is_empty());
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, expected) in [
        (Settings { host: "mail.example.test".to_owned(), ..settings(25) }, "tls: none"),
        (Settings { host: String::new(), ..settings(25) }, "host"),
        (Settings { username: Some("alice".to_owned()), ..settings(25) }, "password_file"),
        (Settings { rate: Some(0.0), ..settings(25) }, "rate"),
        (Settings { from: "nobody".to_owned(), ..settings(25) }, "from"),
        (Settings { ca_file: Some(folder.path().join("none.pem")), ..settings(25) }, "ca_file"),
    ] {
        let error = settings.build(&parts(folder.path())).err().unwrap();
        assert!(error.why.contains(expected), "{error}");
    }
}
