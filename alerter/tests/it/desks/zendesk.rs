//! Zendesk Support as far as its documentation describes what the plugin uses: tokens, the idempotency key,
//! the filter by external id, statuses of which `closed` is final, limits of updates.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use basiq_alerter::channels::{Comment, DeliveryError, Desk, News, Plugin, Standing, desks};
use daemon::{Clock, Timestamp};
use serde_json::{Value, json};

use super::{Seen, Stage, whole};
use crate::{
    channels_files::{comment, parts as parts_of, ticket},
    support::{
        http::{AsyncHandler, Fault, Faults, Said, parts, serve},
        web::Got,
    },
};

const EMAIL: &str = "robot@partner.example";
const TOKEN: &str = "t0ken-5ecret";
/// The first ticket's id: its path is where the first comment's answer is lost.
const FIRST: u64 = 35436;
/// The most bytes that a comment may have.
const LONGEST: usize = 65_535;

struct Ticket {
    id: u64,
    fields: Value,
    comments: Vec<String>,
    status: String,
    updates: Vec<Timestamp>,
}

struct Zendesk {
    tickets: Mutex<Vec<Ticket>>,
    keys: Mutex<Vec<(String, Value, u64)>>,
    clock: Clock,
}

impl AsyncHandler for Arc<Zendesk> {
    async fn answer(&self, got: Got) -> Said {
        let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{EMAIL}/token:{TOKEN}")));
        if got.header("authorization") != Some(&expected) {
            return Said::json(401, &json!({ "error": "Couldn't authenticate you" }));
        }
        let (path, query) = parts(&got);
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match (got.target().0, &path[..]) {
            ("POST", ["api", "v2", "tickets"]) => self.create(&got),
            ("GET", ["api", "v2", "tickets"]) => {
                let Some((_, wanted)) = query.iter().find(|(key, _)| key == "external_id") else {
                    return Said::empty(400);
                };
                let tickets = self.tickets.lock().unwrap();
                let found: Vec<Value> = tickets
                    .iter()
                    .filter(|ticket| ticket.fields["external_id"] == **wanted)
                    .map(|ticket| json!({ "id": ticket.id }))
                    .collect();
                Said::json(200, &json!({ "tickets": found }))
            }
            (method, ["api", "v2", "tickets", id, rest @ ..]) => {
                let body = (method == "PUT").then(|| got.json());
                self.of_ticket(id, method, rest, body.as_ref())
            }
            _ => Said::empty(404),
        }
    }
}

fn invalid(why: &str) -> Said {
    Said::json(422, &json!({ "error": "RecordInvalid", "description": why }))
}

impl Zendesk {
    fn create(&self, got: &Got) -> Said {
        let body = got.json();
        let fields = &body["ticket"];
        if let Some(key) = got.header("idempotency-key") {
            let keys = self.keys.lock().unwrap();
            if let Some((_, before, id)) = keys.iter().find(|(known, ..)| known == key) {
                if *before != body {
                    return Said::json(400, &json!({ "error": "IdempotentRequestError" }));
                }
                let hit = Said::json(201, &json!({ "ticket": { "id": id } }));
                return hit.with("x-idempotency-lookup: hit");
            }
        }
        if fields["comment"]["body"].as_str().is_none_or(|text| text.is_empty() || text.len() > LONGEST) {
            return invalid("Description: cannot be blank, or is too long");
        }
        let source = &fields["via_followup_source_id"];
        if !source.is_null() {
            let tickets = self.tickets.lock().unwrap();
            let closed = |ticket: &&Ticket| json!(ticket.id) == *source && ticket.status == "closed";
            if !tickets.iter().any(|ticket| closed(&ticket)) {
                return invalid("Via followup source: must be a closed ticket");
            }
            // It inherits the fields of its source.
            drop(tickets);
            return self.add(got, fields, fields["status"].as_str().unwrap_or("new"));
        }
        if !["low", "normal", "high", "urgent"].contains(&fields["priority"].as_str().unwrap_or_default()) {
            return invalid("Priority is invalid");
        }
        if fields["custom_fields"][0] != json!({ "id": 360_002, "value": "AU00001" }) {
            return invalid("Bank: is required");
        }
        self.add(got, fields, "new")
    }

    fn add(&self, got: &Got, fields: &Value, status: &str) -> Said {
        let body = got.json();
        let mut tickets = self.tickets.lock().unwrap();
        let id = FIRST + tickets.len() as u64;
        let status = status.to_owned();
        tickets.push(Ticket {
            id,
            fields: fields.clone(),
            comments: Vec::new(),
            status,
            updates: Vec::new(),
        });
        if let Some(key) = got.header("idempotency-key") {
            self.keys.lock().unwrap().push((key.to_owned(), body.clone(), id));
        }
        Said::json(201, &json!({ "ticket": { "id": id } })).with("x-idempotency-lookup: miss")
    }

    fn of_ticket(&self, id: &str, method: &str, rest: &[&str], body: Option<&Value>) -> Said {
        let mut tickets = self.tickets.lock().unwrap();
        let Some(ticket) = tickets.iter_mut().find(|ticket| ticket.id.to_string() == id) else {
            return Said::json(404, &json!({ "error": "RecordNotFound" }));
        };
        match (method, rest, body) {
            ("GET", [], _) => Said::json(
                200,
                &json!({ "ticket": { "status": ticket.status, "tags": ticket.fields["tags"].as_array().cloned().unwrap_or_default() } }),
            ),
            ("GET", ["comments"], _) => {
                let comments: Vec<Value> =
                    ticket.comments.iter().rev().map(|body| json!({ "body": body })).collect();
                Said::json(200, &json!({ "comments": comments }))
            }
            ("PUT", [], Some(body)) => {
                if ticket.status == "closed" {
                    return invalid("Status: closed prevents ticket update");
                }
                let now = self.clock.now();
                ticket.updates.retain(|at| now.duration_since(*at).as_secs() < 600);
                if ticket.updates.len() >= 30 {
                    return Said::empty(429).with("retry-after: 600");
                }
                ticket.updates.push(now);
                let change = &body["ticket"];
                if let Some(text) = change["comment"]["body"].as_str() {
                    if text.len() > LONGEST {
                        return invalid("Comment: is too long");
                    }
                    ticket.comments.push(text.to_owned());
                }
                if let Some(status) = change["status"].as_str() {
                    ticket.status = status.to_owned();
                }
                Said::json(200, &json!({ "ticket": { "id": ticket.id } }))
            }
            _ => Said::empty(405),
        }
    }
}

struct Double {
    zendesk: Arc<Zendesk>,
    faults: Faults,
    desk: Arc<dyn Desk>,
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
        ("/tickets", "/tickets/35436")
    }

    fn third(&self) -> &'static str {
        "/tickets/35438"
    }

    async fn seen(&self) -> Vec<Seen> {
        let seen = |ticket: &Ticket| Seen {
            id: ticket.id.to_string(),
            text: format!("{}\n{}", ticket.fields["subject"], ticket.fields["comment"]["body"]),
            comments: ticket.comments.clone(),
            open: !matches!(ticket.status.as_str(), "solved" | "closed"),
        };
        self.zendesk.tickets.lock().unwrap().iter().map(seen).collect()
    }

    async fn person_closes(&self, id: &str) {
        let mut tickets = self.zendesk.tickets.lock().unwrap();
        tickets.iter_mut().find(|ticket| ticket.id.to_string() == id).unwrap().status = "solved".to_owned();
    }
}

async fn double(clock: Clock) -> Option<Double> {
    let zendesk = Arc::new(Zendesk { tickets: Mutex::default(), keys: Mutex::default(), clock });
    let faults = Faults::default();
    let url = serve(faults.clone(), zendesk.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), TOKEN).unwrap();
    let settings = format!(
        "name: zendesk\nurl: {url}\nemail: {EMAIL}\ntoken_file: {}\nsolve: true\nreopen: true\ndeclined_tag: wont-fix\n\
         priority: \"{{{{ 'urgent' if connections|length > 9 else 'normal' }}}}\"\n\
         fields: {{custom_fields: [{{id: 360002, value: \"{{{{ institution }}}}\"}}]}}\n",
        folder.path().join("token").display()
    );
    let settings: desks::zendesk::Settings = serde_saphyr::from_str(&settings).unwrap();
    let desk = settings.build(&parts_of(folder.path())).unwrap();
    Some(Double { zendesk, faults, desk, _folder: folder })
}

#[tokio::test]
async fn a_whole_incident_and_a_storm_at_zendesk() {
    whole(double).await;
}

#[tokio::test]
async fn the_idempotency_key_makes_a_repeated_create_one_ticket() {
    let double = double(Clock::system()).await.unwrap();
    let ticket = basiq_alerter::channels::Ticket { institution: "AU00001".to_owned(), ..ticket() };
    let first = double.desk.create(&ticket).await.unwrap();
    assert_eq!(double.desk.create(&ticket).await.unwrap().remote, first.remote);
    assert_eq!(double.seen().await.len(), 1);

    let gone = double.desk.comment("1", &comment("k", "text")).await.unwrap_err();
    assert!(matches!(gone, DeliveryError::Permanent { .. }), "a ticket that is gone is no fault: {gone}");
}

/// `closed` is final at Zendesk: what is said then goes into a follow-up that names the ticket, once.
#[tokio::test]
async fn a_closed_ticket_goes_on_in_a_follow_up() {
    let double = double(Clock::system()).await.unwrap();
    let ticket = basiq_alerter::channels::Ticket { institution: "AU00001".to_owned(), ..ticket() };
    let first = double.desk.create(&ticket).await.unwrap();
    double.zendesk.tickets.lock().unwrap()[0].status = "closed".to_owned();
    double.desk.turn(&first.remote, News::Over).await.unwrap();
    double.desk.turn(&first.remote, News::Again).await.unwrap();

    let again = Comment { news: News::Again, ..comment("k1", "it fails again") };
    double.faults.next("/tickets", Fault::CutAfter);
    let lost = double.desk.comment(&first.remote, &again).await.unwrap_err();
    assert!(matches!(lost, DeliveryError::Unknown { .. }), "{lost}");
    let follow_up = double.desk.comment(&first.remote, &again).await.unwrap();
    assert_ne!(follow_up.remote, first.remote);
    {
        let tickets = double.zendesk.tickets.lock().unwrap();
        assert_eq!(tickets.len(), 2, "the follow-up whose answer was lost is found");
        assert_eq!(tickets[1].fields["via_followup_source_id"], FIRST);
        assert!(tickets[1].fields["comment"]["body"].as_str().unwrap().contains("it fails again"));
        assert_eq!((tickets[1].status.as_str(), tickets[0].comments.len()), ("new", 0));
    }
    assert_eq!(double.desk.standing(&follow_up.remote).await.unwrap(), Some(Standing::Open));
    assert_eq!(double.desk.standing(&first.remote).await.unwrap(), Some(Standing::Closed));

    // What is over is nobody's work: its follow-up is solved at once.
    double.zendesk.tickets.lock().unwrap()[1].status = "closed".to_owned();
    let over = Comment { news: News::Over, ..comment("k2", "recovered") };
    double.desk.comment(&follow_up.remote, &over).await.unwrap();
    assert_eq!(double.zendesk.tickets.lock().unwrap()[2].status, "solved");
}

#[tokio::test]
async fn a_solved_ticket_with_the_tag_of_wont_fix_is_declined() {
    let double = double(Clock::system()).await.unwrap();
    let ticket = basiq_alerter::channels::Ticket { institution: "AU00001".to_owned(), ..ticket() };
    let filed = double.desk.create(&ticket).await.unwrap();
    let set = |status: &str| {
        let mut tickets = double.zendesk.tickets.lock().unwrap();
        tickets[0].status = status.to_owned();
        tickets[0].fields["tags"] = json!(["wont-fix"]);
    };
    set("open");
    assert_eq!(double.desk.standing(&filed.remote).await.unwrap(), Some(Standing::Open));
    set("solved");
    assert_eq!(double.desk.standing(&filed.remote).await.unwrap(), Some(Standing::Declined));
    double.desk.turn(&filed.remote, News::Again).await.unwrap();
    assert_eq!(double.zendesk.tickets.lock().unwrap()[0].status, "solved", "nothing opens it again");
}

#[tokio::test]
async fn thirty_updates_in_ten_minutes_are_enough_for_one_ticket() {
    let double = double(Clock::system()).await.unwrap();
    let ticket = basiq_alerter::channels::Ticket { institution: "AU00001".to_owned(), ..ticket() };
    let filed = double.desk.create(&ticket).await.unwrap();
    for n in 0..30 {
        double.desk.comment(&filed.remote, &comment(&format!("k{n}"), "text")).await.unwrap();
    }
    let later = double.desk.comment(&filed.remote, &comment("k30", "text")).await.unwrap_err();
    let DeliveryError::Retry { after: Some(after), .. } = later else { panic!("{later}") };
    assert_eq!(after.as_secs(), 600);
}
