//! The contract test suite: what every backend of [`crate::Store`] must do, clause by clause.
//!
//! [`crate::store_contract!`] makes a test of each clause; a backend's crate calls it in its integration tests. Part of the library so
//! that backends of other crates are held to it, too; panics where a backend breaks it, and never knows which one it tests.

#![allow(clippy::unwrap_used, reason = "a clause fails by panicking")]
#![allow(missing_docs, reason = "a clause is its name")]

pub mod histories;
pub mod keeping;
pub mod lists;
pub mod orders;
pub mod removing;
pub mod samples;
pub mod searching;
pub mod sums;
pub mod values;

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use flowmeter_model::{ManualClock, TimestampNs};
use parking_lot::Mutex;

use crate::{ProcessMark, Store};

/// What a backend is opened with.
#[derive(Clone)]
pub struct Surroundings {
    /// The time now.
    pub clock: Arc<ManualClock>,
    /// The numbers of the processes that live. Those of the host `elsewhere` cannot be looked at.
    pub alive: Arc<Mutex<BTreeSet<u32>>>,
}

/// The host whose processes cannot be looked at.
pub const ELSEWHERE: &str = "elsewhere";

impl Surroundings {
    /// A clock that shows `now`, and no process that lives.
    #[must_use]
    pub fn at(now: TimestampNs) -> Self {
        Self {
            clock: Arc::new(ManualClock::new(now)),
            alive: Arc::default(),
        }
    }

    /// Whether a process lives, for a backend to ask.
    #[must_use]
    pub fn is_alive(&self) -> crate::sqlite::IsAlive {
        let alive = Arc::clone(&self.alive);
        Arc::new(move |process: &ProcessMark| {
            (process.host != ELSEWHERE).then(|| alive.lock().contains(&process.pid))
        })
    }
}

/// A store that was opened for a test.
pub struct Opened {
    /// The store, empty.
    pub store: Arc<dyn Store>,
    /// Does at once what the backend does in the background: merging, folding sums, indexing. Nothing may change by it.
    pub settle: Box<dyn Fn() + Send + Sync>,
    /// What must live as long, such as the folder that the file is in.
    pub holds: Box<dyn Any + Send>,
}

/// Opens an empty store.
pub type Open<'a> = &'a dyn Fn(&Surroundings) -> Opened;

/// Makes a test of each clause of the contract, for the backend that `$open` (a `fn(&Surroundings) -> Opened`) opens.
#[macro_export]
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store_contract!(@clauses $open;
            keeping: what_is_flushed_can_be_asked_for, a_span_that_comes_twice_is_kept_once,
                spans_come_in_the_order_of_their_start, an_open_span_is_shown_until_it_ends,
                a_run_without_an_end_runs_or_is_interrupted, a_run_nobody_began_is_told_by_its_root,
                a_beginning_said_again_changes_nothing, logs_in_a_span_stand_apart,
                nodes_are_told_by_the_spans_around, a_span_kept_alone_says_its_node,
                a_clock_that_jumps_back_does_no_harm, a_run_of_30_000_nodes_is_whole, writers_at_once_lose_nothing,
                a_visitor_ends_it_early, an_unknown_run_is_nothing;
            values: a_span_comes_back_as_it_was, rows_hold_what_spans_say, huge_values_come_back,
                odd_texts_come_back, a_resent_history_comes_back;
            lists: runs_by_each_filter, runs_in_each_order, runs_by_pages, a_run_by_the_beginning_of_its_id,
                runs_of_one_trace_are_apart, tags_and_sessions, spans_by_each_filter, spans_by_their_runs,
                logs_by_each_filter;
            orders: many_runs_in_each_order;
            searching: words_in_any_order_and_case, phrases_in_quotes, five_scripts, characters_in_a_row,
                places_and_fields, the_newest_first_and_no_more_than_asked, in_some_runs_only,
                the_context_shows_what_was_found, nothing_to_look_for_is_an_error, words_spread_over_a_conversation;
            sums: sums_are_exact, unknown_costs_are_counted_apart, grouped_by_each_dimension, hours_and_days_of_a_zone,
                an_interval_cuts_where_it_says, conditions_on_runs_count_their_spans, trends_add_up_to_the_sums,
                percentiles_are_off_by_one_percent_at_most, sums_do_not_change_by_settling,
                huge_figures_are_held_at_the_limit;
            removing: forgetting_a_run_leaves_the_others, forgetting_by_a_filter, no_condition_forgets_nothing,
                forgetting_spares_what_runs, forgotten_runs_are_in_no_sum, a_forgotten_run_may_come_again,
                shared_content_outlives_one_of_its_runs, payloads_and_runs_have_clocks_of_their_own,
                what_had_its_time_stays_in_sums, a_limit_of_size_takes_the_oldest;
            histories: a_random_history_is_answered_alike;
        );
    };
    (@clauses $open:expr; $($part:ident: $($clause:ident),+;)+) => {
        $(mod $part {
            #[allow(unused_imports, reason = "an opening function may stand in the module around")]
            use super::*;
            $(#[test]
            fn $clause() {
                $crate::contract::$part::$clause(&$open);
            })+
        })+
    };
}

/// Appends, waits, and lets the backend do its work in the background.
pub(crate) fn settle(opened: &Opened) {
    opened.store.flush().unwrap();
    (opened.settle)();
}
