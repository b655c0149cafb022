//! Outside production nobody is written to by mistake: a recipient matches an allow-list, or the message is
//! redirected.

use std::sync::Arc;

use async_trait::async_trait;
use daemon::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Channel, Contact, DeliveryError, Receipt, SettingsError, UserMessage, message::Mailbox};

/// The environment whose messages go to whom they concern.
const PRODUCTION: &str = "production";

/// Section `recipients`, of effect in every environment but `production`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recipients {
    /// Addresses, or domains with their `@`, that may be written to: `qa@example.com`, `@example.com`.
    pub allow: Vec<String>,
    /// Where messages to everybody else go; without it they are not sent.
    pub redirect: Option<String>,
}

impl Recipients {
    /// The channel as it may be used in `environment`. Channels whose messages stay on this machine, and
    /// those that get no address from here, are as they were.
    ///
    /// # Errors
    /// An entry is neither an address nor a domain.
    pub fn guard(
        &self,
        environment: &str,
        channel: Arc<dyn Channel>,
    ) -> Result<Arc<dyn Channel>, SettingsError> {
        let place = |key: &str, why: String| SettingsError { place: format!("recipients.{key}"), why };
        for (number, entry) in self.allow.iter().enumerate() {
            let local = if entry.starts_with('@') { "someone" } else { "" };
            Mailbox::parse(&format!("{local}{entry}")).map_err(|_| {
                place("allow", format!("entry {} is neither an address nor @domain", number + 1))
            })?;
        }
        if let Some(redirect) = &self.redirect {
            Mailbox::parse(redirect).map_err(|error| place("redirect", error.why))?;
        }
        if environment == PRODUCTION || !channel.leaves() || !channel.needs_address() {
            return Ok(channel);
        }
        Ok(Arc::new(Guarded {
            inner: channel,
            allow: self.allow.iter().map(|entry| entry.to_lowercase()).collect(),
            redirect: self.redirect.clone().map(Secret::new),
        }))
    }
}

struct Guarded {
    inner: Arc<dyn Channel>,
    allow: Vec<String>,
    redirect: Option<Secret>,
}

#[async_trait]
impl Channel for Guarded {
    async fn deliver(&self, message: &UserMessage, to: &Contact) -> Result<Receipt, DeliveryError> {
        let address = to.address.as_ref().map(|address| address.expose().trim().to_lowercase());
        let allowed = address.is_none_or(|address| {
            self.allow.iter().any(|entry| {
                if entry.starts_with('@') { address.ends_with(entry.as_str()) } else { address == *entry }
            })
        });
        if allowed {
            return self.inner.deliver(message, to).await;
        }
        let Some(redirect) = &self.redirect else {
            let why = "outside production only recipients of recipients.allow are written to";
            return Err(DeliveryError::Unreachable { why: why.to_owned() });
        };
        let to = Contact { address: Some(redirect.clone()), ..to.clone() };
        let receipt = self.inner.deliver(message, &to).await.map_err(|error| match error {
            // Nobody's own address was refused: nothing is to be suppressed for it.
            DeliveryError::Recipient { code } => {
                DeliveryError::Channel { why: format!("recipients.redirect was refused with {code}") }
            }
            other => other,
        })?;
        Ok(Receipt { detail: format!("{}, redirected: this is not production", receipt.detail), ..receipt })
    }

    fn needs_address(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Remembers(Mutex<Vec<String>>);

    #[async_trait]
    impl Channel for Remembers {
        async fn deliver(&self, _message: &UserMessage, to: &Contact) -> Result<Receipt, DeliveryError> {
            let address = to.address.as_ref().map(|address| address.expose().to_owned());
            self.0.lock().unwrap().push(address.unwrap_or_default());
            Ok(Receipt { remote: String::new(), detail: "taken".to_owned() })
        }
    }

    fn message() -> UserMessage {
        UserMessage {
            key: "k".to_owned(),
            user: "u".to_owned(),
            template: "ready".to_owned(),
            connections: Vec::new(),
            message_id: "<k@localhost>".to_owned(),
            in_reply_to: None,
            reference: "r".to_owned(),
            at: daemon::Timestamp::UNIX_EPOCH,
        }
    }

    async fn send(recipients: &Recipients, environment: &str, to: &str) -> (String, Vec<String>) {
        let inner = Arc::new(Remembers::default());
        let channel = recipients.guard(environment, inner.clone()).unwrap();
        let contact =
            Contact { address: Some(Secret::new(to)), name: None, language: None, external_id: None };
        let said = match channel.deliver(&message(), &contact).await {
            Ok(receipt) => receipt.detail,
            Err(error) => error.to_string(),
        };
        let got = inner.0.lock().unwrap().clone();
        (said, got)
    }

    /// Behaviour, section 5: "Outside production recipients must match an allow-list or are redirected."
    #[tokio::test]
    async fn outside_production_recipients_match_an_allow_list_or_are_redirected() {
        let allow = vec!["QA@piper.test".to_owned(), "@inside.test".to_owned()];
        let only = Recipients { allow: allow.clone(), redirect: None };
        let redirected = Recipients { allow, redirect: Some("catch@inside.test".to_owned()) };
        for to in ["qa@piper.test", "Someone@Inside.test"] {
            assert_eq!(send(&only, "staging", to).await.1, [to]);
            assert_eq!(send(&redirected, "staging", to).await.1, [to]);
        }
        for to in ["other@piper.test", "someone@notinside.test", "x@inside.test.evil"] {
            let (said, got) = send(&only, "staging", to).await;
            assert!(got.is_empty() && said.contains("recipients.allow") && !said.contains('@'), "{said}");
            let (said, got) = send(&redirected, "staging", to).await;
            assert!(got == ["catch@inside.test"] && said.contains("redirected"), "{said}");
            assert_eq!(send(&only, "production", to).await.1, [to]);
        }
    }

    #[test]
    fn an_entry_that_is_no_address_is_refused() {
        for (allow, redirect, place) in
            [("nobody", None, "recipients.allow"), ("@a.test", Some("nobody"), "recipients.redirect")]
        {
            let recipients =
                Recipients { allow: vec![allow.to_owned()], redirect: redirect.map(str::to_owned) };
            let error = recipients.guard("staging", Arc::new(Remembers::default())).err().unwrap();
            assert_eq!(error.place, place);
        }
    }
}
