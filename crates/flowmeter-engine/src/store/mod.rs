//! The shared store: keyed values on two levels, namespace and key, with a journal of writes.
//!
//! Capture costs as much as the node writes and never as much as the store holds: nothing is copied,
//! nothing is compared. The store never serialises a value.

mod edit;
mod journal;
mod path;

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde_json::Value;
use smol_str::SmolStr;

use crate::Ticks;

use journal::Note;
pub use journal::{Journal, Mutation, Writes};
pub use path::{InvalidStorePath, PathSegment, StorePath};

/// The index of the root namespace in [`Contents::spaces`].
const ROOT: u32 = 0;

/// The place of a key in [`Contents::values`]; never given to another key.
type Slot = u32;

struct Space {
    name: SmolStr,
    slots: FxHashMap<SmolStr, Slot>,
}

struct Contents {
    spaces: Vec<Space>,
    space_by_name: FxHashMap<SmolStr, u32>,
    /// `None` where the key was removed.
    values: Vec<Option<Arc<Value>>>,
    /// Space and key of each slot.
    names: Vec<(u32, SmolStr)>,
    journals: journal::Journals,
}

impl Contents {
    fn space_index(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return ROOT;
        }
        if let Some(index) = self.space_by_name.get(name) {
            return *index;
        }
        let index = u32::try_from(self.spaces.len()).unwrap_or(u32::MAX);
        let name = SmolStr::new(name);
        self.spaces.push(Space {
            name: name.clone(),
            slots: FxHashMap::default(),
        });
        self.space_by_name.insert(name, index);
        index
    }

    #[inline]
    fn slot(&mut self, space: u32, key: &str) -> Slot {
        match self.spaces[space as usize].slots.get(key) {
            Some(slot) => *slot,
            None => self.add_slot(space, key),
        }
    }

    #[cold]
    fn add_slot(&mut self, space: u32, key: &str) -> Slot {
        let slot = Slot::try_from(self.values.len()).unwrap_or(Slot::MAX);
        let key = SmolStr::new(key);
        self.values.push(None);
        self.names.push((space, key.clone()));
        self.spaces[space as usize].slots.insert(key, slot);
        slot
    }

    fn value(&self, space: u32, key: &str) -> Option<&Arc<Value>> {
        let slot = *self.spaces[space as usize].slots.get(key)?;
        self.values[slot as usize].as_ref()
    }

    fn find_space(&self, name: &str) -> Option<u32> {
        if name.is_empty() {
            Some(ROOT)
        } else {
            self.space_by_name.get(name).copied()
        }
    }

    fn name_of(&self, slot: Slot) -> (SmolStr, SmolStr) {
        self.names
            .get(slot as usize)
            .map(|(space, key)| (self.spaces[*space as usize].name.clone(), key.clone()))
            .unwrap_or_default()
    }
}

/// The keyed values that the nodes of a run read and write.
///
/// A store may lie over another view: reads that find nothing here go there, writes stay here. That is how
/// batch items see the run's values and yet cannot overwrite each other's.
pub struct SharedStore {
    contents: Mutex<Contents>,
    beneath: Option<StoreView>,
}

impl SharedStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::with_beneath(None))
    }

    /// An empty store over `beneath`.
    #[must_use]
    pub fn over(beneath: &StoreView) -> Arc<Self> {
        Arc::new(Self::with_beneath(Some(StoreView {
            journal: None,
            ..beneath.clone()
        })))
    }

    fn with_beneath(beneath: Option<StoreView>) -> Self {
        Self {
            contents: Mutex::new(Contents {
                spaces: vec![Space {
                    name: SmolStr::default(),
                    slots: FxHashMap::default(),
                }],
                space_by_name: FxHashMap::default(),
                values: Vec::new(),
                names: Vec::new(),
                journals: journal::Journals::default(),
            }),
            beneath,
        }
    }

    /// The view of the root namespace.
    #[must_use]
    pub fn root(self: &Arc<Self>) -> StoreView {
        StoreView {
            store: Arc::clone(self),
            space: ROOT,
            journal: None,
        }
    }
}

/// The store as one node sees it: writes go to its own namespace, reads look there and then in the root.
#[derive(Clone)]
pub struct StoreView {
    store: Arc<SharedStore>,
    space: u32,
    journal: Option<journal::JournalKey>,
}

/// `__x__` belongs to the engine and its wrappers and lives in the root, whoever writes it.
fn is_reserved(key: &str) -> bool {
    key.len() > 4 && key.starts_with("__") && key.ends_with("__")
}

impl StoreView {
    /// The same store seen from another namespace; the empty name is the root.
    #[must_use]
    pub fn in_namespace(&self, name: &str) -> Self {
        let space = self.store.contents.lock().space_index(name);
        Self {
            store: Arc::clone(&self.store),
            space,
            journal: self.journal,
        }
    }

    /// The name of the namespace; empty for the root.
    #[must_use]
    pub fn namespace(&self) -> SmolStr {
        self.store.contents.lock().spaces[self.space as usize]
            .name
            .clone()
    }

    /// This view with a journal attached: every write through it, or through views made from it, is noted.
    #[inline]
    #[must_use]
    pub fn journaled(&self) -> (Self, Journal) {
        let index = self.store.contents.lock().journals.open();
        let view = Self {
            store: Arc::clone(&self.store),
            space: self.space,
            journal: Some(index),
        };
        (view, Journal::new(Arc::clone(&self.store), index))
    }

    /// An empty store over this view, seen from the same namespace: what a batch item runs in.
    #[must_use]
    pub fn overlay(&self) -> Self {
        let namespace = self.namespace();
        SharedStore::over(self).root().in_namespace(&namespace)
    }

    /// Writes `value` under `key`.
    #[inline]
    pub fn set(&self, key: &str, value: impl Into<Arc<Value>>) {
        self.write(key, Some(value.into()));
    }

    /// Removes `key`.
    pub fn remove(&self, key: &str) {
        self.write(key, None);
    }

    #[inline]
    fn write(&self, key: &str, after: Option<Arc<Value>>) {
        let space = if is_reserved(key) { ROOT } else { self.space };
        let mut contents = self.store.contents.lock();
        let slot = contents.slot(space, key);
        let Contents { values, journals, .. } = &mut *contents;
        let Some(place) = values.get_mut(slot as usize) else {
            return;
        };
        match self.journal {
            None => {
                let before = std::mem::replace(place, after);
                // A large value takes long to free: not while others wait for the lock.
                drop(contents);
                drop(before);
            }
            Some(index) => {
                let before = std::mem::replace(place, after.clone());
                journals.note(
                    index,
                    Note {
                        slot,
                        deep: None,
                        before,
                        after,
                        at: Ticks::now(),
                    },
                );
            }
        }
    }

    /// The value of `key` in this namespace, else in the root, else in the store beneath.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Arc<Value>> {
        {
            let contents = self.store.contents.lock();
            let found = contents
                .value(self.space, key)
                .or_else(|| contents.value(ROOT, key));
            if let Some(value) = found {
                return Some(Arc::clone(value));
            }
        }
        self.get_beneath(key)
    }

    /// The same namespace of the store beneath, else its root: the view beneath may look at another one.
    fn get_beneath(&self, key: &str) -> Option<Arc<Value>> {
        let beneath = self.store.beneath.as_ref()?;
        let own = if self.space == ROOT {
            None
        } else {
            beneath.get_in(&self.namespace(), key)
        };
        own.or_else(|| beneath.get_in("", key))
    }

    /// The value of `key` in exactly this namespace (the empty name is the root), else in the store beneath.
    #[must_use]
    pub fn get_in(&self, namespace: &str, key: &str) -> Option<Arc<Value>> {
        let here = {
            let contents = self.store.contents.lock();
            contents
                .find_space(namespace)
                .and_then(|space| contents.value(space, key).cloned())
        };
        here.or_else(|| {
            self.store
                .beneath
                .as_ref()
                .and_then(|beneath| beneath.get_in(namespace, key))
        })
    }

    /// Whether anything was ever written in this namespace, here or beneath.
    #[must_use]
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.was_written(namespace)
            || self
                .store
                .beneath
                .as_ref()
                .is_some_and(|beneath| beneath.has_namespace(namespace))
    }

    fn was_written(&self, namespace: &str) -> bool {
        let contents = self.store.contents.lock();
        contents
            .find_space(namespace)
            .is_some_and(|space| !contents.spaces[space as usize].slots.is_empty())
    }

    /// All values of one namespace, sorted by key; what lies above hides what lies beneath.
    #[must_use]
    pub fn entries(&self, namespace: &str) -> Vec<(SmolStr, Arc<Value>)> {
        let mut found: std::collections::BTreeMap<SmolStr, Arc<Value>> = self
            .store
            .beneath
            .as_ref()
            .map(|beneath| beneath.entries(namespace).into_iter().collect())
            .unwrap_or_default();
        let contents = self.store.contents.lock();
        if let Some(space) = contents.find_space(namespace) {
            for (key, slot) in &contents.spaces[space as usize].slots {
                if let Some(value) = &contents.values[*slot as usize] {
                    found.insert(key.clone(), Arc::clone(value));
                }
            }
        }
        found.into_iter().collect()
    }

    /// Writes `value` deep inside a value: `set_path("reply.items[0].name", …)`. Missing objects on the way are
    /// made; an array grows by one at most. The journal keeps only the part that was replaced, not the whole.
    ///
    /// # Errors
    /// [`InvalidStorePath`] when the path is malformed, or leads through something that is neither object nor
    /// array.
    pub fn set_path(&self, path: &str, value: impl Into<Arc<Value>>) -> Result<(), InvalidStorePath> {
        let parsed = StorePath::parse(path)?;
        let value = value.into();
        if parsed.rest().is_empty() {
            self.write(parsed.key(), Some(value));
            return Ok(());
        }
        let space = if is_reserved(parsed.key()) {
            ROOT
        } else {
            self.space
        };
        // Copy-on-write over a value that lies beneath: it is brought up here first.
        let beneath = self.store.beneath.as_ref().and_then(|beneath| {
            let namespace = if space == ROOT {
                SmolStr::default()
            } else {
                self.namespace()
            };
            beneath.get_in(&namespace, parsed.key())
        });
        let mut contents = self.store.contents.lock();
        let slot = contents.slot(space, parsed.key());
        let Contents { values, journals, .. } = &mut *contents;
        let Some(place) = values.get_mut(slot as usize) else {
            return Ok(());
        };
        let current = place.as_ref().or(beneath.as_ref());
        edit::check(current.map(|value| &**value), parsed.rest())
            .map_err(|problem| InvalidStorePath::new(path, problem))?;
        let whole = place.get_or_insert_with(|| beneath.unwrap_or_else(|| Arc::new(Value::Null)));
        let before = edit::replace_at(Arc::make_mut(whole), parsed.rest(), Value::clone(&value));
        if let Some(index) = self.journal {
            let deep = Some(Arc::from(&path[parsed.key().len()..]));
            let before = before.map(Arc::new);
            journals.note(
                index,
                Note {
                    slot,
                    deep,
                    before,
                    after: Some(value),
                    at: Ticks::now(),
                },
            );
        }
        Ok(())
    }
}
