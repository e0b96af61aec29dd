//! End to end: the real binary, a home of its own, and a scripted model where one is asked. Never uses the
//! network, a key or the user's home.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod budgets;
mod costs;
mod describing;
mod examples;
mod failures;
mod flush;
mod format;
mod history;
mod insights;
mod interruptions;
mod logs;
mod look;
mod markdown;
mod numbers;
mod performance;
mod planner;
mod plans;
mod prices;
mod pricing;
mod propagation;
mod response_cache;
mod results;
mod sampling;
mod saved;
mod secrets;
mod settings;
mod shared_budgets;
mod streams;
mod support;
mod tail;
mod traces;
