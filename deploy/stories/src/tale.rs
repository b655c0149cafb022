//! Tells in plain words what happens as it happens, and collects what proves each story.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    mailbox::{self, Notice},
    notices,
    plot::{LETTER_AT_THE_EDGE, OUTAGE_LIFTS, PEOPLE, Person, Refreshes, Ticket},
    truth::Truth,
};

/// Whoever is written to without being in the stories.
const STRANGER: &str = "somebody unknown";

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Tale {
    start: Timestamp,
    /// Per person: the templates and files of the messages, in order.
    letters: BTreeMap<String, Vec<(String, PathBuf)>>,
    known: BTreeSet<PathBuf>,
    /// Per ticket file: its length when last read, so that a comment is noticed.
    tickets: BTreeMap<PathBuf, usize>,
    /// Per person: refreshes that Basiq received.
    refreshes: BTreeMap<String, usize>,
    /// The deepest retry queue and its oldest job's age, from the exporter's metrics.
    queue: (f64, Duration),
    outage_shown: bool,
    /// What operators were told, where the alerter tells them by itself.
    notices: Option<Vec<Notice>>,
    /// Messages that were there when the exporter went away and when it was back for a while.
    around_restart: (Option<usize>, Option<usize>),
    /// The machine stood still for so long that operators may have heard of it.
    stalled: bool,
}

/// One line of the table that closes the quickstart.
#[derive(Debug)]
pub struct Proof {
    /// Whose story, or what.
    pub who: String,
    /// What was to come of it.
    pub story: String,
    /// What proves it: files and counts; or what is missing.
    pub evidence: Result<String, String>,
}

impl Tale {
    /// A tale that begins now.
    pub fn new(start: Timestamp) -> Self {
        Self { start, ..Self::default() }
    }

    /// Looks at the message folder; returns a sentence for each new one.
    pub fn read_letters(&mut self, folder: &std::path::Path, truth: &Truth) -> Vec<String> {
        let mut told = Vec::new();
        for letter in mailbox::letters(folder) {
            if !self.known.insert(letter.path.clone()) {
                continue;
            }
            let name = letter.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let known = PEOPLE.iter().find_map(|person| {
                let (template, _) = name.split_once(&format!("-{}", truth.user_id(person.name)?))?;
                Some((person.name, template.to_owned()))
            });
            let (who, template) = known.unwrap_or((STRANGER, name));
            told.push(format!("{who} is told: \"{}\"\n          {}", letter.subject, letter.path.display()));
            self.letters.entry(who.to_owned()).or_default().push((template, letter.path));
        }
        told
    }

    /// Looks at the ticket folder; returns a sentence for each new ticket and each new comment.
    pub fn read_tickets(&mut self, folder: &std::path::Path) -> Vec<String> {
        let mut told = Vec::new();
        for ticket in mailbox::tickets(folder) {
            let length = ticket.text.len();
            match self.tickets.insert(ticket.path.clone(), length) {
                None => {
                    let subject = ticket.text.lines().next().unwrap_or_default();
                    told.push(format!(
                        "a ticket is filed: \"{subject}\"\n          {}",
                        ticket.path.display()
                    ));
                }
                Some(before) if before < length => {
                    let comment = ticket.text[before..].trim().lines().last().unwrap_or_default().to_owned();
                    told.push(format!(
                        "the ticket gets a comment: \"{comment}\"\n          {}",
                        ticket.path.display()
                    ));
                }
                Some(_) => {}
            }
        }
        told
    }

    /// Looks at the folder of notices to operators; returns a sentence for each new one, and for each that is over.
    pub fn read_notices(&mut self, folder: &std::path::Path) -> Vec<String> {
        let notices = mailbox::notices(folder);
        let known = self.notices.replace(notices.clone()).unwrap_or_default();
        let news = notices.iter().filter(|notice| !known.contains(notice));
        news.map(|notice| {
            let over = if notice.ended { ": it is over" } else { "" };
            format!("operators are told: {}{over}\n          {}", notice.alert, notice.path.display())
        })
        .collect()
    }

    /// Takes what the sandbox knows; returns a sentence for each new refresh.
    pub fn read_truth(&mut self, truth: &Truth) -> Vec<String> {
        let mut told = Vec::new();
        for person in PEOPLE {
            let count = truth.refreshes(person.name).len();
            let known = self.refreshes.entry(person.name.to_owned()).or_default();
            if count > *known {
                *known = count;
                told.push(format!("{}'s connection is refreshed (number {count})", person.name));
            }
        }
        told
    }

    /// Takes the exporter's `/metrics`; returns a sentence when the retry queue or an outage shows for the first time.
    pub fn read_metrics(&mut self, text: &str, now: Timestamp) -> Vec<String> {
        let mut told = Vec::new();
        let (depth, oldest) = (
            sum(text, "basiq_retry_queue_jobs{"),
            least(text, "basiq_retry_queue_oldest_job_created_timestamp_seconds{"),
        );
        if depth > self.queue.0 {
            self.queue.0 = depth;
            told.push(format!(
                "Basiq's retry queue shows {depth} job(s) in /metrics (basiq_retry_queue_jobs)"
            ));
        }
        if let Some(age) = oldest.and_then(|created| age(now, created)).filter(|age| *age > self.queue.1) {
            self.queue.1 = age;
        }
        let outage = text.lines().any(|line| {
            line.starts_with("basiq_institution_outage{")
                && line.contains("level=\"major\"")
                && line.ends_with(" 1")
        });
        if outage && !self.outage_shown {
            self.outage_shown = true;
            told.push("a bank's major outage shows in /metrics (basiq_institution_outage)".to_owned());
        }
        told
    }

    /// Remembers how many messages there were when the exporter went away (`false`) or had been back for a while (`true`).
    pub fn note_restart(&mut self, back: bool) {
        let count = self.known.len();
        if back {
            self.around_restart.1 = Some(count);
        } else {
            self.around_restart.0 = Some(count);
        }
    }

    /// Takes how long the daemons took for their answers; returns a sentence if that is minutes of the stories.
    pub fn note_answers(&mut self, took: Duration, speed: f64) -> Option<String> {
        let here = took.mul_f64(speed).as_secs() / 60;
        (here >= 2).then(|| {
            self.stalled = true;
            format!("this machine stood still for {:.1} s, which are {here} minutes here", took.as_secs_f64())
        })
    }

    /// How long the tale has lasted, as `+1:05` for an hour and five minutes.
    pub fn stamp(&self, now: Timestamp) -> String {
        let minutes = now.duration_since(self.start).as_mins();
        format!("+{}:{:02}", minutes / 60, minutes % 60)
    }

    /// All stories with what proves them, or what is missing.
    pub fn proofs(&self, truth: &Truth) -> Vec<Proof> {
        let mut proofs: Vec<Proof> = PEOPLE
            .iter()
            .map(|person| Proof {
                who: person.name.to_owned(),
                story: person.story.to_owned(),
                evidence: self.person(person, truth),
            })
            .collect();
        proofs.push(Proof {
            who: "retry queue".to_owned(),
            story: "its depth and age show in the metrics".to_owned(),
            evidence: match self.queue {
                (depth, age) if depth >= 2.0 && age > Duration::from_secs(6 * 86_400) => {
                    Ok(format!("depth {depth}, oldest job {:.1} days", age.as_secs_f64() / 86_400.0))
                }
                (depth, age) => Err(format!(
                    "seen a depth of {depth} and an age of {:.1} days, expected 2 and over 6",
                    age.as_secs_f64() / 86_400.0
                )),
            },
        });
        proofs.push(Proof {
            who: "outage".to_owned(),
            story: "a bank in major outage shows in the metrics".to_owned(),
            evidence: if self.outage_shown {
                Ok("basiq_institution_outage{level=\"major\"} was 1".to_owned())
            } else {
                Err("basiq_institution_outage{level=\"major\"} was never 1".to_owned())
            },
        });
        proofs.push(Proof {
            who: "exporter".to_owned(),
            story: "is killed and started again: nobody is told anything because of it".to_owned(),
            evidence: match self.around_restart {
                (Some(before), Some(after)) if before == after => {
                    Ok(format!("{before} messages before it went away, {after} when it was back"))
                }
                (Some(before), Some(after)) => Err(format!("{before} messages before, {after} after")),
                _ => Err("not seen yet".to_owned()),
            },
        });
        if let Some(notices) = &self.notices {
            proofs.push(Proof {
                who: "operators".to_owned(),
                story: "hear of the outage, the queue and the exporter, once each, and of nothing else"
                    .to_owned(),
                evidence: notices::heard(notices, self.stalled),
            });
        }
        if let Some(strangers) = self.letters.get(STRANGER) {
            proofs.push(Proof {
                who: "strangers".to_owned(),
                story: "nobody else is written to".to_owned(),
                evidence: Err(format!("{} messages to nobody in the stories", strangers.len())),
            });
        }
        proofs
    }

    fn person(&self, person: &Person, truth: &Truth) -> Result<String, String> {
        let mut evidence = Vec::new();
        let letters = self.letters.get(person.name).map(Vec::as_slice).unwrap_or_default();
        let templates: Vec<&str> = letters.iter().map(|(template, _)| template.as_str()).collect();
        let owed = match templates.split_first() {
            Some((first, rest)) if (person.name, *first) == LETTER_AT_THE_EDGE => rest,
            _ => templates.as_slice(),
        };
        if owed != person.letters {
            return Err(format!("messages {templates:?}, expected {:?}", person.letters));
        }
        evidence.extend(letters.iter().map(|(_, path)| path.display().to_string()));

        let refreshes = truth.refreshes(person.name);
        let right = match person.refreshes {
            Refreshes::Exactly(count) => refreshes.len() == count,
            Refreshes::OnlyAfterTheOutage => {
                let lifted = self.start + signed(OUTAGE_LIFTS);
                refreshes.iter().all(|at| *at >= lifted)
            }
        };
        if !right {
            let at: Vec<String> = refreshes.iter().map(|at| self.stamp(*at)).collect();
            return Err(format!("{} refreshes at {at:?}, expected {:?}", refreshes.len(), person.refreshes));
        }
        if !refreshes.is_empty() {
            evidence.push(format!("{} refresh(es) received by Basiq", refreshes.len()));
        }

        let connection = truth.connection(person.name).unwrap_or_default();
        let about: Vec<&PathBuf> = self
            .tickets
            .keys()
            .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(connection)))
            .collect();
        match (person.ticket, about.as_slice()) {
            (Ticket::None, []) => {}
            (Ticket::FiledAndCommented, [path]) => {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                if !truth.user_id(person.name).is_some_and(|user| text.contains(user)) {
                    return Err(format!("the ticket does not name the user: {}", path.display()));
                }
                let named =
                    truth.failed_jobs(person.name).into_iter().filter(|job| text.contains(*job)).count();
                if named == 0 {
                    return Err(format!("the ticket names no failed job: {}", path.display()));
                }
                if !text.contains("--- comment") {
                    return Err(format!("the ticket has no comment yet: {}", path.display()));
                }
                evidence.push(format!("{} ({named} job ids)", path.display()));
            }
            (expected, found) => return Err(format!("{} tickets, expected {expected:?}", found.len())),
        }
        if evidence.is_empty() {
            evidence.push("no message, no refresh, no ticket".to_owned());
        }
        Ok(evidence.join("\n"))
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or_default()
}

fn age(now: Timestamp, created: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(now.as_millisecond() as f64 / 1000.0 - created).ok()
}

fn values<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.lines()
        .filter(move |line| line.starts_with(prefix))
        .filter_map(|line| line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok()))
}

fn sum(text: &str, prefix: &str) -> f64 {
    values(text, prefix).sum()
}

fn least(text: &str, prefix: &str) -> Option<f64> {
    values(text, prefix).reduce(f64::min)
}
