//! What is asked of a history in memory, and what is shown.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use expect_test::expect;
use flowmeter_model::{
    Cost, CostStatus, Figure, IdSource, ManualClock, Span, SpanKind, SpanStatus, TelemetryEvent, TimestampNs,
    TokenUsage, UsdNanos,
};
use flowmeter_store::{Append, MemoryConfig, MemoryStore, Origin, RunKey, RunStart};

use super::over_time::chart_of;
use super::*;
use crate::args::{Command, CommandLine, Metric};
use crate::chart::{self, ImageFormat, Kind, SERIES_MAX};
use crate::times::LocalZone;

const HOUR: u64 = 3_600_000_000_000;
/// 2026-11-21T00:00:00Z.
const MIDNIGHT: TimestampNs = TimestampNs(1_795_219_200_000_000_000);

fn times() -> TimeWords {
    TimeWords::new(TimestampNs(MIDNIGHT.0 + 36 * HOUR), LocalZone::fixed(3_600))
}

fn store() -> MemoryStore {
    MemoryStore::new(MemoryConfig {
        clock: Arc::new(ManualClock::new(TimestampNs(MIDNIGHT.0 + 36 * HOUR))),
        is_alive: Arc::new(|_| None),
    })
}

/// One run with one node and one call in it.
struct Run<'a> {
    workflow: &'a str,
    model: &'a str,
    hour: u64,
    seconds: u64,
    /// In millionths of a dollar; unpriced where there is none.
    cost: Option<i64>,
    is_ok: bool,
    tag: Option<&'a str>,
}

fn add(store: &dyn Store, ids: &mut IdSource, run: &Run<'_>) {
    let key = RunKey {
        trace_id: ids.trace_id(),
        root_span_id: ids.span_id(),
    };
    let begin = TimestampNs(MIDNIGHT.0 + run.hour * HOUR);
    let span = |id, parent, kind, operation: &str, seconds: u64| {
        let mut span = Span::begin(key.trace_id, id, parent, kind, operation, begin);
        span.end = Some(TimestampNs(begin.0 + seconds * 1_000_000_000));
        span.status = Some(if run.is_ok {
            SpanStatus::Ok
        } else {
            SpanStatus::Error
        });
        span
    };
    let root = span(
        key.root_span_id,
        None,
        SpanKind::Run,
        "workflow.start",
        run.seconds,
    );
    let mut node = span(
        ids.span_id(),
        Some(root.span_id),
        SpanKind::Node,
        "node.llm",
        run.seconds,
    );
    node.attributes.set("node.id", "ask");
    node.attributes.set("node.type", "llm");
    let mut call = span(
        ids.span_id(),
        Some(node.span_id),
        SpanKind::LlmCall,
        &format!("chat {}", run.model),
        run.seconds,
    );
    call.attributes.set("gen_ai.request.model", run.model);
    call.attributes.set("gen_ai.provider.name", "openai");
    if run.model == "gpt-4o" {
        call.attributes
            .set("flowmeter.cache.provider_saved_nanos", 500_000_i64);
    }
    call.usage = Some(TokenUsage {
        input: Some(Figure::provider(1_000)),
        cache_read: Some(Figure::provider(400)),
        output: Some(Figure::provider(200)),
        reasoning: Some(Figure::provider(50)),
        ..TokenUsage::default()
    });
    call.cost = Some(run.cost.map_or_else(Cost::unpriced, |micros| {
        Cost::known(CostStatus::Priced, UsdNanos(micros * 1_000), None)
    }));
    store
        .append(Append::Began(Box::new(RunStart {
            key,
            parent_span_id: None,
            workflow: run.workflow.into(),
            started: begin,
            sampled: true,
            origin: Origin {
                tags: run
                    .tag
                    .map(|team| ("team".to_owned(), team.to_owned()))
                    .into_iter()
                    .collect(),
                ..Origin::default()
            },
            resource: flowmeter_model::Attributes::new(),
            process: None,
        })))
        .unwrap();
    let events = [call, node, root].map(|span| TelemetryEvent::SpanEnded(Box::new(span)));
    store.append(Append::Events(key, events.into())).unwrap();
}

/// Two days, two workflows, three models.
fn filled() -> MemoryStore {
    let store = store();
    let mut ids = IdSource::from_seed(1);
    for hour in 0..30 {
        add(
            &store,
            &mut ids,
            &Run {
                workflow: "triage",
                model: "gpt-4o",
                hour,
                seconds: 1 + hour % 4,
                cost: Some(2_000),
                is_ok: hour % 10 != 3,
                tag: Some("search"),
            },
        );
    }
    for hour in 20..24 {
        add(
            &store,
            &mut ids,
            &Run {
                workflow: "weekly, \"report\"",
                model: "own\\model",
                hour,
                seconds: 60,
                cost: None,
                is_ok: true,
                tag: None,
            },
        );
    }
    add(
        &store,
        &mut ids,
        &Run {
            workflow: "triage",
            model: "gpt-4o-mini",
            hour: 2,
            seconds: 1,
            cost: Some(12),
            is_ok: true,
            tag: Some("ads"),
        },
    );
    store
}

fn args(words: &[&str]) -> StatsArgs {
    let line = ["flowmeter", "stats"].iter().chain(words);
    match CommandLine::try_parse_from(line).unwrap().command {
        Some(Command::Stats(args)) => *args,
        other => panic!("{other:?}"),
    }
}

/// The query and its sorted rows.
fn asked(store: &dyn Store, words: &[&str]) -> (StatsArgs, StatsQuery, Vec<StatsRow>) {
    let args = args(words);
    let by = match Grouping::parse(&args.by, args.tag_key.as_deref()).unwrap() {
        Grouping::By(by) => Some(by),
        _ => None,
    };
    let query = StatsQuery {
        trend_steps: if stats_view::is_time(by.as_ref()) { 0 } else { 8 },
        by,
        filter: filter_of(&args, &times()),
        utc_offset_seconds: 3_600,
    };
    let mut rows = store.stats(&query).unwrap();
    stats_view::sort(&mut rows, &query, args.sort);
    (args, query, rows)
}

fn table(words: &[&str], width: Option<usize>, glyphs: Glyphs) -> String {
    let (args, query, rows) = asked(&filled(), words);
    let total = stats_view::total_of(&rows);
    table::render(
        &View {
            by: query.by.as_ref(),
            subject: Subject::of(&query),
            times: &times(),
            glyphs,
            style: TableStyle {
                width,
                colour: false,
                indent: 0,
            },
            metric: args.sort.unwrap_or_else(|| stats_view::telling_metric(&total)),
            rows_max: args.limit.map_or(usize::MAX, |limit| limit as usize),
        },
        &rows,
    )
}

#[test]
fn tables() {
    expect![[r#"
        runs  success  LLM calls   input  cached  output  reasoning                     cost    saved   p50    p90     p99  cost over time
          35    91.4%         35  35,000  14,000   7,000      1,750  ≥ $0.0600 (+4 unpriced)  $0.0150  3.0s  59.6s  1m 00s  ███████▄
    "#]].assert_eq(&table(&[], None, Glyphs::Blocks));
    expect![[r#"
        workflow          runs  success  LLM calls   input  cached  output  reasoning                     cost    saved     p50     p90     p99  cost over time
        triage              31    90.3%         31  31,000  12,400   6,200      1,550                  $0.0600  $0.0150    2.0s    4.0s    4.0s  ███████▄
        weekly, "report"     4     100%          4   4,000   1,600     800        200             unpriced (4)           1m 00s  1m 00s  1m 00s  ⠀⠀⠀⠀⠀⠀⠀⠀
        total               35    91.4%         35  35,000  14,000   7,000      1,750  ≥ $0.0600 (+4 unpriced)  $0.0150    3.0s   59.6s  1m 00s  ███████▄
    "#]].assert_eq(&table(&["--by", "workflow"], None, Glyphs::Blocks));
    expect![[r#"
        model        calls  success   input  cached  output  reasoning                      cost    saved     p50     p90     p99  LLM calls over time
        gpt-4o          30    90.0%  30,000  12,000   6,000      1,500                   $0.0600  $0.0150    2.0s    4.0s    4.0s  #######=
        own\model        4     100%   4,000   1,600     800        200              unpriced (4)           1m 00s  1m 00s  1m 00s  _____#__
        gpt-4o-mini      1     100%   1,000     400     200         50                 $0.000012             1.0s    1.0s    1.0s  #_______
        total           35    91.4%  35,000  14,000   7,000      1,750  >= $0.0600 (+4 unpriced)  $0.0150    3.0s   59.6s  1m 00s  +====#=:
    "#]].assert_eq(&table(&["--by", "model", "--sort", "calls"], None, Glyphs::Ascii));
    expect![[r#"
        day         runs  success  LLM calls   input  cached  output  reasoning                     cost    saved   p50     p90     p99  cost
        2026-11-21    27    92.5%         27  27,000  10,800   5,400      1,350  ≥ $0.0460 (+3 unpriced)  $0.0115  3.0s   59.6s  1m 00s  ████████████
        2026-11-22     8    87.5%          8   8,000   3,200   1,600        400  ≥ $0.0140 (+1 unpriced)  $0.0035  2.0s  1m 00s  1m 00s  ███▋
        total         35    91.4%         35  35,000  14,000   7,000      1,750  ≥ $0.0600 (+4 unpriced)  $0.0150  3.0s   59.6s  1m 00s
    "#]].assert_eq(&table(&["--by", "day"], None, Glyphs::Blocks));
    expect![[r#"
        team       runs                     cost     p50     p90     p99
        search       30                  $0.0600    2.0s    4.0s    4.0s
        ads           1                $0.000012    1.0s    1.0s    1.0s
        (without)     4             unpriced (4)  1m 00s  1m 00s  1m 00s
        total        35  ≥ $0.0600 (+4 unpriced)    3.0s   59.6s  1m 00s
    "#]]
    .assert_eq(&table(&["--by", "tag=team"], Some(72), Glyphs::Blocks));
    expect![[r#"
        node        executions                     cost     p50
        triage/ask          31                  $0.0600    2.0s
        1 more               4             unpriced (4)  1m 00s
        total               35  ≥ $0.0600 (+4 unpriced)    3.0s
    "#]]
    .assert_eq(&table(
        &["--by", "node", "--limit", "1"],
        Some(60),
        Glyphs::Blocks,
    ));
    expect![[r#"
        workflow  calls  success  input  cached  output  reasoning       cost   p50   p90   p99  cost over time
        triage        1     100%  1,000     400     200         50  $0.000012  1.0s  1.0s  1.0s  █⠀⠀⠀⠀⠀⠀⠀
    "#]].assert_eq(&table(
        &["--by", "workflow", "--model", "gpt-4o-mini"],
        None,
        Glyphs::Blocks,
    ));
}

#[test]
fn csv_and_prometheus_escape_what_must_be() {
    let store = filled();
    let (_, query, rows) = asked(&store, &["--by", "workflow"]);
    expect![[r#"
        workflow,runs,runs_failed,nodes,nodes_failed,llm_calls,llm_calls_failed,cache_hits,input_tokens,cache_read_tokens,cache_write_tokens,output_tokens,reasoning_tokens,cost_usd,cost_status,unpriced_calls,partial_calls,estimated_calls,saved_usd,provider_saved_usd,run_p50_s,run_p90_s,run_p99_s,node_p50_s,node_p90_s,node_p99_s,llm_p50_s,llm_p90_s,llm_p99_s^
        triage,31,3,31,3,31,3,0,31000,12400,0,6200,1550,0.060012,priced,0,0,0,0.00,0.015,1.98853437,4,4,1.98853437,4,4,1.98853437,4,4^
        "weekly, ""report""",4,0,4,0,4,0,0,4000,1600,0,800,200,,unpriced,4,0,0,0.00,0.00,60,60,60,60,60,60,60,60,60^
    "#]].assert_eq(&csv::write(query.by.as_ref(), &rows).replace('\r', "^"));
    let (_, query, rows) = asked(&store, &["--by", "model"]);
    expect![[r##"
        # HELP flowmeter_llm_calls_total LLM calls.
        # TYPE flowmeter_llm_calls_total counter
        flowmeter_llm_calls_total{model="gpt-4o"} 30
        flowmeter_llm_calls_total{model="gpt-4o-mini"} 1
        flowmeter_llm_calls_total{model="own\\model"} 4
        # HELP flowmeter_llm_calls_failed_total LLM calls that did not end well.
        # TYPE flowmeter_llm_calls_failed_total counter
        flowmeter_llm_calls_failed_total{model="gpt-4o"} 3
        flowmeter_llm_calls_failed_total{model="gpt-4o-mini"} 0
        flowmeter_llm_calls_failed_total{model="own\\model"} 0
        # HELP flowmeter_llm_response_cache_hits_total Answers that came from the response cache.
        # TYPE flowmeter_llm_response_cache_hits_total counter
        flowmeter_llm_response_cache_hits_total{model="gpt-4o"} 0
        flowmeter_llm_response_cache_hits_total{model="gpt-4o-mini"} 0
        flowmeter_llm_response_cache_hits_total{model="own\\model"} 0
        # HELP flowmeter_llm_input_tokens_total Input tokens of LLM calls, cached ones included.
        # TYPE flowmeter_llm_input_tokens_total counter
        flowmeter_llm_input_tokens_total{model="gpt-4o"} 30000
        flowmeter_llm_input_tokens_total{model="gpt-4o-mini"} 1000
        flowmeter_llm_input_tokens_total{model="own\\model"} 4000
        # HELP flowmeter_llm_cache_read_tokens_total Input tokens that were read from the provider's cache.
        # TYPE flowmeter_llm_cache_read_tokens_total counter
        flowmeter_llm_cache_read_tokens_total{model="gpt-4o"} 12000
        flowmeter_llm_cache_read_tokens_total{model="gpt-4o-mini"} 400
        flowmeter_llm_cache_read_tokens_total{model="own\\model"} 1600
        # HELP flowmeter_llm_cache_write_tokens_total Input tokens that were written to the provider's cache.
        # TYPE flowmeter_llm_cache_write_tokens_total counter
        flowmeter_llm_cache_write_tokens_total{model="gpt-4o"} 0
        flowmeter_llm_cache_write_tokens_total{model="gpt-4o-mini"} 0
        flowmeter_llm_cache_write_tokens_total{model="own\\model"} 0
        # HELP flowmeter_llm_output_tokens_total Output tokens of LLM calls, reasoning included.
        # TYPE flowmeter_llm_output_tokens_total counter
        flowmeter_llm_output_tokens_total{model="gpt-4o"} 6000
        flowmeter_llm_output_tokens_total{model="gpt-4o-mini"} 200
        flowmeter_llm_output_tokens_total{model="own\\model"} 800
        # HELP flowmeter_llm_reasoning_tokens_total Output tokens that were spent on reasoning.
        # TYPE flowmeter_llm_reasoning_tokens_total counter
        flowmeter_llm_reasoning_tokens_total{model="gpt-4o"} 1500
        flowmeter_llm_reasoning_tokens_total{model="gpt-4o-mini"} 50
        flowmeter_llm_reasoning_tokens_total{model="own\\model"} 200
        # HELP flowmeter_llm_cost_usd_total Known cost of LLM calls in US dollars; calls without a price are in flowmeter_llm_unpriced_calls_total.
        # TYPE flowmeter_llm_cost_usd_total counter
        flowmeter_llm_cost_usd_total{model="gpt-4o"} 0.06
        flowmeter_llm_cost_usd_total{model="gpt-4o-mini"} 0.000012
        # HELP flowmeter_llm_unpriced_calls_total LLM calls that no price is known for.
        # TYPE flowmeter_llm_unpriced_calls_total counter
        flowmeter_llm_unpriced_calls_total{model="gpt-4o"} 0
        flowmeter_llm_unpriced_calls_total{model="gpt-4o-mini"} 0
        flowmeter_llm_unpriced_calls_total{model="own\\model"} 4
        # HELP flowmeter_llm_estimated_calls_total LLM calls whose tokens were estimated.
        # TYPE flowmeter_llm_estimated_calls_total counter
        flowmeter_llm_estimated_calls_total{model="gpt-4o"} 0
        flowmeter_llm_estimated_calls_total{model="gpt-4o-mini"} 0
        flowmeter_llm_estimated_calls_total{model="own\\model"} 0
        # HELP flowmeter_llm_saved_usd_total What answers from the response cache would have cost in US dollars.
        # TYPE flowmeter_llm_saved_usd_total counter
        flowmeter_llm_saved_usd_total{model="gpt-4o"} 0.00
        flowmeter_llm_saved_usd_total{model="gpt-4o-mini"} 0.00
        flowmeter_llm_saved_usd_total{model="own\\model"} 0.00
        # HELP flowmeter_llm_provider_saved_usd What the providers' own caches saved in US dollars, less what writing to them cost.
        # TYPE flowmeter_llm_provider_saved_usd gauge
        flowmeter_llm_provider_saved_usd{model="gpt-4o"} 0.015
        flowmeter_llm_provider_saved_usd{model="gpt-4o-mini"} 0.00
        flowmeter_llm_provider_saved_usd{model="own\\model"} 0.00
        # HELP flowmeter_llm_call_duration_seconds How long LLM calls took.
        # TYPE flowmeter_llm_call_duration_seconds summary
        flowmeter_llm_call_duration_seconds{model="gpt-4o",quantile="0.5"} 1.98853437
        flowmeter_llm_call_duration_seconds{model="gpt-4o",quantile="0.9"} 4
        flowmeter_llm_call_duration_seconds{model="gpt-4o",quantile="0.99"} 4
        flowmeter_llm_call_duration_seconds_sum{model="gpt-4o"} 73.000000000
        flowmeter_llm_call_duration_seconds_count{model="gpt-4o"} 30
        flowmeter_llm_call_duration_seconds{model="gpt-4o-mini",quantile="0.5"} 1
        flowmeter_llm_call_duration_seconds{model="gpt-4o-mini",quantile="0.9"} 1
        flowmeter_llm_call_duration_seconds{model="gpt-4o-mini",quantile="0.99"} 1
        flowmeter_llm_call_duration_seconds_sum{model="gpt-4o-mini"} 1.000000000
        flowmeter_llm_call_duration_seconds_count{model="gpt-4o-mini"} 1
        flowmeter_llm_call_duration_seconds{model="own\\model",quantile="0.5"} 60
        flowmeter_llm_call_duration_seconds{model="own\\model",quantile="0.9"} 60
        flowmeter_llm_call_duration_seconds{model="own\\model",quantile="0.99"} 60
        flowmeter_llm_call_duration_seconds_sum{model="own\\model"} 240.000000000
        flowmeter_llm_call_duration_seconds_count{model="own\\model"} 4
    "##]].assert_eq(&prometheus::write(&query, &rows));
    let (_, query, rows) = asked(&store, &["--since", "2026-11-30", "--by", "tag=a.b"]);
    assert!(rows.is_empty());
    expect![[r#"
        tag=a.b,runs,runs_failed,nodes,nodes_failed,llm_calls,llm_calls_failed,cache_hits,input_tokens,cache_read_tokens,cache_write_tokens,output_tokens,reasoning_tokens,cost_usd,cost_status,unpriced_calls,partial_calls,estimated_calls,saved_usd,provider_saved_usd,run_p50_s,run_p90_s,run_p99_s,node_p50_s,node_p90_s,node_p99_s,llm_p50_s,llm_p90_s,llm_p99_s^
    "#]].assert_eq(&csv::write(query.by.as_ref(), &rows).replace('\r', "^"));
}

#[test]
fn prometheus_without_groups_has_whole_names_and_values() {
    let store = filled();
    let (_, query, rows) = asked(&store, &[]);
    let text = prometheus::write(&query, &rows);
    let mut described: BTreeSet<&str> = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            // Each family is described once, before its samples.
            assert!(described.insert(rest.split(' ').next().unwrap()), "{line}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let family = name.split('{').next().unwrap();
            let family = family
                .strip_suffix("_sum")
                .or_else(|| family.strip_suffix("_count"))
                .unwrap_or(family);
            assert!(described.contains(family), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    for expected in [
        "flowmeter_runs_total 35\n",
        "flowmeter_runs_failed_total 3\n",
        "flowmeter_llm_unpriced_calls_total 4\n",
        "flowmeter_run_duration_seconds{quantile=\"0.5\"} ",
        "flowmeter_run_duration_seconds_count 35\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(text.ends_with('\n'));
}

#[test]
fn json_says_how_costs_are_known() {
    let store = filled();
    let (_, query, rows) = asked(&store, &["--by", "model"]);
    let document = json::document(&query, &rows, &stats_view::total_of(&rows));
    assert_eq!(document["by"], "model");
    assert_eq!(document["latency_of"], "llm_calls");
    let total = &document["total"];
    assert_eq!(total["cost"]["status"], "partial");
    assert_eq!(total["cost"]["nanos"], 60_012_000);
    assert_eq!(total["cost"]["unpriced_calls"], 4);
    assert_eq!(total["tokens"]["total"], 35 * 1_200);
    let own = document["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["group"] == "own\\model");
    let own = own.unwrap();
    assert!(own["cost"]["usd"].is_null(), "{own}");
    assert_eq!(own["trend"].as_array().unwrap().len(), 8);
    assert_eq!(own["llm_call_duration_ms"]["count"], 4);
}

#[test]
fn what_is_grouped_by() {
    let parse = |words: &[&str], key: Option<&str>| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Grouping::parse(&words, key)
    };
    let team = || Ok(Grouping::By(GroupBy::Tag("team".to_owned())));
    assert_eq!(parse(&[], None), Ok(Grouping::None));
    assert_eq!(parse(&["Models"], None), Ok(Grouping::By(GroupBy::Model)));
    assert_eq!(parse(&["tag=team"], None), team());
    assert_eq!(parse(&["tag:team"], None), team());
    assert_eq!(parse(&["tag", "team"], None), team());
    assert_eq!(parse(&["tag"], Some("team")), team());
    assert_eq!(parse(&[], Some("team")), team());
    assert_eq!(parse(&["tag=team"], Some("team")), team());
    assert_eq!(parse(&["tag"], None), Ok(Grouping::EveryTag));
    assert_eq!(parse(&["tag="], None), Ok(Grouping::EveryTag));
    for (words, key) in [
        (&["colour"][..], None),
        (&["model", "day"], None),
        (&["model", "day", "node"], None),
        (&["tag=a"], Some("b")),
        (&["model"], Some("b")),
    ] {
        assert!(parse(words, key).is_err(), "{words:?}");
    }
    expect!["`--by` is one of model, workflow, node, provider, day, hour, tag, tag=KEY, not `colour`"]
        .assert_eq(&parse(&["colour"], None).unwrap_err());
    expect!["a chart is about one tag: `--by tag=team`; tags of newer runs: team"]
        .assert_eq(&every_tag(&filled(), true).unwrap_err().to_string());
    expect!["by which tag? no newer run has one: `flowmeter run --tag team=search …` gives one"]
        .assert_eq(&every_tag(&store(), false).unwrap_err().to_string());
}

#[test]
fn all_tags_are_told_apart_without_naming_one() {
    let store = filled();
    let query = StatsQuery {
        by: Some(every_tag(&store, false).unwrap()),
        ..StatsQuery::default()
    };
    let (mut rows, total) = super::asked(&store, &query).unwrap();
    stats_view::sort(&mut rows, &query, None);
    let told: Vec<(&str, u64)> = rows
        .iter()
        .map(|row| (row.group.as_str(), row.sums.runs))
        .collect();
    assert_eq!(told, [("team=search", 30), ("team=ads", 1)]);
    // Those without a tag are in no row, but among all.
    assert_eq!(total.runs, 35);
    assert_eq!(json::document(&query, &rows, &total)["by"], "tag");
    assert!(prometheus::write(&query, &rows).contains("flowmeter_runs_total{tag=\"team=ads\"} 1\n"));
    assert!(csv::write(query.by.as_ref(), &rows).starts_with("tag,runs,"));
}

#[test]
fn charts_show_all_that_the_rows_have() {
    let store = filled();
    for words in [
        &["--by", "model"][..],
        &["--by", "workflow", "--metric", "runs", "--chart", "a.svg"],
        &["--by", "day", "--metric", "tokens", "--chart", "a.svg"],
        &["--by", "hour", "--metric", "calls", "--chart", "a.svg"],
        &[
            "--metric",
            "failures",
            "--chart",
            "a.svg",
            "--since",
            "2026-11-20",
        ],
    ] {
        let (args, query, rows) = asked(&store, words);
        let metric = args.metric.unwrap_or(Metric::Cost);
        let chart = chart_of(&query, metric, &rows, &store, &times()).unwrap();
        let drawn: f64 = chart
            .series
            .iter()
            .flat_map(|series| &series.values)
            .flatten()
            .sum();
        let total = stats_view::figure(&stats_view::total_of(&rows), metric, Subject::of(&query)).unwrap();
        assert!(
            (drawn - total).abs() < 1e-9 && total > 0.0,
            "{words:?} {drawn} {total}"
        );
        for series in &chart.series {
            assert_eq!(series.values.len(), chart.steps.len(), "{words:?}");
        }
    }
}

#[test]
fn a_chart_of_durations_has_lines_by_group() {
    let (_, query, rows) = asked(&filled(), &["--by", "workflow"]);
    let chart = chart_of(&query, Metric::P90, &rows, &filled(), &times()).unwrap();
    assert_eq!(chart.kind, Kind::Lines);
    // The slowest first.
    assert_eq!(chart.series[0].name, "weekly, \"report\"");
    assert!(chart.series[0].values.iter().any(Option::is_none));
    expect![[r#"2026-11-21 01:00 to 2026-11-22 06:00 · 35 runs in all"#]].assert_eq(&chart.subtitle);
}

#[test]
fn of_ten_thousand_groups_the_largest_are_shown_and_the_rest_in_one() {
    let store = store();
    let mut ids = IdSource::from_seed(2);
    for index in 0..10_000 {
        let model = format!("model-{index}");
        add(
            &store,
            &mut ids,
            &Run {
                workflow: "w",
                model: &model,
                hour: 5,
                seconds: 1,
                cost: Some(index + 1),
                is_ok: true,
                tag: None,
            },
        );
    }
    let (_, query, rows) = asked(&store, &["--by", "model"]);
    assert_eq!(rows.len(), 10_000);
    let narrow = StatsQuery {
        filter: StatsFilter {
            runs: RunFilter {
                since: Some(TimestampNs(MIDNIGHT.0 + 5 * HOUR)),
                until: Some(TimestampNs(MIDNIGHT.0 + 5 * HOUR + 60_000_000_000)),
                ..Default::default()
            },
            ..query.filter.clone()
        },
        ..query
    };
    let chart = chart_of(&narrow, Metric::Cost, &rows, &store, &times()).unwrap();
    let names: Vec<&str> = chart.series.iter().map(|series| series.name.as_str()).collect();
    assert_eq!(names.len(), SERIES_MAX);
    assert_eq!(names[0], "model-9999");
    assert_eq!(names[SERIES_MAX - 1], "other (9,993)");
    let drawn: f64 = chart
        .series
        .iter()
        .flat_map(|series| &series.values)
        .flatten()
        .sum();
    assert!((drawn - 50.005).abs() < 1e-6, "{drawn}");
}

#[test]
fn an_empty_history_has_a_chart_too() {
    let (_, query, rows) = asked(&store(), &["--by", "model"]);
    let chart = chart_of(&query, Metric::Runs, &rows, &store(), &times()).unwrap();
    assert!(chart.series.is_empty());
    chart::render(&chart, ImageFormat::Svg).unwrap();
    assert!(CommandLine::try_parse_from(["flowmeter", "stats", "--chart", "a.pdf"]).is_err());
    assert_eq!(args(&["--chart", "a.svg"]).chart, Some(PathBuf::from("a.svg")));
}
