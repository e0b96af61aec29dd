//! The integration tests of workflow files: one binary, so that they link once.

#![allow(
    clippy::unwrap_used,
    reason = "the lint's exception does not see the functions that tests share"
)]

mod chat;
mod documents;
mod files;
mod markdown;
mod nodes;
mod once;
mod outputs;
mod planner;
mod requests;
mod runs;
mod templates;
