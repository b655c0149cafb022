//! The chain with real parts: a real Prometheus evaluates the shipped rules and pushes its alerts, and a
//! real MTA takes the mail over STARTTLS with authentication. Everything at the speed of the day, with jobs
//! that failed twenty minutes ago.

use std::time::Duration;

use stories::{
    house::{House, free_address},
    real::{Exim, PASSWORD, Prometheus, USERNAME},
    settings::{Addresses, Places},
    truth::Truth,
};

const SCENARIO: &str = "
seed: 7
users:
  - name: erlich
    full_name: Erlich Bachman
    email: erlich@example.test
    connections:
      - failures: [{as: erlich, from: -30m}]
        timeline: [{at: -5h, do: update}, {at: -20m, do: update}]
  - name: gavinBelson
    full_name: Gavin Belson
    email: gavin@example.test
    connections:
      - timeline: [{at: -5h, do: update}, {at: -20m, do: update}]
";

const TOKEN: &str = "token-of-the-test";

#[tokio::test]
async fn alerts_pushed_by_a_real_prometheus_become_mail_in_a_real_maildir() {
    let Some(exim) = Exim::start().unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path().to_owned(), 1.0).unwrap();
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let addresses = Addresses {
        sandbox: free_address(0).unwrap(),
        exporter: free_address(0).unwrap(),
        alerter: free_address(0).unwrap(),
    };
    let rules = places.rules.join("connections.yml");
    let token = places.write("token", TOKEN).unwrap();
    let Some(_prometheus) =
        Prometheus::start(&house.work, addresses.exporter, &rules, addresses.alerter, &token).unwrap()
    else {
        return;
    };

    let flags = places.sandbox_playing(SCENARIO, house.anchor).unwrap();
    let sandbox = house.start("basiq-sandbox", addresses.sandbox, &flags).await.unwrap();
    let truth = Truth::read(&house, addresses.sandbox).await.unwrap();
    let config = |path: std::path::PathBuf| [format!("--config.file={}", path.display())];
    let flags = config(places.exporter(addresses, &truth).unwrap());
    let exporter = house.start("basiq-exporter", addresses.exporter, &flags).await.unwrap();
    let flags = config(alerter(&places, addresses, &exim, &token));
    let alerter = house.start("basiq-alerter", addresses.alerter, &flags).await.unwrap();

    let mail = exim.mail(Duration::from_secs(100)).await.unwrap_or_else(|error| {
        let log = std::fs::read_to_string(house.work.join("prometheus.log")).unwrap_or_default();
        panic!("{error}\nalerter:\n{}\nexporter:\n{}\nprometheus:\n{log}", alerter.tail(), exporter.tail())
    });
    for line in ["Envelope-to: erlich@example.test", "esmtpsa", "Auto-Submitted: auto-generated"] {
        assert!(mail.contains(line), "{line} is not in\n{mail}");
    }

    // Without its token nobody may push.
    let url = format!("http://{}/api/v2/alerts", addresses.alerter);
    let refused = house.http().post(&url).header("content-type", "application/json").body("[]").send().await;
    assert_eq!(refused.unwrap().status(), 401);

    for process in [alerter, exporter, sandbox] {
        assert!(process.stop().await.unwrap().success());
    }
}

fn alerter(
    places: &Places,
    addresses: Addresses,
    exim: &Exim,
    token: &std::path::Path,
) -> std::path::PathBuf {
    let password = places.write("password", PASSWORD).unwrap();
    let text = format!(
        "environment: production\n\
         actions: {{notify-user: live}}\n\
         sender: {{legal_name: Example Money Pty Ltd, contact: help@example-money.example}}\n\
         channels:\n  smtp: [{{name: relay, host: localhost, port: {port}, tls: starttls, username: {USERNAME}, \
         password_file: '{password}', ca_file: '{ca}', from: no-reply@example.test}}]\n\
         routes: {{user: relay}}\n\
         contacts:\n  basiq: {{}}\n\
         basiq:\n  url: http://{sandbox}\n  api_key_file: {work}/key\n\
         store:\n  sqlite: {{path: '{work}/alerter.db'}}\n\
         exporters:\n  - url: http://{exporter}\n\
         sources:\n  embedded: []\n  push: {{bearer_token_file: '{token}'}}\n",
        port = exim.starttls,
        password = password.display(),
        ca = exim.certificate().display(),
        sandbox = addresses.sandbox,
        exporter = addresses.exporter,
        work = places.work.display(),
        token = token.display(),
    );
    places.write("alerter.yml", &text).unwrap()
}
