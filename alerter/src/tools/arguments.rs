//! What the commands are called and take.

use std::path::PathBuf;

use clap::{Subcommand, builder::NonEmptyStringValueParser};

use crate::{
    demand::Action,
    plan::Pause,
    rehearse::{Preview, Replay},
    send_test::SendTest,
    store::EffectState,
};

/// What beside running the binary can be asked for. The store is read beside a running alerter; what is asked
/// of it is taken within a second.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Say whether settings or rules could be used.
    #[command(subcommand)]
    Check(Check),
    /// Try out rules.
    #[command(subcommand)]
    Test(Test),
    /// Say what would be done now, and what would follow if everything stayed as it is. Writes and sends nothing.
    Preview(Preview),
    /// Say what rules would have led to in the past: messages, refreshes, tickets and holds by day and rule.
    Replay(Replay),
    /// What was planned, and how far it has come.
    #[command(subcommand)]
    Outbox(OutboxTool),
    /// What is wrong with connections.
    #[command(subcommand)]
    Incidents(IncidentsTool),
    /// Plan and deliver nothing of a kind until resumed; without options, nothing at all.
    Pause(Pausing),
    /// Undo a pause, named by the same options.
    Resume(Paused),
    /// What already failed at the first sight.
    #[command(subcommand)]
    Baseline(BaselineTool),
    /// Messages that are held back because there were too many.
    #[command(subcommand)]
    Hold(HoldTool),
    /// Forget a user, here and at the exporters: what waits is cancelled, what names them is erased, counts stay.
    Forget {
        /// Basiq's user id.
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        user: String,
    },
    /// Print the ticket map and the suppressions as JSON, for another installation.
    Export,
    /// Take in what `export` printed: no ticket is filed twice, and no address that is suppressed gets mail.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Try a channel, desk or operators' channel with one message, ticket or notice.
    SendTest(SendTest),
    /// Say that a user has dealt with the bank's pop-up: one refresh follows.
    Done {
        /// Basiq's connection id.
        connection: String,
    },
}

/// `check`.
#[derive(Debug, Subcommand)]
pub enum Check {
    /// Read the configuration, and all that it names, without running.
    Config,
    /// Read rule files as they would be loaded.
    Rules {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// `test`.
#[derive(Debug, Subcommand)]
pub enum Test {
    /// Run unit tests of rules, files in promtool's format.
    Rules {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// `outbox`.
#[derive(Debug, Subcommand)]
pub enum OutboxTool {
    /// List effects, newest change first.
    List {
        /// Only those in this state.
        #[arg(long, value_parser = state)]
        state: Option<EffectState>,
        /// Only those of this action.
        #[arg(long, value_parser = action)]
        action: Option<Action>,
        /// Only those through this channel.
        #[arg(long)]
        channel: Option<String>,
        /// Only those about this incident.
        #[arg(long)]
        incident: Option<String>,
        /// At most so many, up to 1000.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Show one effect; what it says is in `--json`.
    Show {
        /// Its key.
        key: String,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Try effects now, also those that ended without having been taken.
    Retry {
        /// Their keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Let effects go on that are held for a person.
    Release {
        /// Their keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Never do what effects that wait would do.
    Cancel {
        /// Their keys.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
    /// Say why something was, or was not, sent.
    Why {
        /// An incident, a connection, a user, the desk's id of a ticket, or an effect's key.
        about: String,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

/// `incidents`.
#[derive(Debug, Subcommand)]
pub enum IncidentsTool {
    /// List incidents, newest change first.
    List {
        /// Ended ones as well.
        #[arg(long)]
        all: bool,
        /// Only of this scenario.
        #[arg(long)]
        scenario: Option<String>,
        /// Only of this institution.
        #[arg(long)]
        institution: Option<String>,
        /// Only of this user.
        #[arg(long)]
        user: Option<String>,
        /// At most so many, up to 1000.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Show one incident and its story.
    Show {
        /// Its reference.
        reference: String,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

/// Options of `pause`.
#[derive(Debug, clap::Args)]
pub struct Pausing {
    #[command(flatten)]
    what: Paused,
    /// Pause nothing, but list what is paused.
    #[arg(long, conflicts_with_all = ["action", "rule", "institution", "user"])]
    list: bool,
    /// The list for programs.
    #[arg(long, requires = "list")]
    json: bool,
}

impl Pausing {
    /// What to pause, or whether to list what is paused for programs.
    pub(super) fn ask(self) -> Result<Pause, bool> {
        if self.list { Err(self.json) } else { Ok(self.what.into()) }
    }
}

/// What is paused or resumed.
#[derive(Debug, clap::Args)]
pub struct Paused {
    /// This action.
    #[arg(long, value_parser = action)]
    action: Option<Action>,
    /// What this rule asks for.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    rule: Option<String>,
    /// Connections of this institution.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    institution: Option<String>,
    /// Connections of this user.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
}

/// `baseline`.
#[derive(Debug, Subcommand)]
pub enum BaselineTool {
    /// Let incidents of the baseline have their effects, longest failing first.
    Release {
        /// Only of this institution.
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        institution: Option<String>,
        /// Only of this scenario.
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        scenario: Option<String>,
        /// At most so many.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        number: Option<u32>,
    },
}

/// `hold`.
#[derive(Debug, Subcommand)]
pub enum HoldTool {
    /// List what is held, oldest first.
    List {
        /// For programs.
        #[arg(long)]
        json: bool,
    },
    /// Send what this hold keeps back, as far as it still holds.
    Release {
        /// The number of the hold.
        number: u64,
    },
    /// Never send it.
    Discard {
        /// The number of the hold.
        number: u64,
    },
}

fn action(text: &str) -> Result<Action, String> {
    let names: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
    Action::parse(text).ok_or_else(|| format!("one of {}", names.join(", ")))
}

fn state(text: &str) -> Result<EffectState, String> {
    let names: Vec<&str> = EffectState::ALL.iter().map(|state| state.as_str()).collect();
    EffectState::parse(text).ok_or_else(|| format!("one of {}", names.join(", ")))
}

impl From<Paused> for Pause {
    fn from(Paused { action, rule, institution, user }: Paused) -> Self {
        Self { action, rule, institution, user }
    }
}
