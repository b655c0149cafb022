//! From text to a tree that can be evaluated.
//!
//! `promql-parser` reads the grammar. It sees a rewritten text in which every string and every number is
//! a placeholder, of a size and depth that were checked before: so its faults with durations, escapes,
//! large numbers and nesting cannot be reached. What it yields is then checked again while lowered.

mod guard;
mod lower;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::node::Node;
use crate::refused::Refused;

pub(crate) use guard::{seconds, signed_number};
pub(crate) use table::Function;

/// Parses and checks an expression.
pub(crate) fn parse(text: &str) -> Result<Node, Refused> {
    let guarded = guard::guard(text)?;
    // A panic of the parser is a fault of it, not of the process; nothing of ours is shared with it.
    let parsed = catch_unwind(AssertUnwindSafe(|| promql_parser::parser::parse(&guarded.text)));
    match parsed {
        Ok(Ok(tree)) => lower::lower(&tree, &guarded),
        Ok(Err(why)) => Err(Refused::Invalid(guarded.restore(&why))),
        Err(_) => Err(Refused::unsupported("the parser fails on this expression")),
    }
}
