//! The integration tests of workflow files: one binary, so that they link once.

// The lint's exception for tests does not see the functions that tests share.
#![allow(clippy::unwrap_used)]

mod chat;
mod documents;
mod files;
mod nodes;
mod requests;
mod runs;
mod templates;
