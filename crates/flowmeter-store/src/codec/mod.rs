//! How spans and sums become bytes: packed columns, payloads, sketches.
//!
//! Never touches a database.

pub(crate) mod sketch;
