//! What the history tells, put into words, tables and JSON: runs, spans, logs, hits, states and differences.
//!
//! Never opens the store and never prints: commands do.

pub(crate) mod hits;
pub(crate) mod key_change;
pub(crate) mod log_lines;
pub(crate) mod messages;
pub(crate) mod node_view;
pub(crate) mod places;
pub(crate) mod run_diff;
pub(crate) mod run_list;
pub(crate) mod run_words;
pub(crate) mod state_view;
pub(crate) mod store_state;
pub(crate) mod stored_trace;
pub(crate) mod text_diff;
pub(crate) mod value_words;

#[cfg(test)]
pub(crate) mod sample;
