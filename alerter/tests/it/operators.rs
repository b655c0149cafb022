//! Notices to operators: a real Alertmanager that lists them as long as they last, and the heartbeat.

mod whole;

use std::{
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use basiq_alerter::channels::{
    DeliveryError, Notice, Operators, Parts, Plugin, Receipt, Repeat,
    operators::{Lasting, alertmanager, heartbeat, repeat},
};
use daemon::{CancellationToken, Clock, Timestamp, config};
use serde_json::Value;
use stories::real::{free_port, program};
use tokio::sync::watch;

use crate::{
    channels_files::{notice, parts},
    support::web::{Reply, Web},
};

/// A running Alertmanager; killed when dropped.
struct Alertmanager {
    child: Child,
    url: String,
    amtool: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Alertmanager {
    async fn start() -> Option<Self> {
        let binary = program("prometheus-alertmanager", "prometheus-alertmanager")?;
        let amtool = program("amtool", "prometheus-alertmanager")?;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n").unwrap();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let child = Command::new(binary)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            // Without it a gossip port is opened on every interface.
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { child, url: format!("http://{address}"), amtool, _folder: folder };
        for _ in 0..600 {
            if std::net::TcpStream::connect(&address).is_ok() {
                return Some(started);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Alertmanager does not listen");
    }

    /// The active alerts of that name, as `amtool alert query` lists them.
    fn query(&self, alertname: &str) -> Vec<Value> {
        let output = Command::new(&self.amtool)
            .arg(format!("--alertmanager.url={}", self.url))
            .args(["alert", "query", "-o", "json", &format!("alertname={alertname}")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn channel(&self, seconds: u64) -> Arc<dyn Operators> {
        let settings = alertmanager::Settings {
            name: "am".to_owned(),
            url: self.url.clone(),
            username: None,
            password_file: None,
            repeat_every: Some(config::Duration(Duration::from_secs(seconds))),
            expires_after: Some(config::Duration(Duration::from_secs(seconds * 4))),
            timeout: None,
        };
        let folder = tempfile::tempdir().unwrap();
        settings.build(&Parts { clock: Clock::system(), ..parts(folder.path()) }).unwrap()
    }
}

async fn until(what: &str, check: impl Fn() -> bool) {
    for _ in 0..600 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never happened: {what}");
}

fn now_notice() -> Notice {
    Notice { since: Timestamp::now() - jiff::SignedDuration::from_mins(5), ..notice() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_alertmanager_lists_a_notice_with_its_labels_until_it_ends() {
    let Some(alertmanager) = Alertmanager::start().await else { return };
    let channel = alertmanager.channel(60);
    let notice = now_notice();
    channel.notify(&notice).await.unwrap();
    channel.notify(&notice).await.unwrap();
    let listed = alertmanager.query("BasiqDown");
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["labels"]["severity"], "critical");
    assert_eq!(listed[0]["labels"]["environment"], "test");
    assert_eq!(listed[0]["annotations"]["summary"], "Basiq cannot be reached");
    channel.notify(&Notice { ended: Some(Timestamp::now()), ..notice }).await.unwrap();
    until("it ended", || alertmanager.query("BasiqDown").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_is_sent_again_to_a_real_alertmanager_until_it_ends() {
    let Some(alertmanager) = Alertmanager::start().await else { return };
    let (lasting, seen) = watch::channel(Lasting::default());
    let stop = CancellationToken::new();
    let channel = alertmanager.channel(1);
    let repeating =
        tokio::spawn(repeat(vec![("am".to_owned(), channel.clone())], seen, Clock::system(), stop.clone()));
    let notice = now_notice();
    channel.notify(&notice).await.unwrap();
    lasting.send_modify(|lasting| lasting.notices = Arc::new(vec![notice.clone()]));
    // Once alone is over after four seconds; repeated, it is there after eight.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(alertmanager.query("BasiqDown").len(), 1);
    lasting.send_modify(|lasting| lasting.notices = Arc::default());
    channel.notify(&Notice { ended: Some(Timestamp::now()), ..notice }).await.unwrap();
    until("it ended", || alertmanager.query("BasiqDown").is_empty()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(alertmanager.query("BasiqDown").is_empty(), "nothing brings it back");
    stop.cancel();
    repeating.await.unwrap();
}

/// Takes all notices but one.
struct Picky(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Operators for Picky {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        if notice.key == "refused" {
            return Err(DeliveryError::Permanent { why: "answered 400".to_owned() });
        }
        self.0.lock().unwrap().push(notice.key.clone());
        Ok(Receipt { remote: String::new(), detail: String::new() })
    }

    fn repeat(&self) -> Option<Repeat> {
        Some(Repeat { every: Duration::from_secs(60), only_while_heard: false })
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_never_taken_does_not_end_the_others() {
    let picky = Arc::new(Picky(Mutex::default()));
    let named = |key: &str| Notice { key: key.to_owned(), ..notice() };
    let notices = Arc::new(vec![named("first"), named("refused"), named("last")]);
    let (_lasting, seen) = watch::channel(Lasting { notices, heard: None });
    let stop = CancellationToken::new();
    let (clock, hand) = Clock::manual("2026-11-22T03:00:00Z".parse().unwrap());
    let repeating =
        tokio::spawn(repeat(vec![("picky".to_owned(), picky.clone())], seen, clock, stop.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    hand.advance(Duration::from_secs(61));
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.cancel();
    repeating.await.unwrap();
    assert_eq!(*picky.0.lock().unwrap(), ["first", "last"]);
}

#[tokio::test]
async fn the_heartbeat_is_called_while_the_watchdog_fires_and_rules_are_evaluated() {
    let web = Web::start(Reply::Say(200, "", "OK".to_owned())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{}/ping/s3cret\n", web.url)).unwrap();
    let settings = heartbeat::Settings {
        name: "deadman".to_owned(),
        url_file: file,
        alertname: None,
        every: Some(config::Duration(Duration::from_secs(60))),
        timeout: None,
    };
    let (clock, hand) = Clock::manual("2026-11-22T03:00:00Z".parse().unwrap());
    let channel = settings.build(&parts(folder.path())).unwrap();
    let (lasting, seen) = watch::channel(Lasting::default());
    let stop = CancellationToken::new();
    let repeating = tokio::spawn(repeat(
        vec![("deadman".to_owned(), channel.clone())],
        seen,
        clock.clone(),
        stop.clone(),
    ));
    let calls = || web.got().iter().filter(|got| got.target() == ("GET", "/ping/s3cret")).count();
    let minute = async |expected: usize, why: &str| {
        // The loop must be asleep again before the clock moves.
        tokio::time::sleep(Duration::from_millis(300)).await;
        hand.advance(Duration::from_secs(61));
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(calls(), expected, "{why}");
    };
    let labels = [("alertname".to_owned(), "Watchdog".to_owned())].into();
    let watchdog = Notice { labels, ..notice() };
    let set = |notices: Vec<Notice>| {
        let heard = Some(clock.now());
        lasting.send_replace(Lasting { notices: Arc::new(notices), heard });
    };

    minute(0, "nothing lasts").await;
    set(vec![notice()]);
    minute(0, "another alert is no heartbeat").await;
    set(vec![notice(), watchdog.clone()]);
    minute(1, "the watchdog fires").await;
    set(vec![watchdog.clone()]);
    minute(2, "and goes on").await;
    hand.advance(Duration::from_secs(600));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = calls();
    minute(before, "nobody evaluates rules any more: silence is the alarm").await;
    set(vec![]);
    minute(before, "the watchdog ended").await;
    let ended = Notice { ended: Some(clock.now()), ..watchdog.clone() };
    channel.notify(&ended).await.unwrap();
    assert_eq!(calls(), before);
    channel.notify(&watchdog).await.unwrap();
    assert_eq!(calls(), before + 1, "its beginning is delivered by the outbox at once");
    stop.cancel();
    repeating.await.unwrap();
}

#[test]
fn an_alert_would_expire_before_its_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let settings = alertmanager::Settings {
        name: "am".to_owned(),
        url: "https://a.test".to_owned(),
        username: None,
        password_file: None,
        repeat_every: Some(config::Duration(Duration::from_secs(60))),
        expires_after: Some(config::Duration(Duration::from_secs(120))),
        timeout: None,
    };
    let error = settings.build(&parts(folder.path())).err().unwrap().to_string();
    assert!(error.contains("four times"), "{error}");
}
