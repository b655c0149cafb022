//! Mail as bytes.

use std::time::SystemTime;

use daemon::Secret;
use lettre::{
    Address, Message,
    message::{
        MessageBuilder, MultiPart, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};

use super::{Rendered, Sender, values::clean};
use crate::channels::{Contact, DeliveryError, SettingsError, UserMessage, durable};

/// Where mail comes from.
#[derive(Clone, Debug)]
pub struct Mailbox {
    pub(crate) address: Address,
    /// The name shown with it; the sender's brand where not given.
    pub(crate) name: Option<String>,
}

impl Mailbox {
    /// Reads `someone@example.com` or `Some One <someone@example.com>`.
    ///
    /// # Errors
    /// It is not one address.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let refuse = |_| SettingsError::new("must be one e-mail address, alone or as: Name <address>");
        // Not lettre's own reading, which ignores what follows the first address.
        let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (clean(name.trim().trim_matches('"'), 80), address),
            None => (String::new(), text.trim()),
        };
        let address = address.parse().map_err(refuse)?;
        Ok(Self { address, name: (!name.is_empty()).then_some(name) })
    }

    /// As [`Self::parse`], for the setting of that name.
    pub(crate) fn setting(name: &str, text: &str) -> Result<Self, SettingsError> {
        Self::parse(text).map_err(|error| SettingsError::new(format!("`{name}` {}", error.why)))
    }

    /// For a header, with `otherwise` as the name where none was given.
    pub(super) fn shown(&self, otherwise: Option<&str>) -> lettre::message::Mailbox {
        let name = self.name.as_deref().or(otherwise);
        lettre::message::Mailbox::new(name.map(|name| clean(name, 80)), self.address.clone())
    }
}

/// A mail, ready for a relay.
pub struct Mail {
    /// The whole message, headers and body, with CRLF line ends.
    pub bytes: Vec<u8>,
    /// Whom it goes to.
    pub(crate) to: Address,
}

pub(super) fn mail(
    message: &UserMessage,
    to: &Contact,
    from: &Mailbox,
    rendered: &Rendered,
    sender: &Sender,
) -> Result<Mail, DeliveryError> {
    let to = address(to.address.as_ref())?;
    let permanent = |why: &str| DeliveryError::Permanent { why: why.to_owned() };
    let mut builder = Message::builder()
        .from(from.shown(Some(sender.brand())))
        .to(lettre::message::Mailbox::new(None, to.clone()))
        .date(SystemTime::from(message.at))
        .subject(rendered.subject.clone())
        .message_id(Some(message_id(&message.message_id)?));
    if let Some(opening) = &message.in_reply_to {
        let opening = message_id(opening)?;
        builder = thread(builder, opening);
    }
    if let Some(page) = &sender.preferences_url {
        builder = builder.raw_header(header("List-Unsubscribe", &format!("<{page}>")));
    }
    let part = |kind: ContentType, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
    // The same bytes for every attempt: the boundary comes from the key instead of chance.
    let alternative = MultiPart::alternative()
        .boundary(&durable::digest(&message.key)[..32])
        .singlepart(part(ContentType::TEXT_PLAIN, &rendered.text))
        .singlepart(part(ContentType::TEXT_HTML, &rendered.html));
    let mail = automatic(builder)
        .multipart(alternative)
        .map_err(|_| permanent("the message's headers cannot be written"))?;
    Ok(Mail { bytes: mail.formatted(), to })
}

/// Answers the message with this id, and so appears below it.
pub(super) fn thread(builder: MessageBuilder, opening: String) -> MessageBuilder {
    builder.in_reply_to(opening.clone()).references(opening)
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// No vacation note shall answer (RFC 3834).
pub(super) fn automatic(builder: MessageBuilder) -> MessageBuilder {
    builder
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"))
}

/// The one recipient.
fn address(of: Option<&Secret>) -> Result<Address, DeliveryError> {
    let unreachable = |why: &str| DeliveryError::Unreachable { why: why.to_owned() };
    let text = of.map(|secret| secret.expose().trim()).filter(|text| !text.is_empty());
    text.ok_or_else(|| unreachable("the contact source has no e-mail address of this user"))?
        .parse()
        .map_err(|_| unreachable("what the contact source has is not an e-mail address"))
}

/// `<…@…>` of printable ASCII: whatever else would break the header is refused.
fn message_id(text: &str) -> Result<String, DeliveryError> {
    let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>');
    if inner.len() > 240 || !inner.contains('@') || !inner.chars().all(fits) {
        return Err(DeliveryError::Permanent { why: "the Message-ID is not one".to_owned() });
    }
    Ok(text.to_owned())
}
