//! The configuration files of the daemons for the stories, and where things lie.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use jiff::Timestamp;

use crate::truth::Truth;

/// The API key that the sandbox accepts.
pub const API_KEY: &str = "c2FuZGJveDpxdWlja3N0YXJ0";

/// Addresses of the processes.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The sandbox's.
    pub sandbox: SocketAddr,
    /// The exporter's.
    pub exporter: SocketAddr,
    /// The alerter's.
    pub alerter: SocketAddr,
}

/// Who else watches.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    /// The Alertmanager's address, if there is one.
    pub alertmanager: Option<SocketAddr>,
}

/// Where things lie.
#[derive(Clone, Debug)]
pub struct Places {
    /// Configuration, state, messages, tickets and logs.
    pub work: PathBuf,
    /// The rule files that ship.
    pub rules: PathBuf,
}

impl Places {
    /// The messages that went out.
    pub fn messages(&self) -> PathBuf {
        self.work.join("messages")
    }

    /// The tickets that were filed.
    pub fn tickets(&self) -> PathBuf {
        self.work.join("tickets")
    }

    /// What operators were told, where nothing else is named for it.
    pub fn notices(&self) -> PathBuf {
        self.work.join("notices")
    }

    /// The folder of the repository from which `deploy/quickstart` runs.
    pub fn repository() -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        root.canonicalize().unwrap_or(root)
    }

    /// Writes a file into the work folder.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.work.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// The sandbox's flags for its default scenario, whose times count from `epoch`.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn sandbox(&self, epoch: Timestamp) -> Result<Vec<String>> {
        let key = self.write("key", API_KEY)?;
        Ok(vec![format!("--api-key.file={}", key.display()), format!("--scenario.epoch={epoch}")])
    }

    /// The sandbox's flags for any scenario.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn sandbox_playing(&self, scenario: &str, epoch: Timestamp) -> Result<Vec<String>> {
        let scenario = self.write("scenario.yml", scenario)?;
        let mut flags = self.sandbox(epoch)?;
        flags.push(format!("--scenario.file={}", scenario.display()));
        Ok(flags)
    }

    /// The exporter's configuration for the sandbox, and the users it watches. Quiet users are looked at every two
    /// minutes instead of once a day, since nobody tells the exporter of the stories' updates.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn exporter(&self, addresses: Addresses, truth: &Truth) -> Result<PathBuf> {
        let mut users = String::from("- targets:\n");
        for id in truth.user_ids() {
            let _ = writeln!(users, "    - {id}");
        }
        self.exporter_watching(&format!("http://{}", addresses.sandbox), &users, "2m")
    }

    /// The exporter's configuration for any users (the text of a users file) and any pass.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn exporter_watching(&self, basiq: &str, users: &str, pass: &str) -> Result<PathBuf> {
        let users = self.write("users.yml", users)?;
        self.write(
            "exporter.yml",
            &format!(
                "basiq:\n  url: {basiq}\n  api_key_file: {work}/key\ndiscovery:\n  file:\n    - paths: ['{users}']\n\
                 store:\n  path: {work}/exporter.db\npoll:\n  pass: {pass}\n",
                work = self.work.display(),
                users = users.display(),
            ),
        )
    }

    /// The exporter's configuration for the real Basiq.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn live_exporter(&self, basiq: &str, users: &Path) -> Result<PathBuf> {
        self.write(
            "exporter.yml",
            &format!(
                "basiq:\n  url: {basiq}\ndiscovery:\n  file:\n    - paths: ['{}']\nstore:\n  path: {}/exporter.db\n",
                users.display(),
                self.work.display()
            ),
        )
    }

    /// The alerter's configuration for the stories: live, with messages and tickets as files.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn alerter(&self, addresses: Addresses) -> Result<PathBuf> {
        self.alerter_beside(addresses, None)
    }

    /// The same, where a Prometheus evaluates the rules for operators and an Alertmanager takes notices.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn alerter_beside(&self, addresses: Addresses, watched: Option<Watched>) -> Result<PathBuf> {
        let work = self.work.display();
        let delivery = format!(
            "environment: production\n\
             actions: {{notify-user: live, refresh-connection: live, file-ticket: live}}\n\
             sender: {{legal_name: Example Money Pty Ltd, contact: help@example-money.example, brand: Example Money, app: the Example Money app}}\n\
             channels:\n  files: [{{name: messages, directory: '{work}/messages', from: no-reply@example-money.example}}]\n\
             desks:\n  files: [{{name: tickets, directory: '{work}/tickets'}}]\n\
             routes: {{user: messages, desk: tickets}}\n\
             contacts:\n  basiq: {{}}\n"
        );
        let basiq = format!("basiq:\n  url: http://{}\n  api_key_file: {work}/key\n", addresses.sandbox);
        let notices = match watched.and_then(|watched| watched.alertmanager) {
            Some(address) => {
                format!("operators:\n  alertmanager: [{{name: alertmanager, url: 'http://{address}'}}]\n")
            }
            None => String::new(),
        };
        let rules = self.watching(addresses, watched.is_none());
        self.write("alerter.yml", &(delivery + &notices + &basiq + &rules))
    }

    /// The alerter's configuration for the real Basiq: dry run.
    ///
    /// # Errors
    /// The work folder cannot be written.
    pub fn live_alerter(&self, basiq: &str, addresses: Addresses) -> Result<PathBuf> {
        self.write("alerter.yml", &(format!("basiq:\n  url: {basiq}\n") + &self.watching(addresses, true)))
    }

    /// Store, exporter and rules; those for operators where nobody else evaluates them.
    fn watching(&self, addresses: Addresses, operators: bool) -> String {
        let operators =
            if operators { format!(", '{}/operators.yml'", self.rules.display()) } else { String::new() };
        format!(
            "store:\n  sqlite: {{path: '{work}/alerter.db'}}\nexporters:\n  - url: http://{exporter}\n\
             sources:\n  embedded:\n    - name: embedded\n      rules: ['{rules}/connections.yml'{operators}]\n",
            work = self.work.display(),
            exporter = addresses.exporter,
            rules = self.rules.display(),
        )
    }
}
