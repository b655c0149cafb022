//! The rows of the battery: every plugin of the three folders, made against a double.

use std::{path::Path, sync::Arc, time::Duration};

use basiq_alerter::channels::{
    Channel, Desk, Operators, Plugin,
    desks::{self, DeskKind},
    operators::{self, OperatorChannelKind},
    smtp::{Deadlines, RelaySettings, TlsMode},
    users::{self, UserChannelKind},
};
use daemon::config;

use super::{Made, PASSWORD_USER, SIGNING, TOKEN};
use crate::{channels_files::parts, smtp as mail};

/// How a plugin reaches its other side.
pub(super) enum Way {
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
                new_tickets_a_day: Some(5),
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
                    close_as: None,
                    reopen_as: None,
                    priority: Some("50".to_owned()),
                    custom_fields: [("ConnectionId".to_owned(), "{{ connections[0] }}".into())].into(),
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
                    fields: [("customfield_1".to_owned(), "{{ scenario }}".into())].into(),
                    close_transition: None,
                    reopen_transition: None,
                    declined_resolutions: Vec::new(),
                    timeout: timeout(),
                };
                desk(settings.build(&parts(folder)).unwrap())
            },
            r#"{"key":"BANK-1","issues":[{"key":"BANK-1"}],"comments":[]}"#,
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
                    fields: [("customfield_2".to_owned(), "{{ environment }}".into())].into(),
                    internal_comments: true,
                    close_transition: None,
                    reopen_transition: None,
                    declined_statuses: Vec::new(),
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
                    fields: [("group_id".to_owned(), 7.into())].into(),
                    solve: false,
                    reopen: false,
                    declined_tag: None,
                    timeout: timeout(),
                };
                desk(settings.build(&parts(folder)).unwrap())
            },
            r#"{"ticket":{"id":42},"tickets":[{"id":42}],"comments":[]}"#,
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
        OperatorChannelKind::Heartbeat => Way::Http(
            |folder, url| {
                let settings = operators::heartbeat::Settings {
                    name: "heartbeat".to_owned(),
                    url_file: file(folder, "heartbeat", &format!("{url}/ping/{TOKEN}\n")),
                    // The alert of the usual notice, so that there is something to do.
                    alertname: Some("BasiqDown".to_owned()),
                    every: None,
                    timeout: timeout(),
                };
                operators(settings.build(&parts(folder)).unwrap())
            },
            "OK",
        ),
        OperatorChannelKind::Alertmanager => Way::Http(
            |folder, url| {
                let settings = operators::alertmanager::Settings {
                    name: "am".to_owned(),
                    url: url.to_owned(),
                    username: Some(PASSWORD_USER.to_owned()),
                    password_file: Some(file(folder, "password", TOKEN)),
                    repeat_every: None,
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
pub(super) fn rows() -> Vec<(String, Way)> {
    let users =
        UserChannelKind::ALL.iter().map(|kind| (format!("channels.{}", kind.as_str()), user_way(*kind)));
    let desks = DeskKind::ALL.iter().map(|kind| (format!("desks.{}", kind.as_str()), desk_way(*kind)));
    let operators = OperatorChannelKind::ALL
        .iter()
        .map(|kind| (format!("operators.{}", kind.as_str()), operators_way(*kind)));
    users.chain(desks).chain(operators).collect()
}
