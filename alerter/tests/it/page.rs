//! The page over a store in memory: every page renders, nothing in it acts, and hostile text stays text.

mod buttons;
mod memory;
mod stage;

use std::sync::{Arc, Mutex};

use stage::{REFERENCE, get};

#[tokio::test]
async fn every_page_renders_without_anything_that_acts() {
    for (path, owed) in [
        ("/incidents", "Hooli 1"),
        ("/incidents", "user told"),
        ("/incidents?show=ended", "recovered"),
        ("/incidents?show=all", "INC-OVER"),
        ("/incidents?scenario=service-unavailable", "2 h ago"),
        ("/incidents?scenario=nothing", "Nothing here"),
        ("/incidents?q=c-3", "INC-OVER"),
        ("/incidents?q=u-1", REFERENCE),
        ("/incidents?q=au00000", REFERENCE),
        ("/incidents?q=nobody", "Nothing is known"),
        ("/incidents?q=%3Cscript%3E", "Nothing is known"),
        ("/incidents?page=4294967295", "Nothing here"),
        ("/incidents?q=RT-42", "Found by ticket."),
        ("/incidents?q=%23RT-42", "Found by ticket."),
        ("/incidents?q=customer-77", "Found by external id."),
        ("/incidents?q=hooli%20bank", "Found by bank."),
        ("/incidents?q=hooli", "Found by bank."),
        ("/incidents?age=day", "Hooli 1"),
        ("/incidents?age=hour", "Nothing here"),
        ("/incidents?bank=AU00000", "At Hooli Bank only"),
        ("/incidents?bank=%22%3E%3Cscript%3E", "Nothing here"),
        ("/incidents?did=release", "Released: what still holds goes out now."),
        ("/banks", "web: major outage"),
        ("/banks", "30 s ago"),
        ("/steering", "Hold 7: 1 message to users"),
        ("/steering", "Everything of rule &lt;script&gt;"),
        ("/steering?did=%3Cscript%3E", "Baseline"),
        ("/incidents/INC-7K3QM-2X94T", "It fails with service-unavailable."),
        ("/incidents/INC-7K3QM-2X94T", "a job is running 1"),
        ("/incidents/INC-7K3QM-2X94T", "RT-42"),
        ("/incidents/INC-HOSTILE", "&lt;script&gt;"),
        ("/effects", "Message to the user"),
        ("/effects?action=file-ticket", "Connection c-1 fails since 2026-11-22"),
        ("/effects?state=held&channel=x%22y", "Ticket"),
        ("/effects?state=nonsense", "Refresh"),
        ("/message?key=e%2Fmessage%201", "Your data from Hooli is delayed"),
    ] {
        let (status, headers, body) = get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.contains(owed), "{path} lacks {owed}:\n{body}");
        assert!(!body.contains("<script") && !body.contains("style=") && !body.contains("onclick"), "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["referrer-policy"], "same-origin");
    }
}

/// What is logged while a page is asked for by somebody whom nobody identified.
async fn logged(path: &str) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _subscriber = tracing::subscriber::set_default(subscriber);
    get(path).await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn who_looks_at_what_is_a_persons_is_logged_also_in_lists() {
    for (path, owed) in [
        ("/incidents/INC-7K3QM-2X94T", "viewed"),
        ("/incidents", "listed"),
        ("/incidents?q=customer-77", "listed"),
        ("/steering", "listed"),
        ("/api/v1/users/u-1/status", "viewed"),
    ] {
        let lines = logged(path).await;
        let told = |line: &&String| line.contains(REFERENCE) && line.contains("actor=");
        let line = lines.iter().find(told).unwrap_or_else(|| panic!("{path}: {lines:#?}"));
        assert!(line.contains(owed), "{path}: {line}");
        assert!(!lines.concat().contains("customer-77"), "what was typed may be anything: {lines:#?}");
        assert_eq!(lines.concat().contains("u-paused"), path == "/steering", "{path}: {lines:#?}");
    }
    for path in ["/effects", "/message?key=e%2Fmessage%201", "/message.html?key=e%2Fmessage%201"] {
        let lines = logged(path).await.concat();
        assert!(lines.contains("e/message 1") && lines.contains("actor="), "{path}: {lines}");
    }
    for path in ["/banks", "/incidents?q=nobody", "/effects?state=expired"] {
        let lines = logged(path).await.concat();
        assert!(!lines.contains("viewed") && !lines.contains("listed"), "nobody is shown: {path}: {lines}");
    }
}

#[tokio::test]
async fn a_reference_leads_to_its_incident_and_what_is_not_there_is_said_so() {
    let (status, headers, _) = get("/incidents?q=inc-7k3qm-2x94t").await;
    assert_eq!(status, 303);
    assert_eq!(headers["location"], "/incidents/INC-7K3QM-2X94T");
    for path in
        ["/incidents/INC-NONE", "/message?key=none", "/message?key=e/refresh", "/message.html?key=none"]
    {
        let (status, _, body) = get(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body.contains("There is no"), "{path}");
    }
}

#[tokio::test]
async fn a_message_is_shown_in_a_frame_that_cannot_act() {
    let (status, headers, body) = get("/message.html?key=e%2Fmessage%201").await;
    assert_eq!(status, 200);
    assert!(body.contains("Piper Money Pty Ltd"));
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("sandbox")
            && policy.contains("default-src 'none'")
            && policy.contains("frame-ancestors 'self'")
    );
    let (_, _, page) = get("/message?key=e%2Fmessage%201").await;
    assert!(page.contains("sandbox") && page.contains("key=e%2Fmessage%201"), "{page}");
}

#[tokio::test]
async fn the_partners_application_gets_the_same_answer_as_json() {
    let (status, _, body) = get("/api/v1/users/u-1/status").await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["connections"][0]["connection_id"], "c-1");
    assert_eq!(answer["connections"][0]["next_step"], "Basiq, which tries every two hours");
    assert_eq!(answer["connections"][0]["told"], true);
    assert_eq!(answer["connections"][0]["told_at"], "2026-11-22T02:00:00Z");
    assert_eq!(answer["connections"][0]["waits_for"], "basiq");
    assert_eq!(answer["connections"][0]["can_be_done"], false);
    assert_eq!(answer["connections"][0]["refreshes"], 1);
    let (status, _, body) = get("/api/v1/users/nobody/status").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, r#"{"user_id":"nobody","connections":[]}"#));
}
