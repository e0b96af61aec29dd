//! What every backend decides alike: which node a span belongs to, what its row holds, which filter holds for it, which
//! texts of it are searched and what counts in a sum.
//!
//! Never keeps anything, and never knows how a backend does.

// Backends take what they need of it.
#![allow(dead_code)]

pub(crate) mod calendar;
pub(crate) mod filters;
pub(crate) mod node_paths;
pub(crate) mod patterns;
pub(crate) mod row;
pub(crate) mod sums;
pub(crate) mod texts;
pub(crate) mod words;
