//! Payloads: everything of a span that is not in its narrow columns, as bytes that lose nothing.
//!
//! Texts stand in them as they are, so that a search can run over the bytes. Long texts and beginnings of message lists
//! may stand elsewhere ([`super::content`]). Never goes through JSON.

mod deferred;
mod read;
mod values;
mod visit;
mod write;

pub(crate) use super::pack::may_refer;
pub(crate) use deferred::{Deferred, DeferredPayloads};
pub(crate) use read::{LogHead, read, without_payload};
pub(crate) use visit::{
    visit_log_texts, visit_references, visit_references_in_values, visit_texts, visit_wanted_texts,
};
pub(crate) use write::{PayloadWriter, prompt_hash};

pub(super) use read::read_log;
pub(super) use values::DEPTH_MAX;

/// The form of a payload. Other forms come with other numbers.
const VERSION: u8 = 1;

// What a payload holds, in this order.
/// The span's trace is not the run's: 16 bytes.
const TRACE: u64 = 1;
/// The end is not start plus duration.
const END: u64 = 1 << 1;
/// The amount does not fit into its column.
const AMOUNT: u64 = 1 << 2;
const USAGE: u64 = 1 << 3;
const EXPLANATION: u64 = 1 << 4;
// From here on texts are searched, in the order of [`crate::rules::texts`].
const ATTRIBUTES: u64 = 1 << 5;
const ERROR: u64 = 1 << 6;
const PARAMS: u64 = 1 << 7;
const TEMPLATES: u64 = 1 << 8;
const EVENTS: u64 = 1 << 9;
const MUTATIONS: u64 = 1 << 10;
const LOGS: u64 = 1 << 11;

// What a mutation holds.
const BEFORE: u64 = 1;
const AFTER: u64 = 1 << 1;

// What a log record holds, behind three bits of level.
const TARGET: u64 = 1 << 3;
const SPAN: u64 = 1 << 4;
const LOG_ATTRIBUTES: u64 = 1 << 5;

// Which optional texts an explanation holds.
const SOURCE_DATE: u64 = 1;
const APPLIES_SINCE: u64 = 1 << 1;
const TERMS: u64 = 1 << 2;

#[cfg(test)]
mod tests;
