//! Plays the stories: sandbox, exporter and alerter as processes on one fast clock.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{
    house::{House, Process, free_address},
    plot,
    real::{Alertmanager, Prometheus},
    settings::{Addresses, Places, Watched},
    tale::{Proof, Tale},
    truth::Truth,
};

/// How many seconds of the stories pass in one real second.
pub const SPEED: f64 = 120.0;

/// After the last story has been told, so much of the stories' time is waited for messages that nobody expects.
const QUIET: SignedDuration = SignedDuration::from_mins(30);

/// How the stories are played.
#[derive(Debug)]
pub struct Options {
    /// Where everything goes. Emptied of an earlier run first.
    pub work: PathBuf,
    /// End once all stories have been told, or must have been.
    pub once: bool,
    /// A real Prometheus and a real Alertmanager watch.
    pub with_prometheus: bool,
}

/// Where a sentence of the tale goes: to the terminal, or nowhere in tests.
pub type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// Plays until all has been told (`once`) or `stop`; returns the table of proofs.
///
/// # Errors
/// A process could not be started, ended by itself, or did not stop.
pub async fn play(options: &Options, say: Say<'_>, stop: &CancellationToken) -> Result<Vec<Proof>> {
    let work = fresh(&options.work)?;
    let house = House::new(work.clone(), SPEED)?;
    let places = Places { work, rules: Places::repository().join("rules") };
    let addresses = Addresses {
        sandbox: free_address(9767)?,
        exporter: free_address(9765)?,
        alerter: free_address(9766)?,
    };
    let observers = Observers::start(options, &places, addresses)?;
    let mut stage = Stage::build(&house, &places, addresses, observers.watched()).await?;
    say(&format!(
        "Everything runs, {SPEED} times as fast as the day: ten minutes take 5 s.\n\
         \x20 who is told what:     {}\n  tickets:              {}\n  what support sees:    http://{}/\n\
         \x20 metrics:              http://{}/metrics and /metrics/connections\n  what really happened: http://{}/sandbox/truth\n",
        places.messages().display(),
        places.tickets().display(),
        addresses.alerter,
        addresses.exporter,
        addresses.sandbox,
    ));
    observers.introduce(say);
    let outcome = stage.watch(options, &house, &places, say, stop).await;
    let stopped = stage.stop().await;
    let proofs = outcome?;
    stopped?;
    Ok(proofs)
}

/// What operators see in it: a Prometheus and an Alertmanager, where they are asked for.
struct Observers {
    prometheus: Option<Prometheus>,
    alertmanager: Option<Alertmanager>,
}

impl Observers {
    fn start(options: &Options, places: &Places, addresses: Addresses) -> Result<Self> {
        if !options.with_prometheus {
            return Ok(Self { prometheus: None, alertmanager: None });
        }
        let alertmanager = Alertmanager::start(&places.work, SILENT)?;
        let address = alertmanager.as_ref().map(|alertmanager| alertmanager.address);
        let rules = places.rules.join("operators.yml");
        let prometheus = Prometheus::watching(&places.work, addresses, &rules, address)?
            .context("--with-prometheus: prometheus is not installed (Debian: apt-get install prometheus)")?;
        Ok(Self { prometheus: Some(prometheus), alertmanager })
    }

    fn watched(&self) -> Option<Watched> {
        let alertmanager = self.alertmanager.as_ref().map(|alertmanager| alertmanager.address);
        self.prometheus.as_ref().map(|_| Watched { alertmanager })
    }

    fn introduce(&self, say: Say<'_>) {
        let Some(prometheus) = &self.prometheus else { return };
        let alertmanager = match &self.alertmanager {
            Some(alertmanager) => format!("http://{}/", alertmanager.address),
            None => "not installed (Debian: apt-get install prometheus-alertmanager)".to_owned(),
        };
        say(&format!(
            "  Prometheus:           http://{}/ (its clock is the real one: ages of what happens here are 120 times too small)\n\
             \x20 Alertmanager:         {alertmanager}\n  dashboards:           import dashboards/*.json into a Grafana with that Prometheus\n",
            prometheus.address
        ));
    }
}

/// An Alertmanager whose page shows what fires, and that tells nobody.
const SILENT: &str = "route: {receiver: page, group_by: [alertname]}\nreceivers: [{name: page}]\n";

/// The processes on stage.
struct Stage {
    addresses: Addresses,
    exporter_arguments: Vec<String>,
    sandbox: Option<Process>,
    exporter: Option<Process>,
    alerter: Option<Process>,
}

impl Stage {
    async fn build(
        house: &House,
        places: &Places,
        addresses: Addresses,
        watched: Option<Watched>,
    ) -> Result<Self> {
        let sandbox = house.start("basiq-sandbox", addresses.sandbox, &places.sandbox(house.anchor)?).await?;
        let truth = Truth::read(house, addresses.sandbox).await?;
        let exporter_arguments = vec![flag("--config.file", &places.exporter(addresses, &truth)?)];
        let exporter = house.start("basiq-exporter", addresses.exporter, &exporter_arguments).await?;
        let alerter_arguments = [flag("--config.file", &places.alerter_beside(addresses, watched)?)];
        let alerter = house.start("basiq-alerter", addresses.alerter, &alerter_arguments).await?;
        Ok(Self {
            addresses,
            exporter_arguments,
            sandbox: Some(sandbox),
            exporter: Some(exporter),
            alerter: Some(alerter),
        })
    }

    async fn watch(
        &mut self,
        options: &Options,
        house: &House,
        places: &Places,
        say: Say<'_>,
        stop: &CancellationToken,
    ) -> Result<Vec<Proof>> {
        let start = house.anchor;
        let mut tale = Tale::new(start);
        let mut complete_since: Option<Timestamp> = None;
        let mut restart = Restart::Ahead;
        loop {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
                () = stop.cancelled() => {}
            }
            let now = house.now();
            let passed = now.duration_since(start);
            self.restart(&mut restart, passed, house, &mut tale, say).await?;
            self.check_alive()?;

            let asked = Instant::now();
            let truth = Truth::read(house, self.addresses.sandbox).await?;
            house.read(&format!("http://{}/-/healthy", self.addresses.alerter)).await?;
            let mut told = tale.read_truth(&truth);
            told.extend(tale.read_letters(&places.messages(), &truth));
            told.extend(tale.read_tickets(&places.tickets()));
            if !options.with_prometheus {
                told.extend(tale.read_notices(&places.notices()));
            }
            if self.exporter.is_some() {
                let metrics = house.read(&format!("http://{}/metrics", self.addresses.exporter)).await?;
                told.extend(tale.read_metrics(&metrics, now));
            }
            told.extend(tale.note_answers(asked.elapsed(), house.speed));
            for sentence in told {
                say(&format!("{:>8}  {sentence}", tale.stamp(now)));
            }

            let proofs = tale.proofs(&truth);
            if proofs.iter().all(|proof| proof.evidence.is_ok()) {
                complete_since.get_or_insert(now);
            } else {
                complete_since = None;
            }
            let quiet = complete_since.is_some_and(|since| now.duration_since(since) >= QUIET);
            let over = passed >= SignedDuration::try_from(plot::LENGTH).unwrap_or_default();
            if stop.is_cancelled() || (options.once && (quiet || over)) {
                return Ok(proofs);
            }
        }
    }

    /// Kills the exporter in the middle of the stories and starts it again some minutes later.
    async fn restart(
        &mut self,
        state: &mut Restart,
        passed: SignedDuration,
        house: &House,
        tale: &mut Tale,
        say: Say<'_>,
    ) -> Result<()> {
        let reached = |at: Duration| passed >= SignedDuration::try_from(at).unwrap_or_default();
        let (gone, back) = plot::EXPORTER_GONE;
        match state {
            Restart::Ahead if reached(gone) => {
                tale.note_restart(false);
                if let Some(exporter) = self.exporter.take() {
                    exporter.kill().await?;
                }
                say(&format!("{:>8}  the exporter is killed (kill -9)", tale.stamp(house.now())));
                *state = Restart::Gone;
            }
            Restart::Gone if reached(back) => {
                let exporter =
                    house.start("basiq-exporter", self.addresses.exporter, &self.exporter_arguments).await?;
                self.exporter = Some(exporter);
                say(&format!("{:>8}  the exporter is back", tale.stamp(house.now())));
                *state = Restart::Back;
            }
            Restart::Back if reached(back + Duration::from_secs(5 * 60)) => {
                tale.note_restart(true);
                *state = Restart::Over;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_alive(&mut self) -> Result<()> {
        for process in [&mut self.sandbox, &mut self.exporter, &mut self.alerter].into_iter().flatten() {
            if let Some(status) = process.ended()? {
                bail!(
                    "{} ended with {status}; its log: {}\n{}",
                    process.name(),
                    process.log.display(),
                    process.tail()
                );
            }
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        let mut failure = Ok(());
        for process in [self.alerter.take(), self.exporter.take(), self.sandbox.take()].into_iter().flatten()
        {
            let name = process.name();
            match process.stop().await {
                Ok(status) if status.success() => {}
                Ok(status) => failure = Err(anyhow::anyhow!("{name} ended with {status} when asked to stop")),
                Err(error) => failure = Err(error),
            }
        }
        failure
    }
}

/// Where the exporter's crash stands.
enum Restart {
    Ahead,
    Gone,
    Back,
    Over,
}

fn flag(name: &str, path: &std::path::Path) -> String {
    format!("{name}={}", path.display())
}

/// The work folder, emptied of an earlier run's files; refuses a folder that holds anything else.
fn fresh(work: &std::path::Path) -> Result<PathBuf> {
    let mark = work.join(".quickstart");
    if work.exists() && !mark.exists() && work.read_dir()?.next().is_some() {
        bail!(
            "{} is not empty and not from an earlier quickstart; choose another folder with --work",
            work.display()
        );
    }
    if work.exists() {
        std::fs::remove_dir_all(work).with_context(|| format!("cannot empty {}", work.display()))?;
    }
    std::fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
    std::fs::write(&mark, "deploy/quickstart may empty this folder\n")?;
    Ok(work.canonicalize()?)
}
