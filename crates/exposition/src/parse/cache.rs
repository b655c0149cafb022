//! What is known of a series from the scrape before.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Remembers what the caller made of each series (its decoded, interned labels), by the series' text, so
/// that a scrape of the same series decodes nothing.
///
/// Texts are remembered by 128 bits of keyed hash: at a million series the chance that two are confused
/// is one in 10^27. Pages name their series in the same order each time, so the series that came next the
/// last time is tried first.
#[derive(Debug)]
pub struct SeriesCache<T> {
    /// In the order in which they first came.
    entries: Vec<Entry<T>>,
    /// Which of them were asked for since the last sweep.
    seen: Vec<bool>,
    places: HashTable<u32>,
    keys: [RandomState; 2],
    /// The place behind that of the series asked for last.
    next: usize,
}

#[derive(Debug)]
struct Entry<T> {
    key: [u64; 2],
    value: T,
}

impl<T> Default for SeriesCache<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            seen: Vec::new(),
            places: HashTable::new(),
            keys: [RandomState::new(), RandomState::new()],
            next: 0,
        }
    }
}

impl<T> SeriesCache<T> {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is remembered of `series` ([`super::Sample::series`]); made and remembered if it is new.
    pub fn get(&mut self, series: &str, make: impl FnOnce() -> T) -> &T {
        let key = self.key(series.as_bytes());
        let place = match self.place(key) {
            Some(place) => place,
            None => {
                let place = self.entries.len();
                self.entries.push(Entry { key, value: make() });
                self.seen.push(true);
                // There is not memory for so many series that their number is cut off.
                let entries = &self.entries;
                self.places.insert_unique(key[0], place as u32, |place| entries[*place as usize].key[0]);
                place
            }
        };
        self.asked(place)
    }

    /// What is remembered of a series, if it is known.
    pub(super) fn known(&mut self, series: &[u8]) -> Option<&T> {
        let place = self.place(self.key(series))?;
        Some(self.asked(place))
    }

    fn key(&self, series: &[u8]) -> [u64; 2] {
        self.keys.each_ref().map(|keys| keys.hash_one(series))
    }

    fn place(&self, key: [u64; 2]) -> Option<usize> {
        if self.entries.get(self.next).is_some_and(|entry| entry.key == key) {
            return Some(self.next);
        }
        let place = self.places.find(key[0], |place| self.entries[*place as usize].key == key)?;
        Some(*place as usize)
    }

    fn asked(&mut self, place: usize) -> &T {
        self.seen[place] = true;
        self.next = place + 1;
        &self.entries[place].value
    }

    /// Begins a scrape anew: what an unfinished one asked for was not asked for.
    pub fn restart(&mut self) {
        self.next = 0;
        self.seen.fill(false);
    }

    /// Ends a scrape: forgets the series that were not asked for since the last call. Gives whether there
    /// were any.
    pub fn sweep(&mut self) -> bool {
        self.next = 0;
        let gone = self.seen.contains(&false);
        if gone {
            let mut seen = self.seen.iter();
            self.entries.retain(|_| seen.next() == Some(&true));
            if self.entries.len() < self.entries.capacity() / 4 {
                self.entries.shrink_to_fit();
                self.places = HashTable::with_capacity(self.entries.len());
            }
            self.places.clear();
            for (place, entry) in (0u32..).zip(&self.entries) {
                let entries = &self.entries;
                self.places.insert_unique(entry.key[0], place, |place| entries[*place as usize].key[0]);
            }
        }
        self.seen.clear();
        self.seen.resize(self.entries.len(), false);
        gone
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_decoded_once_and_forgotten_when_gone() {
        let mut cache = SeriesCache::new();
        let mut made = 0;
        for order in
            [["a{x=\"1\"}", "a{x=\"2\"}"], ["a{x=\"1\"}", "a{x=\"2\"}"], ["a{x=\"2\"}", "a{x=\"1\"}"]]
        {
            for series in order {
                let value = cache.get(series, || {
                    made += 1;
                    series.to_owned()
                });
                assert_eq!(value, series);
            }
            assert!(!cache.sweep());
        }
        assert_eq!((made, cache.len()), (2, 2));
        cache.get("a{x=\"2\"}", || unreachable!("still known"));
        assert!(cache.sweep());
        assert_eq!(cache.len(), 1);
        assert_eq!(cache.known(b"a{x=\"2\"}").map(String::as_str), Some("a{x=\"2\"}"));
        assert_eq!(cache.known(b"a{x=\"1\"}"), None);
        assert!(!cache.sweep());
        cache.get("a{x=\"2\"}", || unreachable!("still known"));
        cache.restart();
        assert!(cache.sweep() && cache.is_empty(), "what an unfinished scrape asked for is not kept for it");
    }
}
