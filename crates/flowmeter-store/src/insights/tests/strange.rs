//! Histories that are not as they should be: empty, constant, with clocks that jump, without prices.

use flowmeter_model::{
    Cost, CostStatus, CostTotal, Figure, IdSource, Span, SpanError, SpanKind, SpanStatus, TelemetryEvent,
    TimestampNs, TokenUsage, UsdNanos,
};
use serde_json::{Value, json};

use super::planted::{empty, report_of};
use crate::insights::{Amount, DAY_NS, InsightKind, InsightReport, InsightScope};
use crate::{Append, MemoryStore, Origin, RunEnd, RunKey, RunStart, RunStatus, Store, StoreError, TokenSums};

/// Wednesday, 1 January 2025.
const BEGIN: u64 = 1_735_689_600_000_000_000;

/// One run of one node with one call.
#[derive(Clone)]
struct Simple {
    at: u64,
    seconds: f64,
    status: RunStatus,
    usd: Option<f64>,
    prompt: String,
    is_cached: bool,
}

impl Simple {
    fn at(at: u64) -> Self {
        Self {
            at,
            seconds: 2.0,
            status: RunStatus::Ok,
            usd: Some(0.01),
            prompt: format!("at {at}"),
            is_cached: false,
        }
    }

    fn keep(&self, store: &MemoryStore, ids: &mut IdSource) -> RunKey {
        let key = RunKey {
            trace_id: ids.trace_id(),
            root_span_id: ids.span_id(),
        };
        let ended = self.at.saturating_add_signed((self.seconds * 1e9) as i64);
        let (started, ended) = (TimestampNs(self.at), TimestampNs(ended));
        let status = match self.status {
            RunStatus::Error => SpanStatus::Error,
            RunStatus::Cancelled => SpanStatus::Cancelled,
            _ => SpanStatus::Ok,
        };
        let error = (status == SpanStatus::Error).then(|| SpanError {
            error_type: "timeout".into(),
            message: "planned".to_owned(),
            chain: Vec::new(),
        });
        let cost = self.usd.map_or_else(Cost::unpriced, |usd| {
            Cost::known(CostStatus::Priced, UsdNanos::from_usd(usd).unwrap(), None)
        });
        let mut root = Span::begin(
            key.trace_id,
            key.root_span_id,
            None,
            SpanKind::Run,
            "workflow.start",
            started,
        );
        let mut node = Span::begin(
            key.trace_id,
            ids.span_id(),
            Some(key.root_span_id),
            SpanKind::Node,
            "node.llm",
            started,
        );
        node.attributes.set("node.id", "ask");
        node.attributes.set("node.type", "llm");
        let parent = Some(node.span_id);
        let mut call = Span::begin(
            key.trace_id,
            ids.span_id(),
            parent,
            SpanKind::LlmCall,
            "chat m",
            started,
        );
        call.attributes.set("gen_ai.request.model", "m");
        call.attributes.set(
            "gen_ai.input.messages",
            json!([{ "role": "user", "content": self.prompt }]),
        );
        if self.is_cached {
            call.attributes.set("flowmeter.cache.hit", true);
        }
        let usage = TokenUsage {
            input: Some(Figure::provider(100)),
            output: Some(Figure::provider(10)),
            ..TokenUsage::default()
        };
        let mut total = CostTotal::default();
        total.add("m", &cost);
        let mut saved = CostTotal::default();
        if self.is_cached {
            saved.add("m", &cost);
        }
        let tokens = TokenSums::of(&usage);
        call.usage = Some(usage);
        call.cost = Some(cost);
        for span in [&mut root, &mut node, &mut call] {
            span.end = Some(ended);
            span.status = Some(status);
            span.error = error.clone();
        }
        let has_end = matches!(
            self.status,
            RunStatus::Ok | RunStatus::Error | RunStatus::Cancelled
        );
        let mut spans = vec![call, node];
        spans.extend(Some(root).filter(|_| has_end));
        let spans = spans
            .into_iter()
            .map(|span| TelemetryEvent::SpanEnded(Box::new(span)));
        store
            .append(Append::Began(Box::new(RunStart {
                key,
                parent_span_id: None,
                workflow: "simple".into(),
                started,
                sampled: true,
                origin: Origin::default(),
                resource: flowmeter_model::Attributes::new(),
                process: None,
            })))
            .unwrap();
        store.append(Append::Events(key, spans.collect())).unwrap();
        if has_end {
            store
                .append(Append::Ended(Box::new(RunEnd {
                    key,
                    ended,
                    status: self.status,
                    error,
                    sampled: true,
                    nodes: 1,
                    llm_calls: 1,
                    tokens,
                    cost: total,
                    saved,
                    metrics: Value::Null,
                })))
                .unwrap();
        }
        key
    }
}

fn report(runs: &[Simple]) -> InsightReport {
    let now = TimestampNs(BEGIN + 300 * DAY_NS);
    let store = empty(now);
    let mut ids = IdSource::from_seed(11);
    for run in runs {
        run.keep(&store, &mut ids);
    }
    report_of(&store, now, InsightScope::All)
}

fn kinds(report: &InsightReport) -> Vec<InsightKind> {
    report.insights.iter().map(|insight| insight.kind).collect()
}

/// A run every hour, with some noise.
fn hourly(count: u64) -> Vec<Simple> {
    let mut ids = IdSource::from_seed(5);
    (0..count)
        .map(|hour| {
            let noise = 0.8 + 0.4 * (ids.next_u64() as f64 / u64::MAX as f64);
            Simple {
                seconds: 2.0 * noise,
                ..Simple::at(BEGIN + hour * 3_600_000_000_000)
            }
        })
        .collect()
}

#[test]
fn an_empty_history_and_one_run_have_nothing_to_say() {
    let now = TimestampNs(BEGIN);
    let store = empty(now);
    let report = report_of(&store, now, InsightScope::All);
    assert!(report.insights.is_empty() && report.shortages.is_empty() && report.looked_at.runs == 0);
    let key = Simple::at(BEGIN - DAY_NS).keep(&store, &mut IdSource::from_seed(1));
    let report = report_of(&store, now, InsightScope::All);
    assert!(report.insights.is_empty());
    assert!(
        report
            .shortages
            .iter()
            .any(|shortage| shortage.has == "1 run" && shortage.needs == "40 runs")
    );
    // Of the run itself there is where its time went, and nothing else.
    let report = report_of(&store, now, InsightScope::Run(key));
    assert_eq!(kinds(&report), [InsightKind::CriticalPath]);
    let strange = RunKey {
        root_span_id: flowmeter_model::SpanId::from_u64(77).unwrap(),
        ..key
    };
    let query = crate::insights::InsightQuery::new(InsightScope::Run(strange), now, 0);
    let failed = crate::insights::insights(&store, &query, &crate::insights::NoPrices, &mut |_, _| {});
    assert!(matches!(failed, Err(StoreError::Invalid(_))));
}

#[test]
fn constants_are_silent_until_one_is_not() {
    let mut runs: Vec<Simple> = (0..200)
        .map(|hour| Simple::at(BEGIN + hour * 3_600_000_000_000))
        .collect();
    assert!(kinds(&report(&runs)).is_empty());
    runs[150].seconds = 40.0;
    assert_eq!(kinds(&report(&runs)), [InsightKind::LatencyAnomaly]);
}

#[test]
fn equal_moments_are_in_no_order() {
    let mut runs = hourly(300);
    for (place, run) in runs.iter_mut().enumerate() {
        run.at = BEGIN;
        run.prompt = format!("prompt {place}");
    }
    assert!(kinds(&report(&runs)).is_empty());
}

#[test]
fn clocks_may_jump() {
    let mut runs = hourly(300);
    // Ends before it began; began long after now; began before 1970 had an hour.
    runs[100].seconds = -50.0;
    runs[200].at = u64::MAX / 2;
    runs[250].at = 5;
    // And an hour that came twice.
    for run in &mut runs[120..140] {
        run.at -= 5 * 3_600_000_000_000;
    }
    assert!(kinds(&report(&runs)).is_empty());
}

#[test]
fn what_has_no_price_is_sized_in_seconds() {
    let mut runs = hourly(200);
    for (place, run) in runs.iter_mut().enumerate() {
        run.usd = None;
        run.prompt = format!("question {}", place % 10);
    }
    let report = report(&runs);
    assert_eq!(kinds(&report), [InsightKind::RepeatedPrompt]);
    assert!(matches!(report.insights[0].size.unwrap().amount, Amount::Seconds(seconds) if seconds > 100.0));
    assert!(report.insights[0].evidence[0].contains("an unknown amount"));
}

#[test]
fn cached_stopped_and_interrupted_runs_are_neither_fast_nor_failed() {
    let mut runs = hourly(400);
    for run in &mut runs[200..] {
        run.is_cached = true;
        run.seconds = 0.01;
    }
    assert!(
        kinds(&report(&runs)).is_empty(),
        "answers from the cache are no change of level"
    );
    let mut runs = hourly(400);
    for (place, run) in runs.iter_mut().enumerate().skip(200) {
        run.status = if place % 2 == 0 {
            RunStatus::Cancelled
        } else {
            RunStatus::Interrupted
        };
        run.seconds = 0.01;
    }
    let report = report(&runs);
    let titles: Vec<&str> = report
        .insights
        .iter()
        .map(|insight| insight.title.as_str())
        .collect();
    assert!(titles.is_empty(), "stopped runs are neither: {titles:#?}");
}

#[test]
fn a_weekend_is_no_change_and_a_change_is() {
    // Wednesday to Sunday: from Saturday on everything takes half as long. That may be the weekend.
    let mut runs = hourly(5 * 24);
    for run in &mut runs[3 * 24..] {
        run.seconds *= 0.5;
    }
    assert!(kinds(&report(&runs)).is_empty());
    // The same from Friday on, and over two weeks: weekdays are compared with weekdays.
    let mut runs = hourly(14 * 24);
    for run in &mut runs[7 * 24..] {
        run.seconds *= 2.0;
    }
    let report = report(&runs);
    assert_eq!(kinds(&report), [InsightKind::LatencyChange]);
    assert_eq!(report.insights[0].at, Some(TimestampNs(BEGIN + 7 * DAY_NS)));
}

#[test]
fn a_day_of_failures_is_told_and_few_are_not() {
    let mut runs = hourly(60 * 24);
    for (place, run) in runs.iter_mut().enumerate() {
        let is_bad_day = place / 24 == 50 && place % 2 == 0;
        if is_bad_day || place % 97 == 0 {
            run.status = RunStatus::Error;
        }
    }
    let report = report(&runs);
    assert_eq!(kinds(&report), [InsightKind::ErrorAnomaly]);
    assert!(
        report.insights[0].title.starts_with("12 of 24 runs"),
        "{}",
        report.insights[0].title
    );
}
