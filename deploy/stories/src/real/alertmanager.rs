//! A real Alertmanager that keeps what it is sent.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Result;

use super::{free_port, program};

/// A running Alertmanager; killed when dropped.
#[derive(Debug)]
pub struct Alertmanager {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // Whatever became of the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Alertmanager {
    /// Starts one with this configuration that keeps everything under `folder`; `None` where it is not installed.
    ///
    /// # Errors
    /// It could not be set up.
    pub fn start(folder: &Path, config: &str) -> Result<Option<Self>> {
        let Some(alertmanager) = program("prometheus-alertmanager", "prometheus-alertmanager") else {
            return Ok(None);
        };
        let file = folder.join("alertmanager.yml");
        std::fs::write(&file, config)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let log = std::fs::File::create(folder.join("alertmanager.log"))?;
        let child = Command::new(alertmanager)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Some(Self { child, address }))
    }
}
