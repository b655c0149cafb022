//! Whether people closed tickets of what still fails.

use std::collections::{BTreeMap, BTreeSet};

use super::{AT_ONCE, PAGE, Rounds, Users};
use crate::{
    channels::{DeliveryError, Standing},
    incidents::TicketState,
    plan::Command,
    store::{IncidentFilter, StoreError},
};

/// The last ticket that was asked about: desk and the desk's own id.
pub(super) type Place = Option<(String, String)>;

/// What is known here of a ticket.
struct Known {
    /// One of the incidents that it speaks of.
    incident: String,
    closed: bool,
}

impl<U: Users> Rounds<U> {
    /// Asks desks how the tickets of open incidents stand, and passes on what is news.
    pub(super) async fn tickets(&self, place: &mut Place) -> Result<(), StoreError> {
        let filed = self.filed().await?;
        let start = place.take();
        let later = filed.iter().filter(|(ticket, _)| start.as_ref().is_none_or(|start| *ticket > start));
        let earlier = filed.iter().filter(|(ticket, _)| start.as_ref().is_some_and(|start| *ticket <= start));
        let mut silent: BTreeSet<&str> = BTreeSet::new();
        for (ticket, known) in later.chain(earlier).take(AT_ONCE) {
            let (name, remote) = ticket;
            let Some(desk) = self.desks.get(name).filter(|_| !silent.contains(name.as_str())) else {
                continue;
            };
            *place = Some(ticket.clone());
            let standing = match desk.standing(remote).await {
                Ok(Some(standing)) => standing,
                Ok(None) => {
                    silent.insert(name);
                    continue;
                }
                // This ticket is gone, or hidden from us; others are not.
                Err(DeliveryError::Permanent { why }) => {
                    tracing::debug!(
                        desk = name,
                        ticket = remote,
                        why,
                        "a ticket does not show how it stands"
                    );
                    continue;
                }
                Err(reason) => {
                    tracing::warn!(desk = name, %reason, "the desk does not say how its tickets stand");
                    silent.insert(name);
                    continue;
                }
            };
            let incident = known.incident.clone();
            let news = match standing {
                Standing::Open => known.closed.then_some(Command::TicketOpened { incident }),
                Standing::Closed => {
                    (!known.closed).then_some(Command::TicketClosed { incident, wont_fix: false })
                }
                Standing::Declined => Some(Command::TicketClosed { incident, wont_fix: true }),
            };
            if let Some(command) = news {
                self.store.ask(&command, self.clock.now()).await?;
            }
            if !self.next().await {
                break;
            }
        }
        Ok(())
    }

    /// The tickets of open incidents that a desk has and that are not final, by desk and the desk's own id.
    async fn filed(&self) -> Result<BTreeMap<(String, String), Known>, StoreError> {
        let mut filed = BTreeMap::new();
        for page in 0.. {
            let filter = IncidentFilter {
                open: Some(true),
                limit: PAGE,
                offset: page * PAGE,
                ..IncidentFilter::default()
            };
            let incidents = self.store.incidents(&filter).await?;
            for incident in &incidents {
                let Some(link) = incident.ticket.as_ref().filter(|link| link.state == TicketState::Filed)
                else {
                    continue;
                };
                let Some(remote) = link.remote.clone() else { continue };
                let known = Known { incident: incident.reference.clone(), closed: link.closed };
                filed.entry((link.desk.clone(), remote)).or_insert(known);
            }
            if incidents.len() < PAGE as usize {
                break;
            }
        }
        Ok(filed)
    }
}
