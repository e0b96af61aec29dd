//! What is kept apart, given back to whoever reads payloads.
//!
//! Never holds more of it in memory than its limit.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use crate::codec::Damaged;
use crate::codec::block::Sealer;
use crate::codec::content::{ContentHash, ContentSource, OpenedContent};

/// Bytes that are held at most.
const BYTES_MAX: usize = 16 << 20;

/// Reads rows of content, and remembers the latest.
pub(super) struct StoredContent<'c> {
    connection: &'c Connection,
    sealer: Sealer,
    held: FxHashMap<ContentHash, Arc<OpenedContent>>,
    held_bytes: usize,
}

impl<'c> StoredContent<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self {
            connection,
            sealer: Sealer::new(),
            held: FxHashMap::default(),
            held_bytes: 0,
        }
    }
}

impl ContentSource for StoredContent<'_> {
    fn content(&mut self, hash: ContentHash) -> Result<Arc<OpenedContent>, Damaged> {
        if let Some(content) = self.held.get(&hash) {
            return Ok(Arc::clone(content));
        }
        let unreadable = |_| Damaged("a text that is kept apart cannot be read");
        let mut statement = self
            .connection
            .prepare_cached("SELECT body FROM content WHERE hash = ?1")
            .map_err(unreadable)?;
        let sealer = &mut self.sealer;
        let opened = statement
            .query_row([hash.to_bytes().as_slice()], |row| {
                Ok(OpenedContent::open(sealer, row.get_ref(0)?.as_blob()?))
            })
            .optional()
            .map_err(unreadable)?
            .ok_or(Damaged("a text that is kept apart is missing"))?;
        let content = Arc::new(opened?);
        let bytes = 64
            + match &*content {
                OpenedContent::Text(text) => text.len(),
                OpenedContent::Messages { bytes, .. } => bytes.len(),
            };
        if self.held_bytes + bytes > BYTES_MAX {
            self.held.clear();
            self.held_bytes = 0;
        }
        if bytes <= BYTES_MAX {
            self.held_bytes += bytes;
            self.held.insert(hash, Arc::clone(&content));
        }
        Ok(content)
    }
}
