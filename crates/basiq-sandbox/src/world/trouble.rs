//! What is wrong with a connection, from when to when.

use std::sync::Arc;

use jiff::Timestamp;

use super::job::FailedStep;
use crate::scenario::{self, JobKind, Queue, Until};

/// A failure with its times resolved.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) from: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(super) ends_with: Until,
    pub(super) on: Vec<JobKind>,
    pub(super) failed: Arc<FailedStep>,
    pub(super) queue: Queue,
}

impl Trouble {
    pub(super) fn new(failure: &scenario::Failure, epoch: Timestamp) -> Self {
        Self {
            from: failure.from.resolve(epoch),
            until: match failure.until {
                Until::At(at) => Some(at.resolve(epoch)),
                _ => None,
            },
            ends_with: failure.until,
            on: failure.on.clone(),
            failed: Arc::new(FailedStep::of(failure)),
            queue: failure.queue,
        }
    }

    pub(super) fn applies(&self, kind: JobKind, at: Timestamp) -> bool {
        self.from <= at
            && self.until.is_none_or(|until| at < until)
            && (self.on.is_empty() || self.on.contains(&kind))
    }
}
