//! What customers read: from a message's variables to text, HTML and MIME.
//!
//! Templates are folders of three files (`subject.txt`, `body.txt`, `body.mjml`), embedded here and each
//! overridable from a configured folder. The frame around them, with the sender's legal name, contact
//! and the incident's reference, is not a template and cannot be removed by one.

mod mime;
pub(crate) mod plain;
mod sender;
mod templates;
mod values;

use std::path::Path;

pub use mime::{Mail, Mailbox};
pub use sender::Sender;

use super::{Contact, DeliveryError, SettingsError, UserMessage};
use templates::Templates;

/// The names of the templates that every installation has (behaviour, section 2).
pub const TEMPLATES: [&str; 10] = [
    "credentials",
    "locked",
    "mfa",
    "bank-action",
    "renew-consent",
    "delayed",
    "outage",
    "gave-up",
    "ready",
    "unsupported",
];

/// A message as its reader gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// The plain text, footer included.
    pub text: String,
    /// A whole HTML document, footer included.
    pub html: String,
}

/// Renders messages. Made once; templates are compiled and tried when it is made.
pub struct Renderer {
    templates: Templates,
    sender: Sender,
}

impl Renderer {
    /// Compiles the embedded templates and those in `overrides` (one folder per template; each of its
    /// three files is optional), and tries each with one and with two connections.
    ///
    /// # Errors
    /// A template cannot be read, does not compile, uses a variable that does not exist, or leaves the
    /// inside of the frame.
    pub fn new(sender: Sender, overrides: Option<&Path>) -> Result<Self, SettingsError> {
        sender.check()?;
        let renderer = Self { templates: Templates::load(overrides)?, sender };
        renderer.try_all()?;
        Ok(renderer)
    }

    /// Who sends.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Whether a template of that name is installed.
    pub fn has(&self, template: &str) -> bool {
        self.templates.names().any(|name| name == template)
    }

    /// All installed templates.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.names()
    }

    /// The message as `to` would read it.
    ///
    /// # Errors
    /// The template is not installed, or does not fit the message.
    pub fn render(&self, message: &UserMessage, to: &Contact) -> Result<Rendered, DeliveryError> {
        let values = values::Values::new(message, to, &self.sender);
        self.templates.render(&message.template, &values).map_err(|why| DeliveryError::Permanent { why })
    }

    /// The message as MIME, from `from` to the address of `to`.
    ///
    /// # Errors
    /// There is no address, it is not one, or the message cannot be rendered.
    pub fn mail(&self, message: &UserMessage, to: &Contact, from: &Mailbox) -> Result<Mail, DeliveryError> {
        let rendered = self.render(message, to)?;
        mime::mail(message, to, from, &rendered, &self.sender)
    }

    fn try_all(&self) -> Result<(), SettingsError> {
        for name in self.templates.names() {
            for connections in [1, 2] {
                let (message, contact) = values::sample(name, connections);
                self.templates
                    .render(name, &values::Values::new(&message, &contact, &self.sender))
                    .map_err(|why| SettingsError { place: format!("template {name}"), why })?;
            }
        }
        Ok(())
    }
}
