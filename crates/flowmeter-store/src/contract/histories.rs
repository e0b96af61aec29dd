//! Random histories: what happens in some, and that a backend answers every question about one as the store in memory does.
//!
//! Equal dice give equal histories. A history may be as odd as runs are (clocks that jump, runs nobody began, spans
//! that come twice), but keeps to what [`Append`] asks for.

use std::sync::Arc;

use flowmeter_model::{
    Cost, CostStatus, Figure, IdSource, LogLevel, LogRecord, Span, SpanError, SpanKind, SpanStatus,
    TelemetryEvent, TimestampNs, TokenUsage, UsdNanos,
};
use serde_json::json;

use super::samples::*;
use super::{Open, Opened, Surroundings};
use crate::{
    Append, ForgetSelector, GroupBy, LogFilter, MemoryConfig, MemoryStore, ProcessMark, RunFilter, RunKey,
    RunOrder, RunStatus, SearchHit, SearchMode, SearchQuery, SpanFilter, StatsFilter, StatsQuery, Store,
    StoredLog,
};

/// Where chance comes from: gives a number below the one that it is given.
pub struct Dice<'a>(pub &'a mut dyn FnMut(u64) -> u64);

impl Dice<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        if limit < 2 { 0 } else { (self.0)(limit) % limit }
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == count - 1
    }

    fn pick<'b, T>(&mut self, things: &'b [T]) -> &'b T {
        let place = self.below(things.len() as u64);
        things.get(usize::try_from(place).unwrap()).unwrap()
    }
}

/// Dice that follow from a seed.
pub fn seeded(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut ids = IdSource::from_seed(seed);
    move |limit| ids.next_u64() % limit.max(1)
}

const WORKFLOWS: &[&str] = &["greet", "sum", "a/b", "数据", ""];
const NODES: &[&str] = &["ask", "tell", "x y", "узел"];
const MODELS: &[&str] = &["gpt-4o", "claude", "llama", ""];
const PROVIDERS: &[&str] = &["openai", "anthropic", ""];
const TEXTS: &[&str] = &[
    "the quick brown fox",
    "connection refused, retry",
    "数据库连接失败",
    "データベース",
    "Не удалось подключиться",
    "فشل الاتصال",
    "ฐานข้อมูล",
    "a",
    "",
    "100% of a_b \"quoted\"",
];

/// One thing done to a store.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a history is short")]
enum Step {
    Append(Append),
    Settle,
    Forget(ForgetSelector),
}

/// A run that goes on.
struct Going {
    sample: Sample,
    open: Vec<Span>,
    /// What was said in it, to be sent again.
    said: Vec<serde_json::Value>,
    ended: Vec<Span>,
    now: TimestampNs,
}

/// Makes up histories.
struct Teller<'a, 'b> {
    dice: &'a mut Dice<'b>,
    going: Vec<Going>,
    over: Vec<RunKey>,
    steps: Vec<Step>,
    runs: u64,
}

impl Teller<'_, '_> {
    fn time_after(&mut self, time: TimestampNs) -> TimestampNs {
        let range = *self.dice.pick(&[10, SECOND, 600 * SECOND, 5 * HOUR]);
        if self.dice.one_in(25) {
            // The clock jumps back.
            return TimestampNs(time.0.saturating_sub(self.dice.below(range)));
        }
        TimestampNs(time.0 + self.dice.below(range))
    }

    fn begin(&mut self) {
        self.runs += 1;
        let begins = TimestampNs(MARCH.0 + self.dice.below(9 * DAY));
        let workflow = *self.dice.pick(WORKFLOWS);
        let mut sample = Sample::new(5_000 + self.runs, workflow, begins);
        let origin = &mut sample.start.origin;
        for (key, values) in [("team", ["red", "blue"]), ("env", ["prod", "数据"])] {
            if self.dice.one_in(2) {
                origin
                    .tags
                    .push((key.to_owned(), (*self.dice.pick(&values)).to_owned()));
            }
        }
        origin.session = self.dice.one_in(3).then(|| format!("s{}", self.runs % 3));
        origin.user = self.dice.one_in(3).then(|| "ada".to_owned());
        origin.git_commit = self.dice.one_in(3).then(|| format!("abc{}", self.runs % 2));
        origin.workflow_version = self.dice.one_in(3).then(|| "2".into());
        sample.start.sampled = !self.dice.one_in(6);
        sample.start.resource.set("service.name", "flowmeter");
        sample.start.process = match self.dice.below(4) {
            0 => None,
            1 => Some((super::ELSEWHERE, 1)),
            pid => Some(("here", pid)),
        }
        .map(|(host, pid)| ProcessMark {
            host: host.into(),
            pid: u32::try_from(pid).unwrap(),
            started: 3,
        });
        if !self.dice.one_in(5) {
            self.steps
                .push(Step::Append(Append::Began(Box::new(sample.start.clone()))));
        }
        let root = sample.root.clone();
        let open = vec![root.clone()];
        if !self.dice.one_in(5) {
            let event = TelemetryEvent::SpanStarted(Box::new(root));
            self.steps
                .push(Step::Append(Append::Events(sample.key, vec![event])));
        }
        self.going.push(Going {
            sample,
            open,
            said: Vec::new(),
            ended: Vec::new(),
            now: begins,
        });
    }

    fn text(&mut self) -> String {
        let text = *self.dice.pick(TEXTS);
        match self.dice.below(12) {
            11 => text.repeat(60),
            10 => text.repeat(1 + usize::try_from(self.dice.below(6)).unwrap() * 1_000),
            number => format!("{text} {number}"),
        }
    }

    fn cost(&mut self) -> Cost {
        let nanos = i64::try_from(self.dice.below(1_000_000_007)).unwrap();
        match self.dice.below(6) {
            0 => Cost::unpriced(),
            1 => Cost::known(CostStatus::Partial, UsdNanos(nanos), None),
            2 => Cost::known(CostStatus::Estimated, UsdNanos(nanos), None),
            3 => Cost::known(CostStatus::Reported, UsdNanos(nanos), None),
            _ => priced(nanos),
        }
    }

    fn figure(&mut self) -> Option<Figure> {
        let tokens = self.dice.below(5_000);
        (!self.dice.one_in(4)).then(|| Figure::provider(tokens))
    }

    /// An LLM call that ended, in the innermost open span.
    fn call(&mut self, going: &mut Going) -> Span {
        let parent = going
            .open
            .last()
            .map_or(going.sample.key.root_span_id, |span| span.span_id);
        let start = going.now;
        let mut span = going.sample.span(parent, SpanKind::LlmCall, "chat", start);
        let model = *self.dice.pick(MODELS);
        if !model.is_empty() {
            span.attributes.set("gen_ai.request.model", model);
        }
        span.attributes
            .set("gen_ai.provider.name", *self.dice.pick(PROVIDERS));
        going
            .said
            .push(json!({"role": "user", "parts": [{"type": "text", "content": self.text()}]}));
        span.attributes.set("gen_ai.input.messages", json!(going.said));
        let answer = self.text();
        span.attributes
            .set("gen_ai.output.messages", message("assistant", &answer));
        if self.dice.one_in(5) {
            span.attributes.set("flowmeter.cache.hit", true);
            if self.dice.one_in(2) {
                span.attributes.set(
                    "flowmeter.cache.saved_nanos",
                    i64::try_from(self.dice.below(999_999)).unwrap(),
                );
                span.attributes.set(
                    "flowmeter.cache.saved_status",
                    *self.dice.pick(&["priced", "estimated", "partial"]),
                );
            }
            span.cost = Some(priced(0));
        } else {
            if self.dice.one_in(3) {
                span.attributes.set(
                    "flowmeter.cache.provider_saved_nanos",
                    i64::try_from(self.dice.below(999_999)).unwrap() - 99_999,
                );
            }
            span.usage = Some(TokenUsage {
                input: self.figure(),
                output: self.figure(),
                cache_read: self.figure(),
                reasoning: self.figure(),
                ..TokenUsage::default()
            });
            span.cost = (!self.dice.one_in(9)).then(|| self.cost());
        }
        self.end_span(going, span)
    }

    fn end_span(&mut self, going: &mut Going, mut span: Span) -> Span {
        going.now = self.time_after(going.now);
        span.end = Some(going.now);
        span.status = Some(*self.dice.pick(&[
            SpanStatus::Ok,
            SpanStatus::Ok,
            SpanStatus::Error,
            SpanStatus::Cancelled,
        ]));
        if span.status == Some(SpanStatus::Error) {
            span.error = Some(SpanError {
                error_type: (*self.dice.pick(&["timeout", "http_500"])).into(),
                message: self.text(),
                chain: Vec::new(),
            });
        }
        if self.dice.one_in(4) {
            span.mutations.push(flowmeter_model::MutationRecord {
                path: "ask.text".to_owned(),
                before: None,
                after: Some(Arc::new(json!(self.text()))),
                time: going.now,
            });
            span.params = Some(Arc::new(json!({"prompt": self.text()})));
        }
        if self.dice.one_in(6) {
            span.logs.push(self.record(going));
        }
        span
    }

    fn record(&mut self, going: &Going) -> LogRecord {
        LogRecord {
            time: going.now,
            level: *self
                .dice
                .pick(&[LogLevel::Trace, LogLevel::Info, LogLevel::Error]),
            message: self.text(),
            target: self.dice.one_in(2).then(|| "probe".into()),
            span_id: going.open.last().map(|span| span.span_id),
            attributes: Default::default(),
        }
    }

    fn event(&mut self, going: &mut Going, events: &mut Vec<TelemetryEvent>) {
        match self.dice.below(7) {
            0 | 1 => {
                let parent = going
                    .open
                    .last()
                    .map_or(going.sample.key.root_span_id, |span| span.span_id);
                let kind = *self.dice.pick(&[
                    SpanKind::Node,
                    SpanKind::Node,
                    SpanKind::Workflow,
                    SpanKind::Attempt,
                ]);
                let mut span = going.sample.span(parent, kind, kind.as_str(), going.now);
                if kind == SpanKind::Node {
                    span.attributes.set("node.id", *self.dice.pick(NODES));
                }
                going.open.push(span.clone());
                events.push(TelemetryEvent::SpanStarted(Box::new(span)));
            }
            2 if going.open.len() > 1 => {
                let span = going.open.pop().unwrap();
                let span = self.end_span(going, span);
                going.ended.push(span.clone());
                going.sample.keep(span.clone());
                events.push(TelemetryEvent::SpanEnded(Box::new(span)));
            }
            3 => {
                let record = self.record(going);
                events.push(TelemetryEvent::Log(going.sample.key.trace_id, Box::new(record)));
            }
            4 if !going.ended.is_empty() && self.dice.one_in(3) => {
                let again = self.dice.pick(&going.ended).clone();
                events.push(TelemetryEvent::SpanEnded(Box::new(again)));
            }
            _ => {
                let span = self.call(going);
                going.ended.push(span.clone());
                going.sample.keep(span.clone());
                events.push(TelemetryEvent::SpanEnded(Box::new(span)));
            }
        }
        going.now = self.time_after(going.now);
    }

    fn go_on(&mut self) {
        if self.going.is_empty() {
            return self.begin();
        }
        let place = usize::try_from(self.dice.below(self.going.len() as u64)).unwrap();
        let mut going = self.going.swap_remove(place);
        let mut events = Vec::new();
        for _ in 0..=self.dice.below(6) {
            self.event(&mut going, &mut events);
        }
        if self.dice.one_in(4) {
            while let Some(span) = going.open.pop() {
                let span = self.end_span(&mut going, span);
                going.sample.keep(span.clone());
                events.push(TelemetryEvent::SpanEnded(Box::new(span)));
            }
            self.steps
                .push(Step::Append(Append::Events(going.sample.key, events)));
            if !self.dice.one_in(5) {
                going.sample.status =
                    *self
                        .dice
                        .pick(&[RunStatus::Ok, RunStatus::Error, RunStatus::Cancelled]);
                let end = going.sample.end(going.now);
                self.steps.push(Step::Append(Append::Ended(Box::new(end))));
            }
            self.over.push(going.sample.key);
        } else {
            self.steps
                .push(Step::Append(Append::Events(going.sample.key, events)));
            self.going.push(going);
        }
    }

    fn tell(mut self, steps: u64) -> Vec<Step> {
        for _ in 0..steps {
            match self.dice.below(30) {
                0..=5 => self.begin(),
                6 | 7 => self.steps.push(Step::Settle),
                8 if !self.over.is_empty() => {
                    let key = *self.dice.pick(&self.over);
                    self.steps.push(Step::Forget(ForgetSelector::Runs(vec![key])));
                }
                9 if self.dice.one_in(4) => {
                    let filter = RunFilter {
                        workflows: vec![(*self.dice.pick(WORKFLOWS)).to_owned()],
                        statuses: vec![RunStatus::Ok, RunStatus::Interrupted],
                        ..RunFilter::default()
                    };
                    self.steps.push(Step::Forget(ForgetSelector::Matching(filter)));
                }
                _ => self.go_on(),
            }
        }
        self.steps
    }
}

/// Tells a random history to a backend and to the store in memory, and asks both everything.
///
/// # Panics
/// When they differ.
pub fn tell_both(open: Open<'_>, dice: &mut Dice<'_>) {
    let surroundings = Surroundings::at(after(11 * DAY));
    surroundings.alive.lock().insert(2);
    let opened = open(&surroundings);
    let model = MemoryStore::new(MemoryConfig {
        clock: Arc::<flowmeter_model::ManualClock>::clone(&surroundings.clock),
        is_alive: surroundings.is_alive(),
    });
    let steps = 5 + dice.below(60);
    let teller = Teller {
        dice,
        going: Vec::new(),
        over: Vec::new(),
        steps: Vec::new(),
        runs: 0,
    };
    for step in teller.tell(steps) {
        match step {
            Step::Append(append) => {
                model.append(append.clone()).unwrap();
                opened.store.append(append).unwrap();
            }
            Step::Settle => super::settle(&opened),
            Step::Forget(selector) => {
                let wanted = model.forget(&selector).unwrap();
                let found = opened.store.forget(&selector).unwrap();
                let counts = |forgotten: crate::Forgotten| (forgotten.runs, forgotten.spans, forgotten.logs);
                assert_eq!(counts(found), counts(wanted), "{selector:?}");
            }
        }
    }
    opened.store.flush().unwrap();
    compare(&opened, &model);
    super::settle(&opened);
    compare(&opened, &model);
}

/// Asks both everything.
fn compare(opened: &Opened, model: &MemoryStore) {
    let store = &*opened.store;
    for (number, filter) in run_filters().into_iter().enumerate() {
        for order in [
            RunOrder::Started,
            RunOrder::Duration,
            RunOrder::Cost,
            RunOrder::Tokens,
            RunOrder::Workflow,
        ] {
            let found = store.runs(&filter, order, 7, 1).unwrap();
            assert_eq!(
                found,
                model.runs(&filter, order, 7, 1).unwrap(),
                "{filter:?} {order:?}"
            );
        }
        assert_eq!(runs(store, &filter), runs(model, &filter), "{filter:?}");
        let of_spans = SpanFilter {
            runs: filter.clone(),
            ..SpanFilter::default()
        };
        assert_eq!(scan(store, &of_spans), scan(model, &of_spans), "{filter:?}");
        let of_logs = LogFilter {
            runs: filter.clone(),
            ..LogFilter::default()
        };
        assert_eq!(
            sorted(logs(store, &of_logs)),
            sorted(logs(model, &of_logs)),
            "{filter:?}"
        );
        // Those that roll-ups know, and one that they do not.
        for query in queries(&filter).iter().filter(|_| [0, 1, 4, 8].contains(&number)) {
            let (found, wanted) = (store.stats(query).unwrap(), model.stats(query).unwrap());
            super::sums::assert_rows_alike(&found, &wanted, &format!("{query:?}"));
        }
    }
    for row in runs(model, &RunFilter::default()) {
        let (mut found, mut wanted) = (
            store.run(&row.key).unwrap().unwrap(),
            model.run(&row.key).unwrap().unwrap(),
        );
        if wanted.metrics.is_some() {
            // Whether spans that never ended are shown of a run that did is left to the backend.
            found.open.clear();
            wanted.open.clear();
        }
        assert_eq!(found, wanted);
        assert_eq!(spans(store, &row.key), spans(model, &row.key));
        assert_eq!(
            store.span_rows(&row.key).unwrap(),
            model.span_rows(&row.key).unwrap()
        );
    }
    for filter in span_filters() {
        assert_eq!(scan(store, &filter), scan(model, &filter), "{filter:?}");
    }
    for (mode, text) in [
        (SearchMode::Words, "fox"),
        (SearchMode::Words, "\"quick brown\" the"),
        (SearchMode::Words, "数据"),
        (SearchMode::Words, "ตา 3"),
        (SearchMode::Words, "подключиться"),
        (SearchMode::Words, "retry refused 2"),
        (SearchMode::Substring, "ータ"),
        (SearchMode::Substring, "a_b \"q"),
    ] {
        let query = SearchQuery {
            text: text.to_owned(),
            mode,
            limit: 100_000,
            ..SearchQuery::default()
        };
        let order = |mut hits: Vec<SearchHit>| {
            assert!(
                hits.is_sorted_by_key(|hit| std::cmp::Reverse(hit.time)),
                "{query:?}"
            );
            hits.sort_by_cached_key(|hit| format!("{hit:?}"));
            hits
        };
        assert_eq!(
            order(store.search(&query).unwrap()),
            order(model.search(&query).unwrap()),
            "{query:?}"
        );
    }
}

fn sorted(mut logs: Vec<StoredLog>) -> Vec<StoredLog> {
    assert!(logs.is_sorted_by_key(|log| log.record.time));
    logs.sort_by_cached_key(|log| format!("{log:?}"));
    logs
}

fn run_filters() -> Vec<RunFilter> {
    let any = RunFilter::default;
    let tag = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    vec![
        any(),
        RunFilter {
            workflows: vec!["greet".to_owned(), "数据".to_owned()],
            ..any()
        },
        RunFilter {
            statuses: vec![RunStatus::Running, RunStatus::Error],
            ..any()
        },
        RunFilter {
            statuses: vec![RunStatus::Interrupted],
            ..any()
        },
        RunFilter {
            since: Some(after(2 * DAY + 5)),
            until: Some(after(7 * DAY)),
            ..any()
        },
        RunFilter {
            models: vec!["claude".to_owned()],
            ..any()
        },
        RunFilter {
            cost_min: Some(UsdNanos(900_000_000)),
            ..any()
        },
        RunFilter {
            slower_than_ns: Some(HOUR),
            ..any()
        },
        RunFilter {
            tags: tag("env", "数据"),
            ..any()
        },
        RunFilter {
            session: Some("s1".to_owned()),
            ..any()
        },
        RunFilter {
            user: Some("ada".to_owned()),
            git_commit: Some("abc".to_owned()),
            ..any()
        },
        RunFilter {
            workflow_version: Some("2".to_owned()),
            ..any()
        },
    ]
}

fn span_filters() -> Vec<SpanFilter> {
    let any = SpanFilter::default;
    vec![
        SpanFilter {
            kinds: vec![SpanKind::LlmCall],
            statuses: vec![SpanStatus::Error],
            ..any()
        },
        SpanFilter {
            nodes: vec!["ask".to_owned(), "ask/tell".to_owned()],
            ..any()
        },
        SpanFilter {
            models: vec!["gpt-4o".to_owned()],
            providers: vec!["openai".to_owned()],
            ..any()
        },
        SpanFilter {
            slower_than_ns: Some(SECOND),
            cost_min: Some(UsdNanos(1_000)),
            ..any()
        },
        SpanFilter {
            error_types: vec!["timeout".to_owned()],
            ..any()
        },
        SpanFilter {
            since: Some(after(DAY)),
            until: Some(after(3 * DAY)),
            ..any()
        },
    ]
}

fn queries(runs: &RunFilter) -> Vec<StatsQuery> {
    let groups = [
        None,
        Some(GroupBy::Model),
        Some(GroupBy::Provider),
        Some(GroupBy::Workflow),
        Some(GroupBy::Node),
        Some(GroupBy::Hour),
        Some(GroupBy::Day),
        Some(GroupBy::Tag("team".to_owned())),
    ];
    let filters = [
        StatsFilter::default(),
        StatsFilter {
            models: vec!["claude".to_owned()],
            ..StatsFilter::default()
        },
        StatsFilter {
            nodes: vec!["ask".to_owned()],
            providers: vec![String::new()],
            ..StatsFilter::default()
        },
    ];
    let mut queries = Vec::new();
    for (number, by) in groups.into_iter().enumerate() {
        for (place, filter) in filters.iter().enumerate() {
            queries.push(StatsQuery {
                by: by.clone(),
                filter: StatsFilter {
                    runs: runs.clone(),
                    ..filter.clone()
                },
                trend_steps: [0, 5, 24][place],
                utc_offset_seconds: [0, 19_800, -3_600, 20_700][number % 4],
            });
        }
    }
    queries
}

/// A few histories; [`tell_both`] is for more of them.
pub fn a_random_history_is_answered_alike(open: Open<'_>) {
    for seed in 0..3 {
        let mut dice = seeded(seed);
        tell_both(open, &mut Dice(&mut dice));
    }
}
