//! How spans and sums become bytes: packed columns, payloads, blocks, sketches.
//!
//! Never touches a database.

// What of this is used depends on the backends that are built.
#![allow(dead_code, unused_imports)]

pub(crate) mod attribute_names;
pub(crate) mod block;
pub(crate) mod checked;
pub(crate) mod columns;
pub(crate) mod content;
mod known_keys;
pub(crate) mod log_block;
pub(crate) mod narrow;
mod pack;
pub(crate) mod payload;
#[cfg(test)]
pub(crate) mod random_spans;
pub(crate) mod sketch;

use thiserror::Error;

use crate::StoreError;

/// Bytes that cannot be what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Damaged(pub(crate) &'static str);

impl From<Damaged> for StoreError {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged {
            what: damaged.0.to_owned(),
        }
    }
}
