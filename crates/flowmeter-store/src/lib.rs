//! The history of flowmeter: every run, its spans, logs and costs, kept in an embedded store and asked about later.
//!
//! [`Store`] is what a backend can do; [`SqliteStore`] is the one that is built in. What is asked and what comes back
//! are plain types of this crate. Never prints, never reads the environment, never looks at the process table: who
//! opens a store says how a process is recognised.

#![forbid(unsafe_code)]

mod append;
mod budget;
mod codec;
#[doc(hidden)]
pub mod contract;
mod error;
mod forget;
pub mod insights;
mod logs;
mod memory;
mod rules;
mod run;
mod search;
mod span_row;
pub mod sqlite;
mod stats;
mod store;
#[doc(hidden)]
pub mod synthetic;

pub use append::Append;
pub use budget::{
    AccountState, BudgetId, BudgetPeriod, BudgetRule, BudgetScope, BudgetTerms, CallCost, Forecast,
    ForecastGround, PastPeriod, Refused, Reservation, ReservationId, Spender,
};
pub use error::StoreError;
pub use forget::{ForgetSelector, Forgotten, Retention, Upkeep};
pub use logs::{LogFilter, StoredLog};
pub use memory::{MemoryConfig, MemoryStore};
pub use run::{
    InvalidRunKey, Origin, ProcessMark, RunDetail, RunEnd, RunFilter, RunKey, RunOrder, RunRow, RunStart,
    RunStatus,
};
pub use search::{SearchHit, SearchMode, SearchPlace, SearchQuery};
pub use span_row::{SpanFilter, SpanRow, TokenSums};
pub use sqlite::{Budgets, SqliteConfig, SqliteStore};
pub use stats::{GroupBy, LatencySketch, StatsFilter, StatsQuery, StatsRow, StatsSums};
pub use store::Store;
