//! One transaction: what was gathered becomes rows, batches and blocks.
//!
//! Never writes a part of it: all of it is durable, or nothing.

use std::ops::Deref;

use flowmeter_model::{Attributes, LogRecord, Span, TelemetryEvent};
use rusqlite::Connection;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::super::content_source::StoredContent;
use super::super::read::{self, spans::StoredSpans};
use super::super::rewrite::SEALED_SPANS_MIN;
use super::super::run_row::{Known, StoredRun, time_to_column};
use super::super::whole_span;
use super::Writer;
use super::contents::Mentioner;
use super::live_runs::{LiveRun, OPEN_MAX};
use super::pack::{BatchSink, PackedBatch, PackedLogs};
use super::rows::BatchState;
use crate::codec::block::Sealer;
use crate::rules::row::workflow_of;
use crate::{Append, RunEnd, RunKey, RunStart, StoreError};

/// What came, or what was made of it.
enum Item<'a, T> {
    Came(&'a T),
    Made(Box<T>),
}

impl<T> Deref for Item<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Came(item) => item,
            Self::Made(item) => item,
        }
    }
}

/// Everything that came of one run.
#[derive(Default)]
struct RunItems<'a> {
    starts: Vec<&'a RunStart>,
    ends: Vec<&'a RunEnd>,
    events: Vec<&'a [TelemetryEvent]>,
}

/// A run whose spans stand in a batch to be written.
#[derive(Clone, Debug)]
pub(in crate::sqlite) struct Placed {
    pub(in crate::sqlite) id: i64,
    pub(in crate::sqlite) workflow: i64,
}

/// What one transaction writes besides the rows of runs.
#[derive(Default)]
pub(super) struct Packed {
    pub(super) placed: FxHashMap<RunKey, Placed>,
    pub(super) batches: Vec<PackedBatch>,
    pub(super) logs: Vec<PackedLogs>,
}

impl Writer {
    /// Writes items in a transaction that the caller ends.
    pub(super) fn write_items(
        &mut self,
        connection: &Connection,
        items: &[Append],
    ) -> Result<(), StoreError> {
        let mut order: Vec<RunKey> = Vec::new();
        let mut runs: FxHashMap<RunKey, RunItems<'_>> = FxHashMap::default();
        for item in items {
            let key = match item {
                Append::Began(start) => start.key,
                Append::Events(key, events) if !events.is_empty() => *key,
                Append::Events(..) => continue,
                Append::Ended(end) => end.key,
            };
            let run = runs.entry(key).or_insert_with(|| {
                order.push(key);
                RunItems::default()
            });
            match item {
                Append::Began(start) => run.starts.push(start),
                Append::Events(_, events) => run.events.push(events),
                Append::Ended(end) => run.ends.push(end),
            }
        }
        self.packer
            .gather_words(self.config.search_index && ended_in(items) >= SEALED_SPANS_MIN);
        let mut packed = Packed::default();
        for key in order {
            if let Some(items) = runs.remove(&key) {
                self.write_run(connection, key, &items, &mut packed)?;
            }
        }
        let contents = &mut self.contents;
        packed
            .batches
            .extend(self.packer.finish(contents.write_in(Mentioner::Spans))?);
        packed
            .logs
            .extend(self.log_packer.finish(contents.write_in(Mentioner::Lines))?);
        self.contents.write(connection)?;
        for batch in &packed.batches {
            let state = BatchState {
                is_sealed: batch.spans >= SEALED_SPANS_MIN,
                is_folded: false,
            };
            let id = super::rows::write_batch(connection, batch, state, &packed.placed)?;
            self.contents.wrote(id);
        }
        for logs in &packed.logs {
            super::rows::write_logs(connection, logs, &packed.placed)?;
        }
        Ok(())
    }

    fn write_run(
        &mut self,
        connection: &Connection,
        key: RunKey,
        items: &RunItems<'_>,
        packed: &mut Packed,
    ) -> Result<(), StoreError> {
        let mut run = StoredRun::find(connection, &key)?.unwrap_or_else(|| StoredRun::unknown(key));
        let before = run.clone();
        let mut live = match self.live.take(&key, run.row.spans) {
            Some(live) => live,
            None if run.id == 0 => LiveRun::default(),
            None => self.recall(connection, &run)?,
        };
        for start in &items.starts {
            run.begin(start);
        }
        let events_all: usize = items.events.iter().map(|events| events.len()).sum();
        live.expect(events_all);
        let mut ended: Vec<(Item<'_, Span>, SmolStr)> = Vec::with_capacity(events_all);
        let mut lines: Vec<Item<'_, LogRecord>> = Vec::new();
        for events in &items.events {
            take_events(&mut run, &mut live, events, &mut ended, &mut lines);
        }
        // Spans of a run come in the order of their start: so they are read.
        ended.sort_by_key(|(span, _)| (span.start, span.span_id));
        let (names, contents) = (&mut self.names, &mut self.contents);
        contents.write_in(Mentioner::Spans);
        for (span, node) in ended {
            if self.packer.is_full() {
                packed.batches.extend(self.packer.finish(contents)?);
            }
            let narrow = self.packer.push(key, &span, node, contents, &mut |name| {
                names.number(connection, name)
            })?;
            run.span_ended(&span, &narrow.to_row(key, SmolStr::default()));
        }
        contents.write_in(Mentioner::Lines);
        for line in &lines {
            if self.log_packer.is_full() {
                packed.logs.extend(self.log_packer.finish(contents)?);
            }
            self.log_packer.push(key, line, contents)?;
        }
        for end in &items.ends {
            run.end(end);
        }
        if run != before {
            run.write(connection)?;
        }
        super::rows::write_lists(connection, names, &before, &run)?;
        let workflow = names.number(connection, &run.row.workflow)?;
        if before.row.spans > 0 && before.row.workflow != run.row.workflow {
            super::rows::rename(connection, run.id, workflow)?;
        }
        packed.placed.insert(key, Placed { id: run.id, workflow });
        self.write_detail(connection, &before, &run, items)?;
        if live.open_differs() {
            self.write_open(connection, &run, &mut live)?;
        }
        if run.closed == Known::Said {
            return Ok(());
        }
        live.trim();
        self.live.put(key, live);
        Ok(())
    }

    /// What describes the run: its resource from its beginning, its metrics from its end.
    fn write_detail(
        &mut self,
        connection: &Connection,
        before: &StoredRun,
        run: &StoredRun,
        items: &RunItems<'_>,
    ) -> Result<(), StoreError> {
        let begins = before.begun != Known::Said && run.begun == Known::Said;
        let ends = before.closed != Known::Said && run.closed == Known::Said;
        if !begins && !ends {
            return Ok(());
        }
        let key = run.row.key;
        let there = if before.id == 0 {
            None
        } else {
            read::detail::read(connection, run, &mut StoredContent::new(connection))?
        };
        let nothing = || whole_span::of_detail(key.trace_id, key.root_span_id, Attributes::new(), None);
        let mut detail = there.unwrap_or_else(nothing);
        if let (true, Some(start)) = (begins, items.starts.first()) {
            detail.attributes = start.resource.clone();
        }
        if let (true, Some(end)) = (ends, items.ends.first()) {
            detail.params = Some(std::sync::Arc::new(end.metrics.clone()));
        }
        let sealer = self.sealer.get_or_insert_with(Sealer::new);
        let spans = std::iter::once(&detail);
        let sink = self.contents.write_in(Mentioner::Single);
        let body = whole_span::pack(key.trace_id, spans, sink, sealer)?;
        let hashes = super::rows::hash_bytes(&sink.take_mentions());
        connection
            .prepare_cached("INSERT OR REPLACE INTO run_detail (run, hashes, body) VALUES (?1, ?2, ?3)")?
            .execute((run.id, hashes, body))?;
        Ok(())
    }

    fn write_open(
        &mut self,
        connection: &Connection,
        run: &StoredRun,
        live: &mut LiveRun,
    ) -> Result<(), StoreError> {
        live.open_written = live.open.keys().copied().collect();
        if live.open.is_empty() {
            connection
                .prepare_cached("DELETE FROM run_open WHERE run = ?1")?
                .execute([run.id])?;
            return Ok(());
        }
        let sealer = self.sealer.get_or_insert_with(Sealer::new);
        let spans = live.open.values();
        let sink = self.contents.write_in(Mentioner::Single);
        let body = whole_span::pack(run.row.key.trace_id, spans, sink, sealer)?;
        let hashes = super::rows::hash_bytes(&sink.take_mentions());
        connection
            .prepare_cached("INSERT OR REPLACE INTO run_open (run, hashes, body) VALUES (?1, ?2, ?3)")?
            .execute((run.id, hashes, body))?;
        Ok(())
    }

    /// What the file knows of a run that this process does not remember.
    fn recall(&mut self, connection: &Connection, run: &StoredRun) -> Result<LiveRun, StoreError> {
        let mut live = LiveRun::default();
        let mut stored = StoredSpans::new(connection, &self.texts);
        stored.visit_narrow(run.id, &mut |narrow| {
            live.ids.insert(narrow.span_id.to_u64());
            live.paths.note(&span_around(run, narrow));
            Ok(())
        })?;
        let mut source = StoredContent::new(connection);
        for span in read::detail::read_open(connection, run, &mut source)? {
            live.paths.note(&span);
            live.open_written.push(span.span_id);
            live.open.insert(span.span_id, span);
        }
        Ok(live)
    }
}

/// Spans that end in these items.
fn ended_in(items: &[Append]) -> usize {
    let ends = |event: &&TelemetryEvent| matches!(event, TelemetryEvent::SpanEnded(_));
    let events = items.iter().map(|item| match item {
        Append::Events(_, events) => events.iter().filter(ends).count(),
        Append::Began(_) | Append::Ended(_) => 0,
    });
    events.sum()
}

/// As much of a span that ended as tells which node it was.
fn span_around(run: &StoredRun, narrow: &crate::codec::narrow::NarrowSpan) -> Span {
    use crate::rules::node_paths::NODE_ID;
    let mut span = Span::begin(
        run.row.key.trace_id,
        narrow.span_id,
        narrow.parent_span_id,
        narrow.kind,
        "",
        narrow.start,
    );
    if let Some(id) = narrow.node.rsplit('/').next().filter(|id| !id.is_empty()) {
        span.attributes.set(NODE_ID, id);
    }
    span
}

fn take_events<'a>(
    run: &mut StoredRun,
    live: &mut LiveRun,
    events: &'a [TelemetryEvent],
    ended: &mut Vec<(Item<'a, Span>, SmolStr)>,
    lines: &mut Vec<Item<'a, LogRecord>>,
) {
    for event in events {
        if let TelemetryEvent::SpanStarted(span) | TelemetryEvent::SpanEnded(span) = event {
            live.paths.note(span);
        }
    }
    for event in events {
        match event {
            TelemetryEvent::SpanStarted(span) => {
                run.hear(span.start);
                let is_new = !live.ids.contains(&span.span_id.to_u64());
                if is_new && live.open.len() < OPEN_MAX {
                    live.open.entry(span.span_id).or_insert_with(|| Span::clone(span));
                }
            }
            TelemetryEvent::SpanEnded(span) => {
                if !live.ids.insert(span.span_id.to_u64()) {
                    continue;
                }
                live.open.remove(&span.span_id);
                if span.span_id == run.row.key.root_span_id {
                    run.name(workflow_of(span));
                }
                for record in &span.logs {
                    let mut record = record.clone();
                    record.span_id = record.span_id.or(Some(span.span_id));
                    run.logged(record.time);
                    lines.push(Item::Made(Box::new(record)));
                }
                let node = live.paths.path_of(span);
                let span = if span.logs.is_empty() {
                    Item::Came(&**span)
                } else {
                    let mut bare = Span::clone(span);
                    bare.logs.clear();
                    Item::Made(Box::new(bare))
                };
                ended.push((span, node));
            }
            TelemetryEvent::Log(_, record) => {
                run.logged(record.time);
                lines.push(Item::Came(record));
            }
        }
    }
}

/// Whether the row of a run has other columns that lists are kept of.
pub(super) fn started_of(run: &StoredRun) -> i64 {
    time_to_column(run.row.started)
}
