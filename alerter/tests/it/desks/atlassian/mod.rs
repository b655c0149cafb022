//! Jira Cloud and Jira Service Management Cloud as far as their documentation describes what the plugins
//! use: authentication, required fields, documents, search that lags behind, transitions by id.

mod site;

use std::sync::{Arc, Mutex};

use basiq_alerter::channels::{Desk, News, Plugin, Standing, Ticket, desks};
use daemon::Clock;
use serde_json::{Value, json};

use self::site::{CLOSE, EMAIL, Issue, REOPEN, Site, TOKEN, inside};
use super::{Seen, Stage, whole};
use crate::{
    channels_files::parts as parts_of,
    support::http::{Faults, serve},
};

struct Double {
    site: Arc<Site>,
    faults: Faults,
    desk: Arc<dyn Desk>,
    paths: (&'static str, &'static str),
    _folder: tempfile::TempDir,
}

impl Stage for Double {
    fn desk(&self) -> Arc<dyn Desk> {
        self.desk.clone()
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    fn paths(&self) -> (&'static str, &'static str) {
        self.paths
    }

    async fn seen(&self) -> Vec<Seen> {
        let text =
            |value: &Value| value.as_str().map(str::to_owned).unwrap_or_else(|| inside(value).unwrap());
        let seen = |issue: &Issue| Seen {
            id: issue.key.clone(),
            text: format!("{}\n{}", text(&issue.fields["summary"]), text(&issue.fields["description"])),
            comments: issue.comments.iter().map(|(body, _)| text(body)).collect(),
            open: !issue.done,
        };
        self.site.issues.lock().unwrap().iter().map(seen).collect()
    }

    async fn person_closes(&self, id: &str) {
        self.site.with(id, |issue| issue.done = true).unwrap();
    }
}

async fn site(clock: &Clock) -> (Arc<Site>, Faults, String, tempfile::TempDir) {
    let site = Arc::new(Site { issues: Mutex::default(), clock: clock.clone() });
    let faults = Faults::default();
    let url = serve(faults.clone(), site.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    (site, faults, url, folder)
}

async fn jira(clock: Clock) -> Option<Double> {
    let (site, faults, url, folder) = site(&clock).await;
    let settings = format!(
        "name: jira\nurl: {url}\nemail: {EMAIL}\ntoken_file: {}\nproject: BANK\nissue_type: Incident\n\
         labels: [bank]\nclose_transition: '{CLOSE}'\nreopen_transition: '{REOPEN}'\n\
         declined_resolutions: ['10001']\nfields:\n\
         \x20 priority: {{name: \"{{% if connections|length > 9 %}}Highest{{% else %}}Medium{{% endif %}}\"}}\n\
         \x20 customfield_10010: {{value: \"{{{{ 'Bank A' if institution == 'AU00001' else 'Other' }}}}\"}}\n",
        folder.path().join("token").display()
    );
    let settings: desks::jira::Settings = serde_saphyr::from_str(&settings).unwrap();
    let desk = settings.build(&parts_of(folder.path())).unwrap();
    Some(Double { site, faults, desk, paths: ("/issue", "/comment"), _folder: folder })
}

async fn jsm(clock: Clock) -> Option<Double> {
    let (site, faults, url, folder) = site(&clock).await;
    let settings = format!(
        "name: jsm\nurl: {url}\nemail: {EMAIL}\ntoken_file: {}\nservice_desk: '7'\nrequest_type: '11'\n\
         internal_comments: true\nclose_transition: '{CLOSE}'\nreopen_transition: '{REOPEN}'\n\
         declined_statuses: [Abgelehnt]\nfields:\n\
         \x20 customfield_2: \"{{{{ environment }}}}: {{{{ scenario }}}}\"\n",
        folder.path().join("token").display()
    );
    let settings: desks::jsm::Settings = serde_saphyr::from_str(&settings).unwrap();
    let desk = settings.build(&parts_of(folder.path())).unwrap();
    Some(Double { site, faults, desk, paths: ("/request", "/comment"), _folder: folder })
}

#[tokio::test]
async fn a_whole_incident_and_a_storm_at_jira() {
    whole(jira).await;
}

#[tokio::test]
async fn a_whole_incident_and_a_storm_at_jira_service_management() {
    whole(jsm).await;
}

#[tokio::test]
async fn priorities_and_required_fields_follow_the_ticket_at_jira() {
    let clock = Clock::system();
    let double = jira(clock.clone()).await.unwrap();
    let mut ticket = crate::channels_files::ticket();
    double.desk.create(&ticket).await.unwrap();
    ticket.institution = "AU00001".to_owned();
    ticket.connections = (0..10).map(|n| format!("c-{n}")).collect();
    double.desk.create(&ticket).await.unwrap();
    let issues = double.site.issues.lock().unwrap();
    let of = |n: usize| {
        let fields = &issues[n].fields;
        (fields["priority"]["name"].clone(), fields["customfield_10010"]["value"].clone())
    };
    assert_eq!(of(0), (json!("Medium"), json!("Other")));
    assert_eq!(of(1), (json!("Highest"), json!("Bank A")));
}

#[tokio::test]
async fn a_ticket_is_found_among_many_that_share_a_word_with_it() {
    let (clock, hand) = Clock::manual("2026-11-22T03:00:00Z".parse().unwrap());
    let double = jsm(clock).await.unwrap();
    for n in 0..120 {
        let key = format!("k{n}");
        double.desk.create(&Ticket { key, ..crate::channels_files::ticket() }).await.unwrap();
    }
    hand.advance(std::time::Duration::from_secs(300));
    for n in [0, 60, 119] {
        let found = double.desk.find(&format!("k{n}")).await.unwrap();
        assert_eq!(found.map(|found| found.remote), Some(format!("BANK-{}", n + 1)));
    }
    assert_eq!(double.desk.find("another").await.unwrap(), None);
}

#[tokio::test]
async fn what_people_decline_is_told_apart_from_what_they_close() {
    for double in [jira(Clock::system()).await.unwrap(), jsm(Clock::system()).await.unwrap()] {
        let filed = double.desk.create(&crate::channels_files::ticket()).await.unwrap();
        assert_eq!(double.desk.standing(&filed.remote).await.unwrap(), Some(Standing::Open));
        double.site.with(&filed.remote, |issue| (issue.done, issue.declined) = (true, true)).unwrap();
        assert_eq!(double.desk.standing(&filed.remote).await.unwrap(), Some(Standing::Declined));
        double.desk.turn(&filed.remote, News::Again).await.unwrap();
        assert!(!double.seen().await[0].open, "nothing opens again what a person declined");
        double.site.with(&filed.remote, |issue| issue.declined = false).unwrap();
        assert_eq!(double.desk.standing(&filed.remote).await.unwrap(), Some(Standing::Closed));
    }
}
