//! The library as others use it: whole runs, and what their reports and trace files say of them.

#![allow(clippy::unwrap_used, reason = "what a probe does not find fails its test")]

mod ambient;
mod anomalies;
mod backends;
mod levels;
mod logging;
mod money;
mod otlp;
mod performance;
mod probes;
mod receiver;
mod sampling;
mod secrets;
mod shared_budgets;
mod trees;
