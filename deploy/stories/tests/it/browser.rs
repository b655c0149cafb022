//! The alerter's page in a real Chromium, over the quickstart's stories: read, searched and steered as people do,
//! by keyboard alone and without JavaScript; no barrier, nothing cut off; pictures in `.ci/work/pictures/page`.

use std::time::Duration;

use stories::{
    house::{House, free_address},
    mailbox,
    play::SPEED,
    real::{Browser, pictures},
    settings::{Addresses, Places},
    truth::Truth,
};

/// Real time in which the stories come as far as the test needs.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn support_staff_answer_and_steer_in_a_real_browser() {
    let Some(browser) = Browser::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path().to_owned(), SPEED).unwrap();
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let addresses = Addresses {
        sandbox: free_address(0).unwrap(),
        exporter: free_address(0).unwrap(),
        alerter: free_address(0).unwrap(),
    };
    let config = |path: std::path::PathBuf| [format!("--config.file={}", path.display())];
    let flags = places.sandbox(house.anchor).unwrap();
    let sandbox = house.start("basiq-sandbox", addresses.sandbox, &flags).await.unwrap();
    let truth = Truth::read(&house, addresses.sandbox).await.unwrap();
    let watching = config(places.exporter(addresses, &truth).unwrap());
    let exporter = house.start("basiq-exporter", addresses.exporter, &watching).await.unwrap();
    // Every message to a user waits for a person, and for long enough after the exporter is gone.
    let path = places.alerter(addresses).unwrap();
    let text = std::fs::read_to_string(&path).unwrap() + "limits: {hold_all: 0}\n";
    std::fs::write(&path, text).unwrap();
    let alerter = house.start("basiq-alerter", addresses.alerter, &config(path)).await.unwrap();

    let base = format!("http://{}", addresses.alerter);
    let step = async |name: &'static str, folder: String| {
        let (browser, base) = (browser.clone(), base.clone());
        let run = move || browser.run("page.mjs", &[name, &base, &folder]);
        if let Err(error) = tokio::task::spawn_blocking(run).await.unwrap() {
            panic!("{name}: {error}\nalerter:\n{}", alerter.tail());
        }
    };
    let sent = || mailbox::letters(&places.messages()).len();
    assert_eq!(sent(), 0);
    step("release", String::new()).await;
    let released = tokio::time::timeout(PATIENCE, async {
        while sent() == 0 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    released.await.expect("a message went out once its hold was released");

    // Without evidence what is released waits, so that it can be withdrawn.
    exporter.kill().await.unwrap();
    tokio::time::sleep(Duration::from_secs_f64(360.0 / SPEED)).await;
    step("release", String::new()).await;
    step("steer", String::new()).await;

    let exporter = house.start("basiq-exporter", addresses.exporter, &watching).await.unwrap();
    step("answer", String::new()).await;
    step("look", pictures("page").unwrap().display().to_string()).await;

    let log = std::fs::read_to_string(&alerter.log).unwrap();
    for owed in ["viewed on the page", "searched on the page", "taken down from the page"] {
        assert!(log.contains(owed), "the log does not say: {owed}");
    }
    assert!(!log.contains("@people.example"), "the log holds an address");
    for process in [alerter, exporter, sandbox] {
        assert!(process.stop().await.unwrap().success());
    }
}
