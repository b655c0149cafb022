//! Request Tracker 5, the real one: a private instance with its own SQLite database, behind a proxy that
//! loses answers and lets the search lag. Skipped loudly where RT is not installed.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use basiq_alerter::channels::{DeliveryError, Desk, News, Plugin, Standing, desks};
use daemon::{Clock, Timestamp};
use serde_json::json;
use stories::real::RequestTracker;

use super::{Seen, Stage, whole};
use crate::{
    channels_files::{parts, ticket},
    support::{
        http::{AsyncHandler, Faults, Said, serve},
        web::Got,
    },
};

/// Hands everything on to RT but searches, which find nothing for a while after a ticket was filed.
struct Proxy {
    rt: RequestTracker,
    clock: Clock,
    filed: Mutex<Option<Timestamp>>,
}

impl AsyncHandler for Arc<Proxy> {
    async fn answer(&self, got: Got) -> Said {
        let (method, target) = got.target();
        let path = target.strip_prefix("/REST/2.0/").unwrap();
        if path.starts_with("tickets?") {
            let fresh =
                self.filed.lock().unwrap().is_some_and(|at| {
                    self.clock.now().duration_since(at) < jiff::SignedDuration::from_mins(4)
                });
            if fresh {
                return Said::json(200, &json!({ "items": [], "count": 0, "total": 0 }));
            }
        }
        if method == "POST" && path == "ticket" {
            *self.filed.lock().unwrap() = Some(self.clock.now());
        }
        let mut request = self.rt.request(method.parse().unwrap(), path);
        if !got.body.is_empty() {
            request = request.header("content-type", "application/json").body(got.body.clone());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        Said { status, headers: Vec::new(), body: answer.text().await.unwrap() }
    }
}

struct Tracker {
    proxy: Arc<Proxy>,
    faults: Faults,
    desk: Arc<dyn Desk>,
}

fn desk(folder: &Path, url: &str, more: &str) -> Arc<dyn Desk> {
    let settings = format!(
        "name: rt\nurl: {url}\ntoken_file: {}\ntimeout: 60s\n\
         queue: \"{{{{ 'Elsewhere' if institution == 'AU09999' else 'Basiq' }}}}\"\n\
         priority: \"{{{{ 90 if connections|length > 9 else 50 }}}}\"\n\
         custom_fields: {{ConnectionId: \"{{{{ connections[0] }}}}\"}}\n{more}",
        folder.join("token").display()
    );
    let settings: desks::rt::Settings = serde_saphyr::from_str(&settings).unwrap();
    settings.build(&parts(folder)).unwrap()
}

async fn tracker(clock: Clock) -> Option<Tracker> {
    let rt = RequestTracker::start().await.unwrap()?;
    let proxy = Arc::new(Proxy { rt, clock, filed: Mutex::default() });
    let faults = Faults::default();
    let url = serve(faults.clone(), proxy.clone()).await;
    let desk = desk(proxy.rt.folder.path(), &url, "close_as: resolved\nreopen_as: open\n");
    Some(Tracker { proxy, faults, desk })
}

impl Stage for Tracker {
    fn desk(&self) -> Arc<dyn Desk> {
        self.desk.clone()
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn paths(&self) -> (&'static str, &'static str) {
        ("/ticket", "/comment")
    }

    async fn seen(&self) -> Vec<Seen> {
        let rt = &self.proxy.rt;
        let all = rt.get("tickets?query=id%3E0&fields=Status,Subject&orderby=id&per_page=50").await.unwrap();
        let mut seen = Vec::new();
        for item in all["items"].as_array().unwrap() {
            let id = item["id"].as_str().unwrap().to_owned();
            let of = format!("ticket/{id}/attachments?fields=Content&per_page=50&orderby=id");
            let parts = rt.get(&of).await.unwrap();
            let mut texts = parts["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|part| part["Content"].as_str().unwrap_or_default().to_owned());
            let text = format!("{}\n{}", item["Subject"], texts.next().unwrap_or_default());
            let open = !["resolved", "rejected"].contains(&item["Status"].as_str().unwrap());
            seen.push(Seen { id, text, comments: texts.collect(), open });
        }
        seen
    }

    async fn person_closes(&self, id: &str) {
        let body = json!({ "Status": "resolved" });
        let rt = &self.proxy.rt;
        rt.request(reqwest::Method::PUT, &format!("ticket/{id}")).json(&body).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_incident_and_a_storm_at_a_real_request_tracker() {
    whole(tracker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_request_tracker_refuses_in_ways_that_are_told_apart() {
    let Some(rt) = RequestTracker::start().await.unwrap() else { return };
    let folder = rt.folder.path();
    let works = desk(folder, &rt.url, "");
    let filed = works.create(&ticket()).await.unwrap();
    let shown = rt.get(&format!("ticket/{}", filed.remote)).await.unwrap();
    assert_eq!(shown["Priority"], "50");
    assert_eq!(shown["CustomFields"][0]["values"][0], "c-1");
    assert_eq!(works.find(&ticket().key).await.unwrap().unwrap().remote, filed.remote);
    assert_eq!(works.find("another").await.unwrap(), None);
    let subject = "a bank of a very long name ".repeat(12);
    let long = basiq_alerter::channels::Ticket { key: "long".to_owned(), subject, ..ticket() };
    let named = works.create(&long).await.unwrap();
    assert_eq!(works.find("long").await.unwrap().unwrap().remote, named.remote, "a long subject is found");
    // Not set to turn tickets: a person does.
    works.turn(&filed.remote, News::Over).await.unwrap();
    assert_eq!(rt.get(&format!("ticket/{}", filed.remote)).await.unwrap()["Status"], "new");

    let denied = basiq_alerter::channels::Ticket { institution: "AU09999".to_owned(), ..ticket() };
    let error = works.create(&denied).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Channel { .. }), "a queue without rights: {error}");
    let gone = works.comment("9999", &crate::channels_files::comment("k", "text")).await.unwrap_err();
    assert!(matches!(gone, DeliveryError::Permanent { .. }), "a ticket that is gone: {gone}");
    let odd = desk(folder, &rt.url, "close_as: finished\n");
    let error = odd.turn(&filed.remote, News::Over).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Permanent { .. }), "a status it does not have: {error}");

    assert_eq!(works.standing(&filed.remote).await.unwrap(), Some(Standing::Open));
    let body = json!({ "Status": "rejected" });
    let path = format!("ticket/{}", filed.remote);
    rt.request(reqwest::Method::PUT, &path).json(&body).send().await.unwrap();
    assert_eq!(works.standing(&filed.remote).await.unwrap(), Some(Standing::Declined));

    std::fs::write(folder.join("token"), "1-9-00000000000000000000000000000000").unwrap();
    let stranger = desk(folder, &rt.url, "");
    let error = stranger.create(&ticket()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Channel { .. }), "a wrong token: {error}");
    assert!(!format!("{error:?}").contains("0000"));
}
