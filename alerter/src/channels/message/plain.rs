//! Plain mail for desks and operators, in threads made of keys.

use std::time::SystemTime;

use daemon::Timestamp;
use lettre::{Message, message::SinglePart};

use super::{
    Mail, Mailbox,
    mime::{automatic, thread},
    values::clean,
};
use crate::channels::{DeliveryError, durable};

/// One mail to a fixed address.
pub(crate) struct Plain<'a> {
    pub from: &'a Mailbox,
    pub to: &'a Mailbox,
    pub subject: &'a str,
    pub text: &'a str,
    /// Makes the Message-ID: the same for every attempt.
    pub key: &'a str,
    /// The key of the mail that this one answers.
    pub answers: Option<&'a str>,
    pub at: Timestamp,
}

/// The Message-ID that a key makes.
fn message_id(key: &str, from: &Mailbox) -> String {
    format!("<{}@{}>", &durable::digest(key)[..32], from.address.domain())
}

impl Plain<'_> {
    pub(crate) fn mail(&self) -> Result<Mail, DeliveryError> {
        let mut builder = Message::builder()
            .from(self.from.shown(None))
            .to(self.to.shown(None))
            .date(SystemTime::from(self.at))
            .subject(clean(self.subject, 200))
            .message_id(Some(message_id(self.key, self.from)));
        if let Some(opening) = self.answers {
            builder = thread(builder, message_id(opening, self.from));
        }
        let mail = automatic(builder).singlepart(SinglePart::plain(self.text.to_owned()));
        Mail::new(mail, self.to.address.clone())
    }
}
