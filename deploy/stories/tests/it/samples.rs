//! The samples that ship run as they are, once their paths and Basiq's address are those of the machine.

use std::{fs, net::SocketAddr, path::Path};

use stories::{
    house::{House, Process, free_address},
    settings::{API_KEY, Places},
};

/// Writes a sample with everything under `root` instead of the system's folders, and these addresses instead
/// of Basiq's and the exporter's.
fn localised(name: &str, root: &Path, basiq: SocketAddr, exporter: SocketAddr) -> String {
    let text = fs::read_to_string(Places::repository().join("deploy/samples").join(name)).unwrap();
    let text = text.replace("/etc/", &format!("{}/etc/", root.display()));
    let text = text.replace("/var/lib/", &format!("{}/var/lib/", root.display()));
    let text = text.replace("https://au-api.basiq.io", &format!("http://{basiq}"));
    let text = text.replace("http://127.0.0.1:9765", &format!("http://{exporter}"));
    let path = root.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn both_daemons_start_with_their_samples() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for place in [
        "etc/basiq-exporter/users",
        "etc/basiq-alerter/rules",
        "var/lib/basiq-exporter",
        "var/lib/basiq-alerter",
    ] {
        fs::create_dir_all(root.join(place)).unwrap();
    }
    fs::write(root.join("etc/basiq-exporter/users/one.yml"), "- targets: [some-user]\n").unwrap();
    for key in ["etc/basiq-exporter/api-key", "etc/basiq-alerter/api-key", "etc/basiq-alerter/smtp-password"]
    {
        fs::write(root.join(key), API_KEY).unwrap();
    }
    fs::copy(
        Places::repository().join("rules/connections.yml"),
        root.join("etc/basiq-alerter/rules/connections.yml"),
    )
    .unwrap();

    let house = House::new(root.join("work"), 1.0).unwrap();
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let (basiq, exporter, alerter) =
        (free_address(0).unwrap(), free_address(0).unwrap(), free_address(0).unwrap());
    let sandbox = house.start("basiq-sandbox", basiq, &places.sandbox(house.anchor).unwrap()).await.unwrap();
    let mut running: Vec<Process> = vec![sandbox];
    for (daemon, sample, address) in
        [("basiq-exporter", "exporter.yml", exporter), ("basiq-alerter", "alerter.yml", alerter)]
    {
        let config = localised(sample, root, basiq, exporter);
        running.push(house.start(daemon, address, &[format!("--config.file={config}")]).await.unwrap());
        let landing = house.read(&format!("http://{address}/")).await.unwrap();
        assert!(landing.contains("/metrics"), "{landing}");
    }
    for process in running.into_iter().rev() {
        assert!(process.stop().await.unwrap().success());
    }
}
