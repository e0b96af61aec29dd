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
    let of_b = RunFilter {
        workflows: vec!["b".to_owned()],
        ..RunFilter::default()
    };
    let dear = RunFilter {
        cost_min: Some(UsdNanos(5_000_100)),
        ..RunFilter::default()
    };
    let slow = RunFilter {
        slower_than_ns: Some(SECOND + 10),
        ..RunFilter::default()
    };
    let all_of_it = RunFilter {
        cost_min: dear.cost_min,
        slower_than_ns: slow.slower_than_ns,
        ..of_b.clone()
    };
    let orders = [
        RunOrder::Started,
        RunOrder::Cost,
        RunOrder::Duration,
        RunOrder::Tokens,
    ];
    for filter in [RunFilter::default(), of_b, dear, slow, all_of_it] {
        for order in orders {
            let mut wanted = newest_first.clone();
            wanted.retain(|row| holds_for_run(&filter, row));
            wanted.sort_by_key(|row| {
                Reverse(match order {
                    RunOrder::Cost => row.cost.known.0 as u64,
                    RunOrder::Duration => row.duration_ns().unwrap_or(0),
                    RunOrder::Tokens => row.tokens.total(),
                    _ => 0,
                })
            });
            assert!(wanted.len() > 50);
            for (limit, offset) in [(usize::MAX, 0), (10, 0), (30, 95)] {
                let found = opened.store.runs(&filter, order, limit, offset).unwrap();
                let page: Vec<RunRow> = wanted.iter().skip(offset).take(limit).cloned().collect();
                assert_eq!(keys(&found), keys(&page), "{order:?} {limit} {offset} {filter:?}");
            }
        }
    }
}
