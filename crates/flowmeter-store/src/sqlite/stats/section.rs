//! A section of a roll-up: the sums of one period, kept apart by some of what spans have.
//!
//! Smaller sections answer most questions, so that these read little. Never holds a name: numbers stand for them.

use rustc_hash::FxHashMap;

use super::entry::{Entry, Making};
use crate::codec::columns::{unzigzag, zigzag};
use crate::codec::sketch::{read_varint, write_varint};
use crate::rules::sums::Parts;

/// By what a section keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Nothing.
    Total,
    /// Workflow.
    Workflow,
    /// Workflow and node.
    Node,
    /// Model, of calls only.
    Model,
    /// Provider, of calls only.
    Provider,
    /// Everything: workflow, node, model, provider, status.
    Full,
}

/// What a sum is kept apart by: the numbers of workflow, node, model and provider, and the status; 0 where the section
/// does not know.
pub(super) type Key = [i64; 5];

/// Places in a [`Key`].
pub(super) const WORKFLOW: usize = 0;
pub(super) const NODE: usize = 1;
pub(super) const MODEL: usize = 2;
pub(super) const PROVIDER: usize = 3;
pub(super) const STATUS: usize = 4;

/// Everything counts.
pub(super) const ALL_PARTS: Parts = Parts {
    run: true,
    node: true,
    call: true,
};

impl Section {
    /// All of them; days and months have all, half-hours the first and the last.
    pub(super) const ALL: [Self; 6] = [
        Self::Total,
        Self::Workflow,
        Self::Node,
        Self::Model,
        Self::Provider,
        Self::Full,
    ];

    /// The places of a key that it knows.
    pub(super) fn places(self) -> &'static [usize] {
        match self {
            Self::Total => &[],
            Self::Workflow => &[WORKFLOW],
            Self::Node => &[WORKFLOW, NODE],
            Self::Model => &[MODEL],
            Self::Provider => &[PROVIDER],
            Self::Full => &[WORKFLOW, NODE, MODEL, PROVIDER, STATUS],
        }
    }

    /// What counts in it.
    pub(super) fn parts(self) -> Parts {
        match self {
            Self::Model | Self::Provider => Parts {
                run: false,
                node: false,
                call: true,
            },
            _ => ALL_PARTS,
        }
    }

    /// A full key as this section has it.
    pub(super) fn key_of(self, full: &Key) -> Key {
        let mut key = Key::default();
        for place in self.places() {
            key[*place] = full[*place];
        }
        key
    }

    /// As bytes, in the order of the keys.
    pub(super) fn write(self, entries: &FxHashMap<Key, Entry>) -> Vec<u8> {
        let mut keys: Vec<&Key> = entries.keys().collect();
        keys.sort_unstable();
        let mut out = Vec::new();
        write_varint(&mut out, keys.len() as u64);
        for key in keys {
            for place in self.places() {
                write_varint(&mut out, zigzag(key[*place]));
            }
            if let Some(entry) = entries.get(key) {
                entry.write(&mut out);
            }
        }
        out
    }

    /// Hands out the entries of a section whose keys are wanted; `None` where it is damaged.
    pub(super) fn visit(
        self,
        mut bytes: &[u8],
        is_wanted: &dyn Fn(&Key) -> bool,
        visit: &mut dyn FnMut(Key, Entry),
    ) -> Option<()> {
        let count = read_varint(&mut bytes)?;
        for _ in 0..count {
            let mut key = Key::default();
            for place in self.places() {
                key[*place] = unzigzag(read_varint(&mut bytes)?);
            }
            if is_wanted(&key) {
                visit(key, Entry::read(&mut bytes)?);
            } else {
                Entry::skip(&mut bytes)?;
            }
        }
        bytes.is_empty().then_some(())
    }
}

/// Sums in the making, by key.
pub(super) type Makings = FxHashMap<Key, Making>;

/// Makes the sums of a section from those of a finer one.
pub(super) fn gather(section: Section, finer: &FxHashMap<Key, Entry>) -> FxHashMap<Key, Entry> {
    let mut makings = Makings::default();
    for (key, entry) in finer {
        if entry.has(section.parts()) {
            let making = makings.entry(section.key_of(key)).or_default();
            making.merge(section.parts(), entry);
        }
    }
    finish(makings)
}

/// The sums as they are kept.
pub(super) fn finish(makings: Makings) -> FxHashMap<Key, Entry> {
    makings
        .into_iter()
        .map(|(key, making)| (key, making.finish()))
        .collect()
}
