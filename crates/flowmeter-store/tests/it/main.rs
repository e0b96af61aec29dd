//! The integration tests of the store, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod budgets;
