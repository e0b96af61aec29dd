//! The integration tests of workflow files: one binary, so that they link once.

mod chat;
mod documents;
mod files;
mod nodes;
mod requests;
mod runs;
mod templates;
