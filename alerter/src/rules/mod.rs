//! Rules: loaded, evaluated and remembered as Prometheus does it.
//!
//! - [`RuleSet::load`] reads rule files, with all their errors at once;
//! - [`Book`] holds what is pending and firing of each rule, and says what changed. It reads no clock
//!   and does no I/O: results of expressions and the time come in, changes and state rows go out;
//! - [`Engine`] evaluates the expressions of a set over a window of samples, for a `Book`;
//! - [`tool`] is `check rules` and `test rules`.
//!
//! It means what Prometheus means, with one difference on the safe side: where Prometheus would resolve
//! an alert because a scrape failed, or has not been made yet, nothing ends here.

mod ask;
mod book;
mod engine;
mod error;
mod load;
mod model;
mod read;
mod schedule;
mod state;
pub mod template;
pub mod tool;
mod unit;
mod yaml;

pub use ask::{Ask, NOTHING};
pub use book::{Book, Changes};
pub use engine::{Engine, Evaluated, Sight};
pub use error::{RuleError, RuleErrors};
pub use load::files;
pub use model::{Alerting, Externals, Group, Kind, Rule, RuleSet, Texts};
pub use schedule::Schedule;
pub(crate) use state::AlertRow;
pub use state::{Failure, fingerprint};

#[cfg(test)]
mod tests;
