//! What a mail to a customer must be, whatever it says: the rules that large receivers, RFC 3834 and
//! Australian law have for messages that nobody subscribed to.

use basiq_alerter::channels::{
    Contact,
    message::{Mailbox, Renderer, Sender, TEMPLATES},
};

use crate::messages::{contact, message, sender};

fn mail(sender: Sender, template: &str, to: &Contact) -> String {
    let renderer = Renderer::new(sender, None).unwrap();
    let from = Mailbox::parse("no-reply@piper.example").unwrap();
    renderer.mail(&message(template), to, &from).unwrap().content
}

fn head(mail: &str) -> &str {
    mail.split_once("\r\n\r\n").unwrap().0
}

#[test]
fn no_automatic_reply_answers_it() {
    for template in TEMPLATES {
        let mail = mail(sender(), template, &contact());
        assert!(head(&mail).contains("\r\nAuto-Submitted: auto-generated\r\n"), "{template}");
    }
}

#[test]
fn it_has_a_text_and_an_html_part_and_says_that_it_knows_dark_mode() {
    for template in TEMPLATES {
        let mail = mail(sender(), template, &contact());
        assert!(head(&mail).contains("multipart/alternative"), "{template}");
        let (text, html) = (mail.find("text/plain").unwrap(), mail.find("text/html").unwrap());
        assert!(text < html, "the last part is the preferred one");
        let renderer = Renderer::new(sender(), None).unwrap();
        let html = renderer.render(&message(template), &contact()).unwrap().html;
        assert!(html.contains(r#"<meta name="color-scheme" content="light dark""#), "{template}");
        assert!(html.contains("prefers-color-scheme: dark"), "{template}");
        assert!(html.contains(r#"<html lang="en""#), "{template} has a language");
        assert!(
            html.contains("<title>Piper</title>"),
            "{template} has a title, which screen readers say first"
        );
    }
}

#[test]
fn only_the_display_name_is_encoded_and_the_address_stays_readable() {
    let brand = Sender { brand: Some("Pïper Geld".to_owned()), ..sender() };
    let mail = mail(brand, "ready", &contact());
    let from = head(&mail).lines().find(|line| line.starts_with("From: ")).unwrap();
    assert!(from.contains("=?utf-8?") && from.trim_end().ends_with(" <no-reply@piper.example>"), "{from}");
    assert!(head(&mail).is_ascii());
}

#[test]
fn the_sender_is_identified_and_the_matter_has_a_reference() {
    for template in TEMPLATES {
        let renderer = Renderer::new(sender(), None).unwrap();
        let rendered = renderer.render(&message(template), &contact()).unwrap();
        for owed in ["Piper Money Pty Ltd", "help@piper.example", "BQ-7F3K2M"] {
            assert!(rendered.text.contains(owed) && rendered.html.contains(owed), "{template} lacks {owed}");
        }
    }
}

#[test]
fn it_advertises_nothing_and_asks_for_no_secret() {
    let renderer = Renderer::new(sender(), None).unwrap();
    for template in TEMPLATES {
        let rendered = renderer.render(&message(template), &contact()).unwrap();
        let words = format!("{} {}", rendered.subject, rendered.text).to_lowercase();
        for word in [
            "offer",
            "discount",
            "upgrade",
            "premium",
            "sale",
            "reply with",
            "send us your",
            "urgent",
            "immediately",
            "suspended",
            "final notice",
        ] {
            assert!(!words.contains(word), "{template} says {word:?}");
        }
        assert!(words.contains("holds no link to a bank"), "{template}");
        // No digit run that could be an account or card number.
        let longest = words.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
        assert!(longest < 6, "{template} holds a number of {longest} digits");
    }
}

#[test]
fn a_page_of_preferences_is_offered_where_the_partner_has_one() {
    let plain = mail(sender(), "ready", &contact());
    assert!(!head(&plain).contains("List-"), "nobody subscribed to it");
    let url = "https://app.piper.example/messages";
    let offering = Sender { preferences_url: Some(url.to_owned()), ..sender() };
    let mail = mail(offering.clone(), "ready", &contact());
    assert!(head(&mail).contains(&format!("List-Unsubscribe: <{url}>\r\n")), "{}", head(&mail));
    // It is a page for people: one click of a mail program must not be taken for their choice (RFC 8058).
    assert!(!head(&mail).contains("List-Unsubscribe-Post"));
    let rendered = Renderer::new(offering, None).unwrap().render(&message("ready"), &contact()).unwrap();
    assert!(rendered.text.contains(url) && rendered.html.replace("&#x2f;", "/").contains(url));
    let wrong = Sender { preferences_url: Some("javascript:alert(1)".to_owned()), ..sender() };
    assert!(Renderer::new(wrong, None).err().unwrap().to_string().starts_with("sender.preferences_url"));
}
