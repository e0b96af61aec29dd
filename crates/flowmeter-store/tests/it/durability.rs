//! What a file survives: kills while four processes write, a disk without room, a page that is damaged; and how large
//! it becomes of what comes again and again.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_model::{
    Clock, IdSource, Span, SpanKind, SpanStatus, SystemClock, TelemetryEvent, TimestampNs,
};
use flowmeter_store::contract::samples::{Sample, after, ended, message};
use flowmeter_store::{
    Append, ForgetSelector, RunFilter, RunKey, RunOrder, SearchMode, SearchQuery, SqliteConfig, SqliteStore,
    Store, StoreError,
};
use serde_json::{Value, json};

/// Where a writing child process writes; and which of them it is.
const FILE: &str = "FLOWMETER_TEST_HISTORY";
const SEED: &str = "FLOWMETER_TEST_SEED";

fn config() -> SqliteConfig {
    SqliteConfig::new(Arc::new(SystemClock), Arc::new(|_| Some(false)))
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, config()).unwrap()
}

fn span(key: &RunKey, ids: &mut IdSource, text: &str) -> Span {
    let now = SystemClock.now();
    let mut span = Span::begin(
        key.trace_id,
        ids.span_id(),
        Some(key.root_span_id),
        SpanKind::LlmCall,
        "chat",
        now,
    );
    span.end = Some(TimestampNs(now.0 + 1));
    span.status = Some(SpanStatus::Ok);
    span.attributes.set("gen_ai.request.model", "gpt-4o");
    span.attributes
        .set("gen_ai.input.messages", message("user", text));
    span
}

/// Not a test: the process that is killed. Says each span's number when it was accepted, with the time.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let mut ids = IdSource::from_seed(seed);
    let key = RunKey {
        trace_id: ids.trace_id(),
        root_span_id: ids.span_id(),
    };
    let store = open(&path);
    let mut out = std::io::stdout();
    writeln!(out, "run {key}").unwrap();
    loop {
        let text = format!("text {} of {seed}", ids.next_u64());
        let span = span(&key, &mut ids, &text);
        let id = span.span_id;
        let event = TelemetryEvent::SpanEnded(Box::new(span));
        store.append(Append::Events(key, vec![event])).unwrap();
        writeln!(out, "span {id} {}", SystemClock.now().0).unwrap();
        out.flush().unwrap();
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn child(path: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::child_that_writes_until_it_is_killed",
            "--nocapture",
        ])
        .env(FILE, path)
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Whatever was accepted 200 ms (here, on machines that do much else at once, two seconds) before the kill is there, and nothing is
/// damaged.
#[test]
fn kills_lose_only_the_last_moment_and_damage_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    drop(open(&path));
    let mut dice = IdSource::from_seed(99);
    for round in 0..6 {
        let mut children: Vec<Child> = (0..4)
            .map(|number| child(&path, round * 10 + number + 1))
            .collect();
        let lives_ms = 300 + dice.next_u64() % 700;
        std::thread::sleep(Duration::from_millis(lives_ms));
        for child in &mut children {
            child.kill().unwrap();
        }
        let killed = SystemClock.now();
        for mut child in children {
            let mut said = String::new();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            while out.read_line(&mut said).unwrap() > 0 {}
            child.wait().unwrap();
            check_what_was_said(&path, &said, killed);
        }
        let store = open(&path);
        assert_eq!(store.check().unwrap().problems, [""; 0], "round {round}");
    }
    let store = open(&path);
    store.settle().unwrap();
    assert_eq!(store.check().unwrap().problems, [""; 0]);
}

fn check_what_was_said(path: &Path, said: &str, killed: TimestampNs) {
    let Some(key) = said.lines().find_map(|line| line.split("run ").nth(1)) else {
        return;
    };
    let Ok(key) = RunKey::parse(key) else {
        return;
    };
    let store = open(path);
    let mut kept = std::collections::BTreeSet::new();
    store
        .spans(&key, &mut |span| {
            kept.insert(span.span_id.to_string());
            ControlFlow::Continue(())
        })
        .unwrap();
    for line in said.lines() {
        let Some(words) = line.strip_prefix("span ") else {
            continue;
        };
        if let Some((id, Ok(time))) = words.split_once(' ').map(|(id, time)| (id, time.parse::<u64>()))
            && killed.0.saturating_sub(time) > 2_000_000_000
        {
            assert!(
                kept.contains(id),
                "span {id} was accepted {} ns before",
                killed.0 - time
            );
        }
    }
}

/// On a machine that has nothing else to do, a span is durable in 200 ms; here it is measured with room for others.
#[test]
fn a_span_is_durable_soon_after_it_was_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let (writer, reader) = (open(&path), open(&path));
    let mut best = Duration::MAX;
    for seed in 1..=5 {
        let sample = Sample::new(seed, "soon", after(1));
        let accepted = Instant::now();
        let key = sample.append(&writer, 10);
        while reader.run(&key).unwrap().is_none() {
            std::thread::yield_now();
        }
        best = best.min(accepted.elapsed());
    }
    assert!(best < Duration::from_millis(200), "{best:?}");
}

#[test]
fn many_writers_and_readers_never_see_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let stores: Vec<SqliteStore> = (0..4).map(|_| open(&path)).collect();
    std::thread::scope(|scope| {
        for (number, store) in (0..).zip(&stores) {
            scope.spawn(move || {
                for round in 0..40 {
                    let mut sample = Sample::new(number * 1_000 + round + 1, "crowd", after(round));
                    let root = sample.key.root_span_id;
                    let span = sample.span(root, SpanKind::LlmCall, "chat", after(round));
                    sample.keep(ended(span, 5));
                    sample.append(store, 9);
                    store.flush().unwrap();
                    let runs = store
                        .runs(&RunFilter::default(), RunOrder::Started, 1_000, 0)
                        .unwrap();
                    assert!(runs.len() > round as usize);
                }
            });
        }
    });
    assert_eq!(stores[0].check().unwrap().problems, [""; 0]);
    let upkeep = stores[0].check().unwrap();
    assert_eq!((upkeep.runs, upkeep.spans), (160, 320));
}

/// A limit that a file system has stands for a disk: SQLite is told that there is no room.
#[test]
fn a_full_disk_is_told_once_and_what_is_written_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let mut config = config();
    config.pages_max = Some(200);
    let store = SqliteStore::open(&path, config).unwrap();
    let mut noise = IdSource::from_seed(4);
    let mut told = 0;
    let mut kept = Vec::new();
    for seed in 1..200 {
        let mut sample = Sample::new(seed, "large", after(seed));
        let root = sample.key.root_span_id;
        let mut span = sample.span(root, SpanKind::LlmCall, "chat", after(seed));
        let text: String = (0..2_000).map(|_| format!("{:016x}", noise.next_u64())).collect();
        span.attributes
            .set("gen_ai.input.messages", message("user", &text));
        sample.keep(ended(span, 5));
        let key = sample.key;
        let event = TelemetryEvent::SpanEnded(Box::new(sample.root.clone()));
        let first = store.append(Append::Events(key, sample.events.clone()));
        let second = store.append(Append::Events(key, vec![event]));
        let flushed = store.flush();
        for result in [first, second] {
            match result {
                Ok(()) => {}
                Err(StoreError::DiskFull) => told += 1,
                Err(StoreError::Full { dropped }) => assert!(dropped > 0),
                Err(other) => panic!("{other}"),
            }
        }
        if flushed.is_ok() {
            kept.push(key);
        }
    }
    assert_eq!(told, 1, "it is told once");
    assert!(!kept.is_empty() && kept.len() < 150);
    let asked = Instant::now();
    assert!(matches!(
        store.append(Append::Events(kept[0], vec![])),
        Err(StoreError::Full { .. })
    ));
    assert!(asked.elapsed() < Duration::from_millis(500), "refused quickly");
    drop(store);
    let store = open(&path);
    for key in &kept {
        assert!(!store.span_rows(key).unwrap().is_empty());
    }
    assert_eq!(store.check().unwrap().problems, [""; 0]);
}

/// Overwrites parts of the file, one after the other: some questions fail, none panics, and no wrong text comes back.
#[test]
fn a_damaged_page_is_told_and_other_runs_are_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let mut noise = IdSource::from_seed(8);
    let mut texts: Vec<String> = Vec::new();
    let keys: Vec<RunKey> = {
        let store = open(&path);
        let keys = (1..=40)
            .map(|seed| {
                let mut sample = Sample::new(seed, "whole", after(seed));
                let root = sample.key.root_span_id;
                let mut span = sample.span(root, SpanKind::LlmCall, "chat", after(seed));
                let text: String = (0..1_000).map(|_| format!("{:016x}", noise.next_u64())).collect();
                span.attributes
                    .set("gen_ai.input.messages", message("user", &text));
                texts.push(text);
                sample.keep(ended(span, 5));
                let key = sample.append(&store, 9);
                store.flush().unwrap();
                key
            })
            .collect();
        store.vacuum().unwrap();
        keys
    };
    let whole = std::fs::read(&path).unwrap();
    let spans_of = |store: &SqliteStore, key: &RunKey| {
        let mut spans = Vec::new();
        store
            .spans(key, &mut |span| {
                spans.push(span);
                ControlFlow::Continue(())
            })
            .map(|()| spans)
    };
    let right: Vec<Vec<Span>> = {
        let store = open(&path);
        keys.iter().map(|key| spans_of(&store, key).unwrap()).collect()
    };
    let (mut failed, mut read) = (0, 0);
    let (mut found, mut found_in_part) = (0, 0);
    let query = SearchQuery {
        text: texts[20][..16].to_owned(),
        mode: SearchMode::Substring,
        runs: RunFilter::default(),
        places: Vec::new(),
        limit: 10,
    };
    let pages = whole.len() / 8_192;
    for page in 1..pages {
        let copy = folder.path().join(format!("damaged-{page}.db"));
        std::fs::write(&copy, &whole).unwrap();
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .read(true)
            .open(&copy)
            .unwrap();
        file.seek(SeekFrom::Start(page as u64 * 8_192 + 100)).unwrap();
        let mut there = [0; 2_000];
        file.read_exact(&mut there).unwrap();
        file.seek(SeekFrom::Start(page as u64 * 8_192 + 100)).unwrap();
        file.write_all(&there.map(|byte| byte ^ 0x5a)).unwrap();
        drop(file);
        let store = open(&copy);
        for (key, right) in keys.iter().zip(&right) {
            match spans_of(&store, key) {
                Ok(spans) if spans == *right => read += 1,
                // The page of an index may hide a run; it never makes one up.
                Ok(spans) => assert!(spans.len() < right.len(), "page {page}"),
                Err(StoreError::Damaged { .. } | StoreError::Sqlite(_)) => failed += 1,
                Err(other) => panic!("page {page}: {other}"),
            }
        }
        if let Ok(hits) = store.search(&query)
            && !hits.is_empty()
        {
            assert!(hits.iter().all(|hit| hit.run == keys[20]), "page {page}");
            found += 1;
            found_in_part += usize::from(store.lacks_parts());
        }
        let _told = store.check().map(|upkeep| upkeep.problems);
        let _asked = store.runs(&RunFilter::default(), RunOrder::Cost, 50, 0);
    }
    assert!(failed > 0, "something was damaged");
    assert!(read > failed, "{read} read, {failed} failed");
    // Blocks of other runs are damaged, and were looked at on the way.
    assert!(
        found > 20 && found_in_part > 4,
        "{found} found, {found_in_part} in part"
    );
}

/// A block of payloads that is not there, although nothing has had its time, is told and not passed by.
#[test]
fn a_lost_block_of_payloads_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let key = {
        let store = open(&path);
        let key = Sample::new(1, "whole", after(1)).append(&store, 9);
        store.settle().unwrap();
        key
    };
    let connection = rusqlite::Connection::open(&path).unwrap();
    assert!(connection.execute("DELETE FROM payload", []).unwrap() > 0);
    drop(connection);
    let store = open(&path);
    let read = store.spans(&key, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
    let told = store.check().unwrap().problems;
    assert!(
        told.iter()
            .any(|problem| problem.contains("a block of payloads is missing")),
        "{told:?}"
    );
}

/// Where a page of the runs' own table is damaged, the list holds the runs of all other pages, and says so.
#[test]
fn a_damaged_page_of_runs_hides_no_other_run() {
    const RUNS: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    {
        let store = open(&path);
        for seed in 1..=RUNS {
            Sample::new(seed, &format!("workflow-{seed:03}-of-many"), after(seed)).append(&store, 9);
        }
        store.settle().unwrap();
        store.vacuum().unwrap();
    }
    let whole = std::fs::read(&path).unwrap();
    let (mut listed_in_part, mut hidden_max) = (0, 0);
    for page in 1..whole.len() / 8_192 {
        let copy = folder.path().join("damaged.db");
        for beside in ["damaged.db-wal", "damaged.db-shm"] {
            let _none_there = std::fs::remove_file(folder.path().join(beside));
        }
        let mut bytes = whole.clone();
        for byte in &mut bytes[page * 8_192..(page + 1) * 8_192] {
            *byte ^= 0x5a;
        }
        std::fs::write(&copy, &bytes).unwrap();
        let Ok(store) = SqliteStore::open(&copy, config()) else {
            continue;
        };
        for order in [RunOrder::Started, RunOrder::Cost] {
            let Ok(rows) = store.runs(&RunFilter::default(), order, 1_000, 0) else {
                continue;
            };
            let mut names: Vec<&str> = rows.iter().map(|row| row.workflow.as_str()).collect();
            if order == RunOrder::Started {
                assert!(names.is_sorted_by(|a, b| a > b), "page {page}");
            }
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), rows.len(), "page {page}: a run stands there twice");
            if store.lacks_parts() {
                listed_in_part += 1;
                hidden_max = hidden_max.max(RUNS - rows.len() as u64);
                assert!(!store.check().unwrap().problems.is_empty(), "page {page}");
            } else {
                assert_eq!(rows.len() as u64, RUNS, "page {page}");
            }
        }
    }
    assert!(listed_in_part > 0);
    assert!((1..RUNS / 2).contains(&hidden_max), "{hidden_max} are hidden");
}

/// Bytes of the file with nothing in it that is not used.
fn size_of(path: &Path) -> u64 {
    open(path).vacuum().unwrap();
    std::fs::metadata(path).unwrap().len()
}

/// Text that hardly compresses.
fn prose(dice: &mut IdSource, words: usize) -> String {
    (0..words)
        .map(|_| format!("{:x} ", dice.next_u64() >> 32))
        .collect()
}

fn chat(path: &Path, is_alone: bool) -> u64 {
    let (mut dice, mut ids) = (IdSource::from_seed(21), IdSource::from_seed(22));
    let mut store = open(path);
    let mut history: Vec<Value> = Vec::new();
    let mut naive = 0;
    let mut key = None;
    for turn in 0..200 {
        if is_alone {
            store = open(path);
            key = None;
        }
        let key = *key.get_or_insert_with(|| RunKey {
            trace_id: ids.trace_id(),
            root_span_id: ids.span_id(),
        });
        let say =
            |role: &str, text: String| json!({"role": role, "parts": [{"type": "text", "content": text}]});
        history.push(say("user", prose(&mut dice, 25)));
        let mut span = span(&key, &mut ids, "");
        let input = Value::Array(history.clone());
        naive += input.to_string().len() as u64;
        span.attributes.set("gen_ai.input.messages", input);
        history.push(say("assistant", prose(&mut dice, 40)));
        store
            .append(Append::Events(
                key,
                vec![TelemetryEvent::SpanEnded(Box::new(span.clone()))],
            ))
            .unwrap();
        store.flush().unwrap();
        if turn % 50 == 49 {
            assert_eq!(store.span(&key, span.span_id).unwrap(), Some(span));
        }
    }
    store.settle().unwrap();
    assert_eq!(store.check().unwrap().problems, [""; 0]);
    naive
}

#[test]
fn a_chat_that_resends_its_history_costs_its_new_part() {
    let folder = tempfile::tempdir().unwrap();
    for is_alone in [false, true] {
        let path = folder.path().join(format!("chat-{is_alone}.db"));
        drop(open(&path));
        let empty = size_of(&path);
        let naive = chat(&path, is_alone);
        let bytes = size_of(&path) - empty;
        assert!(naive > 15 * bytes, "{naive} of text became {bytes}");
    }
}

#[test]
fn one_message_in_many_runs_is_stored_once_or_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let store = open(&path);
    let mut dice = IdSource::from_seed(31);
    let long = prose(&mut dice, 1_200);
    for seed in 1..=1_000 {
        let mut sample = Sample::new(seed, "same", after(seed));
        let root = sample.key.root_span_id;
        let mut span = sample.span(root, SpanKind::LlmCall, "chat", after(seed));
        span.attributes.set(
            "gen_ai.system_instructions",
            json!([{"type": "text", "content": long}]),
        );
        span.attributes.set(
            "gen_ai.input.messages",
            message("user", &format!("question {seed}")),
        );
        sample.keep(ended(span, 5));
        sample.append(&store, 9);
    }
    store.settle().unwrap();
    drop(store);
    let bytes = size_of(&path);
    let needle = long.len() as u64;
    // What 1,000 runs take without it is far less than 1,000 times the message.
    assert!(bytes < 100 * needle, "{bytes} bytes, the message has {needle}");
}

/// All bytes of the file and of what stands beside it.
fn raw(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        bytes.extend(std::fs::read(name).unwrap_or_default());
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn what_is_forgotten_is_nowhere_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let store = open(&path);
    let mut keys = Vec::new();
    for seed in 1..=60_u64 {
        let is_secret = seed % 10 == 3;
        let word = if is_secret { "SECRETWORD" } else { "harmless" };
        let mut sample = Sample::new(seed, &format!("flow-{word}"), after(seed));
        sample.start.origin.tags = vec![("tag".to_owned(), format!("tag-{word}"))];
        sample.start.origin.session = Some(format!("session-{word}"));
        sample.start.resource.set("host.name", format!("host-{word}"));
        let root = sample.key.root_span_id;
        let mut span = sample.span(root, SpanKind::LlmCall, "chat", after(seed));
        span.operation = format!("chat {word}").into();
        span.attributes
            .set("gen_ai.request.model", format!("model-{word}"));
        // One short enough to stand in its row as it is, one that repeats and is kept apart.
        span.attributes.set("short", word);
        span.attributes.set(
            "gen_ai.input.messages",
            message("user", &format!("{word} ").repeat(200)),
        );
        sample.keep(ended(span, 5));
        let key = sample.append(&store, 9);
        if seed % 7 == 0 {
            store.settle().unwrap();
        }
        if is_secret {
            keys.push(key);
        }
    }
    store.settle().unwrap();
    assert!(holds(&raw(&path), "SECRETWORD"), "it was there");
    let forgotten = store.forget(&ForgetSelector::Runs(keys.clone())).unwrap();
    assert_eq!((forgotten.runs, forgotten.spans), (6, 12));
    assert!(!holds(&raw(&path), "SECRETWORD"));
    assert!(holds(&raw(&path), "flow-harmless"));
    for key in &keys {
        assert!(store.run(key).unwrap().is_none());
    }
    assert_eq!(store.check().unwrap().problems, [""; 0]);
    let left = store
        .runs(&RunFilter::default(), RunOrder::Started, 100, 0)
        .unwrap();
    assert_eq!(left.len(), 54);
    for row in left {
        assert_eq!(store.span_rows(&row.key).unwrap().len(), 2);
    }
}

#[test]
fn a_copy_made_while_others_write_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowmeter.db");
    let store = open(&path);
    let copies: Vec<PathBuf> = (0..5)
        .map(|number| folder.path().join(format!("copy-{number}.db")))
        .collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = open(&path);
            for seed in 1..300 {
                Sample::new(seed, "copied", after(seed)).append(&writer, 9);
            }
        });
        for copy in &copies {
            store.backup(copy).unwrap();
        }
    });
    for copy in &copies {
        let copied = open(copy);
        assert_eq!(copied.check().unwrap().problems, [""; 0]);
    }
    store.backup(&copies[0]).unwrap();
    assert_eq!(
        open(&copies[0]).check().unwrap().runs,
        299,
        "an older copy is replaced"
    );
}
