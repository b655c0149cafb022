//! Who is behind a Basiq user: the keyed hash of the address, which is all that is kept of it.

use std::{sync::Arc, time::Duration};

use daemon::{Clock, Secret};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::{Semaphore, mpsc};

use super::Domains;
use crate::{
    channels::{Contact, Contacts, DeliveryError},
    plan::{Person, hex},
};

/// Look-ups at a time.
const CONCURRENCY: usize = 8;
/// Between two look-ups of one user that failed.
const WAIT: Duration = Duration::from_secs(30);

/// The person that a contact names: the hash of the address, or of the partner's own id.
pub fn person(salt: &Secret, contact: &Contact) -> Option<String> {
    let address = contact.address.as_ref().filter(|address| !address.expose().trim().is_empty());
    let text = match (address, &contact.external_id) {
        (Some(address), _) => format!("address:{}", address.expose().trim().to_lowercase()),
        (None, Some(id)) => format!("external:{id}"),
        (None, None) => return None,
    };
    keyed(salt, &text)
}

fn keyed(salt: &Secret, text: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(salt.expose().as_bytes()).ok()?;
    mac.update(text.as_bytes());
    Some(hex(&mac.finalize().into_bytes()[..16]))
}

/// Looks users up until there is an answer.
#[derive(Clone)]
pub struct Resolver {
    /// Who knows.
    pub contacts: Arc<dyn Contacts>,
    /// Between two look-ups.
    pub clock: Clock,
    /// What addresses are hashed with.
    pub salt: Secret,
    /// Whether messages need an address at all; without, each user is a person.
    pub needs_address: bool,
    /// Where answers go.
    pub answers: mpsc::Sender<(String, Person)>,
    /// Bounds the look-ups.
    pub slots: Arc<Semaphore>,
    /// Remembers who shares a mail domain.
    pub domains: Domains,
}

impl Resolver {
    /// The usual bound on look-ups at a time.
    pub fn slots() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(CONCURRENCY))
    }

    /// Takes those out of `users` whose person is known without looking anybody up.
    pub fn at_hand(&self, users: &mut Vec<String>) -> Vec<(String, Person)> {
        let mut found = Vec::new();
        users.retain(|user| match self.contacts.at_hand(user) {
            Some(contact) => {
                found.push((user.clone(), self.found(user, &contact)));
                false
            }
            None => true,
        });
        found
    }

    /// Looks a user up in the background.
    pub fn ask(&self, user: String) {
        let resolver = self.clone();
        tokio::spawn(async move {
            loop {
                let Ok(slot) = resolver.slots.acquire().await else { return };
                let answer = resolver.contacts.resolve(&user).await;
                drop(slot);
                let found = match answer {
                    Ok(Some(contact)) => resolver.found(&user, &contact),
                    Ok(None) | Err(DeliveryError::Permanent { .. } | DeliveryError::Unreachable { .. }) => {
                        Person::Nobody
                    }
                    Err(error) => {
                        tracing::warn!(reason = %error, "a contact could not be looked up; trying again");
                        tokio::select! {
                            () = resolver.clock.sleep(WAIT) => continue,
                            () = resolver.answers.closed() => return,
                        }
                    }
                };
                // Nobody listens any more: the daemon ends.
                let _ = resolver.answers.send((user, found)).await;
                return;
            }
        });
    }

    fn found(&self, user: &str, contact: &Contact) -> Person {
        self.domains.learn(user, contact);
        let own = || if self.needs_address { None } else { keyed(&self.salt, &format!("user:{user}")) };
        let usable = contact.address.is_some() || !self.needs_address;
        let hash = if usable { person(&self.salt, contact).or_else(own) } else { None };
        hash.map_or(Person::Nobody, Person::Hash)
    }
}
