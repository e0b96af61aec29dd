//! Sums: exact to the nano-dollar, whatever they are grouped and cut by.
//!
//! Percentiles alone may be off, by 1 %.

use flowmeter_model::{Cost, CostStatus, CostTotal, SpanKind, SpanStatus, TimestampNs, UsdNanos};

use super::samples::*;
use super::{Open, Opened, Surroundings, settle};
use crate::{
    GroupBy, LatencySketch, RunFilter, RunStatus, StatsFilter, StatsQuery, StatsRow, StatsSums, TokenSums,
};

fn stats(opened: &Opened, query: &StatsQuery) -> Vec<StatsRow> {
    opened.store.stats(query).unwrap()
}

fn by(by: GroupBy) -> StatsQuery {
    StatsQuery {
        by: Some(by),
        ..StatsQuery::default()
    }
}

fn groups(rows: &[StatsRow]) -> Vec<&str> {
    rows.iter().map(|row| row.group.as_str()).collect()
}

fn known(status: CostStatus, nanos: i64) -> Cost {
    Cost::known(status, UsdNanos(nanos), None)
}

/// Thirty days of runs of three workflows with four models: one every 7 hours, with costs that no float holds.
fn month(open: Open<'_>) -> Opened {
    let opened = open(&Surroundings::at(after(40 * DAY)));
    for number in 0..100_u64 {
        let begins = after(number * (7 * HOUR + 13 * SECOND));
        let workflow = ["greet", "sum", "a/b"][number as usize % 3];
        let mut sample =
            Sample::new(400 + number, workflow, begins).tag("team", ["red", "blue"][number as usize % 2]);
        let node = sample.node(
            ["ask", "tell"][number as usize % 2],
            begins,
            (number + 1) * 10_000_019,
        );
        let calls = [
            Call {
                cost: priced(333_333_333 + i64::try_from(number).unwrap()),
                ..Call::default()
            },
            Call {
                model: "claude",
                provider: "anthropic",
                input: 1_000 + number,
                output: 7,
                cost: known(CostStatus::Reported, 1),
                ..Call::default()
            },
            Call {
                model: "llama",
                provider: "",
                cost: Cost::unpriced(),
                ..Call::default()
            },
            Call {
                model: "claude",
                provider: "bedrock",
                cost: known(CostStatus::Estimated, 17),
                ..Call::default()
            },
        ];
        for (place, call) in calls.into_iter().enumerate() {
            let place = place as u64;
            let parent = if place == 3 { sample.key.root_span_id } else { node };
            sample.call(
                parent,
                call,
                TimestampNs(begins.0 + place),
                (number + 1) * (place + 1) * 1_000_003,
            );
        }
        if number % 10 == 0 {
            sample.status = RunStatus::Error;
            let mut failed = sample.span(node, SpanKind::LlmCall, "chat gpt-4o", begins);
            failed.attributes.set("gen_ai.request.model", "gpt-4o");
            failed.attributes.set("gen_ai.provider.name", "openai");
            failed.error = Some(failure());
            failed.cost = Some(known(CostStatus::Partial, 5));
            failed
                .attributes
                .set("flowmeter.cache.provider_saved_nanos", number as i64 * 1_000 - 7);
            sample.keep(ended(failed, 77));
            let mut hit = sample.span(node, SpanKind::LlmCall, "chat gpt-4o", begins);
            hit.attributes.set("gen_ai.request.model", "gpt-4o");
            hit.attributes.set("gen_ai.provider.name", "openai");
            hit.attributes.set("flowmeter.cache.hit", true);
            hit.attributes.set("flowmeter.cache.saved_nanos", 1_000_001_i64);
            hit.attributes.set("flowmeter.cache.saved_status", "priced");
            // It was made before, by another call.
            hit.attributes.set("flowmeter.cache.provider_saved_nanos", 5_i64);
            hit.cost = Some(priced(0));
            sample.keep(ended(hit, 1));
        }
        sample.append(&*opened.store, (number + 1) * 20_000_003);
        if number % 9 == 0 {
            settle(&opened);
        }
    }
    settle(&opened);
    opened
}

pub fn sums_are_exact(open: Open<'_>) {
    let opened = month(open);
    let rows = stats(&opened, &StatsQuery::default());
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.group.as_str(), row.begins, row.trend.len()), ("", None, 0));
    let sums = &row.sums;
    assert_eq!((sums.runs, sums.runs_failed), (100, 10));
    assert_eq!((sums.nodes, sums.nodes_failed), (100, 0));
    assert_eq!(
        (sums.llm_calls, sums.llm_calls_failed, sums.cache_hits),
        (410, 10, 10)
    );
    let tokens = TokenSums {
        input: 100 * 100 + (100 * 1_000 + 4_950) + 2 * 100 * 100,
        output: 100 * 20 * 3 + 100 * 7,
        ..TokenSums::default()
    };
    assert_eq!(sums.tokens, tokens);
    let cost = CostTotal {
        known: UsdNanos(100 * 333_333_333 + 4_950 + 100 + 1_700 + 50),
        calls: 410,
        unpriced_calls: 100,
        partial_calls: 10,
        estimated_calls: 100,
        reported_calls: 100,
        ..CostTotal::default()
    };
    assert_eq!(sums.cost, cost);
    let saved = CostTotal {
        known: UsdNanos(10_000_010),
        calls: 10,
        ..CostTotal::default()
    };
    assert_eq!(sums.saved, saved);
    assert_eq!(sums.provider_saved, UsdNanos(450 * 1_000 - 10 * 7));
    assert_eq!(sums.run_duration.count(), 100);
    assert_eq!(sums.run_duration.sum_ns(), 5_050 * 20_000_003);
    assert_eq!(sums.node_duration.sum_ns(), 5_050 * 10_000_019);
    assert_eq!(sums.llm_duration.sum_ns(), 5_050 * 10 * 1_000_003 + 770);
    assert_eq!(sums.llm_duration.min_ns(), Some(77));
    // An empty store has one empty row, and none for groups.
    let empty = open(&Surroundings::at(MARCH));
    assert_eq!(
        stats(&empty, &StatsQuery::default())[0].sums,
        StatsSums::default()
    );
    assert!(stats(&empty, &by(GroupBy::Model)).is_empty());
}

pub fn unknown_costs_are_counted_apart(open: Open<'_>) {
    let opened = month(open);
    let query = StatsQuery {
        filter: StatsFilter {
            models: vec!["llama".to_owned()],
            ..StatsFilter::default()
        },
        ..StatsQuery::default()
    };
    let sums = stats(&opened, &query).remove(0).sums;
    assert_eq!((sums.llm_calls, sums.runs, sums.nodes), (100, 0, 0));
    assert_eq!((sums.cost.unpriced_calls, sums.cost.amount()), (100, None));
    assert!(sums.cost.unpriced_models.is_empty());
}

pub fn grouped_by_each_dimension(open: Open<'_>) {
    let opened = month(open);
    let rows = stats(&opened, &by(GroupBy::Model));
    assert_eq!(groups(&rows), ["claude", "gpt-4o", "llama"]);
    assert_eq!(
        rows.iter().map(|row| row.sums.llm_calls).collect::<Vec<_>>(),
        [200, 110, 100]
    );
    assert_eq!(rows[0].sums.cost.known, UsdNanos(1_800));
    assert_eq!(
        (rows[1].sums.cache_hits, rows[1].sums.saved.known),
        (10, UsdNanos(10_000_010))
    );
    assert!(rows.iter().all(|row| row.sums.runs == 0 && row.sums.nodes == 0));

    let rows = stats(&opened, &by(GroupBy::Provider));
    assert_eq!(groups(&rows), ["", "anthropic", "bedrock", "openai"]);
    assert_eq!(
        rows.iter().map(|row| row.sums.llm_calls).collect::<Vec<_>>(),
        [100, 100, 100, 110]
    );

    let rows = stats(&opened, &by(GroupBy::Workflow));
    assert_eq!(groups(&rows), ["a/b", "greet", "sum"]);
    assert_eq!(
        rows.iter().map(|row| row.sums.runs).collect::<Vec<_>>(),
        [33, 34, 33]
    );
    assert_eq!(rows.iter().map(|row| row.sums.runs_failed).sum::<u64>(), 10);

    let rows = stats(&opened, &by(GroupBy::Node));
    assert_eq!(
        groups(&rows),
        [
            "a/b",
            "a/b/ask",
            "a/b/tell",
            "greet",
            "greet/ask",
            "greet/tell",
            "sum",
            "sum/ask",
            "sum/tell"
        ]
    );
    assert_eq!(
        (rows[3].sums.llm_calls, rows[3].sums.nodes, rows[3].sums.runs),
        (34, 0, 0)
    );
    assert_eq!((rows[4].sums.llm_calls, rows[4].sums.nodes), (17 * 3 + 4, 17));

    let rows = stats(&opened, &by(GroupBy::Tag("team".to_owned())));
    assert_eq!(groups(&rows), ["blue", "red"]);
    assert_eq!((rows[0].sums.runs, rows[1].sums.runs_failed), (50, 10));
    let rows = stats(&opened, &by(GroupBy::Tag("none".to_owned())));
    assert_eq!(groups(&rows), [""]);
    assert_eq!(rows[0].sums.runs, 100);

    let of_nodes = StatsQuery {
        filter: StatsFilter {
            nodes: vec!["ask".to_owned()],
            runs: RunFilter {
                workflows: vec!["greet".to_owned(), "sum".to_owned()],
                ..RunFilter::default()
            },
            ..StatsFilter::default()
        },
        ..by(GroupBy::Model)
    };
    let rows = stats(&opened, &of_nodes);
    assert_eq!(groups(&rows), ["claude", "gpt-4o", "llama"]);
    assert_eq!(rows.iter().map(|row| row.sums.llm_calls).sum::<u64>(), 33 * 3 + 7);

    let of_provider = StatsQuery {
        filter: StatsFilter {
            providers: vec!["bedrock".to_owned()],
            ..StatsFilter::default()
        },
        ..by(GroupBy::Workflow)
    };
    let rows = stats(&opened, &of_provider);
    assert_eq!(groups(&rows), ["a/b", "greet", "sum"]);
    assert_eq!(
        rows.iter().map(|row| row.sums.llm_calls).collect::<Vec<_>>(),
        [33, 34, 33]
    );
}

pub fn hours_and_days_of_a_zone(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(40 * DAY)));
    // Around midnight of 2026-03-02 UTC.
    for (number, minutes) in [-90_i64, -31, -29, -1, 0, 1, 14, 16, 29, 31, 46, 90]
        .into_iter()
        .enumerate()
    {
        let begins = TimestampNs(
            after(DAY)
                .0
                .checked_add_signed(minutes * 60 * SECOND as i64)
                .unwrap(),
        );
        Sample::new(500 + number as u64, "tick", begins).append(&*opened.store, SECOND);
    }
    settle(&opened);
    let check = |by: GroupBy, utc_offset_seconds: i32, wanted: &[(&str, u64)]| {
        let query = StatsQuery {
            by: Some(by),
            utc_offset_seconds,
            ..StatsQuery::default()
        };
        let rows = stats(&opened, &query);
        let found: Vec<(&str, u64)> = rows
            .iter()
            .map(|row| (row.group.as_str(), row.sums.runs))
            .collect();
        assert_eq!(found, wanted, "{utc_offset_seconds}");
        assert!(rows.is_sorted_by_key(|row| row.begins));
        rows[0].begins.unwrap()
    };
    let begins = check(GroupBy::Day, 0, &[("2026-03-01", 4), ("2026-03-02", 8)]);
    assert_eq!(begins, MARCH);
    check(GroupBy::Day, 3_600, &[("2026-03-01", 1), ("2026-03-02", 11)]);
    check(GroupBy::Day, -3_600, &[("2026-03-01", 11), ("2026-03-02", 1)]);
    let begins = check(GroupBy::Day, 1_800, &[("2026-03-01", 2), ("2026-03-02", 10)]);
    assert_eq!(begins, TimestampNs(MARCH.0 - HOUR / 2));
    check(GroupBy::Day, -900, &[("2026-03-01", 7), ("2026-03-02", 5)]);
    let hours = [
        ("2026-03-01T22:00", 1),
        ("2026-03-01T23:00", 3),
        ("2026-03-02T00:00", 7),
        ("2026-03-02T01:00", 1),
    ];
    check(GroupBy::Hour, 0, &hours);
    let hours = [
        ("2026-03-02T04:00", 2),
        ("2026-03-02T05:00", 7),
        ("2026-03-02T06:00", 2),
        ("2026-03-02T07:00", 1),
    ];
    let begins = check(GroupBy::Hour, 19_800, &hours);
    assert_eq!(begins, TimestampNs(after(DAY).0 - 3 * HOUR / 2));
    let hours = [
        ("2026-03-02T04:00", 1),
        ("2026-03-02T05:00", 6),
        ("2026-03-02T06:00", 4),
        ("2026-03-02T07:00", 1),
    ];
    check(GroupBy::Hour, 20_700, &hours);
}

pub fn an_interval_cuts_where_it_says(open: Open<'_>) {
    let opened = month(open);
    let all = scan(&*opened.store, &Default::default());
    let times = [
        None,
        Some(MARCH),
        Some(TimestampNs(MARCH.0 + 1)),
        Some(after(7 * HOUR + 13 * SECOND + 2)),
        Some(after(DAY)),
        Some(after(10 * DAY + 7 * HOUR + 1_234)),
        Some(after(29 * DAY + 23 * HOUR)),
        Some(after(31 * DAY)),
    ];
    for since in times {
        for until in times {
            let filter = StatsFilter {
                runs: RunFilter {
                    since,
                    until,
                    ..RunFilter::default()
                },
                ..StatsFilter::default()
            };
            let query = StatsQuery {
                filter,
                ..StatsQuery::default()
            };
            let within = |row: &&crate::SpanRow| {
                since.is_none_or(|since| row.start >= since) && until.is_none_or(|until| row.start < until)
            };
            let count = |kind| all.iter().filter(within).filter(|row| row.kind == kind).count() as u64;
            let sums = stats(&opened, &query).remove(0).sums;
            let found = (sums.runs, sums.nodes, sums.llm_calls + sums.cache_hits);
            let wanted = (
                count(SpanKind::Run),
                count(SpanKind::Node),
                count(SpanKind::LlmCall),
            );
            assert_eq!(found, wanted, "{since:?} {until:?}");
            let cost: UsdNanos = all.iter().filter(within).filter_map(|row| row.cost).sum();
            assert_eq!(sums.cost.known, cost);
            let by_model = stats(
                &opened,
                &StatsQuery {
                    by: Some(GroupBy::Model),
                    ..query.clone()
                },
            );
            assert_eq!(
                by_model.iter().map(|row| row.sums.llm_calls).sum::<u64>(),
                sums.llm_calls
            );
        }
    }
}

pub fn conditions_on_runs_count_their_spans(open: Open<'_>) {
    let opened = month(open);
    let sums = |runs: RunFilter| {
        let filter = StatsFilter {
            runs,
            ..StatsFilter::default()
        };
        let query = StatsQuery {
            filter,
            ..StatsQuery::default()
        };
        stats(&opened, &query).remove(0).sums
    };
    let tags = vec![("team".to_owned(), "red".to_owned())];
    let red = sums(RunFilter {
        tags: tags.clone(),
        ..RunFilter::default()
    });
    assert_eq!((red.runs, red.runs_failed, red.llm_calls), (50, 10, 210));
    let failed = sums(RunFilter {
        statuses: vec![RunStatus::Error],
        ..RunFilter::default()
    });
    assert_eq!((failed.runs, failed.llm_calls, failed.cache_hits), (10, 50, 10));
    let greet = sums(RunFilter {
        tags,
        workflows: vec!["greet".to_owned()],
        ..RunFilter::default()
    });
    assert_eq!(greet.runs, 17);
    let slow = sums(RunFilter {
        slower_than_ns: Some(90 * 20_000_003),
        ..RunFilter::default()
    });
    assert_eq!(slow.runs, 10);
    let none = sums(RunFilter {
        session: Some("none".to_owned()),
        ..RunFilter::default()
    });
    assert_eq!(none, StatsSums::default());
}

pub fn trends_add_up_to_the_sums(open: Open<'_>) {
    let opened = month(open);
    for (since, until) in [
        (None, None),
        (Some(after(HOUR / 4)), Some(after(20 * DAY + 1))),
        (Some(MARCH), None),
    ] {
        for trend_steps in [1, 7, 24, 30, 5_000] {
            for group in [
                None,
                Some(GroupBy::Model),
                Some(GroupBy::Workflow),
                Some(GroupBy::Node),
            ] {
                let query = StatsQuery {
                    by: group,
                    filter: StatsFilter {
                        runs: RunFilter {
                            since,
                            until,
                            ..RunFilter::default()
                        },
                        ..StatsFilter::default()
                    },
                    trend_steps,
                    utc_offset_seconds: 0,
                };
                for row in stats(&opened, &query) {
                    assert_eq!(row.trend.len(), trend_steps);
                    let mut total = StatsSums::default();
                    for step in &row.trend {
                        total.merge(step);
                    }
                    assert_alike(&total, &row.sums, &format!("{query:?} {}", row.group));
                }
            }
        }
    }
    // Thirty days in thirty steps: each step is a day, and most days have three runs or four.
    let query = StatsQuery {
        filter: StatsFilter {
            runs: RunFilter {
                since: Some(MARCH),
                until: Some(after(30 * DAY)),
                ..RunFilter::default()
            },
            ..StatsFilter::default()
        },
        trend_steps: 30,
        ..StatsQuery::default()
    };
    let days = stats(
        &opened,
        &StatsQuery {
            by: Some(GroupBy::Day),
            trend_steps: 0,
            ..query.clone()
        },
    );
    let trend = stats(&opened, &query).remove(0).trend;
    let wanted: Vec<u64> = days.iter().map(|row| row.sums.runs).collect();
    let found: Vec<u64> = trend
        .iter()
        .map(|step| step.runs)
        .filter(|runs| *runs > 0)
        .collect();
    assert_eq!(found, wanted);
    // Hours and days are steps themselves.
    let by_day = StatsQuery {
        trend_steps: 5,
        ..by(GroupBy::Day)
    };
    assert!(stats(&opened, &by_day).iter().all(|row| row.trend.is_empty()));
}

pub fn percentiles_are_off_by_one_percent_at_most(open: Open<'_>) {
    let opened = month(open);
    let mut durations: Vec<u64> = scan(&*opened.store, &Default::default())
        .iter()
        .filter(|row| row.kind == SpanKind::LlmCall && !row.cache_hit)
        .map(|row| row.duration_ns)
        .collect();
    durations.sort_unstable();
    let rows = stats(&opened, &StatsQuery::default());
    for fraction in [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0] {
        let rank = ((durations.len() as f64 * fraction).ceil() as usize).max(1);
        let exact = durations[rank - 1] as f64;
        let found = rows[0].sums.llm_duration.quantile_ns(fraction).unwrap() as f64;
        assert!(
            (found - exact).abs() <= exact * 0.010_001,
            "{fraction}: {found} for {exact}"
        );
    }
}

pub fn sums_do_not_change_by_settling(open: Open<'_>) {
    let surroundings = Surroundings::at(after(40 * DAY));
    let opened = open(&surroundings);
    let queries = [
        None,
        Some(GroupBy::Model),
        Some(GroupBy::Day),
        Some(GroupBy::Node),
        Some(GroupBy::Workflow),
    ]
    .map(|by| StatsQuery {
        by,
        ..StatsQuery::default()
    });
    for number in 0..150_u64 {
        let begins = after(number * 11 * HOUR);
        let mut sample = Sample::new(600 + number, "steady", begins);
        let node = sample.node("ask", begins, 1_000 + number);
        sample.call(node, Call::default(), begins, 500 + number);
        sample.append(&*opened.store, 2_000);
        if number % 25 == 24 {
            opened.store.flush().unwrap();
            let before = queries.each_ref().map(|query| stats(&opened, query));
            assert_eq!(before[0][0].sums.runs, number + 1);
            for _ in 0..3 {
                (opened.settle)();
                for (query, before) in queries.iter().zip(&before) {
                    assert_rows_alike(&stats(&opened, query), before, &format!("{query:?}"));
                }
            }
        }
    }
    // A name that comes late: what was counted under none goes to it.
    let mut nameless = Sample::new(800, "", after(HOUR));
    nameless.node("ask", after(HOUR), 5);
    let key = nameless.key;
    let events = std::mem::take(&mut nameless.events);
    opened.store.append(crate::Append::Events(key, events)).unwrap();
    settle(&opened);
    assert_eq!(groups(&stats(&opened, &by(GroupBy::Workflow))), ["", "steady"]);
    let mut root = ended(nameless.root.clone(), 9);
    root.attributes.set("workflow.name", "late");
    let event = flowmeter_model::TelemetryEvent::SpanEnded(Box::new(root));
    opened
        .store
        .append(crate::Append::Events(key, vec![event]))
        .unwrap();
    settle(&opened);
    let rows = stats(&opened, &by(GroupBy::Workflow));
    assert_eq!(groups(&rows), ["late", "steady"]);
    assert_eq!((rows[0].sums.runs, rows[0].sums.nodes), (1, 1));
}

pub fn huge_figures_are_held_at_the_limit(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    for number in 0..3 {
        let mut sample = Sample::new(700 + number, "huge", MARCH);
        let call = Call {
            input: u64::MAX - 5,
            output: 1,
            cost: priced(i64::MAX - 5),
            ..Call::default()
        };
        sample.call(sample.key.root_span_id, call, after(1), u64::MAX / 4);
        sample.append(&*opened.store, 5);
    }
    settle(&opened);
    let sums = stats(&opened, &StatsQuery::default()).remove(0).sums;
    assert_eq!((sums.tokens.input, sums.tokens.output), (u64::MAX, 3));
    assert_eq!(sums.cost.known, UsdNanos(i64::MAX));
    assert_eq!(sums.llm_duration.count(), 3);
    let row = opened
        .store
        .span_rows(&Sample::new(700, "huge", MARCH).key)
        .unwrap()
        .remove(1);
    assert_eq!((row.status, row.duration_ns), (SpanStatus::Ok, u64::MAX / 4));
    assert_eq!(
        (row.tokens.input, row.cost),
        (u64::MAX - 5, Some(UsdNanos(i64::MAX - 5)))
    );
}

/// Rows that say the same, percentiles within 1 %.
pub fn assert_rows_alike(found: &[StatsRow], wanted: &[StatsRow], what: &str) {
    let place = |row: &StatsRow| (row.begins, row.group.clone());
    let places: Vec<_> = found.iter().map(place).collect();
    assert_eq!(places, wanted.iter().map(place).collect::<Vec<_>>(), "{what}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert_alike(&found.sums, &wanted.sums, what);
        assert_eq!(found.trend.len(), wanted.trend.len(), "{what}");
        for (found, wanted) in found.trend.iter().zip(&wanted.trend) {
            assert_alike(found, wanted, what);
        }
    }
}

/// Sums that are equal, percentiles within 1 %.
pub fn assert_alike(found: &StatsSums, wanted: &StatsSums, what: &str) {
    let exact = |sums: &StatsSums| StatsSums {
        run_duration: LatencySketch::default(),
        node_duration: LatencySketch::default(),
        llm_duration: LatencySketch::default(),
        ..sums.clone()
    };
    assert_eq!(exact(found), exact(wanted), "{what}");
    let sketches =
        |sums: &StatsSums| [&sums.run_duration, &sums.node_duration, &sums.llm_duration].map(Clone::clone);
    for (found, wanted) in sketches(found).iter().zip(&sketches(wanted)) {
        assert_eq!(
            (found.count(), found.sum_ns()),
            (wanted.count(), wanted.sum_ns()),
            "{what}"
        );
        for fraction in [0.0, 0.5, 0.9, 1.0] {
            let (Some(found), Some(wanted)) = (found.quantile_ns(fraction), wanted.quantile_ns(fraction))
            else {
                continue;
            };
            let (found, wanted) = (found as f64, wanted as f64);
            assert!(
                (found - wanted).abs() <= wanted * 0.021 + 1.0,
                "{what}: {found} for {wanted} at {fraction}"
            );
        }
    }
}
