//! Starts the real binaries as processes, waits until they are ready, and stops them.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// Real time a process has to become ready, and to stop when asked.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the binaries, the work folder and the common clock are.
#[derive(Clone, Debug)]
pub struct House {
    binaries: PathBuf,
    /// Configuration, state, messages, tickets and logs.
    pub work: PathBuf,
    /// When the common clock agreed with the system's.
    pub anchor: Timestamp,
    /// How many seconds of the stories pass in one real second.
    pub speed: f64,
    http: reqwest::Client,
    variables: Vec<(String, String)>,
}

/// A running process of the product.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    /// Its standard error, which holds its log.
    pub log: PathBuf,
}

impl House {
    /// A house in `work`, with the binaries that cargo built beside the running one.
    ///
    /// # Errors
    /// The folder cannot be made, or a binary is missing.
    pub fn new(work: PathBuf, speed: f64) -> Result<Self> {
        let mut binaries = std::env::current_exe()?;
        binaries.pop();
        if binaries.ends_with("deps") || binaries.ends_with("examples") {
            binaries.pop();
        }
        for name in ["basiq-sandbox", "basiq-exporter", "basiq-alerter"] {
            if !binaries.join(name).is_file() {
                bail!("{name} is not in {}; run `cargo build --workspace --bins` first", binaries.display());
            }
        }
        std::fs::create_dir_all(work.join("logs"))
            .with_context(|| format!("cannot write to {}", work.display()))?;
        // Tests come here without `daemon::main`; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { binaries, work, anchor: Timestamp::now(), speed, http, variables: Vec::new() })
    }

    /// The same house, whose processes have these environment variables, too.
    pub fn with_variables<'a>(mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.variables.extend(variables);
        self
    }

    /// What the common clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock().now()
    }

    /// The clock that all processes of this house share.
    pub fn clock(&self) -> daemon::Clock {
        daemon::Clock::scaled(self.anchor, self.speed)
    }

    /// The client used for looking at the processes' pages.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// A command for one of the binaries, with the common clock.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.binaries.join(name));
        command
            .arg(format!("--clock.anchor={}", self.anchor.as_millisecond()))
            .arg(format!("--clock.speed={}", self.speed))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts a binary and waits until it says that it is ready.
    ///
    /// # Errors
    /// It ended, or was not ready in time; the error holds the end of its log.
    pub async fn start(
        &self,
        name: &'static str,
        address: SocketAddr,
        arguments: &[String],
    ) -> Result<Process> {
        let log = self.work.join("logs").join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let child = self
            .command(name)
            .args(arguments)
            .arg(format!("--web.listen-address={address}"))
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut process = Process { name, child, log };
        // The sandbox keeps to `/sandbox`, since everything else is Basiq's.
        let page = if name == "basiq-sandbox" { "sandbox/healthy" } else { "-/ready" };
        let url = format!("http://{address}/{page}");
        let answered = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = process.child.try_wait()? {
                    bail!("{name} ended with {status}:\n{}", process.tail());
                }
                if self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        match answered.await {
            Ok(outcome) => outcome.map(|()| process),
            Err(_) => bail!("{name} was not ready within {PATIENCE:?}:\n{}", process.tail()),
        }
    }

    /// Reads a page of a process as text.
    ///
    /// # Errors
    /// No answer, or not a success.
    pub async fn read(&self, url: &str) -> Result<String> {
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }
}

impl Process {
    /// Asks the process to stop (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// It did not stop in time; it is then killed.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => {
                self.child.kill().await?;
                bail!("{} did not stop within {PATIENCE:?} and was killed", self.name)
            }
        }
    }

    /// Ends the process at once (SIGKILL), as a crash would.
    ///
    /// # Errors
    /// The system refused.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The status of a process that ended by itself.
    ///
    /// # Errors
    /// The system refused to say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The last lines of the process's log.
    pub fn tail(&self) -> String {
        tail(&self.log)
    }

    /// The binary's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process's id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // A process that is already gone needs no signal.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The last lines of a file, for an error that a person reads.
fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// `preferred` on loopback if it is free, else any free port.
///
/// # Errors
/// Loopback has no free port.
pub fn free_address(preferred: u16) -> Result<SocketAddr> {
    let probe =
        |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    probe(preferred).or_else(|_| probe(0)).context("no free port on 127.0.0.1")
}
