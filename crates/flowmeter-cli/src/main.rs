//! The flowmeter binary: reads the command line, does what it says, and leaves with the right exit code.
//!
//! Never computes a metric, a price or a trace itself: the libraries do.

mod amounts;
mod args;
mod budget;
mod caching;
mod chart;
mod commands;
mod config;
mod default_model;
mod exchange;
mod execution;
mod exit;
mod following;
mod history;
mod history_view;
mod home;
mod insights_view;
mod output;
mod outputs;
mod own_budget;
mod past_runs;
mod plan_view;
mod planned_run;
mod planner_view;
mod prices;
mod printable;
mod progress;
mod refreshed;
mod replace;
mod report;
mod run_selector;
mod saved;
mod screen;
mod secrets;
mod shared_budgets;
mod signals;
mod sparkline;
mod stats_view;
mod stdin;
mod table;
mod telemetry;
mod times;
mod traces;

use std::process::ExitCode;

/// Spans are made by one thread and dropped by another: an allocator that has no lock between the two makes writing the
/// history a third cheaper (`cargo xtask bench store`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::dispatch().into()
}
