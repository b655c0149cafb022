//! What is known of a series from the scrape before.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

/// Remembers what the caller made of each series (its decoded, interned labels), by the series' text, so
/// that a scrape of the same series decodes nothing.
///
/// Texts are remembered by 128 bits of keyed hash: at a million series the chance that two are confused
/// is one in 10^27.
#[derive(Debug)]
pub struct SeriesCache<T> {
    entries: HashMap<u128, Entry<T>, BuildHasherDefault<AsIs>>,
    keys: [RandomState; 2],
    round: u32,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    seen: u32,
}

impl<T> Default for SeriesCache<T> {
    fn default() -> Self {
        Self { entries: HashMap::default(), keys: [RandomState::new(), RandomState::new()], round: 0 }
    }
}

impl<T> SeriesCache<T> {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is remembered of `series` ([`super::Sample::series`]); made and remembered if it is new.
    pub fn get(&mut self, series: &str, make: impl FnOnce() -> T) -> &T {
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(series)));
        let seen = self.round;
        let entry = self.entries.entry(high << 64 | low).or_insert_with(|| Entry { value: make(), seen });
        entry.seen = seen;
        &entry.value
    }

    /// Ends a scrape: forgets the series that were not asked for since the last call.
    pub fn sweep(&mut self) {
        let round = self.round;
        self.entries.retain(|_, entry| entry.seen == round);
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to_fit();
        }
        self.round = self.round.wrapping_add(1);
    }

    /// How many series are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a good hash is a good hash")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_decoded_once_and_forgotten_when_gone() {
        let mut cache = SeriesCache::new();
        let mut made = 0;
        for _ in 0..3 {
            for series in ["a{x=\"1\"}", "a{x=\"2\"}"] {
                let value = cache.get(series, || {
                    made += 1;
                    series.to_owned()
                });
                assert_eq!(value, series);
            }
            cache.sweep();
        }
        assert_eq!((made, cache.len()), (2, 2));
        cache.get("a{x=\"1\"}", || unreachable!("still known"));
        cache.sweep();
        assert_eq!(cache.len(), 1);
        cache.sweep();
        assert!(cache.is_empty());
    }
}
