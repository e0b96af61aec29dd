//! What is forgotten or has had its time is gone, and nothing else is.
//!
//! Never looks into files: whether pages are overwritten is the backend's own test.

use std::time::Duration;

use flowmeter_model::{LogLevel, TimestampNs};
use serde_json::json;

use super::samples::*;
use super::{Open, Opened, Surroundings, settle};
use crate::{
    ForgetSelector, Forgotten, GroupBy, LogFilter, Retention, RunFilter, RunKey, RunStatus, SearchQuery,
    SpanFilter, StatsQuery, Store,
};

/// A run with two spans and a line, which say `secret<seed>`.
fn run(seed: u64, workflow: &str, begins: TimestampNs) -> Sample {
    let mut sample = Sample::new(seed, workflow, begins);
    let prompt = format!("what is secret{seed} about");
    let call = Call {
        prompt: &prompt,
        ..Call::default()
    };
    sample.call(
        sample.key.root_span_id,
        call,
        TimestampNs(begins.0 + 1),
        1_000 * seed,
    );
    sample.log(begins, LogLevel::Info, &format!("secret{seed} was logged"));
    sample
}

fn hits(opened: &Opened, text: &str) -> usize {
    let query = SearchQuery {
        text: text.to_owned(),
        limit: 1_000,
        ..SearchQuery::default()
    };
    opened.store.search(&query).unwrap().len()
}

/// That a run is there with all it had.
fn assert_whole(opened: &Opened, seed: u64, key: &RunKey) {
    let row = opened.store.run(key).unwrap().unwrap().row;
    assert_eq!((row.spans, row.logs, row.payloads_gone), (2, 1, false), "{seed}");
    let spans = spans(&*opened.store, key);
    let prompt = spans[1].attributes.get("gen_ai.input.messages");
    let wanted = message("user", &format!("what is secret{seed} about")).into();
    assert_eq!(prompt, Some(&wanted), "{seed}");
    assert_eq!(hits(opened, &format!("secret{seed}")), 2, "{seed}");
    let of_run = LogFilter {
        run: Some(*key),
        ..LogFilter::default()
    };
    assert_eq!(logs(&*opened.store, &of_run).len(), 1, "{seed}");
}

/// That nothing tells of a run.
fn assert_gone(opened: &Opened, seed: u64, key: &RunKey) {
    assert!(opened.store.run(key).unwrap().is_none(), "{seed}");
    assert!(spans(&*opened.store, key).is_empty(), "{seed}");
    assert!(opened.store.span_rows(key).unwrap().is_empty(), "{seed}");
    assert!(
        runs(&*opened.store, &RunFilter::default())
            .iter()
            .all(|row| row.key != *key),
        "{seed}"
    );
    assert!(
        scan(&*opened.store, &SpanFilter::default())
            .iter()
            .all(|row| row.run != *key),
        "{seed}"
    );
    assert!(
        logs(&*opened.store, &LogFilter::default())
            .iter()
            .all(|log| log.run != *key),
        "{seed}"
    );
    assert_eq!(hits(opened, &format!("secret{seed}")), 0, "{seed}");
}

fn forget(opened: &Opened, selector: &ForgetSelector) -> (u64, u64, u64) {
    let Forgotten {
        runs, spans, logs, ..
    } = opened.store.forget(selector).unwrap();
    (runs, spans, logs)
}

pub fn forgetting_a_run_leaves_the_others(open: Open<'_>) {
    for settles_first in [false, true] {
        let opened = open(&Surroundings::at(after(DAY)));
        let all: Vec<RunKey> = (1..=20)
            .map(|seed| run(seed, "w", after(seed * SECOND)).append(&*opened.store, 2_000))
            .collect();
        opened.store.flush().unwrap();
        if settles_first {
            (opened.settle)();
        }
        let unknown = Sample::new(99, "unknown", MARCH).key;
        let selector = ForgetSelector::Runs(vec![all[4], all[11], unknown]);
        assert_eq!(forget(&opened, &selector), (2, 4, 2));
        for _ in 0..2 {
            for (place, key) in all.iter().enumerate() {
                let seed = place as u64 + 1;
                if place == 4 || place == 11 {
                    assert_gone(&opened, seed, key);
                } else {
                    assert_whole(&opened, seed, key);
                }
            }
            settle(&opened);
        }
        assert_eq!(forget(&opened, &selector), (0, 0, 0));
        assert_eq!(forget(&opened, &ForgetSelector::Runs(all)), (18, 36, 18));
        assert!(runs(&*opened.store, &RunFilter::default()).is_empty());
        assert!(scan(&*opened.store, &SpanFilter::default()).is_empty());
    }
}

pub fn forgetting_by_a_filter(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let first = run(1, "a", after(1)).tag("team", "red").append(&*opened.store, 9);
    let second = run(2, "b", after(HOUR))
        .tag("team", "red")
        .append(&*opened.store, 9);
    let third = run(3, "a", after(2 * HOUR)).append(&*opened.store, 9);
    settle(&opened);
    let tagged = RunFilter {
        tags: vec![("team".to_owned(), "red".to_owned())],
        until: Some(after(HOUR)),
        ..RunFilter::default()
    };
    assert_eq!(forget(&opened, &ForgetSelector::Matching(tagged)), (1, 2, 1));
    assert_gone(&opened, 1, &first);
    let named = RunFilter {
        workflows: vec!["a".to_owned()],
        ..RunFilter::default()
    };
    assert_eq!(forget(&opened, &ForgetSelector::Matching(named)), (1, 2, 1));
    assert_gone(&opened, 3, &third);
    assert_whole(&opened, 2, &second);
}

pub fn no_condition_forgets_nothing(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let key = run(1, "a", MARCH).append(&*opened.store, 9);
    settle(&opened);
    assert_eq!(
        forget(&opened, &ForgetSelector::Matching(RunFilter::default())),
        (0, 0, 0)
    );
    assert_eq!(forget(&opened, &ForgetSelector::Runs(Vec::new())), (0, 0, 0));
    assert_whole(&opened, 1, &key);
}

pub fn forgetting_spares_what_runs(open: Open<'_>) {
    let surroundings = Surroundings::at(after(DAY));
    surroundings.alive.lock().insert(5);
    let opened = open(&surroundings);
    let sample = run(1, "a", MARCH).process(5);
    let key = sample.key;
    opened
        .store
        .append(crate::Append::Began(Box::new(sample.start)))
        .unwrap();
    opened
        .store
        .append(crate::Append::Events(key, sample.events))
        .unwrap();
    run(2, "a", MARCH).append(&*opened.store, 9);
    settle(&opened);
    let named = RunFilter {
        workflows: vec!["a".to_owned()],
        ..RunFilter::default()
    };
    assert_eq!(forget(&opened, &ForgetSelector::Matching(named)), (1, 2, 1));
    assert_eq!(
        opened.store.run(&key).unwrap().unwrap().row.status,
        RunStatus::Running
    );
    assert_eq!(forget(&opened, &ForgetSelector::Runs(vec![key])), (1, 1, 1));
    assert_gone(&opened, 1, &key);
}

pub fn forgotten_runs_are_in_no_sum(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(10 * DAY)));
    let rest = open(&Surroundings::at(after(10 * DAY)));
    let mut out = Vec::new();
    for seed in 1..=60_u64 {
        let sample = || run(seed, ["a", "b"][seed as usize % 2], after(seed * 3 * HOUR));
        let key = sample().append(&*opened.store, 50_000 / seed);
        if seed % 4 == 0 {
            out.push(key);
        } else {
            sample().append(&*rest.store, 50_000 / seed);
        }
        if seed == 30 {
            settle(&opened);
        }
    }
    settle(&opened);
    opened.store.stats(&StatsQuery::default()).unwrap();
    assert_eq!(forget(&opened, &ForgetSelector::Runs(out)).0, 15);
    rest.store.flush().unwrap();
    for _ in 0..2 {
        for by in [
            None,
            Some(GroupBy::Workflow),
            Some(GroupBy::Model),
            Some(GroupBy::Day),
            Some(GroupBy::Hour),
        ] {
            let query = StatsQuery {
                by,
                ..StatsQuery::default()
            };
            let found = opened.store.stats(&query).unwrap();
            let wanted = rest.store.stats(&query).unwrap();
            super::sums::assert_rows_alike(&found, &wanted, &format!("{query:?}"));
        }
        settle(&opened);
    }
}

pub fn a_forgotten_run_may_come_again(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    for _ in 0..3 {
        let key = run(1, "a", MARCH).append(&*opened.store, 9);
        settle(&opened);
        assert_whole(&opened, 1, &key);
        assert_eq!(
            opened.store.stats(&StatsQuery::default()).unwrap()[0].sums.runs,
            1
        );
        assert_eq!(forget(&opened, &ForgetSelector::Runs(vec![key])), (1, 2, 1));
        assert_gone(&opened, 1, &key);
    }
}

pub fn shared_content_outlives_one_of_its_runs(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let long = "all work and no play makes jack a dull boy. ".repeat(3_000);
    let keys: Vec<RunKey> = (1..=6)
        .map(|seed| {
            let mut sample = Sample::new(seed, "shared", after(seed));
            let mut span = sample.span(
                sample.key.root_span_id,
                flowmeter_model::SpanKind::LlmCall,
                "chat",
                after(seed + 1),
            );
            span.attributes.set(
                "gen_ai.system_instructions",
                json!([{"type": "text", "content": long}]),
            );
            span.attributes
                .set("gen_ai.input.messages", message("user", &long));
            sample.keep(ended(span, 5));
            let key = sample.append(&*opened.store, 10);
            settle(&opened);
            key
        })
        .collect();
    for (place, key) in keys.iter().enumerate() {
        opened.store.forget(&ForgetSelector::Runs(vec![*key])).unwrap();
        for key in &keys[place + 1..] {
            let span = spans(&*opened.store, key).remove(1);
            let wanted = message("user", &long).into();
            assert!(span.attributes.get("gen_ai.input.messages") == Some(&wanted));
        }
        settle(&opened);
    }
}

/// Retains until there is nothing more to remove.
fn retain_all(store: &dyn Store, retention: &Retention) -> Forgotten {
    let mut total = Forgotten::default();
    for _ in 0..10_000 {
        let step = store.retain(retention).unwrap();
        if step == Forgotten::default() {
            return total;
        }
        total.runs += step.runs;
        total.spans += step.spans;
        total.logs += step.logs;
        total.payloads += step.payloads;
    }
    panic!("there was always something to remove");
}

pub fn payloads_and_runs_have_clocks_of_their_own(open: Open<'_>) {
    let surroundings = Surroundings::at(after(100 * DAY));
    surroundings.alive.lock().insert(5);
    let opened = open(&surroundings);
    let begins = |seed: u64| after(seed * 10 * DAY);
    // Those that go on are spared, however old.
    let long = run(9, "long", after(1)).process(5);
    let running = long.key;
    opened
        .store
        .append(crate::Append::Began(Box::new(long.start)))
        .unwrap();
    opened
        .store
        .append(crate::Append::Events(running, long.events))
        .unwrap();
    let all: Vec<RunKey> = (1..=8)
        .map(|seed| run(seed, "w", begins(seed)).append(&*opened.store, SECOND))
        .collect();
    settle(&opened);
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    assert_eq!(
        retain_all(&*opened.store, &Retention::default()),
        Forgotten::default()
    );
    let retention = Retention {
        payloads: days(45),
        runs: days(75),
        size_bytes_max: None,
    };
    let removed = retain_all(&*opened.store, &retention);
    assert_eq!(
        (removed.runs, removed.spans, removed.payloads),
        (2, 4, 6),
        "{removed:?}"
    );
    for _ in 0..2 {
        for (place, key) in all.iter().enumerate() {
            let seed = place as u64 + 1;
            match seed {
                1..=2 => assert_gone(&opened, seed, key),
                3..=5 => {
                    let row = opened.store.run(key).unwrap().unwrap().row;
                    assert_eq!((row.spans, row.payloads_gone), (2, true), "{seed}");
                    assert_eq!((row.llm_calls, row.cost.known.0), (1, 1_000_000), "{seed}");
                    assert_eq!(hits(&opened, &format!("secret{seed}")), 0, "{seed}");
                    let rows = opened.store.span_rows(key).unwrap();
                    assert_eq!((rows.len(), rows[1].model.as_str()), (2, "gpt-4o"), "{seed}");
                    let spans = spans(&*opened.store, key);
                    assert_eq!(spans.len(), 2);
                    assert_eq!(spans[1].duration_ns(), Some(1_000 * seed));
                    assert!(spans[1].attributes.get("gen_ai.input.messages").is_none());
                    assert_eq!(
                        spans[1].attributes.get_str("gen_ai.request.model"),
                        Some("gpt-4o")
                    );
                    assert_eq!(spans[1].usage.as_ref().unwrap().input_tokens(), 100);
                    assert_eq!(spans[1].cost.as_ref().unwrap().amount, rows[1].cost);
                    assert_eq!(
                        opened.store.span(key, rows[1].span_id).unwrap().as_ref(),
                        Some(&spans[1])
                    );
                }
                _ => assert_whole(&opened, seed, key),
            }
        }
        assert_eq!(spans(&*opened.store, &running).len(), 1);
        settle(&opened);
    }
}

pub fn what_had_its_time_stays_in_sums(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(100 * DAY)));
    for seed in 1..=8 {
        run(seed, ["a", "b"][seed as usize % 2], after(seed * 10 * DAY)).append(&*opened.store, SECOND);
    }
    settle(&opened);
    let queries = [
        None,
        Some(GroupBy::Workflow),
        Some(GroupBy::Model),
        Some(GroupBy::Day),
    ]
    .map(|by| StatsQuery {
        by,
        ..StatsQuery::default()
    });
    let before = queries.each_ref().map(|query| opened.store.stats(query).unwrap());
    let retention = Retention {
        runs: Some(Duration::from_secs(45 * 86_400)),
        ..Retention::default()
    };
    assert_eq!(retain_all(&*opened.store, &retention).runs, 5);
    for _ in 0..2 {
        for (query, before) in queries.iter().zip(&before) {
            let found = opened.store.stats(query).unwrap();
            super::sums::assert_rows_alike(&found, before, &format!("{query:?}"));
        }
        settle(&opened);
    }
    // Conditions on single runs look at the runs that there are.
    let with_condition = StatsQuery {
        filter: crate::StatsFilter {
            runs: RunFilter {
                statuses: vec![RunStatus::Ok],
                ..RunFilter::default()
            },
            ..Default::default()
        },
        ..StatsQuery::default()
    };
    assert_eq!(opened.store.stats(&with_condition).unwrap()[0].sums.runs, 3);
}

pub fn a_limit_of_size_takes_the_oldest(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(100 * DAY)));
    let mut noise = flowmeter_model::IdSource::from_seed(7);
    let all: Vec<RunKey> = (1..=30)
        .map(|seed| {
            let mut sample = Sample::new(seed, "big", after(seed * DAY));
            let mut span = sample.span(
                sample.key.root_span_id,
                flowmeter_model::SpanKind::LlmCall,
                "chat",
                after(seed * DAY),
            );
            let text: String = (0..8_000).map(|_| format!("{:016x}", noise.next_u64())).collect();
            span.attributes
                .set("gen_ai.input.messages", message("user", &text));
            sample.keep(ended(span, 5));
            let key = sample.append(&*opened.store, 10);
            settle(&opened);
            key
        })
        .collect();
    let none = Retention {
        size_bytes_max: Some(1_000_000_000),
        ..Retention::default()
    };
    assert_eq!(retain_all(&*opened.store, &none), Forgotten::default());
    // About half of it.
    let half = Retention {
        size_bytes_max: Some(1_500_000),
        ..Retention::default()
    };
    let removed = retain_all(&*opened.store, &half);
    assert!(removed.payloads > 0, "{removed:?}");
    settle(&opened);
    let gone: Vec<bool> = all
        .iter()
        .map(|key| {
            opened
                .store
                .run(key)
                .unwrap()
                .is_none_or(|detail| detail.row.payloads_gone)
        })
        .collect();
    assert!(gone[0], "{gone:?}");
    assert!(!gone[29], "{gone:?}");
    assert!(gone.is_sorted_by(|a, b| a >= b), "the oldest go first: {gone:?}");
}
