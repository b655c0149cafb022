//! What is stored at once, and in which form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::ledger::{Ledger, Ms, Tombstone, User};

/// Users in a page. With two connections each, a page holds some hundred connections in about 20 KiB.
pub const PAGE: u32 = 128;
/// The fact that holds the notes.
pub(super) const NOTES: &str = "notes";
/// The form of pages, written before each.
const FORM: u8 = 1;

/// What is kept for others than the ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// Up to when each source had told everything.
    pub marks: BTreeMap<String, Ms>,
    /// Requests by hour since the epoch, for the day's quota.
    pub spent: Vec<(i64, u64)>,
}

/// What changed since the last batch.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) facts: Vec<(&'static str, Vec<u8>)>,
    pub(super) names: Vec<(&'static str, u16, String)>,
    pub(super) counters: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) durations: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) pages: Vec<(u32, Vec<u8>)>,
    pub(super) forgotten: Vec<Tombstone>,
}

impl Batch {
    /// Takes everything that is not stored yet out of the ledger. It must be committed, however often that takes.
    pub fn take(ledger: &mut Ledger) -> Self {
        let mut batch = Self::default();
        if let Some(rest) = ledger.take_unstored_rest() {
            batch.facts.push(("born", encode(&ledger.born())));
            batch.facts.push(("rest", encode(&rest)));
        }
        let lists = [
            ("institutions", &mut ledger.institutions),
            ("steps", &mut ledger.steps),
            ("codes", &mut ledger.codes),
            ("sources", &mut ledger.sources),
        ];
        for (list, names) in lists {
            batch.names.extend(names.unstored().map(|(place, name)| (list, place, name.to_owned())));
            names.stored();
        }
        let cells = ledger.counters.take_unstored();
        batch.counters = cells.iter().map(|(label, cell)| (encode(label), encode(cell))).collect();
        let durations = ledger.counters.take_unstored_durations();
        batch.durations = durations.iter().map(|(label, cell)| (encode(label), encode(cell))).collect();
        batch.forgotten = ledger.forgotten.take_unstored();
        let mut last = None;
        for place in ledger.take_unstored() {
            let page = place / PAGE;
            if last.replace(page) != Some(page) {
                batch.pages.push((page, encode_page(ledger, page)));
            }
        }
        batch
    }

    /// Adds the notes.
    pub fn note(&mut self, notes: &Notes) {
        self.facts.push((NOTES, encode(notes)));
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
            && self.names.is_empty()
            && self.counters.is_empty()
            && self.durations.is_empty()
            && self.pages.is_empty()
            && self.forgotten.is_empty()
    }
}

fn encode_page(ledger: &Ledger, page: u32) -> Vec<u8> {
    let users: Vec<Option<&User>> =
        (page * PAGE..(page + 1) * PAGE).map(|place| ledger.user(place)).collect();
    let mut body = vec![FORM];
    body.extend(encode(&users));
    body
}

pub(super) fn decode_page(body: &[u8]) -> Option<Vec<Option<User>>> {
    let (form, body) = body.split_first()?;
    (*form == FORM).then(|| decode(body)).flatten()
}

/// None of the types that are stored can fail to encode: they have no maps with odd keys and know their lengths.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}
