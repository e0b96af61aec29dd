//! Tests of search: against history in memory, with and without the index.

use std::sync::Arc;

use flowmeter_model::{
    LogLevel, LogRecord, ManualClock, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent, TimestampNs,
    TraceId,
};
use serde_json::json;

use super::super::connection::{Purpose, open as open_connection};
use super::*;
use crate::sqlite::SqliteStore;
use crate::{
    Append, ForgetSelector, MemoryConfig, MemoryStore, Origin, RunEnd, RunFilter, RunKey, RunStart,
    RunStatus, SearchMode, SearchPlace, Store, TokenSums,
};

struct Both {
    sqlite: SqliteStore,
    memory: MemoryStore,
    _folder: tempfile::TempDir,
}

impl Both {
    fn open(has_index: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(TimestampNs(1 << 60)));
        let mut config = SqliteConfig::new(clock.clone(), Arc::new(|_| None));
        config.search_index = has_index;
        Self {
            sqlite: SqliteStore::open(&folder.path().join("flowmeter.db"), config.clone()).unwrap(),
            memory: MemoryStore::new(MemoryConfig {
                clock,
                is_alive: config.is_alive,
            }),
            _folder: folder,
        }
    }

    fn append(&self, append: Append) {
        self.memory.append(append.clone()).unwrap();
        self.sqlite.append(append).unwrap();
    }

    /// Batches that are large enough get their words, and many of them a segment.
    fn index(&self) {
        self.sqlite.flush().unwrap();
        let config = self.sqlite.config();
        let mut connection = open_connection(self.sqlite.path(), config, Purpose::Write).unwrap();
        while step(&mut connection, config).unwrap() {}
    }

    fn worded(&self) -> i64 {
        let count = |connection: &Connection| {
            Ok(connection.query_row("SELECT count(*) FROM word_batch", [], |row| row.get(0))?)
        };
        self.sqlite.ask(count).unwrap()
    }

    fn check(&self, query: &SearchQuery) -> usize {
        let found = self.sqlite.search(query).unwrap();
        assert_eq!(found, self.memory.search(query).unwrap(), "{query:?}");
        found.len()
    }
}

fn query(text: &str, mode: SearchMode) -> SearchQuery {
    SearchQuery {
        text: text.to_owned(),
        mode,
        limit: 30,
        ..SearchQuery::default()
    }
}

fn id(number: u64) -> SpanId {
    SpanId::from_u64(number + 1).unwrap()
}

fn key(number: u64) -> RunKey {
    RunKey {
        trace_id: TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap(),
        root_span_id: id(number * 1_000_000),
    }
}

fn begun(number: u64, workflow: &str) -> Append {
    Append::Began(Box::new(RunStart {
        key: key(number),
        parent_span_id: None,
        workflow: workflow.into(),
        started: TimestampNs(1_000 * number),
        sampled: true,
        origin: Origin::default(),
        resource: flowmeter_model::Attributes::new(),
        process: None,
    }))
}

fn ended(number: u64) -> Append {
    Append::Ended(Box::new(RunEnd {
        key: key(number),
        ended: TimestampNs(2_000 * number),
        status: RunStatus::Ok,
        error: None,
        sampled: true,
        nodes: 0,
        llm_calls: 0,
        tokens: TokenSums::default(),
        cost: flowmeter_model::CostTotal::default(),
        saved: flowmeter_model::CostTotal::default(),
        metrics: json!({}),
    }))
}

fn call(run: u64, number: u64, start: u64, prompt: serde_json::Value, answer: &str) -> Span {
    let span_id = id(run * 1_000_000 + number + 1);
    let parent = Some(key(run).root_span_id);
    let kind = SpanKind::LlmCall;
    let mut span = Span::begin(
        key(run).trace_id,
        span_id,
        parent,
        kind,
        "chat m",
        TimestampNs(start),
    );
    span.end = Some(TimestampNs(start + 5));
    span.status = Some(SpanStatus::Ok);
    span.attributes.set("gen_ai.request.model", "m");
    span.attributes.set("gen_ai.input.messages", prompt);
    span.attributes.set(
        "gen_ai.output.messages",
        json!([{"role": "assistant", "parts": [{"content": answer}]}]),
    );
    span
}

const WORDS: &[&str] = &[
    "kettle",
    "Kettle's",
    "handle-grip",
    "v1.2.3",
    "größe",
    "GRÖẞE",
    "naïve",
    "жук",
    "Жуки",
    "ΟΔΟΣ",
    "οδός",
    "数据库",
    "连接",
    "失败",
    "東京",
    "タワー",
    "で",
    "ไม่สามารถ",
    "ข้อมูล",
    "الاتصال",
    "قاعدة",
    "שלום",
    "עולם",
    "e\u{301}t",
    "🙂",
    "K",
    "user_id",
    "3,14",
    "İstanbul",
];

fn some_text(u: &mut arbtest::arbitrary::Unstructured<'_>) -> arbtest::arbitrary::Result<String> {
    let mut text = String::new();
    for _ in 0..u.int_in_range(0..=8)? {
        text.push_str(u.choose(WORDS)?);
        text.push_str(u.choose(&[" ", " ", ", ", "", "\n", "; ", "-"])?);
    }
    if u.ratio(1, 8)? {
        text.push_str(&"a long text that goes on and on ".repeat(20));
    }
    Ok(text)
}

#[test]
fn search_finds_what_history_in_memory_finds() {
    arbtest::arbtest(|u| {
        let both = Both::open(u.ratio(3, 4)?);
        let runs = u.int_in_range(1..=3)?;
        let mut history = vec![json!({"role": "system", "content": some_text(u)?})];
        let many = u.ratio(1, 4)?;
        for run in 0..runs {
            both.append(begun(run, u.choose(&["flow", "other"])?));
            let mut events = Vec::new();
            let spans = if many { 300 } else { u.int_in_range(0..=4)? };
            for number in 0..spans {
                // Of many, most are alike: there is not enough chance for all.
                let (prompt, answer) = if number < 4 {
                    history.push(json!({"role": "user", "content": some_text(u)?}));
                    (serde_json::Value::Array(history.clone()), some_text(u)?)
                } else {
                    (
                        json!([{"role": "user", "content": WORDS[number as usize % WORDS.len()]}]),
                        format!("answer {number}"),
                    )
                };
                let start = u.int_in_range(0..=5_000)?;
                let span = call(run, number, start, prompt, &answer);
                if number < 4 {
                    let record = LogRecord {
                        time: TimestampNs(start + 1),
                        level: LogLevel::Info,
                        message: some_text(u)?,
                        target: None,
                        span_id: Some(span.span_id),
                        attributes: flowmeter_model::Attributes::new(),
                    };
                    events.push(TelemetryEvent::Log(span.trace_id, Box::new(record)));
                }
                events.push(TelemetryEvent::SpanEnded(Box::new(span)));
            }
            both.append(Append::Events(key(run), events));
            both.append(ended(run));
        }
        both.index();
        for _ in 0..8 {
            let mut text = u.choose(WORDS)?.to_string();
            if u.ratio(1, 3)? {
                text = format!("{text} {}", u.choose(WORDS)?);
            }
            if u.ratio(1, 4)? {
                text = format!("\"{text}\"");
            }
            if u.ratio(1, 4)? {
                let chars: Vec<char> = text.chars().collect();
                text = chars[..u.int_in_range(1..=chars.len())?].iter().collect();
            }
            let mode = *u.choose(&[SearchMode::Words, SearchMode::Substring])?;
            let mut query = query(&text, mode);
            query.limit = *u.choose(&[1, 3, 1_000])?;
            if u.ratio(1, 4)? {
                query.runs = RunFilter {
                    workflows: vec!["flow".to_owned()],
                    ..RunFilter::default()
                };
            }
            if u.ratio(1, 4)? {
                query.places =
                    vec![*u.choose(&[SearchPlace::Prompt, SearchPlace::Log, SearchPlace::Response])?];
            }
            if Pattern::of(&query).is_ok() {
                both.check(&query);
            }
        }
        Ok(())
    })
    .budget_ms(4_000);
}

#[test]
fn thousands_of_spans_are_found_by_their_words() {
    let both = Both::open(true);
    for run in 0..40_u64 {
        both.append(begun(run, "flow"));
        let mut events = Vec::new();
        for number in 0..600 {
            let prompt =
                json!([{"role": "user", "content": format!("needle{} of run{run} and all", number % 97)}]);
            let answer = if run == 7 && number == 300 {
                "a rare Жемчужина 数据库"
            } else {
                "nothing"
            };
            events.push(TelemetryEvent::SpanEnded(Box::new(call(
                run,
                number,
                run * 1_000 + number,
                prompt,
                answer,
            ))));
        }
        both.append(Append::Events(key(run), events));
        both.append(ended(run));
        both.sqlite.flush().unwrap();
    }
    both.index();
    assert!(both.worded() >= 20, "{} batches have words", both.worded());
    for (text, mode, wanted) in [
        ("жемчужина", SearchMode::Words, 1),
        ("数据", SearchMode::Words, 1),
        ("据库", SearchMode::Substring, 1),
        ("ЕМЧУЖ", SearchMode::Substring, 1),
        ("needle13 run7", SearchMode::Words, 7),
        ("needle13", SearchMode::Words, 30),
        ("all", SearchMode::Words, 30),
        ("eedle96 of run39", SearchMode::Substring, 6),
        ("absent", SearchMode::Words, 0),
        ("absent", SearchMode::Substring, 0),
    ] {
        assert_eq!(both.check(&query(text, mode)), wanted, "{text}");
    }
}

fn line(run: u64, time: u64, message: String) -> TelemetryEvent {
    let record = LogRecord {
        time: TimestampNs(time),
        level: LogLevel::Info,
        message,
        target: None,
        span_id: Some(id(run * 1_000_000 + 1)),
        attributes: flowmeter_model::Attributes::new(),
    };
    TelemetryEvent::Log(key(run).trace_id, Box::new(record))
}

#[test]
fn lines_are_found_by_their_words_until_they_are_forgotten() {
    let both = Both::open(true);
    for run in 0..31_u64 {
        both.append(begun(run, "flow"));
        let prompt = json!([{"role": "user", "content": "a needle in a prompt"}]);
        let spans = (0..600).map(|number| {
            let span = call(run, number, run * 1_000 + number, prompt.clone(), "nothing");
            TelemetryEvent::SpanEnded(Box::new(span))
        });
        both.append(Append::Events(key(run), spans.collect()));
        // Each time that it is written, a block.
        for part in 0..11 {
            let time = run * 1_000 + part;
            let lines = vec![
                line(run, time, format!("needle{} in a line of run{run}", part % 5)),
                line(run, time + 7, "连接失败 needle".to_owned()),
            ];
            both.append(Append::Events(key(run), lines));
            both.sqlite.flush().unwrap();
        }
        both.append(ended(run));
    }
    both.index();
    let number = |sql: &str| -> i64 {
        let ask = |connection: &Connection| Ok(connection.query_row(sql, [], |row| row.get(0))?);
        both.sqlite.ask(ask).unwrap()
    };
    let groups = "SELECT count(*) FROM word_batch WHERE batch < 0";
    assert_eq!(number(groups), number("SELECT max(id) / 64 FROM log_block"));
    assert!(number("SELECT count(*) FROM word_batch WHERE batch < 0 AND segment > 0") >= 5);
    let ask_all = |run7: usize| {
        for (text, wanted) in [
            ("needle3 run7", run7),
            ("\"run7\"", run7.min(1) * 11),
            ("失败", 30),
            ("needle", 30),
            ("needle9", 0),
            ("run30 needle0", 3),
        ] {
            for places in [vec![], vec![SearchPlace::Log], vec![SearchPlace::Prompt]] {
                let is_of_lines = places != [SearchPlace::Prompt];
                let query = SearchQuery {
                    places,
                    ..query(text, SearchMode::Words)
                };
                let found = both.check(&query);
                assert!(!is_of_lines || found == wanted, "{text}: {found}");
                let of_few = SearchQuery {
                    runs: RunFilter {
                        until: Some(TimestampNs(9_000)),
                        ..RunFilter::default()
                    },
                    ..query
                };
                both.check(&of_few);
            }
        }
        assert_eq!(both.sqlite.check().unwrap().problems, Vec::<String>::new());
    };
    ask_all(2);
    let selector = ForgetSelector::Runs(vec![key(7)]);
    both.memory.forget(&selector).unwrap();
    both.sqlite.forget(&selector).unwrap();
    ask_all(0);
    both.index();
    ask_all(0);
    // Of what is gone for good, nothing is left.
    let everything = (0..31).map(key).collect();
    let selector = ForgetSelector::Runs(everything);
    both.memory.forget(&selector).unwrap();
    both.sqlite.forget(&selector).unwrap();
    assert_eq!(both.worded(), 0);
    assert_eq!(both.check(&query("needle", SearchMode::Words)), 0);
}

#[test]
fn what_is_damaged_hides_nothing_else_and_is_told() {
    let both = Both::open(true);
    for run in 0..4_u64 {
        both.append(begun(run, "flow"));
        let prompt = json!([{"role": "user", "content": format!("pearl of run{run}")}]);
        let spans = (0..600).map(|number| {
            let span = call(run, number, run * 1_000 + number, prompt.clone(), "nothing");
            TelemetryEvent::SpanEnded(Box::new(span))
        });
        both.append(Append::Events(key(run), spans.collect()));
        both.append(ended(run));
        both.sqlite.flush().unwrap();
    }
    both.index();
    let change = |sql: &str| {
        let connection = open_connection(both.sqlite.path(), both.sqlite.config(), Purpose::Write).unwrap();
        assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
    };
    let asked = |text: &str, mode: SearchMode| {
        let mut query = query(text, mode);
        query.limit = 10_000;
        let mut unreadable = Vec::new();
        let hits = both
            .sqlite
            .search_noting(&query, &mut |what| unreadable.push(what));
        (hits.unwrap().len(), unreadable)
    };
    assert_eq!(asked("pearl", SearchMode::Words), (2_400, Vec::new()));
    // Without its words a batch is searched by force: nothing is missed.
    change("UPDATE word_batch SET body = x'ff' WHERE batch = (SELECT max(batch) FROM word_batch)");
    let (found, unreadable) = asked("pearl", SearchMode::Words);
    assert_eq!((found, unreadable.len()), (2_400, 1), "{unreadable:?}");
    // The last byte of one block.
    change(
        "UPDATE payload SET body = CAST(substr(body, 1, length(body) - 1) || x'00' AS BLOB) \
         WHERE id = (SELECT max(id) FROM payload)",
    );
    for mode in [SearchMode::Words, SearchMode::Substring] {
        let (found, unreadable) = asked("pearl", mode);
        assert!((2_300..2_400).contains(&found), "{found}");
        assert!(
            unreadable.iter().any(|what| what.contains("block")),
            "{unreadable:?}"
        );
    }
    // A whole block.
    change("DELETE FROM payload WHERE id = (SELECT min(id) FROM payload)");
    for mode in [SearchMode::Words, SearchMode::Substring] {
        let (found, unreadable) = asked("pearl", mode);
        assert!((2_200..2_353).contains(&found), "{found}");
        assert!(
            unreadable.iter().any(|what| what.ends_with("it is missing")),
            "{unreadable:?}"
        );
    }
    // Nothing found where not all was read is no answer.
    let absent = both.sqlite.search(&query("absent", SearchMode::Substring));
    assert!(matches!(absent, Err(StoreError::Damaged { .. })), "{absent:?}");
}

#[test]
fn content_that_is_kept_apart_is_found() {
    let both = Both::open(true);
    let long = format!("{} the hidden Жемчужина {}", "x ".repeat(400), "y ".repeat(400));
    let mut history = vec![json!({"role": "system", "content": "the hidden beginning"})];
    for run in 0..3_u64 {
        both.append(begun(run, "flow"));
        for number in 0..300 {
            if number % 100 == 0 {
                history.push(json!({"role": "user", "content": format!("question{run}x{number}")}));
            }
            let mut span = call(
                run,
                number,
                run * 1_000 + number,
                serde_json::Value::Array(history.clone()),
                "-",
            );
            if number % 10 == 0 {
                span.attributes.set("note", long.as_str());
            }
            both.append(Append::Events(
                key(run),
                vec![TelemetryEvent::SpanEnded(Box::new(span))],
            ));
        }
        both.append(ended(run));
        both.sqlite.flush().unwrap();
    }
    for _ in 0..2 {
        for mode in [SearchMode::Words, SearchMode::Substring] {
            for (text, wanted) in [
                ("hidden", 990),
                ("жемчужина", 90),
                ("question0x200", 700),
                ("the hidden beg", 900),
            ] {
                let mut query = query(text, mode);
                query.limit = 10_000;
                let wanted = if text.ends_with("beg") && mode == SearchMode::Words {
                    0
                } else {
                    wanted
                };
                assert_eq!(both.check(&query), wanted, "{text}");
            }
        }
        both.index();
    }
}

/// How many spans the store that is measured has.
const MEASURED_SPANS: u64 = 200_000;

/// Milliseconds of processor that this process had, where the system tells.
fn cpu_ms() -> u64 {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = told
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split(' ')
        .skip(12)
        .take(2);
    ticks.map(|ticks| ticks.parse().unwrap_or(0) * 10).sum()
}

#[test]
#[ignore = "measures"]
fn how_long_searches_take() {
    use std::fmt::Write as _;
    use std::time::Instant;
    let both = Both::open(true);
    let mut told = String::new();
    let (started, cpu) = (Instant::now(), cpu_ms());
    let made = (0..MEASURED_SPANS / 1_000).map(|run| run * 1_000 % 100_000);
    made.for_each(|first| {
        let spans: Vec<Span> = (first..first + 1_000)
            .map(crate::codec::random_spans::llm_call)
            .collect();
        assert_eq!(spans.len(), 1_000);
    });
    writeln!(
        told,
        "made in {:?}, {} ms of processor",
        started.elapsed(),
        cpu_ms() - cpu
    )
    .unwrap();
    let (started, cpu) = (Instant::now(), cpu_ms());
    for run in 0..MEASURED_SPANS / 1_000 {
        let mut begun = begun(run, "flow");
        if let Append::Began(start) = &mut begun {
            start.started = TimestampNs(1 << 60);
        }
        both.sqlite.append(begun).unwrap();
        let calls = (0..1_000).map(|number| {
            let mut span = crate::codec::random_spans::llm_call(run * 1_000 + number);
            span.trace_id = key(run).trace_id;
            span.parent_span_id = Some(key(run).root_span_id);
            if run % 50 == 7 && number == 500 {
                span.attributes.set("note", "a rare Жемчужина of pearls");
            }
            TelemetryEvent::SpanEnded(Box::new(span))
        });
        both.sqlite
            .append(Append::Events(key(run), calls.collect()))
            .unwrap();
        both.sqlite.append(ended(run)).unwrap();
    }
    both.sqlite.flush().unwrap();
    writeln!(
        told,
        "made and written in {:?}, {} ms of processor",
        started.elapsed(),
        cpu_ms() - cpu
    )
    .unwrap();
    let (started, cpu) = (Instant::now(), cpu_ms());
    both.index();
    let spent = (started.elapsed(), cpu_ms() - cpu);
    writeln!(
        told,
        "{} batches; their index completed in {:?}, {} ms of processor",
        both.worded(),
        spent.0,
        spent.1
    )
    .unwrap();
    let bytes = |connection: &Connection| {
        let sql =
            "SELECT (SELECT sum(length(body)) FROM word_batch) + (SELECT sum(length(body)) FROM word_bucket)";
        Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    };
    let bytes = both.sqlite.ask(bytes).unwrap();
    writeln!(told, "{} B a span of index", bytes / MEASURED_SPANS as i64).unwrap();
    for (text, mode) in [
        ("kettle", SearchMode::Words),
        ("kettle review", SearchMode::Words),
        ("\"kettle review\"", SearchMode::Words),
        ("pearls", SearchMode::Words),
        ("жемчужина", SearchMode::Words),
        ("pearls kettle", SearchMode::Words),
        ("absent", SearchMode::Words),
        ("ettle rev", SearchMode::Substring),
        ("of pearl", SearchMode::Substring),
        ("ЕМЧУЖ", SearchMode::Substring),
        ("absent", SearchMode::Substring),
        ("nothing like it", SearchMode::Substring),
    ] {
        let query = SearchQuery {
            limit: 50,
            ..query(text, mode)
        };
        let cpu = cpu_ms();
        let mut times: Vec<_> = (0..5)
            .map(|_| {
                let started = Instant::now();
                let found = both.sqlite.search(&query).unwrap().len();
                (started.elapsed(), found)
            })
            .collect();
        times.sort();
        let cpu = (cpu_ms() - cpu) / 5;
        writeln!(
            told,
            "{text} {mode:?}: {} hits in {:?}, {cpu} ms of processor",
            times[2].1, times[2].0
        )
        .unwrap();
    }
    panic!("{told}");
}
