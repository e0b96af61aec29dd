//! Long lists of runs by what they cost, how long they took, how many tokens they used.
//!
//! Never asks for spans.

use std::cmp::Reverse;

use flowmeter_model::UsdNanos;

use super::samples::*;
use super::{Open, Surroundings, settle};
use crate::rules::filters::holds_for_run;
use crate::{RunFilter, RunOrder, RunRow};

/// Many runs of nearly the same amounts, of the same, and of none, in whatever order they came.
pub fn many_runs_in_each_order(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    for seed in 0..400_u64 {
        let scattered = seed * 7_919 % 400;
        let nanos = match seed % 4 {
            0 => 0,
            1 => 5_000_000,
            _ => 5_000_000 + scattered as i64,
        };
        let mut sample = Sample::new(
            1_000 + seed,
            ["a", "b"][(scattered % 2) as usize],
            after(scattered * SECOND),
        );
        if nanos > 0 {
            let node = sample.node("ask", after(scattered * SECOND), SECOND);
            let cost = priced(nanos);
            let call = Call {
                input: scattered / 3,
                cost,
                ..Call::default()
            };
            sample.call(node, call, after(scattered * SECOND), SECOND);
        }
        sample.append(&*opened.store, SECOND + scattered % 50);
    }
    settle(&opened);
    let newest_first = runs(&*opened.store, &RunFilter::default());
    for workflow in [None, Some("b")] {
        let filter = RunFilter {
            workflows: workflow.map(str::to_owned).into_iter().collect(),
            slower_than_ns: workflow.map(|_| SECOND + 10),
            cost_min: workflow.map(|_| UsdNanos(5_000_100)),
            ..RunFilter::default()
        };
        for order in [RunOrder::Cost, RunOrder::Duration, RunOrder::Tokens] {
            let mut wanted = newest_first.clone();
            wanted.retain(|row| holds_for_run(&filter, row));
            wanted.sort_by_key(|row| {
                Reverse(match order {
                    RunOrder::Cost => row.cost.known.0 as u64,
                    RunOrder::Duration => row.duration_ns().unwrap_or(0),
                    _ => row.tokens.total(),
                })
            });
            assert!(wanted.len() > 50);
            for (limit, offset) in [(usize::MAX, 0), (10, 0), (30, 95)] {
                let found = opened.store.runs(&filter, order, limit, offset).unwrap();
                let page: Vec<RunRow> = wanted.iter().skip(offset).take(limit).cloned().collect();
                assert_eq!(keys(&found), keys(&page), "{order:?} {limit} {offset}");
            }
        }
    }
}
