//! Plugins that deliver by mail.

use super::{
    discreet, hostile, kind,
    plugins::{Way, rows},
    usual,
};
use crate::support::relay::{Answer, At, Relay};

#[tokio::test]
async fn mail_to_desks_and_operators_is_judged_like_mail_to_users_but_never_suppressed() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Mail(make) = way else { continue };
        let unknown_user = if who.starts_with("channels.") { "recipient" } else { "channel" };
        for (at, answer, expected) in [
            (At::Content, Answer::Say("250 2.0.0 ok id=Q1"), "delivered"),
            (At::Rcpt, Answer::Say("550 5.1.1 <oncall@piper.example> unknown"), unknown_user),
            (At::Rcpt, Answer::Say("450 4.2.1 later"), "retry"),
            (At::Mail, Answer::Say("550 5.7.1 leak"), "channel"),
            (At::Data, Answer::HangUp, "retry"),
            (At::Content, Answer::HangUp, "unknown"),
            (At::Content, Answer::Hang, "unknown"),
        ] {
            let relay = Relay::start(vec![(at, answer)]).await;
            let made = make(folder.path(), relay.port);
            for work in made.works() {
                let outcome = made.run(work, &usual()).await;
                assert_eq!(kind(&outcome), expected, "{who} {work:?} {at:?} {answer:?}: {outcome:?}");
                discreet(&who, &outcome);
            }
        }
        let relay = Relay::start(vec![]).await;
        let made = make(folder.path(), relay.port);
        for work in made.works() {
            assert_eq!(kind(&made.run(work, &hostile()).await), "delivered", "{who} {work:?}");
        }
        assert_eq!(relay.messages().len(), made.works().len(), "{who}: text ended a message early");
        for text in relay.messages() {
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.is_ascii() && !head.to_ascii_lowercase().contains("\r\nx-evil"), "{who}: {head}");
            assert!(head.contains("Auto-Submitted: auto-generated"), "{who}");
        }
    }
}
