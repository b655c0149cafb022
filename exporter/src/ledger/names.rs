//! Names that become labels, kept once and bounded in number.

use std::{collections::HashMap, sync::Arc};

/// A name by its place in a [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Name(u16);

/// The name that stands for all beyond the bound.
pub(super) const OTHER: Name = Name(0);
/// The name that stands for what Basiq does not say.
pub(super) const UNKNOWN: Name = Name(1);

/// An append-only list of names, whose places are what is stored. Names known beforehand are free;
/// of those first seen at run time, `bound` are kept verbatim, later ones are [`OTHER`]
/// (design, "Metrics of the exporter").
#[derive(Debug)]
pub struct Names {
    list: Vec<Arc<str>>,
    places: HashMap<Arc<str>, Name>,
    unseen: usize,
    bound: usize,
    /// How many of the list the store has.
    stored: usize,
}

impl Name {
    /// Its place in the list.
    pub fn place(self) -> u16 {
        self.0
    }
}

impl Names {
    /// A list that begins with `other`, `unknown` and `known`, and takes `bound` more.
    pub fn new(known: &[&str], bound: usize) -> Self {
        let mut names = Self { list: Vec::new(), places: HashMap::new(), unseen: 0, bound, stored: 0 };
        for name in ["other", "unknown"].iter().chain(known) {
            names.push(name);
        }
        names
    }

    /// A list as it was stored, so that places mean what they meant.
    pub fn restore(stored: Vec<String>, known: &[&str], bound: usize) -> Self {
        let mut names = Self { list: Vec::new(), places: HashMap::new(), unseen: 0, bound, stored: 0 };
        for name in &stored {
            names.push(name);
            names.unseen += usize::from(!known.contains(&name.as_str()) && names.list.len() > 2);
        }
        names.stored = names.list.len();
        for name in ["other", "unknown"].iter().chain(known) {
            names.push(name);
        }
        names
    }

    fn push(&mut self, name: &str) -> Name {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let Ok(place) = u16::try_from(self.list.len()).map(Name) else { return OTHER };
        let name: Arc<str> = name.into();
        self.list.push(name.clone());
        self.places.insert(name, place);
        place
    }

    /// The place of `name`: known, kept, newly kept, or [`OTHER`] when the bound is reached or the text
    /// is no name (`[A-Za-z0-9-]{1,64}`).
    pub fn intern(&mut self, name: &str) -> Name {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) || self.unseen == self.bound {
            return OTHER;
        }
        self.unseen += 1;
        self.push(name)
    }

    /// The text of a name of this list.
    pub fn get(&self, name: Name) -> Arc<str> {
        self.list.get(usize::from(name.0)).unwrap_or(&self.list[0]).clone()
    }

    /// The place of `name` if it is in the list.
    pub fn find(&self, name: &str) -> Option<Name> {
        self.places.get(name).copied()
    }

    /// All names, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|name| &**name)
    }

    /// Names that the store does not have yet, with their places.
    pub fn unstored(&self) -> impl Iterator<Item = (u16, &str)> {
        let skip = self.stored;
        self.list.iter().enumerate().skip(skip).map(|(at, name)| (at as u16, &**name))
    }

    /// Says that all names so far have been stored.
    pub fn stored(&mut self) {
        self.stored = self.list.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unseen_names_are_kept_and_later_ones_are_other() {
        let mut names = Names::new(&["known"], 2);
        let known = names.intern("known");
        let (a, b, c) = (names.intern("a"), names.intern("b"), names.intern("c"));
        assert_eq!((&*names.get(a), &*names.get(b), c), ("a", "b", OTHER));
        assert_eq!((names.intern("a"), names.intern("known")), (a, known));
        for text in ["", "with space", "ü", &"a".repeat(65)] {
            assert_eq!(names.intern(text), OTHER);
        }
        let stored = names.unstored().map(|(_, name)| name.to_owned()).collect();
        let mut names = Names::restore(stored, &["known", "newer"], 2);
        assert_eq!((names.intern("a"), names.intern("known"), names.intern("d")), (a, known, OTHER));
        assert_eq!(names.unstored().map(|(_, name)| name).collect::<Vec<_>>(), ["newer"]);
    }
}
