//! What customers read: every template as a mail, compared with what was looked at and kept.
//!
//! `UPDATE_GOLDEN=1 cargo test -p basiq-alerter --test it messages` rewrites the kept files.

use std::{collections::BTreeMap, fs, path::PathBuf};

use basiq_alerter::channels::{
    Contact, DeliveryError, MessageConnection, UserMessage,
    message::{Mailbox, Renderer, Sender, TEMPLATES},
};
use daemon::{Secret, Timestamp};

pub(crate) fn sender() -> Sender {
    Sender {
        legal_name: "Piper Money Pty Ltd".to_owned(),
        contact: "help@piper.example".to_owned(),
        brand: Some("Piper".to_owned()),
        app: "the Piper app".to_owned(),
        app_url: Some("https://app.piper.example/accounts".to_owned()),
        help: BTreeMap::from([(
            "AU00000".to_owned(),
            "its help desk answers day and night on 13 00 00.".to_owned(),
        )]),
        ..Sender::default()
    }
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn connection(institution: &str, name: &str) -> MessageConnection {
    MessageConnection {
        connection: format!("c-{institution}"),
        user: String::new(),
        institution: institution.to_owned(),
        institution_name: name.to_owned(),
        scenario: "service-unavailable".to_owned(),
        since: time("2026-11-22T01:30:00Z"),
    }
}

pub(crate) fn message(template: &str) -> UserMessage {
    UserMessage {
        key: format!("test/{template}/1"),
        user: "u-1".to_owned(),
        template: template.to_owned(),
        connections: vec![connection("AU00000", "Hooli")],
        message_id: format!("<{template}.1@alerts.piper.example>"),
        in_reply_to: (template == "ready").then(|| "<delayed.1@alerts.piper.example>".to_owned()),
        reference: "BQ-7F3K2M".to_owned(),
        at: time("2026-11-22T02:00:00Z"),
    }
}

pub(crate) fn contact() -> Contact {
    Contact {
        address: Some(Secret::new("richard@hendricks.example")),
        name: Some(Secret::new("Richard")),
        language: None,
        external_id: Some("piper-42".to_owned()),
    }
}

fn from() -> Mailbox {
    Mailbox::parse("no-reply@piper.example").unwrap()
}

fn golden(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/messages").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, actual).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == actual, "{name} differs from what was kept; see it with UPDATE_GOLDEN=1 and git diff");
}

#[test]
fn every_template_reads_as_it_was_looked_at() {
    let renderer = Renderer::new(sender(), None).unwrap();
    for template in TEMPLATES {
        let one = renderer.render(&message(template), &contact()).unwrap();
        golden(&format!("{template}.txt"), &format!("Subject: {}\n\n{}", one.subject, one.text));
        golden(&format!("{template}.html"), &one.html);
        let mail = renderer.mail(&message(template), &contact(), &from()).unwrap();
        golden(&format!("{template}.eml"), &mail.content);

        let mut several = message(template);
        several.connections.push(connection("AU00001", "Nucleus Bank"));
        several.connections.push(connection("AU00002", "Pied Piper Bank"));
        let several = renderer.render(&several, &Contact { name: None, ..contact() }).unwrap();
        golden(
            &format!("{template}.several.txt"),
            &format!("Subject: {}\n\n{}", several.subject, several.text),
        );
    }
}

/// Behaviour, section 5: "A message names sender (legal name, contact) and incident reference in a footer
/// that templates cannot remove", "No link to a bank's login, no account number, no promotion"; section 2:
/// "never the words password, credentials or login" in the renewal of a consent.
#[test]
fn the_rules_for_what_a_message_may_say_hold_in_every_template() {
    let renderer = Renderer::new(sender(), None).unwrap();
    for template in TEMPLATES {
        let rendered = renderer.render(&message(template), &contact()).unwrap();
        for body in [&rendered.text, &rendered.html] {
            for owed in ["Piper Money Pty Ltd", "help@piper.example", "BQ-7F3K2M"] {
                assert!(body.contains(owed), "{template} lacks {owed}");
            }
            // The engine writes a slash as a character reference, which every HTML reader resolves.
            let lower = body.to_lowercase().replace("&#x2f;", "/");
            for link in lower.split("href=\"").skip(1) {
                assert!(link.starts_with("https://app.piper.example/"), "{template} links elsewhere");
            }
            let names = lower.replace("xmlns=\"http://", "").replace("http-equiv", "");
            assert!(!names.contains("http://"), "{template} links or loads without TLS");
            assert!(!lower.contains("@import") && !lower.contains("url("), "{template} loads something");
            assert!(!lower.contains("src="), "{template} loads something");
        }
        if template == "renew-consent" {
            let all = format!("{} {}", rendered.subject, rendered.text).to_lowercase();
            for word in ["password", "credential", "login", "log in"] {
                assert!(!all.contains(word), "open banking knows no {word}");
            }
        }
        if ["delayed", "outage", "ready", "unsupported"].contains(&template) {
            assert!(rendered.text.contains("You do not need to do anything."), "{template}");
        }
    }
}

/// Behaviour, section 4: a mail is tried once more "with the same Message-ID"; section 5: a closing message
/// is "in the same thread".
#[test]
fn headers_thread_and_stop_automatic_replies() {
    let renderer = Renderer::new(sender(), None).unwrap();
    let opening = renderer.mail(&message("delayed"), &contact(), &from()).unwrap().content;
    for line in [
        "Message-ID: <delayed.1@alerts.piper.example>\r\n",
        "Date: Sun, 22 Nov 2026 02:00:00 +0000\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "From: Piper <no-reply@piper.example>\r\n",
        "To: richard@hendricks.example\r\n",
    ] {
        assert!(opening.contains(line), "{line} is not in\n{opening}");
    }
    assert!(!opening.contains("In-Reply-To"));
    let closing = renderer.mail(&message("ready"), &contact(), &from()).unwrap().content;
    assert!(closing.contains("In-Reply-To: <delayed.1@alerts.piper.example>\r\n"));
    assert!(closing.contains("References: <delayed.1@alerts.piper.example>\r\n"));
    let again = renderer.mail(&message("ready"), &contact(), &from()).unwrap().content;
    assert_eq!(closing, again, "every attempt sends the same bytes");
}

#[test]
fn a_sender_may_be_named_in_its_address() {
    let renderer = Renderer::new(sender(), None).unwrap();
    let named = Mailbox::parse("Piper Help <no-reply@piper.example>").unwrap();
    let mail = renderer.mail(&message("ready"), &contact(), &named).unwrap().content;
    let from = mail.lines().find(|line| line.starts_with("From: ")).unwrap();
    assert!(from.contains("Piper Help") && from.ends_with(" <no-reply@piper.example>"), "{from}");
    for wrong in ["", "nobody", "a@b.test, c@d.test", "<>"] {
        assert!(Mailbox::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn hostile_text_in_every_field_stays_text() {
    let hostile =
        "x\r\nBcc: evil@example.test\r\n\r\n<script>alert(1)</script>{{ legal_name }}\u{202e}&amp;\"'";
    let mut sender = sender();
    sender.brand = Some(hostile.to_owned());
    sender.app = hostile.to_owned();
    sender.help = BTreeMap::from([("AU00000".to_owned(), hostile.to_owned())]);
    let renderer = Renderer::new(sender, None).unwrap();
    for template in TEMPLATES {
        let mut message = message(template);
        message.reference = hostile.to_owned();
        message.connections[0].institution_name = hostile.to_owned() + &"long ".repeat(10_000);
        message.connections[0].scenario = hostile.to_owned();
        let contact = Contact { name: Some(Secret::new(hostile)), ..contact() };
        let rendered = renderer.render(&message, &contact).unwrap();
        assert!(!rendered.html.contains("<script"), "{template}");
        assert!(rendered.html.contains("{{ legal_name }}"), "values are not templates");
        assert!(rendered.subject.len() < 1000 && rendered.html.len() < 40_000);
        let mail = renderer.mail(&message, &contact, &from()).unwrap();
        let text = mail.content;
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        for line in head.split("\r\n") {
            assert!(!line.to_ascii_lowercase().starts_with("bcc"), "{template}: {line}");
            assert!(line.is_ascii() && line.len() < 998, "{template}: {line}");
        }
        assert!(!text.contains('\u{202e}'));
    }
    let mut broken = message("ready");
    for id in ["no", "<a@b>\r\nBcc: x@y.test", "<a b@c>", "<@\u{e9}>"] {
        broken.message_id = id.to_owned();
        let error = renderer.mail(&broken, &contact(), &from()).err().unwrap();
        assert!(matches!(error, DeliveryError::Permanent { .. }), "{id}");
    }
}

#[test]
fn a_missing_or_broken_address_is_unreachable_and_not_repeated() {
    let renderer = Renderer::new(sender(), None).unwrap();
    for address in [
        None,
        Some(""),
        Some("not an address"),
        Some("a@b.test\r\nBcc: c@d.test"),
        Some("a@b.test, c@d.test"),
    ] {
        let contact = Contact { address: address.map(Secret::new), ..contact() };
        let error = renderer.mail(&message("ready"), &contact, &from()).err().unwrap();
        assert!(matches!(error, DeliveryError::Unreachable { .. }), "{address:?}: {error}");
        assert!(!error.to_string().contains('@'), "{error}");
    }
}

/// Behaviour, section 5: the footer is one "that templates cannot remove".
#[test]
fn a_partner_overrides_files_one_by_one_and_mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let put = |file: &str, text: &str| {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("ready/subject.txt", "{{ institutions }} is back");
    put("welcome-back/subject.txt", "Welcome back");
    put("welcome-back/body.txt", "{{ greeting }}");
    put("welcome-back/body.mjml", "<mj-section><mj-column><mj-text>Hi</mj-text></mj-column></mj-section>");
    let renderer = Renderer::new(sender(), Some(folder.path())).unwrap();
    let ready = renderer.render(&message("ready"), &contact()).unwrap();
    assert_eq!(ready.subject, "Hooli is back");
    assert!(ready.text.contains("Good news"), "the other files are the embedded ones");
    assert!(renderer.has("welcome-back") && !renderer.has("_layout"));
    let unknown = renderer.render(&message("nothing"), &contact()).unwrap_err();
    assert!(unknown.to_string().contains("nothing"));

    for (file, text, expected) in [
        ("ready/body.txt", "{{ password }}", "ready/body.txt"),
        ("ready/body.txt", "{% if %}", "ready/body.txt"),
        ("ready/body.mjml", "</mj-body></mjml>", "inside of mj-body"),
        ("ready/body.mjml", "<mj-section><mj-column>", "ready/body.mjml"),
        ("ready/body.mjml", "<mj-raw><!-- </mj-raw>", "ready/body.mjml"),
        ("ready/body.mjml", "<mj-raw>{# </mj-raw>", "ready/body.html"),
        ("ready/body.mjml", "<mj-raw>{% if false %}</mj-raw>", "ready/body.html"),
        ("ready/body.mjml", "<mj-raw><style>.footer{display:none}</style></mj-raw>", "inside of mj-body"),
    ] {
        put(file, text);
        let error = Renderer::new(sender(), Some(folder.path())).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(expected)), "{text}: {error:?}");
        fs::remove_file(folder.path().join(file)).unwrap();
    }
}

/// Behaviour, section 5: "live mode refuses to start without them" (and `config`'s own test).
#[test]
fn a_sender_that_is_not_configured_is_visible_and_listed() {
    let renderer = Renderer::new(Sender::default(), None).unwrap();
    assert_eq!(renderer.sender().missing(), ["sender.legal_name", "sender.contact"]);
    let rendered = renderer.render(&message("ready"), &contact()).unwrap();
    assert!(rendered.text.contains("sender.legal_name is not configured"));
    for (sender, key) in [
        (Sender { color: "red".to_owned(), ..Sender::default() }, "sender.color"),
        (Sender { app_url: Some("javascript:alert(1)".to_owned()), ..Sender::default() }, "sender.app_url"),
        (Sender { utc_offset_hours: 40, ..Sender::default() }, "sender.utc_offset_hours"),
    ] {
        assert!(Renderer::new(sender, None).err().unwrap().to_string().starts_with(key));
    }
}
