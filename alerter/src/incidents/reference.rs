//! The names of an incident: its key, and the short reference that people read out to each other.

use daemon::Timestamp;
use sha2::{Digest, Sha256};

/// Letters and digits that are not mistaken for each other (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What makes an incident one and the same, whatever alerts, restarts or replicas there are: the
/// environment, the connection, and when it began to fail as the exporter's ledger gives it.
pub fn key(environment: &str, connection: &str, failing_since: Timestamp) -> String {
    format!("{environment}/{connection}/{}", failing_since.as_millisecond())
}

/// A reference such as `INC-7K3QM-2X94T`: fifty bits of the key's hash.
pub fn reference(key: &str) -> String {
    let hash = Sha256::digest(key.as_bytes());
    let bits = hash.iter().take(7).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    let mut text = String::from("INC-");
    for place in 0..10 {
        if place == 5 {
            text.push('-');
        }
        let index = (bits >> (5 * (9 - place))) & 31;
        text.push(char::from(ALPHABET[index as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_depends_on_environment_connection_and_start_only() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let later = Timestamp::from_second(1_700_000_001).unwrap();
        let one = reference(&key("production", "c1", at));
        assert_eq!(one, reference(&key("production", "c1", at)));
        assert_eq!(one.len(), "INC-7K3QM-2X94T".len());
        for other in [key("staging", "c1", at), key("production", "c2", at), key("production", "c1", later)] {
            assert_ne!(one, reference(&other));
        }
    }

    #[test]
    fn a_hundred_thousand_references_are_distinct() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let all: std::collections::HashSet<_> =
            (0..100_000).map(|n| reference(&key("production", &format!("c{n}"), at))).collect();
        assert_eq!(all.len(), 100_000);
    }
}
