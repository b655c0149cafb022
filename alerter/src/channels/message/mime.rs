//! Mail as bytes.

use std::time::SystemTime;

use daemon::Secret;
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, MessageBuilder, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
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
    pub content: String,
    /// Whom it goes to.
    pub(crate) to: Address,
}

fn cannot() -> DeliveryError {
    DeliveryError::Permanent { why: "the mail's headers cannot be written".to_owned() }
}

impl Mail {
    pub(super) fn new(
        built: Result<Message, lettre::error::Error>,
        to: Address,
    ) -> Result<Self, DeliveryError> {
        let content = String::from_utf8(built.map_err(|_| cannot())?.formatted()).map_err(|_| cannot())?;
        Ok(Self { content, to })
    }
}

pub(super) fn mail(
    message: &UserMessage,
    to: &Contact,
    from: &Mailbox,
    rendered: &Rendered,
    sender: &Sender,
) -> Result<Mail, DeliveryError> {
    let to = address(to.address.as_ref())?;
    let envelope = Envelope::new(Some(from.address.clone()), vec![to.clone()]);
    let mut builder = Message::builder()
        .envelope(envelope.map_err(|_| cannot())?)
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
    let part = |kind: ContentType, text: &str| SinglePart::builder().header(kind).body(body(text));
    // The same bytes for every attempt: the boundary comes from the key instead of chance.
    let alternative = MultiPart::alternative()
        .boundary(&durable::digest(&message.key)[..32])
        .singlepart(part(ContentType::TEXT_PLAIN, &rendered.text))
        .singlepart(part(ContentType::TEXT_HTML, &rendered.html));
    Mail::new(automatic(builder).multipart(alternative), to)
}

/// The longest line of a mail, without its end (RFC 5322, section 2.1.1).
const LONGEST_LINE: usize = 998;

/// A text as it is sent: as it stands where mail can carry it so, else in the shortest encoding. Chosen here because
/// the library encodes whatever has a line of 76 characters, which most HTML has: bytes of markup would become three.
fn body(text: &str) -> Body {
    let longest = text.split('\n').map(str::len).max().unwrap_or_default();
    if !text.is_ascii() || longest > LONGEST_LINE || text.contains('\0') {
        return Body::new(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len() + text.len() / 32 + 16);
    // Looked for once: templates have none, and byte by byte takes longer than all the rest.
    let returns = text.contains('\r');
    for (n, line) in text.split('\n').enumerate() {
        if n > 0 {
            bytes.extend_from_slice(b"\r\n");
        }
        if returns {
            bytes.extend(line.bytes().filter(|byte| *byte != b'\r'));
        } else {
            bytes.extend_from_slice(line.as_bytes());
        }
    }
    Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::SevenBit)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_mail_cannot_carry_is_encoded() {
        let sent = |text: &str| {
            let body = body(text);
            (body.encoding(), String::from_utf8(body.into_vec()).unwrap())
        };
        let long = "x".repeat(LONGEST_LINE);
        assert_eq!(
            sent(&format!("one\r\ntwo = 2\n{long}\n")),
            (ContentTransferEncoding::SevenBit, format!("one\r\ntwo = 2\r\n{long}\r\n"))
        );
        assert_eq!(sent(&format!("{long}x")).0, ContentTransferEncoding::QuotedPrintable);
        assert_eq!(
            sent("Aroha's kōrero"),
            (ContentTransferEncoding::QuotedPrintable, "Aroha's k=C5=8Drero".to_owned())
        );
    }
}
