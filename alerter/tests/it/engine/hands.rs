//! Hands of all kinds in one, which remember.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use basiq_alerter::{
    channels::{
        Channel, Comment, Contact, Contacts, DeliveryError, Desk, Notice, Operators, Receipt, Ticket,
        UserMessage,
    },
    refresh::{Case, CaseFacts, FailedJob, Refreshed, Refresher},
};
use daemon::{Secret, Timestamp};

/// Remembers what it was given, and answers as it is told to.
#[derive(Default)]
pub(crate) struct Remembers {
    pub(super) messages: Mutex<Vec<UserMessage>>,
    pub(super) tickets: Mutex<HashMap<String, Ticket>>,
    pub(super) comments: Mutex<Vec<String>>,
    pub(super) notices: Mutex<Vec<Notice>>,
    pub(super) refreshes: AtomicUsize,
    answers: Mutex<Vec<DeliveryError>>,
    pub(super) slow: Mutex<Option<Duration>>,
    /// Users whose mailbox has another name than theirs.
    pub(super) homes: Mutex<HashMap<String, String>>,
}

impl Remembers {
    async fn answer(&self) -> Result<(), DeliveryError> {
        let slow = *self.slow.lock().unwrap();
        if let Some(slow) = slow {
            tokio::time::sleep(slow).await;
        }
        self.answers.lock().unwrap().pop().map_or(Ok(()), Err)
    }

    pub(super) fn says(&self, answers: &[DeliveryError]) {
        *self.answers.lock().unwrap() = answers.iter().rev().cloned().collect();
    }

    fn contact(&self, user: &str) -> Contact {
        let domain = if user.starts_with("u-hangs") { "hangs.test" } else { "example.test" };
        let home = self.homes.lock().unwrap().get(user).cloned().unwrap_or_else(|| user.to_owned());
        let address = Some(Secret::new(format!("{home}@{domain}")));
        Contact { address, name: None, language: None, external_id: None }
    }
}

fn receipt(remote: &str) -> Receipt {
    Receipt { remote: remote.to_owned(), detail: "taken".to_owned() }
}

#[async_trait]
impl Channel for Remembers {
    async fn deliver(&self, message: &UserMessage, to: &Contact) -> Result<Receipt, DeliveryError> {
        if to.address.as_ref().is_some_and(|address| address.expose().ends_with("@hangs.test")) {
            return std::future::pending().await;
        }
        // What is unknown was taken, and only the reply was lost.
        let answer = self.answer().await;
        if matches!(answer, Ok(()) | Err(DeliveryError::Unknown { .. })) {
            self.messages.lock().unwrap().push(message.clone());
        }
        answer.map(|()| receipt(&message.message_id))
    }
}

#[async_trait]
impl Desk for Remembers {
    fn searchable(&self) -> bool {
        true
    }
    async fn create(&self, ticket: &Ticket) -> Result<Receipt, DeliveryError> {
        let answer = self.answer().await;
        if matches!(answer, Ok(()) | Err(DeliveryError::Unknown { .. })) {
            let doubled = self.tickets.lock().unwrap().insert(ticket.key.clone(), ticket.clone());
            assert!(doubled.is_none(), "a ticket was doubled");
        }
        answer.map(|()| receipt(&ticket.key))
    }
    async fn find(&self, key: &str) -> Result<Option<Receipt>, DeliveryError> {
        Ok(self.tickets.lock().unwrap().get(key).map(|_| receipt(key)))
    }
    async fn comment(&self, remote: &str, comment: &Comment<'_>) -> Result<Receipt, DeliveryError> {
        self.comments.lock().unwrap().push(comment.text.to_owned());
        Ok(receipt(remote))
    }
}

#[async_trait]
impl Operators for Remembers {
    async fn notify(&self, notice: &Notice) -> Result<Receipt, DeliveryError> {
        self.notices.lock().unwrap().push(notice.clone());
        Ok(receipt(&notice.key))
    }
}

#[async_trait]
impl Contacts for Remembers {
    async fn resolve(&self, user: &str) -> Result<Option<Contact>, DeliveryError> {
        Ok(Some(self.contact(user)))
    }

    /// Where users share a mailbox, both are known at once.
    fn at_hand(&self, user: &str) -> Option<Contact> {
        let shared = !self.homes.lock().unwrap().is_empty();
        shared.then(|| self.contact(user))
    }
}

#[async_trait]
impl Refresher for Remembers {
    async fn refresh(
        &self,
        _user: &str,
        _connection: &str,
        _after_unknown: Option<Timestamp>,
    ) -> Result<Refreshed, DeliveryError> {
        let number = self.refreshes.fetch_add(1, Ordering::SeqCst);
        Ok(Refreshed::Started { job: format!("job-{number}") })
    }
}

#[async_trait]
impl CaseFacts for Remembers {
    async fn case(&self, _user: &str, _connection: &str, _since: Timestamp) -> Result<Case, DeliveryError> {
        let job =
            FailedJob { job: "job-77".into(), code: "service-unavailable".into(), ..FailedJob::default() };
        Ok(Case { jobs: vec![job], correlation_id: Some("corr-1".into()), connection_status: None })
    }
}
