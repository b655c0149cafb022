//! Plugins that speak HTTP.

use basiq_alerter::channels::DeliveryError;

use super::{
    TOKEN, Work, discreet, hostile, kind, of_ticket,
    plugins::{Way, rows},
    repeatable, usual,
};
use crate::support::web::{Got, Reply, Web};

#[tokio::test]
async fn answers_of_http_servers_mean_the_same_for_every_plugin() {
    // A status, and what it means for work that can and that cannot be repeated.
    let table = [
        (400, "permanent", "permanent"),
        (401, "channel", "channel"),
        (403, "channel", "channel"),
        (404, "channel", "channel"),
        (408, "retry", "retry"),
        (409, "permanent", "permanent"),
        (413, "permanent", "permanent"),
        (422, "permanent", "permanent"),
        (429, "retry", "retry"),
        (500, "retry", "unknown"),
        (502, "retry", "unknown"),
        (503, "retry", "retry"),
        (504, "retry", "unknown"),
        (302, "channel", "channel"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, success) = way else { continue };
        let web = Web::start(Reply::HangUp).await;
        let made = make(folder.path(), &web.url);
        let check = async |reply: Reply, again: &'static str, once: &'static str| {
            web.answer(reply.clone());
            for work in made.works() {
                let outcome = made.run(work, &usual()).await;
                let expected = match &reply {
                    Reply::Say(404, ..) if of_ticket(work) && who != "desks.webhook" => "permanent",
                    _ if repeatable(work) => again,
                    _ => once,
                };
                assert_eq!(kind(&outcome), expected, "{who} {work:?} {reply:?}: {outcome:?}");
                discreet(&who, &outcome);
                // A comment that Zendesk refuses asks how its ticket stands: a closed one goes on in another.
                let more = usize::from(who == "desks.zendesk");
                assert!(web.got().len() <= made.works().len() + more, "{who} asks more than once");
            }
        };
        check(Reply::Say(200, "", success.to_owned()), "delivered", "delivered").await;
        for (status, again, once) in table {
            let quoting = format!("richard@hendricks.example leak {TOKEN}");
            check(Reply::Say(status, "location: /elsewhere\r\n", quoting), again, once).await;
        }
        check(Reply::HangUp, "retry", "unknown").await;
        check(Reply::CutShort, "retry", "unknown").await;
        check(Reply::Hang, "retry", "unknown").await;
    }
}

#[tokio::test]
async fn what_never_left_is_tried_again_and_a_wait_that_was_asked_for_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, _) = way else { continue };
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let made = make(folder.path(), &format!("http://{nobody}"));
        for work in made.works() {
            let outcome = made.run(work, &usual()).await;
            assert_eq!(kind(&outcome), "retry", "{who} {work:?}: {outcome:?}");
            discreet(&who, &outcome);
        }
        let web = Web::start(Reply::HangUp).await;
        let made = make(folder.path(), &web.url);
        for status in [429, 503] {
            web.answer(Reply::Say(status, "retry-after: 7\r\n", String::new()));
            let outcome = made.run(made.works()[0], &usual()).await;
            let Err(DeliveryError::Retry { after: Some(after), .. }) = &outcome else {
                panic!("{who}: {outcome:?}")
            };
            assert_eq!(after.as_secs(), 7, "{who}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, _) = way else { continue };
        let web = Web::start(Reply::Say(200, "", "x".repeat(5 * 1024 * 1024))).await;
        let made = make(folder.path(), &web.url);
        for work in made.works() {
            let outcome = made.run(work, &usual()).await;
            // What was to be done once may have been done; the rest is asked again.
            let once = matches!(work, Work::Message | Work::Create | Work::Comment);
            assert_eq!(kind(&outcome), if once { "unknown" } else { "retry" }, "{who} {work:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn hostile_text_stays_text_in_every_request() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, success) = way else { continue };
        let web = Web::start(Reply::Say(200, "", success.to_owned())).await;
        let made = make(folder.path(), &web.url);
        for work in made.works() {
            let outcome = made.run(work, &hostile()).await;
            assert_eq!(kind(&outcome), "delivered", "{who} {work:?}: {outcome:?}");
        }
        for got in web.got() {
            assert!(got.header("x-evil").is_none() && !got.head.contains("QUIT"), "{who}: {}", got.head);
            if !got.body.is_empty() {
                assert!(got.json().is_object() || got.json().is_array(), "{who}");
            }
            let everything = format!("{}{}", got.head, got.body);
            assert!(!everything.contains("richard@hendricks.example"), "{who} gives the address away");
        }
    }
}

#[tokio::test]
async fn a_repetition_is_recognisable_to_the_other_side() {
    let folder = tempfile::tempdir().unwrap();
    for (who, way) in rows() {
        let Way::Http(make, success) = way else { continue };
        let web = Web::start(Reply::Say(200, "", success.to_owned())).await;
        let made = make(folder.path(), &web.url);
        let work = made.works()[0];
        made.run(work, &usual()).await.unwrap();
        made.run(work, &usual()).await.unwrap();
        let got = web.got();
        let stable = |got: &Got| {
            (got.header("webhook-id").map(str::to_owned), got.header("idempotency-key").map(str::to_owned))
        };
        assert_eq!(stable(&got[0]), stable(&got[1]), "{who}");
        assert_eq!(got[0].body, got[1].body, "{who}");
    }
}
