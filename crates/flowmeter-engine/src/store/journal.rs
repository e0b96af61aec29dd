//! The journal: which writes went through a view, each with the value before and after.
//!
//! Lives under the store's own lock, so that a write takes one lock and not two, and notes the number of a
//! key's slot instead of its name. Never copies a value: it keeps the `Arc`s that the store let go of and took
//! in.

use std::sync::Arc;

use serde_json::Value;
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::{SharedStore, Slot};
use crate::Ticks;

/// One write: where, what was there, what is there now, and when.
#[derive(Clone, Debug)]
pub struct Mutation {
    namespace: SmolStr,
    key: SmolStr,
    deep: Option<Arc<str>>,
    /// The value before; `None` when there was none.
    pub before: Option<Arc<Value>>,
    /// The value after; `None` when the key was removed.
    pub after: Option<Arc<Value>>,
    /// When.
    pub at: Ticks,
}

impl Mutation {
    /// The namespace; empty for the root.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The key in the namespace.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The whole path: `namespace.key`, a root key alone, and what [`super::StoreView::set_path`] appended.
    #[must_use]
    pub fn path(&self) -> String {
        let deep = self.deep.as_deref().unwrap_or_default();
        if self.namespace.is_empty() {
            format!("{}{deep}", self.key)
        } else {
            format!("{}.{}{deep}", self.namespace, self.key)
        }
    }
}

/// A write as it is noted: the name of its slot is looked up when somebody wants to see it.
pub(super) struct Note {
    pub(super) slot: Slot,
    pub(super) deep: Option<Arc<str>>,
    pub(super) before: Option<Arc<Value>>,
    pub(super) after: Option<Arc<Value>>,
    pub(super) at: Ticks,
}

/// Most nodes write no more keys than this; then no allocation is made.
type Notes = SmallVec<[Note; 4]>;

/// Names one journal for as long as its store lives: places are used again, their rounds are counted.
#[derive(Clone, Copy)]
pub(super) struct JournalKey {
    place: u32,
    round: u32,
}

#[derive(Default)]
struct Place {
    round: u32,
    notes: Notes,
}

/// All journals of a store: places that are used again once their journal is closed.
#[derive(Default)]
pub(super) struct Journals {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl Journals {
    #[inline]
    pub(super) fn open(&mut self) -> JournalKey {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.places.push(Place::default());
                u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let round = self.places.get(place as usize).map_or(0, |place| place.round);
        JournalKey { place, round }
    }

    /// A view may outlive its journal: what is written through it then is noted nowhere.
    #[inline]
    pub(super) fn note(&mut self, key: JournalKey, note: Note) {
        if let Some(place) = self.places.get_mut(key.place as usize)
            && place.round == key.round
        {
            place.notes.push(note);
        }
    }

    #[inline]
    fn close(&mut self, key: JournalKey) -> Notes {
        self.free.push(key.place);
        match self.places.get_mut(key.place as usize) {
            Some(place) => {
                place.round = place.round.wrapping_add(1);
                std::mem::take(&mut place.notes)
            }
            None => Notes::new(),
        }
    }
}

/// The writes of a closed journal, oldest first.
#[derive(Default)]
pub struct Writes {
    store: Option<Arc<SharedStore>>,
    notes: Notes,
}

impl Writes {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.notes.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// The values that were there before, without looking up any name: what only the journal keeps alive.
    pub fn values_before(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.notes.iter().filter_map(|note| note.before.as_ref())
    }

    /// Looks up the names of the keys. Not for a hot path: it takes the store's lock.
    #[must_use]
    pub fn resolve(self) -> Vec<Mutation> {
        let Some(store) = self.store else {
            return Vec::new();
        };
        let contents = store.contents.lock();
        self.notes
            .into_iter()
            .map(|note| {
                let (namespace, key) = contents.name_of(note.slot);
                Mutation {
                    namespace,
                    key,
                    deep: note.deep,
                    before: note.before,
                    after: note.after,
                    at: note.at,
                }
            })
            .collect()
    }
}

/// The handle of an attached journal; dropping it detaches the journal and forgets what it noted.
pub struct Journal {
    store: Option<Arc<SharedStore>>,
    key: JournalKey,
}

impl Journal {
    pub(super) fn new(store: Arc<SharedStore>, key: JournalKey) -> Self {
        Self {
            store: Some(store),
            key,
        }
    }

    /// Detaches the journal and returns its writes. What is written later through a view that still carries it
    /// counts, and is noted nowhere.
    #[inline]
    #[must_use]
    pub fn finish(mut self) -> Writes {
        let Some(store) = self.store.take() else {
            return Writes::default();
        };
        let notes = store.contents.lock().journals.close(self.key);
        Writes {
            store: Some(store),
            notes,
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            let forgotten = store.contents.lock().journals.close(self.key);
            drop(forgotten);
        }
    }
}
