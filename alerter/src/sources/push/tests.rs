//! Bodies are those that a real Prometheus 2.42 and Alertmanager 0.25 sent, with labels of ours.

use std::collections::BTreeMap;

use daemon::Timestamp;

use super::{
    alert::{Received, of_alertmanager, of_prometheus},
    book::{Pushed, SILENT},
};
use crate::{
    demand::{Action, Demand},
    sources::Row,
};

const FIRING: &str = r#"[{"annotations":{"summary":"s","template":"locked","settle":"15m"},"endsAt":"2026-11-22T11:33:59.591Z","startsAt":"2026-11-22T11:33:33.591Z","generatorURL":"http://127.0.0.1:19090/graph?g0.expr=vector%281%29\u0026g0.tab=1","labels":{"action":"notify-user","alertname":"Locked","cluster":"loop","connection_id":"c1","user_id":"u1"}}]"#;
const RESOLVED_AT: &str = "2026-11-22T11:33:49.591Z";

fn at(text: &str) -> Timestamp {
    format!("2026-11-22T{text}Z").parse().unwrap()
}

fn empty() -> Pushed {
    Pushed::restore("push".into(), ["locked".to_owned()].into(), &[], at("11:00:00")).0
}

fn firing() -> Vec<Result<Received, String>> {
    of_prometheus(FIRING.as_bytes()).unwrap()
}

fn resolved() -> Vec<Result<Received, String>> {
    of_prometheus(FIRING.replace("2026-11-22T11:33:59.591Z", RESOLVED_AT).as_bytes()).unwrap()
}

#[test]
fn an_alert_is_told_once_however_often_it_is_sent_and_ends_when_resolved() {
    let mut pushed = empty();
    let (changes, errors) = pushed.receive(firing(), at("11:33:34"));
    assert!(errors.is_empty());
    let [demand] = &*changes.firing else { panic!("{changes:?}") };
    assert_eq!(
        (demand.action, &*demand.rule, demand.template.as_deref()),
        (Action::NotifyUser, "Locked", Some("locked"))
    );
    assert_eq!(demand.numbers.settle, Some(std::time::Duration::from_secs(900)));
    assert_eq!(demand.starts_at, at("11:33:33.591"));
    let (changes, _) = pushed.receive(firing(), at("11:33:39"));
    assert!(changes.firing.is_empty() && changes.ended.is_empty());
    let (changes, _) = pushed.receive(resolved(), at("11:33:50"));
    assert_eq!((changes.firing.len(), changes.ended.len()), (0, 1));
    let (changes, _) = pushed.receive(resolved(), at("11:33:55"));
    assert!(changes.ended.is_empty(), "an end is sent again for 15 minutes");
    let (changes, _) = pushed.receive(firing(), at("11:33:56"));
    assert!(changes.firing.is_empty(), "a batch from before the end came late");
    let again = FIRING.replace("11:33:33", "11:35:00").replace("11:33:59", "11:36:00");
    let (changes, _) = pushed.receive(of_prometheus(again.as_bytes()).unwrap(), at("11:35:01"));
    assert_eq!(changes.firing.len(), 1);
}

#[test]
fn silence_ends_what_has_a_connection_and_nothing_else() {
    let other = FIRING.replace("connection_id", "connector_id");
    let mut pushed = empty();
    pushed.receive(firing(), at("11:33:34"));
    pushed.receive(of_prometheus(other.as_bytes()).unwrap(), at("11:33:34"));
    assert_eq!(pushed.next_due(), Some(at("11:33:59.591")));
    assert!(pushed.expire(at("11:33:59")).ended.is_empty());
    let changes = pushed.expire(at("11:34:00"));
    assert_eq!(changes.ended.len(), 1);
    assert_eq!(changes.ended[0].labels.get("connection_id"), Some("c1"));
    let lasts = |pushed: &Pushed, at| {
        let firing = pushed.firing(at);
        firing.iter().any(|demand| demand.labels.get("connector_id") == Some("c1"))
    };
    assert!(lasts(&pushed, at("11:34:00")));
    assert_eq!(pushed.next_due(), Some(at("12:34:00")));
    let changes = pushed.expire(at("12:34:01"));
    assert_eq!(changes.state.len(), 1, "an hour later the end is forgotten");
    assert!(lasts(&pushed, at("12:34:01")));
}

#[test]
fn operators_hear_of_alerts_that_nobody_sends_again() {
    let other = FIRING.replace("connection_id", "connector_id");
    let second = other.replace("\"c1\"", "\"c2\"");
    let send = |pushed: &mut Pushed, text: &str, now| {
        pushed.receive(of_prometheus(text.as_bytes()).unwrap(), at(now)).0
    };
    let rules = |demands: &[Demand]| demands.iter().map(|demand| demand.rule.to_string()).collect::<Vec<_>>();
    let mut pushed = empty();
    send(&mut pushed, &other, "11:33:34");
    send(&mut pushed, &second, "11:33:34");
    let changes = pushed.expire(at("11:34:00"));
    assert_eq!((rules(&changes.firing), changes.ended.len()), (vec![SILENT.to_owned()], 0));
    let said = changes.firing[0].annotations.rendered()["description"].clone();
    assert!(said.starts_with("Locked. "), "{said}");
    assert_eq!(pushed.next_due(), None);
    // It is told of once, over a restart too, and ends with the last that is unknown.
    let rows: Vec<Row> =
        changes.state.iter().map(|row| (row.key().into_owned(), row.body().unwrap().into_owned())).collect();
    let (mut pushed, _) = Pushed::restore("push".into(), ["locked".to_owned()].into(), &rows, at("11:40:00"));
    let fires = pushed.firing(at("11:40:00"));
    let again = fires.iter().find(|demand| *demand.rule == *SILENT).expect("still unknown");
    assert_eq!((again.fingerprint, again.starts_at), (changes.firing[0].fingerprint, at("11:34:00")));
    let later = |text: &str| text.replace("11:33:59.591Z", "11:50:00.000Z");
    let changes = send(&mut pushed, &later(&other), "11:41:00");
    assert!(changes.firing.is_empty() && changes.ended.is_empty(), "{changes:?}");
    let changes = send(&mut pushed, &second.replace("2026-11-22T11:33:59.591Z", RESOLVED_AT), "11:42:00");
    assert_eq!(rules(&changes.ended), ["Locked", SILENT]);
    assert_eq!(rules(&pushed.firing(at("11:42:00"))), ["Locked"]);
}

#[test]
fn what_was_sent_while_nobody_listened_does_not_count_as_silence() {
    let mut pushed = empty();
    let (changes, _) = pushed.receive(firing(), at("11:33:34"));
    let rows: Vec<Row> =
        changes.state.iter().map(|row| (row.key().into_owned(), row.body().unwrap().into_owned())).collect();
    let (mut pushed, _) = Pushed::restore("push".into(), ["locked".to_owned()].into(), &rows, at("12:00:00"));
    assert_eq!(pushed.next_due(), Some(at("12:05:00")));
    // It comes back an hour later: Prometheus still says that it began when it did.
    assert_eq!(pushed.expire(at("12:05:01")).ended.len(), 1);
    let again = FIRING.replace("11:33:59", "12:10:00");
    let (changes, _) = pushed.receive(of_prometheus(again.as_bytes()).unwrap(), at("12:06:00"));
    assert_eq!(changes.firing.len(), 1, "it fires, whenever it began");
}

#[test]
fn one_bad_alert_does_not_lose_the_others() {
    let bad = FIRING.trim_start_matches('[').trim_end_matches(']').replace("notify-user", "mail");
    let none = bad.replace(r#""action":"mail","#, "");
    let body = format!("[{bad},{none},{{}},{}", &FIRING[1..]);
    let (changes, errors) = empty().receive(of_prometheus(body.as_bytes()).unwrap(), at("11:33:34"));
    assert_eq!(changes.firing.len(), 1);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("alert 0: action: there is no such action"), "{errors:?}");
    assert!(errors[1].starts_with("alert 2: "), "{errors:?}");
    assert!(of_prometheus(b"{}").is_err());
}

#[test]
fn alertmanagers_webhook_says_itself_what_is_resolved() {
    let alert = FIRING
        .trim_start_matches('[')
        .trim_end_matches(']')
        .replace("2026-11-22T11:33:59.591Z", "0001-01-01T00:00:00Z");
    let body = |status: &str| {
        let alert = alert.replacen('{', &format!("{{\"status\":\"{status}\","), 1);
        format!(
            r#"{{"receiver":"both","status":"{status}","alerts":[{alert}],"version":"4","truncatedAlerts":0}}"#
        )
    };
    let mut pushed = empty();
    let (changes, _) = pushed.receive(of_alertmanager(body("firing").as_bytes()).unwrap(), at("11:33:34"));
    assert_eq!(changes.firing.len(), 1);
    assert_eq!(pushed.next_due(), None, "it will be said when it ends");
    let (changes, _) = pushed.receive(of_alertmanager(body("resolved").as_bytes()).unwrap(), at("12:00:00"));
    assert_eq!(changes.ended.len(), 1);
    assert!(
        of_alertmanager(body("firing").replace(r#""version":"4""#, r#""version":"3""#).as_bytes()).is_err()
    );
}

#[test]
fn state_rows_bring_it_back() {
    let mut pushed = empty();
    let (changes, _) = pushed.receive(firing(), at("11:33:34"));
    pushed.keep();
    let rows: Vec<Row> = changes
        .state
        .into_iter()
        .map(|row| (row.key().into_owned(), row.body().unwrap().into_owned()))
        .collect();
    let (back, changes) = Pushed::restore("push".into(), ["locked".to_owned()].into(), &rows, at("11:34:00"));
    assert!(changes.state.is_empty());
    assert_eq!(back.firing(at("11:34:00")), pushed.firing(at("11:34:00")));
    let (_, changes) =
        Pushed::restore("push".into(), [].into(), &[("zz".to_owned(), Vec::new())], at("11:34:00"));
    assert_eq!(changes.state.len(), 1);
}

#[test]
fn what_could_not_be_stored_is_news_when_it_is_sent_again() {
    let mut pushed = empty();
    assert_eq!(pushed.receive(firing(), at("11:33:34")).0.firing.len(), 1);
    pushed.take_back();
    assert_eq!((pushed.firing(at("11:34:00")).len(), pushed.next_due()), (0, None));
    assert_eq!(pushed.receive(firing(), at("11:33:39")).0.firing.len(), 1);
    pushed.keep();
    assert_eq!(pushed.receive(resolved(), at("11:33:50")).0.ended.len(), 1);
    pushed.take_back();
    assert_eq!((pushed.firing(at("11:34:00")).len(), pushed.next_due()), (1, Some(at("11:33:59.591"))));
}

#[test]
fn what_a_sender_leaves_out_is_said() {
    let body = |left_out: u64| {
        let alerts: serde_json::Value = serde_json::from_str(FIRING).unwrap();
        serde_json::json!({ "version": "4", "alerts": alerts, "truncatedAlerts": left_out }).to_string()
    };
    let read = of_alertmanager(body(0).as_bytes()).unwrap();
    assert!(read.len() == 1 && read.iter().all(Result::is_ok));
    let (changes, errors) = empty().receive(of_alertmanager(body(7).as_bytes()).unwrap(), at("11:33:34"));
    assert_eq!(changes.firing.len(), 1, "what is there is taken");
    assert!(errors.len() == 1 && errors[0].starts_with("7 alerts"), "{errors:?}");
}

#[test]
fn what_is_too_large_is_refused() {
    let many: BTreeMap<String, String> = (0..65).map(|n| (format!("l{n}"), "x".to_owned())).collect();
    let body = serde_json::json!([{ "labels": many }, { "labels": { "a": "x".repeat(3000) } }]);
    let read = of_prometheus(body.to_string().as_bytes()).unwrap();
    assert!(read.iter().all(Result::is_err), "{read:?}");
}
