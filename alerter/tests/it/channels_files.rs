//! The default plugins: messages, tickets and notices as files.

use std::{fs, path::Path, sync::Arc};

use basiq_alerter::channels::{
    Comment, DeliveryError, News, Notice, Parts, Ticket, desks::Desks, message::Renderer,
    operators::OperatorChannels, users::UserChannels,
};
use daemon::Clock;

use crate::messages::{contact, message, sender, time};

pub(crate) fn parts(data: &Path) -> Parts {
    Parts {
        file: None,
        data: data.to_owned(),
        clock: Clock::manual(time("2026-11-22T03:00:00Z")).0,
        renderer: Arc::new(Renderer::new(sender(), None).unwrap()),
        environment: "test".into(),
    }
}

pub(crate) fn ticket() -> Ticket {
    Ticket {
        key: "test/incident-1".to_owned(),
        subject: "Connection c-1 fails since 2026-11-22".to_owned(),
        body: "connection c-1\nuser u-1\njob j-1".to_owned(),
        connections: vec!["c-1".to_owned()],
        institution: "AU00000".to_owned(),
        scenario: "service-unavailable".to_owned(),
        severity: "warning".to_owned(),
        at: time("2026-11-22T02:00:00Z"),
    }
}

pub(crate) fn comment<'a>(key: &'a str, text: &'a str) -> Comment<'a> {
    Comment { key, text, at: time("2026-11-22T04:00:00Z"), news: News::Progress }
}

pub(crate) fn notice() -> Notice {
    Notice {
        key: "BasiqDown/1".to_owned(),
        summary: "Basiq cannot be reached".to_owned(),
        description: "Look at its status page.".to_owned(),
        labels: [
            ("alertname".to_owned(), "BasiqDown".to_owned()),
            ("severity".to_owned(), "critical".to_owned()),
        ]
        .into(),
        since: time("2026-11-22T02:00:00Z"),
        ended: None,
    }
}

fn only_file(folder: &Path) -> String {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read_to_string(&files[0]).unwrap()
}

#[tokio::test]
async fn a_message_is_one_file_however_often_it_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let channels = UserChannels::default().build(&parts(folder.path())).unwrap();
    let files = channels.get("files").unwrap();
    let first = files.deliver(&message("locked"), &contact()).await.unwrap();
    assert_eq!(files.deliver(&message("locked"), &contact()).await.unwrap(), first);
    let text = only_file(&folder.path().join("messages"));
    assert!(text.contains("To: richard@hendricks.example\r\n"));
    assert!(!first.remote.contains('@') && Path::new(&first.remote).exists());
}

#[tokio::test]
async fn a_ticket_is_filed_once_found_by_key_and_commented_once() {
    let folder = tempfile::tempdir().unwrap();
    let desks = Desks::default().build(&parts(folder.path())).unwrap();
    let desk = desks.get("files").unwrap();
    assert!(desk.searchable());
    assert_eq!(desk.find(&ticket().key).await.unwrap(), None);
    let filed = desk.create(&ticket()).await.unwrap();
    assert_eq!(desk.create(&ticket()).await.unwrap(), filed);
    assert_eq!(desk.find(&ticket().key).await.unwrap().unwrap().remote, filed.remote);
    for _ in 0..2 {
        desk.comment(&filed.remote, &comment("test/incident-1/recovered", "It works again.")).await.unwrap();
    }
    let text = only_file(&folder.path().join("tickets"));
    for owed in ["connection c-1", "user u-1", "job j-1", "test/incident-1"] {
        assert!(text.contains(owed), "{owed} is not in\n{text}");
    }
    assert_eq!(text.matches("It works again.").count(), 1);

    let elsewhere = desk.comment("/etc/passwd", &comment("k", "text")).await.unwrap_err();
    assert!(matches!(elsewhere, DeliveryError::Permanent { .. }));
    fs::remove_file(&filed.remote).unwrap();
    let gone = desk.comment(&filed.remote, &comment("k", "text")).await.unwrap_err();
    assert!(matches!(gone, DeliveryError::Permanent { .. }));
}

#[tokio::test]
async fn a_notice_is_one_file_that_shows_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let operators = OperatorChannels::default().build(&parts(folder.path())).unwrap();
    let files = operators.get("files").unwrap();
    files.notify(&notice()).await.unwrap();
    files.notify(&notice()).await.unwrap();
    assert!(!only_file(&folder.path().join("notices")).contains("Ended"));
    files.notify(&Notice { ended: Some(time("2026-11-22T02:30:00Z")), ..notice() }).await.unwrap();
    let text = only_file(&folder.path().join("notices"));
    assert!(text.contains("Ended: 2026-11-22T02:30:00Z") && text.contains("severity: critical"));
}

#[test]
fn sections_refuse_what_cannot_work_and_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let build = |yaml: &str| -> Result<_, String> {
        let section: UserChannels = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        section.build(&parts(folder.path())).map_err(|error| error.to_string())
    };
    let two = build("files: [{name: a}, {name: b, directory: /tmp/b}]").unwrap();
    assert_eq!(two.iter().count(), 2);
    let error = two.require("routes.user", "c").err().unwrap().to_string();
    assert!(error.contains("routes.user") && error.contains("a, b"), "{error}");
    for (yaml, expected) in [
        ("files: [{name: a}, {name: a}]", "channels.files \"a\""),
        ("files: [{name: 'a b'}]", "channels.files \"a b\""),
        ("files: [{name: a, from: nobody}]", "channels.files \"a\""),
        ("files: [{name: a, directry: /tmp}]", "directry"),
        ("fils: []", "fils"),
    ] {
        let error = build(yaml).err().unwrap();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}
