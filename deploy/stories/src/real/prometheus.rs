//! A real Prometheus that scrapes an exporter, evaluates rule files and sends its alerts to an alerter.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Result;

use super::{free_port, program};
use crate::settings::Addresses;

/// Every second: the stories are fast, and tests wait.
const GLOBAL: &str = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n";

/// A running Prometheus; killed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Whatever became of the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one that keeps everything under `folder`, scrapes and evaluates each second, and shows the
    /// token in `token_file` to the alerter; `None` where it is not installed.
    ///
    /// # Errors
    /// It could not be set up.
    pub fn start(
        folder: &Path,
        exporter: SocketAddr,
        rules: &Path,
        alerter: SocketAddr,
        token_file: &Path,
    ) -> Result<Option<Self>> {
        let config = format!(
            "{GLOBAL}\
             rule_files: ['{rules}']\n\
             scrape_configs:\n\
             - {{job_name: basiq-exporter, static_configs: [{{targets: ['{exporter}']}}]}}\n\
             - {{job_name: basiq-connections, metrics_path: /metrics/connections, static_configs: [{{targets: ['{exporter}']}}]}}\n\
             alerting:\n\
             \x20 alertmanagers:\n\
             \x20 - authorization: {{credentials_file: '{token}'}}\n\
             \x20   static_configs: [{{targets: ['{alerter}']}}]\n",
            rules = rules.display(),
            token = token_file.display(),
        );
        Self::with(folder, &config)
    }

    /// Starts one as a team would run it: it scrapes the bounded pages of both daemons, evaluates the rules for
    /// operators, and sends their alerts to an Alertmanager, if there is one.
    ///
    /// # Errors
    /// It could not be set up.
    pub fn watching(
        folder: &Path,
        addresses: Addresses,
        rules: &Path,
        alertmanager: Option<SocketAddr>,
    ) -> Result<Option<Self>> {
        let alertmanager = alertmanager.map_or_else(String::new, |address| {
            format!("alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{address}']}}]}}]}}\n")
        });
        let config = format!(
            "{GLOBAL}\
             rule_files: ['{rules}']\n\
             scrape_configs:\n\
             - {{job_name: basiq-exporter, static_configs: [{{targets: ['{exporter}']}}]}}\n\
             - {{job_name: basiq-alerter, static_configs: [{{targets: ['{alerter}']}}]}}\n{alertmanager}",
            rules = rules.display(),
            exporter = addresses.exporter,
            alerter = addresses.alerter,
        );
        Self::with(folder, &config)
    }

    /// Starts one that only answers queries over what an earlier one kept under `folder`.
    ///
    /// # Errors
    /// It could not be set up.
    pub fn over(folder: &Path) -> Result<Option<Self>> {
        Self::with(folder, GLOBAL)
    }

    /// Starts one with this configuration that keeps everything under `folder`; `None` where it is not installed.
    ///
    /// # Errors
    /// It could not be set up.
    pub fn with(folder: &Path, config: &str) -> Result<Option<Self>> {
        let Some(prometheus) = program("prometheus", "prometheus") else { return Ok(None) };
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let log = std::fs::File::create(folder.join("prometheus.log"))?;
        let child = Command::new(prometheus)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
            .arg(format!("--web.listen-address={address}"))
            // The first notification after a start may be dropped: the next then comes soon.
            .arg("--rules.alert.resend-delay=5s")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Some(Self { child, address }))
    }
}
