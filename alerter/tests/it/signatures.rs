//! The signatures of our webhooks, verified by a library of another language.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use basiq_alerter::channels::{Channel, Desk, Operators, Plugin, users::webhook::Settings};
use serde_json::json;
use stories::real::{program, skip};

use crate::{
    channels_files::{comment, notice, parts, ticket},
    messages::{contact, message},
    support::web::{Reply, Web},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Reads `[{headers, body}]`, verifies each and tampers with each.
const VERIFY: &str = r#"
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
hook = Webhook(sys.argv[1])
for request in json.load(sys.stdin):
    hook.verify(request["body"], request["headers"])
    for body, secret in ((request["body"] + " ", hook), (request["body"], Webhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))):
        try:
            secret.verify(body, request["headers"])
        except WebhookVerificationError:
            continue
        sys.exit("a forged request was taken")
    print(json.loads(request["body"])["type"])
"#;

/// Where the gate installs the Python package `standardwebhooks`.
fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/work/python")
}

#[tokio::test]
async fn signatures_are_verified_by_the_library_for_python() {
    let Some(python) = program("python3", "python3") else { return };
    let mut probe = Command::new(&python);
    probe.env("PYTHONPATH", packages()).args(["-c", "import standardwebhooks"]).stderr(Stdio::null());
    if !probe.status().unwrap().success() {
        skip("no Python package standardwebhooks; pip install --target .ci/work/python standardwebhooks");
        return;
    }
    let web = Web::start(Reply::Say(200, "", r#"{"id":"1"}"#.to_owned())).await;
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, format!("{SECRET}\n")).unwrap();
    let settings =
        Settings { name: "hook".to_owned(), url: format!("{}/in", web.url), secret_file, timeout: None };
    let parts = parts(folder.path());
    let user = Plugin::<dyn Channel>::build(settings.clone(), &parts).unwrap();
    let desk = Plugin::<dyn Desk>::build(settings.clone(), &parts).unwrap();
    let operators = Plugin::<dyn Operators>::build(settings, &parts).unwrap();
    user.deliver(&message("ready"), &contact()).await.unwrap();
    desk.create(&ticket()).await.unwrap();
    desk.comment("42", &comment("k", "Grüße \u{1F600}\n\"quoted\"")).await.unwrap();
    operators.notify(&notice()).await.unwrap();

    let requests: Vec<serde_json::Value> = web
        .got()
        .iter()
        .map(|got| {
            let header = |name: &str| got.header(name).unwrap().to_owned();
            json!({
                "headers": {
                    "webhook-id": header("webhook-id"),
                    "webhook-timestamp": header("webhook-timestamp"),
                    "webhook-signature": header("webhook-signature"),
                },
                "body": got.body,
            })
        })
        .collect();
    let mut child = Command::new(python)
        .env("PYTHONPATH", packages())
        .args(["-c", VERIFY, SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(serde_json::to_string(&requests).unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verified = String::from_utf8(output.stdout).unwrap();
    assert_eq!(verified, "message.send\nticket.create\nticket.comment\nnotice.update\n");
}
