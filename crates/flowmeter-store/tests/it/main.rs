//! The store as others use it: every backend is held to one contract.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod budgets;
mod durability;
mod formats;
mod in_memory;
mod in_sqlite;
