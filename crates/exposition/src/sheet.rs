//! Many rows of samples, of which few change at a time.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::{
    Desc, Format, Kind,
    negotiate::Version,
    page::{Block, Item, Part},
    text,
};

/// How many rows are rendered together. Fewer mean less to render after a change, more compress better.
const ROWS: usize = 16;

/// One sample of a row: index of its family, labels, value.
pub type Cell<'a> = (usize, &'a [(&'a str, &'a str)], f64);

/// Families × rows, kept as finished text in blocks of some rows of one family. A row holds at most one
/// sample in each family; only blocks in which something changed are rendered again.
///
/// Rows are identified by any key (a connection's id, or a number of the caller's).
#[derive(Debug)]
pub struct Sheet<K = u64> {
    families: Vec<Family>,
    keys: Vec<K>,
    places: HashMap<K, usize>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Family {
    desc: Desc,
    text: Arc<Block>,
    openmetrics: Arc<Block>,
    /// Block `n` holds the rows from `n * ROWS` on.
    blocks: Vec<Arc<Block>>,
    samples: usize,
}

impl<K: Clone + Eq + Hash> Sheet<K> {
    /// An empty sheet of these families. A cell names its family by the index here.
    ///
    /// # Panics
    /// If a family is a histogram (a row has one sample a family; see [`crate::Families`]) or two have
    /// one name: both are mistakes in the program.
    pub fn new(families: &[Desc]) -> Self {
        for (at, desc) in families.iter().enumerate() {
            assert!(
                matches!(desc.kind, Kind::Counter | Kind::Gauge),
                "{} has several samples a row",
                desc.name
            );
            assert!(
                families[..at].iter().all(|other| other.name != desc.name),
                "{} is there twice",
                desc.name
            );
        }
        let header = |format, desc: &Desc| {
            let mut out = Vec::new();
            text::header(&mut out, format, desc.name, desc.help, desc.kind);
            Arc::new(Block::of_text(out))
        };
        let families = families
            .iter()
            .map(|desc| Family {
                desc: *desc,
                text: header(Format::Text, desc),
                openmetrics: header(Format::OpenMetrics(Version::V1_0_0), desc),
                blocks: Vec::new(),
                samples: 0,
            })
            .collect();
        Self { families, keys: Vec::new(), places: HashMap::new(), scratch: Vec::new() }
    }

    /// Sets all samples of a row; families that are not named have none. Costs little if nothing changed.
    ///
    /// # Panics
    /// If a cell names a family that does not exist, which is a mistake in the program.
    pub fn set(&mut self, key: K, cells: &[Cell<'_>]) {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => self.append(key),
        };
        let mut shared: Option<Arc<[u8]>> = None;
        for (index, labels, value) in cells {
            self.scratch.clear();
            text::labels(&mut self.scratch, labels.iter().copied());
            let family = &mut self.families[*index];
            let block = &mut family.blocks[place / ROWS];
            let old = block.rows()[place % ROWS].as_ref();
            if old.is_some_and(|(labels, old)| **labels == *self.scratch && old.to_bits() == value.to_bits())
            {
                shared = old.map(|(labels, _)| Arc::clone(labels));
                continue;
            }
            // The samples of a row mostly have the same labels, and then share them.
            let labels = match shared.take().or_else(|| old.map(|(labels, _)| Arc::clone(labels))) {
                Some(labels) if *labels == *self.scratch => labels,
                _ => Arc::from(self.scratch.as_slice()),
            };
            shared = Some(Arc::clone(&labels));
            family.samples += usize::from(old.is_none());
            if let Some(rows) = Block::rows_mut(block) {
                rows[place % ROWS] = Some((labels, *value));
            }
        }
        for (index, family) in self.families.iter_mut().enumerate() {
            let is_named = cells.iter().any(|cell| cell.0 == index);
            if !is_named && family.blocks[place / ROWS].rows()[place % ROWS].is_some() {
                family.samples -= 1;
                if let Some(rows) = Block::rows_mut(&mut family.blocks[place / ROWS]) {
                    rows[place % ROWS] = None;
                }
            }
        }
    }

    /// Removes a row. The last row takes its place, so that blocks stay full.
    pub fn remove(&mut self, key: &K) {
        let Some(place) = self.places.remove(key) else { return };
        let last = self.keys.len() - 1;
        self.keys.swap_remove(place);
        if let Some(moved) = self.keys.get(place) {
            self.places.insert(moved.clone(), place);
        }
        for family in &mut self.families {
            let end = &mut family.blocks[last / ROWS];
            let row = match Block::rows_mut(end) {
                Some(rows) => rows.pop().flatten(),
                None => None,
            };
            if last.is_multiple_of(ROWS) {
                family.blocks.pop();
            }
            let removed = if place == last {
                row
            } else if family.blocks[place / ROWS].rows()[place % ROWS].is_none() && row.is_none() {
                None
            } else {
                Block::rows_mut(&mut family.blocks[place / ROWS])
                    .and_then(|rows| std::mem::replace(&mut rows[place % ROWS], row))
            };
            family.samples -= usize::from(removed.is_some());
        }
    }

    /// Removes the rows of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        let gone: Vec<K> = self.keys.iter().filter(|key| !keep(key)).cloned().collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether there is a row `key`.
    pub fn contains(&self, key: &K) -> bool {
        self.places.contains_key(key)
    }

    /// What the sheet says now, for [`crate::Page::publish`]. Later changes do not show in it. Families
    /// without a sample are left out.
    pub fn part(&self) -> Part {
        let mut items = Vec::new();
        for family in self.families.iter().filter(|family| family.samples > 0) {
            let (text, openmetrics) = (Arc::clone(&family.text), Arc::clone(&family.openmetrics));
            items.push(Item::Each { text, openmetrics });
            let blocks = family.blocks.iter().filter(|block| !block.is_empty());
            items.extend(blocks.map(|block| Item::Both(Arc::clone(block))));
        }
        Part(items)
    }

    /// The families, in the order of their indices.
    pub fn families(&self) -> impl Iterator<Item = &Desc> {
        self.families.iter().map(|family| &family.desc)
    }

    fn append(&mut self, key: K) -> usize {
        let place = self.keys.len();
        for family in &mut self.families {
            if place.is_multiple_of(ROWS) {
                family.blocks.push(Arc::new(Block::of_rows(family.desc.name)));
            }
            if let Some(rows) = Block::rows_mut(&mut family.blocks[place / ROWS]) {
                rows.push(None);
            }
        }
        self.keys.push(key.clone());
        self.places.insert(key, place);
        place
    }
}
