//! `basiq-alerter send-test`, as people use it.

use std::{path::Path, process::Command};

use crate::support::relay::{Answer, At, Relay};

struct Said {
    code: i32,
    out: String,
    err: String,
}

fn run(folder: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_basiq-alerter"))
        .arg(format!("--config.file={}", folder.join("alerter.yml").display()))
        .args(arguments)
        .env_remove("BASIQ_API_KEY")
        .output()
        .unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// In a thread of its own: the double answers meanwhile.
async fn send(folder: &Path, arguments: &[&str]) -> Said {
    let (folder, arguments) =
        (folder.to_owned(), arguments.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
    tokio::task::spawn_blocking(move || {
        let all: Vec<&str> = ["send-test"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        run(&folder, &all)
    })
    .await
    .unwrap()
}

fn configure(folder: &Path, port: u16) {
    let settings = format!(
        "environment: staging\nstore: {{sqlite: {{path: alerter.db}}}}\n\
         sender: {{legal_name: Piper Money Pty Ltd, contact: help@piper.test}}\n\
         recipients: {{allow: ['@piper.test']}}\n\
         channels: {{smtp: [{{name: relay, from: no-reply@piper.test, host: 127.0.0.1, port: {port}, tls: none}}]}}\n\
         desks: {{files: [{{name: both, directory: {folder}/tickets}}]}}\n\
         operators: {{files: [{{name: both, directory: {folder}/notices}}, {{name: ops, directory: {folder}/notices}}]}}\n",
        folder = folder.display()
    );
    std::fs::write(folder.join("alerter.yml"), settings).unwrap();
}

#[tokio::test]
async fn a_test_goes_through_any_channel_without_basiq_and_says_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let relay = Relay::start(vec![]).await;
    configure(folder, relay.port);

    let said = send(folder, &["relay", "--to", "me@piper.test", "--template", "locked"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.starts_with("the test message was delivered through relay: the relay accepted it"),
        "{}",
        said.out
    );
    assert!(relay.messages()[0].contains("Example Bank"));

    let said = send(folder, &["desks/both"]).await;
    assert_eq!(
        (said.code, std::fs::read_dir(folder.join("tickets")).unwrap().count()),
        (0, 1),
        "{}",
        said.err
    );
    let said = send(folder, &["ops"]).await;
    assert_eq!(
        (said.code, std::fs::read_dir(folder.join("notices")).unwrap().count()),
        (0, 1),
        "{}",
        said.err
    );
    assert!(!folder.join("alerter.db").exists(), "no store is made for a test");
}

#[tokio::test]
async fn what_is_missing_or_refused_is_said_with_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let relay = Relay::start(vec![(At::Rcpt, Answer::Say("550 5.1.1 <me@piper.test> unknown"))]).await;
    configure(folder, relay.port);
    for (arguments, code, words) in [
        (vec!["relay"], 2, "--to"),
        (vec!["relay", "--to", "me@piper.test", "--template", "nothing"], 2, "credentials"),
        (vec!["nowhere"], 2, "channels/relay, desks/both, operators/both, operators/ops"),
        (vec!["both"], 2, "desks/both or operators/both"),
        (vec!["relay", "--to", "me@piper.test"], 1, "5.1.1"),
        (vec!["relay", "--to", "me@elsewhere.test"], 1, "recipients.allow"),
        (vec!["relay", "--to", "not an address"], 1, "recipients.allow"),
    ] {
        let said = send(folder, &arguments).await;
        assert!(said.code == code && said.err.contains(words), "{arguments:?}: {} {}", said.code, said.err);
        assert!(!format!("{}{}", said.out, said.err).contains("me@"), "{}", said.err);
    }
    configure(folder, 1);
    let said = send(folder, &["relay", "--to", "me@piper.test"]).await;
    assert!(said.code == 1 && said.err.contains("would be tried again"), "{}", said.err);
}
