//! What a reply of a relay means (behaviour, section 5). Texts of replies often quote the address, so
//! nothing of them but codes is passed on.

use std::{error::Error as _, fmt};

use lettre::transport::smtp::Error;

use crate::channels::DeliveryError;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Greeting,
    StartTls,
    Auth,
    Mail,
    Recipient,
    Data,
    Content,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Greeting => "the greeting",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the end of DATA",
        })
    }
}

/// Replies to RCPT that speak of the address itself: the only ones that suppress it.
const NO_SUCH_ADDRESS: [&str; 6] = ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"];

/// What a failed step means, and what the connection is good for afterwards.
pub(super) struct Failure {
    pub error: DeliveryError,
    /// The connection still stands and can carry another message.
    pub usable: bool,
    /// The relay asked for less (421, 450).
    pub throttled: bool,
}

/// The meaning of an error of `step`.
pub(super) fn failed(step: Step, error: &Error) -> Failure {
    if let Some(code) = error.status() {
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        let code: u16 = code.into();
        return Failure {
            error: refused(step, code, &text),
            usable: !matches!(code, 421 | 521 | 554)
                && !matches!(step, Step::Greeting | Step::StartTls | Step::Auth),
            throttled: matches!(code, 421 | 450),
        };
    }
    if error.is_tls() {
        return broken(
            step,
            "TLS could not be agreed on (check the certificate, its name and the trusted CA)",
        );
    }
    if error.is_client() {
        // The server lacks what was asked of it: STARTTLS, a way to authenticate, SMTPUTF8.
        let why = format!(
            "at {step} the relay does not offer what is configured (STARTTLS, authentication or SMTPUTF8)"
        );
        return Failure { error: DeliveryError::Channel { why }, usable: false, throttled: false };
    }
    broken(step, "the connection broke")
}

/// A step that ended without a reply.
pub(super) fn broken(step: Step, how: &str) -> Failure {
    let why = format!("at {step} {how}");
    let error = match step {
        Step::Content => DeliveryError::Unknown { why },
        _ => DeliveryError::Retry { after: None, why },
    };
    Failure { error, usable: false, throttled: false }
}

fn refused(step: Step, code: u16, text: &str) -> DeliveryError {
    let enhanced = enhanced(code, text);
    let why = match &enhanced {
        Some(enhanced) => format!("the relay answered {step} with {code} {enhanced}"),
        None => format!("the relay answered {step} with {code}"),
    };
    if code < 500 {
        return DeliveryError::Retry { after: None, why };
    }
    match (step, enhanced) {
        (Step::Recipient, Some(code)) if NO_SUCH_ADDRESS.contains(&&*code) => {
            DeliveryError::Recipient { code }
        }
        // Of this mailbox (5.2.2 is a full one) and of nobody else: one bad mailbox holds up nobody.
        (Step::Recipient, Some(code)) if code.starts_with("5.1.") || code.starts_with("5.2.") => {
            DeliveryError::Permanent { why }
        }
        _ => DeliveryError::Channel { why },
    }
}

/// The enhanced status code (RFC 3463) at the start of a reply's text, if it is of the reply's class.
fn enhanced(code: u16, text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?;
    let numbers: Vec<&str> = word.split('.').collect();
    let [class, subject, detail] = numbers[..] else { return None };
    let number = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    (class == (code / 100).to_string() && number(subject) && number(detail)).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refused_recipient_of_the_list_is_the_recipients_fault() {
        for code in NO_SUCH_ADDRESS {
            let error = refused(Step::Recipient, 550, &format!("{code} <a@b.test>: unknown"));
            assert_eq!(error, DeliveryError::Recipient { code: code.to_owned() });
            for step in [Step::Greeting, Step::Auth, Step::Mail, Step::Data, Step::Content] {
                let error = refused(step, 550, &format!("{code} unknown"));
                assert!(matches!(error, DeliveryError::Channel { .. }), "{step} {code}");
            }
        }
        for (code, text) in [
            (550, "5.7.1 relaying of a@b.test denied"),
            (550, "5.7.26 unauthenticated"),
            (554, "5.3.2 not now"),
            (550, "5.4.1 no route"),
            (550, "No such user a@b.test"),
            (550, "4.1.1 wrong class"),
            (550, "5.1 short"),
            (550, "5.1.1234 long"),
            (550, ""),
        ] {
            let error = refused(Step::Recipient, code, text);
            assert!(matches!(error, DeliveryError::Channel { .. }), "{code} {text}: {error}");
            assert!(!error.to_string().contains("b.test"));
        }
    }

    #[test]
    fn a_full_mailbox_is_neither_suppressed_nor_the_channels_fault() {
        let error = refused(Step::Recipient, 552, "5.2.2 over quota");
        assert!(matches!(error, DeliveryError::Permanent { .. }), "{error}");
    }

    #[test]
    fn what_is_deferred_is_tried_again_at_every_step() {
        for step in [
            Step::Greeting,
            Step::StartTls,
            Step::Auth,
            Step::Mail,
            Step::Recipient,
            Step::Data,
            Step::Content,
        ] {
            for code in [421, 450, 451, 452, 454] {
                let error = refused(step, code, "4.2.0 later, a@b.test");
                assert!(matches!(error, DeliveryError::Retry { .. }), "{step} {code}");
                assert!(!error.to_string().contains("b.test"));
            }
        }
    }

    #[test]
    fn only_after_the_content_is_a_lost_reply_unknown() {
        for step in [
            Step::Connect,
            Step::Greeting,
            Step::StartTls,
            Step::Auth,
            Step::Mail,
            Step::Recipient,
            Step::Data,
        ] {
            assert!(matches!(broken(step, "it hung").error, DeliveryError::Retry { .. }), "{step}");
        }
        assert!(matches!(broken(Step::Content, "it hung").error, DeliveryError::Unknown { .. }));
    }
}
