//! The journal: which writes went through a view, each with the value before and after.
//!
//! Lives under the store's own lock, so that a write takes one lock and not two. Never copies a value: it
//! keeps the `Arc`s that the store let go of and took in.

use std::sync::Arc;

use crate::Ticks;
use serde_json::Value;
use smol_str::SmolStr;

use super::SharedStore;

/// Writes that fit without growing: most nodes write fewer keys than this.
const WRITES_TYPICAL: usize = 4;

/// One write: where, what was there, what is there now, and when.
#[derive(Clone, Debug)]
pub struct Mutation {
    namespace: SmolStr,
    key: SmolStr,
    deep: Option<Box<str>>,
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

pub(super) type JournalIndex = u32;

/// All journals of a store: slots that are used again once their journal is closed.
#[derive(Default)]
pub(super) struct Journals {
    slots: Vec<Vec<Mutation>>,
    free: Vec<JournalIndex>,
}

impl Journals {
    pub(super) fn open(&mut self) -> JournalIndex {
        if let Some(index) = self.free.pop() {
            return index;
        }
        self.slots.push(Vec::new());
        u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn note(
        &mut self,
        index: JournalIndex,
        namespace: &SmolStr,
        key: SmolStr,
        deep: Option<Box<str>>,
        before: Option<Arc<Value>>,
        after: Option<Arc<Value>>,
    ) {
        let slot = &mut self.slots[index as usize];
        if slot.capacity() == 0 {
            slot.reserve_exact(WRITES_TYPICAL);
        }
        slot.push(Mutation {
            namespace: namespace.clone(),
            key,
            deep,
            before,
            after,
            at: Ticks::now(),
        });
    }

    fn close(&mut self, index: JournalIndex) -> Vec<Mutation> {
        self.free.push(index);
        std::mem::take(&mut self.slots[index as usize])
    }
}

/// The handle of an attached journal; dropping it detaches the journal and forgets what it noted.
pub struct Journal {
    store: Option<Arc<SharedStore>>,
    index: JournalIndex,
}

impl Journal {
    pub(super) fn new(store: Arc<SharedStore>, index: JournalIndex) -> Self {
        Self {
            store: Some(store),
            index,
        }
    }

    /// Detaches the journal and returns its writes, oldest first. Views that still carry it must not write any
    /// more: their writes would be noted in a later journal.
    #[must_use]
    pub fn finish(mut self) -> Vec<Mutation> {
        match self.store.take() {
            Some(store) => store.contents.lock().journals.close(self.index),
            None => Vec::new(),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            let forgotten = store.contents.lock().journals.close(self.index);
            drop(forgotten);
        }
    }
}
