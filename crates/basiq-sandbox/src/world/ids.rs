//! Ids that can be read back: a million users need no table from a job's id to its user.

use crate::draw::Draw;

/// What an id names. Numbers count up within what owns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    User { user: u32 },
    Connection { user: u32, connection: u8 },
    Job { user: u32, connection: u8, job: u32 },
    Event { user: u32, event: u32 },
}

/// Writes and reads ids of one sandbox: they look like random UUIDs and follow from the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    seed: u64,
}

const USER_BITS: u32 = 24;
const CONNECTION_BITS: u32 = 8;
const NUMBER_BITS: u32 = 30;
const ROUNDS: u64 = 4;

impl Ids {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub(crate) fn write(self, id: Id) -> String {
        let (kind, user, connection, number) = match id {
            Id::User { user } => (0_u64, user, 0, 0),
            Id::Connection { user, connection } => (1, user, connection, 0),
            Id::Job { user, connection, job } => (2, user, connection, job),
            Id::Event { user, event } => (3, user, 0, event),
        };
        let plain = ((kind << USER_BITS | u64::from(user)) << CONNECTION_BITS | u64::from(connection))
            << NUMBER_BITS
            | u64::from(number);
        let hidden = self.feistel(plain, false);
        let check = Draw::new(self.seed, "id check").with(plain).bits();
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            hidden >> 32,
            (hidden >> 16) & 0xffff,
            check & 0xfff,
            0x8000 | (check >> 12) & 0x3fff,
            (hidden & 0xffff) << 32 | (check >> 26) & 0xffff_ffff
        )
    }

    /// What an id names, or nothing if it is not one of this sandbox.
    pub(crate) fn read(self, text: &str) -> Option<Id> {
        if text.len() != 36 || !text.is_ascii() {
            return None;
        }
        let part = |range: std::ops::Range<usize>| u64::from_str_radix(&text[range], 16).ok();
        let hidden = part(0..8)? << 32 | part(9..13)? << 16 | part(24..36)? >> 32;
        let plain = self.feistel(hidden, true);
        let number = u32::try_from(plain & ((1 << NUMBER_BITS) - 1)).ok()?;
        let connection = u8::try_from(plain >> NUMBER_BITS & 0xff).ok()?;
        let user = u32::try_from(plain >> (NUMBER_BITS + CONNECTION_BITS) & ((1 << USER_BITS) - 1)).ok()?;
        let id = match plain >> (NUMBER_BITS + CONNECTION_BITS + USER_BITS) {
            0 => Id::User { user },
            1 => Id::Connection { user, connection },
            2 => Id::Job { user, connection, job: number },
            _ => Id::Event { user, event: number },
        };
        (self.write(id) == text).then_some(id)
    }

    /// A permutation of 64 bits: a Feistel network over two halves.
    fn feistel(self, value: u64, back: bool) -> u64 {
        let (mut left, mut right) = (value >> 32, value & 0xffff_ffff);
        for step in 0..ROUNDS {
            let round = if back { ROUNDS - 1 - step } else { step };
            let key = |half: u64| Draw::new(self.seed, "id").with(round).with(half).bits() & 0xffff_ffff;
            if back {
                (left, right) = (right ^ key(left), left);
            } else {
                (left, right) = (right, left ^ key(right));
            }
        }
        left << 32 | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_and_foreign_ones_are_not() {
        let ids = Ids::new(7);
        for id in [
            Id::User { user: 0 },
            Id::User { user: (1 << 24) - 1 },
            Id::Connection { user: 5, connection: 255 },
            Id::Job { user: 1 << 20, connection: 3, job: 123_456 },
            Id::Event { user: 9, event: 1 },
        ] {
            let text = ids.write(id);
            assert_eq!(ids.read(&text), Some(id), "{text}");
            assert_eq!(Ids::new(8).read(&text), None);
        }
        for foreign in
            ["", "x", "é23e4567-e89b-42d3-a456-42661417400", "123e4567-e89b-42d3-a456-426614174000"]
        {
            assert_eq!(ids.read(foreign), None);
        }
    }
}
