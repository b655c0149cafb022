//! What goes wrong around: banks, Basiq, exporter, relay, desk, rules, clocks, the alerter itself.

use std::collections::VecDeque;

use basiq_alerter::{
    demand::Action,
    plan::{Command, Pause},
};
use daemon::Timestamp;
use jiff::SignedDuration;

use super::{
    Sim,
    truth::{BANKS, Event, bank_id},
};

const FAILURES: [&str; 9] = [
    "invalid-credentials",
    "account-locked",
    "mfa-required",
    "user-action-required",
    "reauthorisation-required",
    "service-unavailable",
    "service-unavailable",
    "service-unavailable",
    "unknown",
];

/// How relay or desk behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Up,
    /// Nothing is taken: its circuit is open.
    Down,
    /// Some answers never come.
    Flaky,
    /// It refuses some for good.
    Refuses,
}

pub(super) struct Weather {
    pub(super) statuses: [&'static str; BANKS],
    /// Until which step a bank has an outage.
    outages: [usize; BANKS],
    /// Users newly failing and jobs failed in the service-unavailable class, by bank.
    pub(super) failed: [(VecDeque<Timestamp>, VecDeque<Timestamp>); BANKS],
    pub(super) exporter: bool,
    pub(super) warm: bool,
    pub(super) alerter: bool,
    pub(super) relay: Service,
    pub(super) desk: Service,
    /// Step at which what is down comes back.
    exporter_back: usize,
    alerter_back: usize,
    rule_back: Option<usize>,
    pauses: Vec<(usize, Pause)>,
}

impl Weather {
    pub(super) fn fine() -> Self {
        Self {
            statuses: ["operational"; BANKS],
            outages: [0; BANKS],
            failed: std::array::from_fn(|_| Default::default()),
            exporter: true,
            warm: true,
            alerter: true,
            relay: Service::Up,
            desk: Service::Up,
            exporter_back: 0,
            alerter_back: 0,
            rule_back: None,
            pauses: Vec::new(),
        }
    }
}

impl Sim {
    pub(super) fn weather_changes(&mut self) {
        self.connections_fail();
        self.banks_fail();
        self.machines_fail();
        self.people_act();
    }

    fn somebody(&mut self) -> usize {
        self.between(0, self.connections.len())
    }

    fn connections_fail(&mut self) {
        let users = self.connections.len();
        // One of a hundred a day.
        if self.chance(users as f64 / 100.0 / 288.0) {
            let (place, kind) = (self.somebody(), self.between(0, FAILURES.len()));
            let lasts = self.between(5, 3_000);
            self.fails(place, FAILURES[kind], lasts);
        }
        // A wave: a bank had everybody change their password.
        if self.strikes(0.0003) {
            let (bank, kind) = (self.between(0, BANKS), self.between(0, 5));
            for _ in 0..users.div_ceil(16) {
                let place = self.somebody();
                let place = place - place % BANKS + bank;
                if place < users {
                    self.fails(place, FAILURES[kind], 1);
                }
            }
        }
        if self.strikes(0.01) {
            let place = self.somebody();
            self.later(5..10, Event::Flaps(place, 12));
        }
        if self.strikes(0.05) {
            let place = self.somebody();
            match self.between(0, 6) {
                0 => self.stops(place, "deleted"),
                1 => self.stops(place, "superseded"),
                2 => self.stops(place, "consent-ended"),
                3 => self.turns(place, "account-locked"),
                4 => self.turns(place, "unsupported"),
                _ => self.stops(place, "recovered"),
            }
        }
    }

    fn banks_fail(&mut self) {
        if self.strikes(0.002) {
            let (bank, lasts) = (self.between(0, BANKS), self.between(24, 120));
            self.outage(bank, lasts);
        }
        // Basiq itself.
        if self.strikes(0.0002) {
            let lasts = self.between(24, 60);
            (0..8).for_each(|bank| self.outage(bank, lasts));
        }
        let users = self.connections.len();
        for bank in 0..BANKS {
            if self.weather.outages[bank] > self.step {
                let left = (self.weather.outages[bank] - self.step) * 5;
                for _ in 0..users.div_ceil(BANKS * 80) {
                    let place = self.somebody();
                    let place = place - place % BANKS + bank;
                    let heals = left + self.between(0, 60);
                    if place < users {
                        self.fails(place, "service-unavailable", heals);
                    }
                }
            } else if self.weather.statuses[bank] != "operational" {
                self.weather.statuses[bank] = "operational";
            }
        }
    }

    /// Of five outages Basiq shows three.
    fn outage(&mut self, bank: usize, lasts: usize) {
        self.weather.outages[bank] = self.step + lasts;
        if self.chance(0.6) {
            self.weather.statuses[bank] = if self.chance(0.1) { "unknown" } else { "major-outage" };
        }
    }

    fn machines_fail(&mut self) {
        if self.weather.exporter_back <= self.step {
            if !self.weather.exporter {
                // It is back, and has not yet looked at everything.
                (self.weather.exporter, self.weather.warm) = (true, false);
                self.weather.exporter_back = self.step + 2;
            } else if !self.weather.warm {
                self.weather.warm = true;
            } else if self.strikes(0.003) {
                self.weather.exporter = false;
                self.weather.exporter_back = self.step + self.between(1, 24);
            }
        }
        if !self.weather.alerter {
            if self.weather.alerter_back <= self.step {
                self.weather.alerter = true;
                self.restart();
            }
        } else if self.strikes(0.003) {
            // Killed: what it had in hand has no known outcome.
            self.dies();
            self.weather.alerter = false;
            self.weather.alerter_back = self.step + self.between(0, 12);
        } else if self.strikes(0.0005) {
            // The machine slept.
            self.now += SignedDuration::from_hours(3);
        }
        if self.strikes(0.002) {
            // The alerter's clock is set back, or is right again.
            self.skew = if self.chance(0.5) { SignedDuration::from_mins(-4) } else { SignedDuration::ZERO };
        }
        for relay in [true, false] {
            if self.strikes(0.005) {
                let state = match self.between(0, 10) {
                    0 | 1 => Service::Down,
                    2 | 3 => Service::Flaky,
                    4 => Service::Refuses,
                    _ => Service::Up,
                };
                if relay { self.weather.relay = state } else { self.weather.desk = state }
            }
        }
    }

    fn people_act(&mut self) {
        let (goes, edited) = (self.strikes(0.0005), self.strikes(0.001));
        match self.weather.rule_back {
            Some(back) if back <= self.step => {
                self.weather.rule_back = None;
                self.rule_returns();
            }
            None if goes => {
                self.weather.rule_back = Some(self.step + self.between(6, 144));
                self.rule_goes();
            }
            None if edited => self.rule_changes(),
            _ => {}
        }
        let over: Vec<Pause> = {
            let step = self.step;
            let (over, stays) =
                std::mem::take(&mut self.weather.pauses).into_iter().partition(|(at, _)| *at <= step);
            self.weather.pauses = stays;
            let over: Vec<(usize, Pause)> = over;
            over.into_iter().map(|(_, pause)| pause).collect()
        };
        self.commands.extend(over.into_iter().map(Command::Resume));
        if self.strikes(0.001) {
            let bank = self.between(0, BANKS);
            let pause = match self.between(0, 3) {
                0 => Pause { action: Some(Action::NotifyUser), ..Pause::default() },
                1 => Pause { institution: Some(bank_id(bank).to_string()), ..Pause::default() },
                _ => Pause { action: Some(Action::FileTicket), ..Pause::default() },
            };
            self.commands.push(Command::Pause(pause.clone()));
            let until = self.step + self.between(6, 60);
            self.weather.pauses.push((until, pause));
        }
    }

    /// Everything works from now on.
    pub(super) fn clears_up(&mut self) {
        if !self.weather.alerter {
            self.restart();
        }
        let (failed, pauses) =
            (std::mem::take(&mut self.weather.failed), std::mem::take(&mut self.weather.pauses));
        if self.weather.rule_back.is_some() {
            self.rule_returns();
        }
        self.weather = Weather { failed, ..Weather::fine() };
        self.skew = SignedDuration::ZERO;
        self.commands.extend(pauses.into_iter().map(|(_, pause)| Command::Resume(pause)));
    }
}
