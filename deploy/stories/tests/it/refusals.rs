//! What a daemon says when it cannot work: one line that says what is wrong and what to do, exit code
//! 2 for settings and 1 for running, never a backtrace.

use std::{net::TcpListener, process::Output};

use stories::house::{House, free_address};

struct Bench {
    house: House,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { house: House::new(folder.path().join("work"), 1.0).unwrap(), folder }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    async fn run(&self, binary: &str, arguments: &[&str]) -> Output {
        let mut command = self.house.command(binary);
        command.args(arguments).env_remove("BASIQ_API_KEY");
        tokio::time::timeout(std::time::Duration::from_secs(60), command.output())
            .await
            .unwrap_or_else(|_| panic!("{binary} {arguments:?} neither worked nor gave up"))
            .unwrap()
    }

    /// The text of an alerter's configuration for a Basiq at `url`, without sources.
    fn alerter(&self, url: &str, key: &str) -> String {
        let key = self.write("alerter-key", key);
        let store = self.folder.path().join("alerter.db");
        format!(
            "basiq:\n  url: {url}\n  api_key_file: {key}\nstore:\n  sqlite: {{path: '{}'}}\n\
             exporters: [{{url: 'http://127.0.0.1:1'}}]\n",
            store.display()
        )
    }

    /// The exporter's configuration for a Basiq at `url`.
    fn exporter(&self, url: &str, key: &str) -> String {
        let key = self.write("key", key);
        let users = self.write("users.yml", "- targets: [u-1]\n");
        let store = self.folder.path().join("exporter.db");
        self.write(
            "exporter.yml",
            &format!(
                "basiq:\n  url: {url}\n  api_key_file: {key}\ndiscovery:\n  file:\n    - paths: ['{users}']\n\
                 store:\n  path: {}\n",
                store.display()
            ),
        )
    }
}

#[track_caller]
fn one_line(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked") && !said.contains("backtrace"), "{said}");
    let last = said.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "'{word}' is not in the last line of:\n{said}");
    }
}

#[tokio::test]
async fn an_unknown_flag_is_a_wrong_setting() {
    let bench = Bench::new();
    for binary in ["basiq-exporter", "basiq-alerter", "basiq-sandbox"] {
        let output = bench.run(binary, &["--no-such-flag"]).await;
        assert_eq!(output.status.code(), Some(2), "{binary}");
    }
}

#[tokio::test]
async fn a_missing_configuration_is_named() {
    let bench = Bench::new();
    let missing = bench.folder.path().join("none.yml").display().to_string();
    for binary in ["basiq-exporter", "basiq-alerter"] {
        let output = bench.run(binary, &["--config.file", &missing]).await;
        one_line(&output, 2, &[&missing]);
    }
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_place() {
    let bench = Bench::new();
    let path = bench.write("broken.yml", "no_such_key: 1\n");
    for binary in ["basiq-exporter", "basiq-alerter"] {
        let output = bench.run(binary, &["--config.file", &path]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("no_such_key") && said.contains("broken.yml:1"), "{said}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = bench.run("basiq-sandbox", &["--web.listen-address", &address]).await;
    one_line(&output, 1, &[&address, "--web.listen-address"]);
    let config = bench.exporter("http://127.0.0.1:1", "k");
    let output =
        bench.run("basiq-exporter", &["--config.file", &config, "--web.listen-address", &address]).await;
    one_line(&output, 1, &[&address, "--web.listen-address"]);
}

#[tokio::test]
async fn a_basiq_that_is_not_there_is_named() {
    let bench = Bench::new();
    let config = bench.exporter("http://127.0.0.1:1", "k");
    let output =
        bench.run("basiq-exporter", &["--config.file", &config, "--web.listen-address", "127.0.0.1:0"]).await;
    one_line(&output, 1, &["http://127.0.0.1:1"]);
}

#[tokio::test]
async fn an_unreadable_rules_folder_is_named() {
    let bench = Bench::new();
    let missing = bench.folder.path().join("no-rules/*.yml").display().to_string();
    let config = bench.write(
        "alerter.yml",
        &format!(
            "{}sources:\n  embedded:\n    - name: here\n      rules: ['{missing}']\n",
            bench.alerter("http://127.0.0.1:1", "k")
        ),
    );
    let output =
        bench.run("basiq-alerter", &["--config.file", &config, "--web.listen-address", "127.0.0.1:0"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no-rules"), "{said}");
}

#[tokio::test]
async fn a_wrong_api_key_is_named_by_both_daemons() {
    let bench = Bench::new();
    let address = free_address(0).unwrap();
    let sandbox = bench.house.start("basiq-sandbox", address, &[]).await.unwrap();
    let url = format!("http://{address}");
    let exporter = bench.exporter(&url, "bm90LXRoZS1rZXk=");
    let alerter = bench.alerter(&url, "bm90LXRoZS1rZXk=") + "sources: {embedded: []}\n";
    let alerter = bench.write("alerter.yml", &alerter);
    for (binary, config) in [("basiq-exporter", exporter), ("basiq-alerter", alerter)] {
        let output =
            bench.run(binary, &["--config.file", &config, "--web.listen-address", "127.0.0.1:0"]).await;
        one_line(&output, 1, &["key", "api_key_file"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("bm90LXRoZS1rZXk="), "{binary} shows its key");
    }
    sandbox.stop().await.unwrap();
}
