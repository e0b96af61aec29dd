//! Questions about runs, spans and lines.
//!
//! Never changes the file.

mod amounts;
pub(super) mod batches;
mod conditions;
pub(super) mod detail;
pub(super) mod logs;
mod newest;
pub(super) mod run_values;
pub(super) mod runs;
pub(super) mod salvage;
pub(super) mod scan;
pub(super) mod spans;
mod workflows;
