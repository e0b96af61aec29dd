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

    /// By what a section's entries stand in groups of their own, and by what they are told apart within.
    fn group_and_rest(self) -> (Option<usize>, &'static [usize]) {
        match self.places() {
            [group, rest @ ..] if !rest.is_empty() => (Some(*group), rest),
            places => (None, places),
        }
    }

    /// As bytes, in the order of the keys. Where keys have several places, those with the same first one stand together
    /// behind their length, so that a question about one workflow passes by the others.
    pub(super) fn write(self, entries: &FxHashMap<Key, Entry>) -> Vec<u8> {
        let mut keys: Vec<&Key> = entries.keys().collect();
        keys.sort_unstable();
        let (group, rest) = self.group_and_rest();
        let mut out = Vec::new();
        let write_all = |keys: &[&Key], out: &mut Vec<u8>| {
            write_varint(out, keys.len() as u64);
            for key in keys {
                for place in rest {
                    write_varint(out, zigzag(key[*place]));
                }
                if let Some(entry) = entries.get(*key) {
                    entry.write(out);
                }
            }
        };
        let Some(group) = group else {
            write_all(&keys, &mut out);
            return out;
        };
        let mut of_group = Vec::new();
        for keys in keys.chunk_by(|a, b| a[group] == b[group]) {
            of_group.clear();
            write_all(keys, &mut of_group);
            write_varint(&mut out, keys.first().map_or(0, |key| zigzag(key[group])));
            write_varint(&mut out, of_group.len() as u64);
            out.extend_from_slice(&of_group);
        }
        out
    }

    /// Hands out the entries of a section whose keys are wanted, as bytes that must be read or passed by; `None` where it
    /// is damaged.
    pub(super) fn visit(self, mut bytes: &[u8], wanted: &Conditions, visit: VisitEntry<'_>) -> Option<()> {
        let (group, rest) = self.group_and_rest();
        let Some(group) = group else {
            visit_all(&mut bytes, Key::default(), rest, wanted, visit)?;
            return bytes.is_empty().then_some(());
        };
        while !bytes.is_empty() {
            let mut key = Key::default();
            key[group] = unzigzag(read_varint(&mut bytes)?);
            let length = usize::try_from(read_varint(&mut bytes)?).ok()?;
            let (mut of_group, behind) = bytes.split_at_checked(length)?;
            bytes = behind;
            let is_wanted =
                |(place, numbers): &(usize, Vec<i64>)| *place != group || numbers.contains(&key[group]);
            if wanted.iter().all(is_wanted) {
                visit_all(&mut of_group, key, rest, wanted, visit)?;
                if !of_group.is_empty() {
                    return None;
                }
            }
        }
        Some(())
    }
}

fn visit_all(
    bytes: &mut &[u8],
    mut key: Key,
    places: &[usize],
    wanted: &Conditions,
    visit: VisitEntry<'_>,
) -> Option<()> {
    let count = read_varint(bytes)?;
    for _ in 0..count {
        for place in places {
            key[*place] = unzigzag(read_varint(bytes)?);
        }
        if hold_for(wanted, &key) {
            visit(&key, bytes)?;
        } else {
            Entry::skip(bytes)?;
        }
    }
    Some(())
}

/// Conditions on keys: places, and the numbers of which one must stand there.
pub(super) type Conditions = [(usize, Vec<i64>)];

/// Called with a key and the bytes that its entry begins; moves these behind it. `None` where it is damaged.
pub(super) type VisitEntry<'v> = &'v mut dyn FnMut(&Key, &mut &[u8]) -> Option<()>;

/// Whether conditions hold for a key.
#[inline]
pub(super) fn hold_for(conditions: &Conditions, key: &Key) -> bool {
    conditions
        .iter()
        .all(|(place, numbers)| numbers.contains(&key[*place]))
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
