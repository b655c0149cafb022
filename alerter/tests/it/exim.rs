//! The `smtp` channel against a real MTA: STARTTLS, authentication, delivery into a Maildir, and the
//! ways in which an MTA says no.

use std::{fs, sync::Arc, time::Duration};

use basiq_alerter::channels::{
    Channel, Contact, DeliveryError, Plugin,
    smtp::{Deadlines, TlsMode},
    users::smtp::Settings,
};
use daemon::Secret;
use stories::real::{Exim, PASSWORD, USERNAME};

use crate::{
    channels_files::parts,
    messages::{contact, message},
    smtp::settings,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn channel(exim: &Exim, tls: TlsMode, password: &str) -> Arc<dyn Channel> {
    let file = exim.folder.path().join("password");
    fs::write(&file, password).unwrap();
    let settings = Settings {
        host: "localhost".to_owned(),
        port: Some(if tls == TlsMode::Implicit { exim.implicit } else { exim.starttls }),
        tls,
        username: Some(USERNAME.to_owned()),
        password_file: Some(file),
        ca_file: Some(exim.certificate()),
        deadlines: Deadlines::default(),
        ..settings(0)
    };
    settings.build(&parts(exim.folder.path())).unwrap()
}

fn to(address: &str) -> Contact {
    Contact { address: Some(Secret::new(address)), ..contact() }
}

#[tokio::test]
async fn mail_reaches_a_maildir_over_starttls_and_refusals_are_told_apart() {
    let Some(exim) = Exim::start().unwrap() else { return };
    let relay = channel(&exim, TlsMode::StartTls, PASSWORD);
    let receipt = relay.deliver(&message("ready"), &to("richard@example.test")).await.unwrap();
    assert!(receipt.remote.len() > 8, "exim's queue id: {receipt:?}");
    let mail = exim.mail(PATIENCE).await.unwrap();
    for line in [
        "Envelope-to: richard@example.test",
        "Message-ID: <ready.1@alerts.piper.example>",
        "In-Reply-To: <delayed.1@alerts.piper.example>",
        "Auto-Submitted: auto-generated",
        "esmtpsa",
        "multipart/alternative",
    ] {
        assert!(mail.contains(line), "{line} is not in\n{mail}");
    }

    for (template, address, expected) in [
        ("ready", "nobody@example.test", "recipient"),
        ("ready", "full@example.test", "permanent"),
        ("ready", "later@example.test", "retry"),
        ("ready", "hangup@example.test", "channel"),
        ("ready", "someone@elsewhere.test", "channel"),
        ("locked", "richard@example.test", "channel"),
    ] {
        let error = relay.deliver(&message(template), &to(address)).await.unwrap_err();
        let kind = match &error {
            DeliveryError::Recipient { code } if code == "5.1.1" => "recipient",
            DeliveryError::Permanent { .. } => "permanent",
            DeliveryError::Retry { .. } => "retry",
            DeliveryError::Channel { .. } => "channel",
            other => panic!("{address}: {other:?}"),
        };
        assert_eq!(kind, expected, "{address}: {error}");
        assert!(!format!("{error} {error:?}").contains("test"), "{error}");
    }
    relay.deliver(&message("delayed"), &to("richard@example.test")).await.unwrap();
}

#[tokio::test]
async fn mail_goes_over_implicit_tls_and_a_wrong_password_or_certificate_is_the_channels_fault() {
    let Some(exim) = Exim::start().unwrap() else { return };
    channel(&exim, TlsMode::Implicit, PASSWORD)
        .deliver(&message("ready"), &to("richard@example.test"))
        .await
        .unwrap();
    exim.mail(PATIENCE).await.unwrap();

    let wrong = channel(&exim, TlsMode::StartTls, "battery staple");
    let error = wrong.deliver(&message("ready"), &to("richard@example.test")).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Channel { .. }), "{error}");
    assert!(!error.to_string().contains("battery"));

    for tls in [TlsMode::StartTls, TlsMode::Implicit] {
        let port = if tls == TlsMode::Implicit { exim.implicit } else { exim.starttls };
        let untrusted = Settings { host: "localhost".to_owned(), tls, ..settings(port) };
        let untrusted = Settings { deadlines: Deadlines::default(), ..untrusted };
        let untrusted = untrusted.build(&parts(exim.folder.path())).unwrap();
        let error = untrusted.deliver(&message("ready"), &to("richard@example.test")).await.unwrap_err();
        assert!(error.to_string().contains("TLS"), "{error}");
    }
}

#[tokio::test]
async fn one_connection_carries_many_messages_each_with_one_recipient_and_its_thread() {
    let Some(exim) = Exim::start().unwrap() else { return };
    let relay = channel(&exim, TlsMode::StartTls, PASSWORD);
    for (template, address) in [
        ("delayed", "richard@example.test"),
        ("ready", "richard@example.test"),
        ("delayed", "nobody@example.test"),
        ("mfa", "jared@example.test"),
    ] {
        // A refused recipient ends neither the connection nor the messages of others.
        let _ = relay.deliver(&message(template), &to(address)).await;
    }
    let folder = exim.folder.path().join("mail/inbox/new");
    let mails = || -> Vec<String> {
        let files = fs::read_dir(&folder).into_iter().flatten();
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    };
    let begun = std::time::Instant::now();
    while mails().len() < 3 {
        assert!(begun.elapsed() < PATIENCE, "{} of 3 arrived", mails().len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mails = mails();
    for mail in &mails {
        assert_eq!(mail.matches("\nTo: ").count(), 1);
        assert_eq!(mail.lines().filter(|line| line.starts_with("Envelope-to: ")).count(), 1);
        assert!(!mail.contains("\nCc: ") && !mail.contains("\nBcc: "));
    }
    let ready = mails.iter().find(|mail| mail.contains("<ready.1@")).unwrap();
    assert!(ready.contains("References: <delayed.1@alerts.piper.example>"), "{ready}");

    let log = fs::read_to_string(exim.folder.path().join("log/mainlog")).unwrap();
    let from = |line: &str| {
        let place = line.split_once("[127.0.0.1]:")?.1;
        (line.contains(" <= ")).then(|| place.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let ports: Vec<String> = log.lines().filter_map(from).collect();
    assert_eq!(ports.len(), 3, "{log}");
    assert!(ports.iter().all(|port| *port == ports[0]), "each mail had a connection of its own: {log}");
}

#[tokio::test]
async fn a_relay_that_does_not_want_us_is_the_channels_fault() {
    let Some(exim) = Exim::start().unwrap() else { return };
    let settings = Settings {
        host: "localhost".to_owned(),
        tls: TlsMode::StartTls,
        ca_file: Some(exim.certificate()),
        deadlines: Deadlines::default(),
        ..settings(exim.starttls)
    };
    let stranger = settings.build(&parts(exim.folder.path())).unwrap();
    let error = stranger.deliver(&message("ready"), &to("richard@example.test")).await.unwrap_err();
    assert!(
        matches!(&error, DeliveryError::Channel { why } if why.contains("MAIL with 550 5.7.0")),
        "{error}"
    );
}
