//! Whether users whose connection is gone are gone themselves: then they are forgotten.

use std::collections::HashSet;

use daemon::Timestamp;
use jiff::SignedDuration;

use super::{AT_ONCE, PAGE, Rounds, Users};
use crate::{
    incidents::Status,
    plan::Command,
    store::{IncidentFilter, StoreError},
};

/// Ends longer ago than this have been asked about.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Incidents whose user was asked about.
pub(super) type Known = HashSet<String>;

impl<U: Users> Rounds<U> {
    /// Asks Basiq for the users of connections that the exporter says were deleted, and forgets those whom neither
    /// has any more.
    pub(super) async fn deleted(&self, known: &mut Known) -> Result<(), StoreError> {
        let now = self.clock.now();
        let ended = self.ended_as_deleted(now - LOOK_BACK).await?;
        known.retain(|reference| ended.iter().any(|(of, _)| of == reference));
        let (mut asked, mut forgotten) = (0, HashSet::new());
        for (reference, user) in &ended {
            if known.contains(reference) || forgotten.contains(user) {
                continue;
            }
            if asked >= AT_ONCE {
                break;
            }
            asked += 1;
            match self.users.gone(user).await {
                Some(true) => {
                    self.store.ask(&Command::Forget { user: user.clone() }, now).await?;
                    forgotten.insert(user.clone());
                }
                Some(false) => {
                    known.insert(reference.clone());
                }
                // It is asked again in the next round.
                None => {}
            }
            if !self.next().await {
                break;
            }
        }
        Ok(())
    }

    /// References and users of incidents that ended because their connection is gone.
    async fn ended_as_deleted(&self, from: Timestamp) -> Result<Vec<(String, String)>, StoreError> {
        let mut ended = Vec::new();
        for page in 0.. {
            let filter = IncidentFilter {
                open: Some(false),
                limit: PAGE,
                offset: page * PAGE,
                ..IncidentFilter::default()
            };
            let incidents = self.store.incidents(&filter).await?;
            let recent = incidents.iter().take_while(|incident| incident.changed >= from);
            for incident in recent.clone().filter(|incident| !incident.user.is_empty()) {
                if matches!(&incident.status, Status::Ended { reason, .. } if reason == "deleted") {
                    ended.push((incident.reference.clone(), incident.user.clone()));
                }
            }
            if recent.count() < PAGE as usize {
                break;
            }
        }
        Ok(ended)
    }
}
