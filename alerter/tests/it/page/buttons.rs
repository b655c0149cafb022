//! The buttons of the page, and who may press them.

use std::sync::Arc;

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use basiq_alerter::{
    demand::Action,
    plan::{Command, Pause},
};
use tower::ServiceExt;

use super::stage::{Desk, guarded};

/// Presses a button of the page with these settings, as this login, from this site; gives the status, where it
/// leads, and what was taken down.
async fn press(
    section: &str,
    login: Option<&str>,
    site: &str,
    path: &str,
    form: &str,
) -> (u16, String, Vec<Command>) {
    let desk = Arc::new(Desk::default());
    let mut request = http::Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", site);
    if let Some(login) = login {
        request = request.header("authorization", format!("Basic {}", STANDARD.encode(login)));
    }
    let request = request.body(Body::from(form.to_owned())).unwrap();
    let response = guarded(desk.clone(), section).oneshot(request).await.unwrap();
    let leads = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
    let taken = desk.0.lock().unwrap().clone();
    (response.status().as_u16(), leads.unwrap_or_default(), taken)
}

#[tokio::test]
async fn every_button_is_taken_down_and_leads_back() {
    let pause = Pause { action: Some(Action::NotifyUser), user: Some("u-1".to_owned()), ..Pause::default() };
    for (form, command) in [
        ("what=done&connection=c-1", Command::Done { connection: "c-1".to_owned() }),
        ("what=release&hold=7", Command::Release { hold: 7 }),
        ("what=discard&hold=8", Command::Discard { hold: 8 }),
        ("what=retry&effect=e%2Fmessage%201", Command::Retry { effect: "e/message 1".to_owned() }),
        ("what=cancel&effect=e%2Frefresh", Command::Cancel { effect: "e/refresh".to_owned() }),
        (
            "what=release-baseline&institution=AU00000&scenario=&number=5",
            Command::ReleaseBaseline {
                institution: Some("AU00000".to_owned()),
                scenario: None,
                number: Some(5),
            },
        ),
        (
            "what=release-baseline",
            Command::ReleaseBaseline { institution: None, scenario: None, number: Some(1) },
        ),
        ("what=pause&action=notify-user&user=u-1&rule=&institution=", Command::Pause(pause.clone())),
        ("what=resume&action=notify-user&user=u-1", Command::Resume(pause)),
        (
            "what=ticket-closed&incident=INC-1",
            Command::TicketClosed { incident: "INC-1".to_owned(), wont_fix: false },
        ),
        (
            "what=wont-fix&incident=INC-1",
            Command::TicketClosed { incident: "INC-1".to_owned(), wont_fix: true },
        ),
    ] {
        let what = form.split(['=', '&']).nth(1).unwrap();
        let form = format!("{form}&back=/incidents/INC-1");
        let (status, leads, taken) = press("{}", None, "same-origin", "/actions", &form).await;
        assert_eq!((status, leads), (303, format!("/incidents/INC-1?did={what}")), "{form}");
        assert_eq!(taken, [command], "{form}");
    }
    for form in [
        "what=nothing",
        "what=done",
        "what=release",
        "what=release&hold=x",
        "what=wont-fix",
        "what=retry",
        "what=pause&action=everything",
        "what=release-baseline&number=100000",
    ] {
        let (status, _, taken) = press("{}", None, "same-origin", "/actions", form).await;
        assert_eq!((status, taken), (400, Vec::new()), "{form}");
    }
}

#[tokio::test]
async fn other_sites_viewers_and_applications_press_no_button() {
    let roles = "operators: [ann]\napplications: [app]\n";
    let done = Command::Done { connection: "c-1".to_owned() };
    let (form, api) = ("what=done&connection=c-1", "/api/v1/connections/c-1/done");
    for (section, login, site, path, expected) in [
        ("{}", None, "cross-site", "/actions", 403),
        ("{}", None, "same-site", "/actions", 403),
        ("{}", None, "cross-site", api, 403),
        (roles, None, "same-origin", "/actions", 403),
        (roles, Some("bob:x"), "same-origin", "/actions", 403),
        (roles, Some("bob:x"), "same-origin", api, 403),
        (roles, Some("app:x"), "same-origin", "/actions", 403),
        (roles, Some("app:x"), "same-origin", api, 202),
        (roles, Some("ann:x"), "same-origin", "/actions", 303),
        ("{}", None, "same-origin", api, 202),
        ("{}", None, "same-origin", "/api/v1/connections/c%202/done", 400),
    ] {
        let (status, _, taken) = press(section, login, site, path, form).await;
        assert_eq!(status, expected, "{section} {login:?} {site} {path}");
        assert_eq!(taken, if expected < 400 { vec![done.clone()] } else { Vec::new() }, "{path}");
    }
}

#[tokio::test]
async fn a_viewer_looks_and_an_application_sees_only_its_interface() {
    let roles = "operators: [ann]\napplications: [app]\n";
    for (login, path, expected) in [
        ("bob:x", "/incidents", 200),
        ("bob:x", "/steering", 200),
        ("app:x", "/incidents", 403),
        ("app:x", "/message?key=e%2Fmessage%201", 403),
        ("app:x", "/api/v1/users/u-1/status", 200),
    ] {
        let request =
            http::Request::get(path).header("authorization", format!("Basic {}", STANDARD.encode(login)));
        let app = guarded(Arc::new(Desk::default()), roles);
        let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{login} {path}");
    }
}
