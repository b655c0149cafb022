//! The commands that the documents tell people to type exist: each daemon's own `--help` says so. What the alerter
//! tells operators of is documented.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use stories::{
    house::{House, free_address},
    settings::Places,
};

const DAEMONS: [&str; 2] = ["basiq-alerter", "basiq-exporter"];

/// What `--help` says of a command.
#[derive(Debug, Default)]
struct Help {
    commands: Vec<String>,
    text: String,
}

/// The daemons' own words, asked for once each.
struct Tools {
    folder: PathBuf,
    asked: BTreeMap<Vec<String>, Help>,
}

impl Tools {
    fn new() -> Self {
        let mut folder = std::env::current_exe().unwrap();
        folder.pop();
        if folder.ends_with("deps") {
            folder.pop();
        }
        Self { folder, asked: BTreeMap::new() }
    }

    fn help(&mut self, words: &[String]) -> &Help {
        self.asked.entry(words.to_vec()).or_insert_with(|| {
            let (daemon, rest) = words.split_first().unwrap();
            let output = Command::new(self.folder.join(daemon)).args(rest).arg("--help").output().unwrap();
            assert!(output.status.success(), "{words:?} --help: {output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let listed = text.split_once("Commands:\n").map_or("", |(_, rest)| rest);
            let commands = listed
                .lines()
                .take_while(|line| !line.is_empty())
                .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
                .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
                .collect();
            Help { commands, text }
        })
    }

    /// What is wrong with a command line, if anything is. `outbox retry|release` stands for two.
    fn wrong(&mut self, line: &str) -> Option<String> {
        let mut path: Vec<String> = Vec::new();
        for word in line.split_whitespace() {
            // What follows is for the reader, for another program, or a drawing.
            if ["#", "|", "&&", ">"].contains(&word) || !word.is_ascii() {
                break;
            }
            let Some(here) = (!path.is_empty()).then(|| self.help(&path)) else {
                path.push(word.to_owned());
                continue;
            };
            if word == "--help" {
                continue;
            }
            if word.starts_with("--") {
                let flag = word.split('=').next().unwrap_or(word);
                let known =
                    here.text.split(|c: char| c.is_whitespace() || c == ',').any(|known| known == flag);
                if !known {
                    return Some(format!("{line:?}: {path:?} has no {flag}"));
                }
                continue;
            }
            if here.commands.is_empty() {
                continue;
            }
            let names: Vec<&str> = word.split('|').collect();
            if let Some(none) = names.iter().find(|name| !here.commands.iter().any(|known| known == *name)) {
                return Some(format!("{line:?}: {path:?} has no command {none}"));
            }
            path.push(names[0].to_owned());
        }
        None
    }
}

/// The pieces of a document that are code: what stands between back quotes, and indented or fenced lines.
fn code(text: &str) -> Vec<String> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line.trim().to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Every document for people, under a folder of the repository.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                documents(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

#[test]
fn every_command_that_the_documents_name_exists() {
    // As for the end-to-end tests: the binaries must have been built.
    let folder = tempfile::tempdir().unwrap();
    House::new(folder.path().to_owned(), 1.0).unwrap();
    let mut tools = Tools::new();
    let own = tools.help(&["basiq-alerter".to_owned()]).commands.clone();
    let mut files = Vec::new();
    documents(&Places::repository(), &mut files);
    let (mut wrong, mut lines) = (Vec::new(), 0);
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        // The references are generated from the same source as `--help`, in another notation.
        if file.ends_with("CONFIG.md") {
            continue;
        }
        for piece in code(&text) {
            let mut words = piece.split_whitespace();
            let (first, second) = (words.next().unwrap_or_default(), words.next());
            let line = match DAEMONS.contains(&first) {
                true => piece.clone(),
                // As the documents shorten it: `outbox list`.
                false if second.is_some() && own.iter().any(|known| known == first) => {
                    format!("basiq-alerter {piece}")
                }
                false => continue,
            };
            lines += 1;
            wrong.extend(tools.wrong(&line).map(|why| format!("{}: {why}", file.display())));
        }
    }
    assert!(lines > 20, "only {lines} command lines were found in {} documents", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    assert!(tools.wrong("basiq-alerter outbox forgive KEY").is_some());
    assert!(tools.wrong("basiq-alerter outbox retry|forgive KEY").is_some());
    assert!(tools.wrong("basiq-alerter pause --everything").is_some());
}

/// The names that stand as literals in the alerter's source, its tests left out.
fn notices(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            notices(&path, found);
        } else if !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let names = text.split('"').filter(|word| word.len() > "BasiqAlerter".len());
            let names = names.filter(|word| word.strip_prefix("BasiqAlerter").is_some_and(is_name));
            found.extend(names.map(str::to_owned));
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(char::is_uppercase) && text.chars().all(char::is_alphanumeric)
}

#[test]
fn every_notice_of_the_alerter_is_documented() {
    let mut names = BTreeSet::new();
    notices(&Places::repository().join("alerter/src"), &mut names);
    // What `send-test` sends says itself what it is.
    names.remove("BasiqAlerterTest");
    let operation = std::fs::read_to_string(Places::repository().join("deploy/docs/operation.md")).unwrap();
    let missing: Vec<_> = names.iter().filter(|name| !operation.contains(&format!("| `{name}` |"))).collect();
    assert!(names.len() > 5, "{names:?}");
    assert!(missing.is_empty(), "operation.md says nothing of {missing:?}");
}

/// Puts the configuration `name` of `deploy` under `root`, with its folders there, and the secrets that it names.
fn localised(root: &Path, name: &str) -> PathBuf {
    let mut text = std::fs::read_to_string(Places::repository().join("deploy").join(name)).unwrap();
    let rules = Places::repository().join("rules").display().to_string();
    for place in ["/etc/basiq-rules", "/etc/basiq/rules"] {
        text = text.replace(place, &rules);
    }
    for place in ["/run/", "/var/lib/", "/etc/basiq"] {
        text = text.replace(place, &format!("{}{place}", root.display()));
    }
    std::fs::create_dir_all(root.join("var/lib/basiq")).unwrap();
    let words = text.split(|c: char| c.is_whitespace() || ",{}".contains(c));
    for secret in words.filter(|word| word.contains("/run/secrets/")) {
        let secret = Path::new(secret);
        std::fs::create_dir_all(secret.parent().unwrap()).unwrap();
        std::fs::write(secret, "postgres://basiq@127.0.0.1:9/basiq").unwrap();
    }
    let path = root.join(name.replace('/', "-"));
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn the_configurations_of_containers_and_of_kubernetes_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path().join("work"), 1.0).unwrap();
    for name in [
        "compose/alerter.yml",
        "kubernetes/overlays/single/alerter.yml",
        "kubernetes/overlays/replicated/alerter.yml",
    ] {
        let config = localised(folder.path(), name);
        let output = Command::new(Tools::new().folder.join("basiq-alerter"))
            .arg(format!("--config.file={}", config.display()))
            .args(["check", "config"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(!said.contains("level=warn"), "{name}: {said}");
    }
    let places = Places { work: house.work.clone(), rules: Places::repository().join("rules") };
    let basiq = free_address(0).unwrap();
    let flags = places.sandbox(house.anchor).unwrap();
    let sandbox = house.start("basiq-sandbox", basiq, &flags).await.unwrap();
    for name in ["compose/exporter.yml", "kubernetes/base/exporter.yml"] {
        let config = localised(folder.path(), name);
        // It names no address: the real Basiq's holds.
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace("basiq:\n", &format!("basiq:\n  url: http://{basiq}\n"));
        std::fs::write(&config, text).unwrap();
        for place in ["run/secrets/api-key", "run/secrets/basiq/api-key"] {
            std::fs::create_dir_all(folder.path().join(place).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(place), stories::settings::API_KEY).unwrap();
        }
        for users in ["etc/basiq/users.yml", "etc/basiq-users/users.yml"] {
            let users = folder.path().join(users);
            std::fs::create_dir_all(users.parent().unwrap()).unwrap();
            std::fs::write(users, "- targets: [some-user]\n").unwrap();
        }
        let flag = format!("--config.file={}", config.display());
        let exporter = house.start("basiq-exporter", free_address(0).unwrap(), &[flag]).await.unwrap();
        assert!(exporter.stop().await.unwrap().success(), "{name}");
    }
    assert!(sandbox.stop().await.unwrap().success());
}
