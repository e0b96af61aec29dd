//! The engine as others use it: nodes, flows, batches and loops run to their end, and their ends are looked at.

#![allow(clippy::unwrap_used, reason = "what a probe does not find fails its test")]

mod anomalies;
mod batches;
mod currents;
mod driving;
mod flows;
mod journals;
mod loops;
mod probes;
mod stores;
