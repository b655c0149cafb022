//! Basiq's ids, opaque and small.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest id that is accepted; what is longer is no id of Basiq's.
pub const LONGEST: usize = 128;

/// An id as Basiq gave it. The usual form, a UUID in lower case, takes 16 bytes; anything else is kept
/// as it is. Two ids are equal exactly if their texts are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Form {
    Uuid([u8; 16]),
    Text(Arc<str>),
}

impl Id {
    /// Takes an id over; `None` if it cannot be one: empty, longer than [`LONGEST`], or with characters
    /// other than letters, digits, `-`, `_`, `.`, `:`, `~`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(bytes) = pack(text.as_bytes()) {
            return Some(Self(Form::Uuid(bytes)));
        }
        let fits = !text.is_empty() && text.len() <= LONGEST;
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.:~".contains(&c);
        (fits && text.bytes().all(plain)).then(|| Self(Form::Text(text.into())))
    }

    /// A number that spreads ids evenly and is the same in every process: where in a pass a user's turn is.
    pub fn spread(&self) -> u64 {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = match &self.0 {
            Form::Uuid(bytes) => bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold),
            Form::Text(text) => text.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold),
        };
        // FNV leaves the high bits of short inputs uneven.
        let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }
}

fn pack(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 || [8, 13, 18, 23].iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let mut digits = text.iter().filter(|byte| **byte != b'-').map(|byte| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    });
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    digits.next().is_none().then_some(bytes)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Uuid(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    if [4, 6, 8, 10].contains(&at) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
            Form::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn uuids_are_packed_and_other_ids_kept() {
        let id = Id::parse("7c1a5a1e-7f0c-4f0c-9b7e-0123456789ab").unwrap();
        assert!(matches!(id.0, Form::Uuid(_)));
        for text in ["7C1A5A1E-7f0c-4f0c-9b7e-0123456789ab", "ed00-x", "7c1a5a1e-7f0c-4f0c-9b7e0-123456789ab"]
        {
            let id = Id::parse(text).unwrap();
            assert!(matches!(id.0, Form::Text(_)), "{text}");
            assert_eq!(id.to_string(), text);
        }
        for text in ["", "a b", "a/b", "a\nb", "ü", &"a".repeat(129)] {
            assert_eq!(Id::parse(text), None, "{text:?}");
        }
        assert_eq!(size_of::<Id>(), 24);
    }

    proptest! {
        #[test]
        fn what_is_parsed_prints_as_it_was(text in "[a-f0-9-]{30,40}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|.{0,20}") {
            if let Some(id) = Id::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
