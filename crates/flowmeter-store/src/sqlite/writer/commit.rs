//! One transaction: what was gathered becomes rows, batches and blocks.
//!
//! Never writes a part of it: all of it is durable, or nothing.

use flowmeter_model::{Attributes, LogRecord, Span};
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
use super::encoded::{Encoded, EncodedEvent, EncodedEvents, EncodedSpan};
use super::live_runs::{LiveRun, OPEN_MAX};
use super::pack::{BatchSink, PackedBatch, PackedLogs};
use super::rows::BatchState;
use crate::codec::block::Sealer;
use crate::codec::payload::DeferredPayloads;
use crate::rules::node_paths::SpanPlace;
use crate::{RunEnd, RunKey, RunStart, StoreError};

/// Spans of a run whose texts are looked for before the first is written.
const SPANS_AHEAD: usize = 64;

/// Everything that came of one run.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "they come in boxes, and most lists hold one of them"
)]
struct RunItems {
    starts: Vec<Box<RunStart>>,
    ends: Vec<Box<RunEnd>>,
    events: Vec<Box<EncodedEvents>>,
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
        items: Vec<Encoded>,
    ) -> Result<(), StoreError> {
        let mut order: Vec<RunKey> = Vec::new();
        let mut runs: FxHashMap<RunKey, RunItems> = FxHashMap::default();
        self.packer
            .gather_words(self.config.search_index && ended_in(&items) >= SEALED_SPANS_MIN);
        for item in items {
            let key = match &item {
                Encoded::Began(start) => start.key,
                Encoded::Events(key, events) if !events.events.is_empty() => *key,
                Encoded::Events(..) => continue,
                Encoded::Ended(end) => end.key,
            };
            let run = runs.entry(key).or_insert_with(|| {
                order.push(key);
                RunItems::default()
            });
            match item {
                Encoded::Began(start) => run.starts.push(start),
                Encoded::Events(_, events) => run.events.push(events),
                Encoded::Ended(end) => run.ends.push(end),
            }
        }
        let mut packed = Packed::default();
        for key in order {
            if let Some(items) = runs.remove(&key) {
                self.write_run(connection, key, items, &mut packed)?;
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
        for batch in packed.batches {
            let state = BatchState {
                is_sealed: batch.spans >= SEALED_SPANS_MIN,
                is_folded: false,
            };
            let id = super::rows::write_batch(connection, &batch, state, &packed.placed)?;
            self.contents.wrote(id);
            self.packer.reuse(batch.blocks);
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
        items: RunItems,
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
        let events_all: usize = items.events.iter().map(|events| events.events.len()).sum();
        live.expect(events_all);
        let mut taken = Taken::default();
        taken.ended.reserve(events_all);
        for events in &items.events {
            take_events(&mut run, &mut live, events, &mut taken);
        }
        let Taken { mut ended, lines } = taken;
        // Spans of a run come in the order of their start: so they are read.
        ended.sort_by_key(|ended| (ended.span.narrow.start, ended.span.narrow.span_id));
        let (names, contents) = (&mut self.names, &mut self.contents);
        contents.write_in(Mentioner::Spans);
        let ahead = ended.iter().take(SPANS_AHEAD);
        contents.look_ahead(ahead.flat_map(|ended| ended.payloads.asked_for(&ended.span.payload)));
        for Ended { span, payloads, node } in &ended {
            if self.packer.is_full() {
                packed.batches.extend(self.packer.finish(contents)?);
            }
            let mut number = |name: &SmolStr| names.number(connection, name);
            self.packer
                .push(key, span, payloads, node, contents, &mut number)?;
            run.span_ended(span);
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
            let model_set = self.model_sets.number(connection, &run.row.models)?;
            run.write(connection, model_set)?;
        }
        super::rows::write_tags(connection, &before, &run)?;
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
        items: RunItems,
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
        let nothing = || whole_span::of_detail(key, Attributes::new(), None);
        let mut detail = there.unwrap_or_else(nothing);
        if let (true, Some(start)) = (begins, items.starts.into_iter().next()) {
            detail.attributes = start.resource;
        }
        if let (true, Some(end)) = (ends, items.ends.into_iter().next()) {
            detail.params = Some(std::sync::Arc::new(end.metrics));
        }
        let sealer = self.sealer.get_or_insert_with(Sealer::new);
        let spans = std::iter::once(&detail);
        let sink = self.contents.write_in(Mentioner::Single);
        let body = whole_span::pack(key, spans, sink, sealer)?;
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
        let body = whole_span::pack(run.row.key, spans, sink, sealer)?;
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
            live.paths.note(&SpanPlace::of(&span_around(run, narrow)));
            Ok(())
        })?;
        let mut source = StoredContent::new(connection);
        for span in read::detail::read_open(connection, run, &mut source)? {
            live.paths.note(&SpanPlace::of(&span));
            live.open_written.push(span.span_id);
            live.open.insert(span.span_id, span);
        }
        Ok(live)
    }
}

/// Spans that end in these items.
fn ended_in(items: &[Encoded]) -> usize {
    let events = items.iter().map(|item| match item {
        Encoded::Events(_, events) => events.ended(),
        Encoded::Began(_) | Encoded::Ended(_) => 0,
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

/// What of a run's events goes into batches and blocks.
#[derive(Default)]
struct Taken<'a> {
    ended: Vec<Ended<'a>>,
    lines: Vec<&'a LogRecord>,
}

/// A span that ended, and its node.
struct Ended<'a> {
    span: &'a EncodedSpan,
    payloads: &'a DeferredPayloads,
    node: SmolStr,
}

fn take_events<'a>(
    run: &mut StoredRun,
    live: &mut LiveRun,
    events: &'a EncodedEvents,
    taken: &mut Taken<'a>,
) {
    for event in &events.events {
        match event {
            EncodedEvent::Started(span) => live.paths.note(&SpanPlace::of(span)),
            EncodedEvent::Ended(span) => live.paths.note(&span.place),
            EncodedEvent::Log(_) => {}
        }
    }
    for event in &events.events {
        match event {
            EncodedEvent::Started(span) => {
                run.hear(span.start);
                let is_new = !live.ids.contains(&span.span_id.to_u64());
                if is_new && live.open.len() < OPEN_MAX {
                    live.open.entry(span.span_id).or_insert_with(|| Span::clone(span));
                }
            }
            EncodedEvent::Ended(span) => {
                let span_id = span.narrow.span_id;
                if !live.ids.insert(span_id.to_u64()) {
                    continue;
                }
                live.open.remove(&span_id);
                if let Some(words) = &span.root {
                    run.name(words.workflow.clone());
                }
                for record in &span.logs {
                    run.logged(record.time);
                    taken.lines.push(record);
                }
                taken.ended.push(Ended {
                    span,
                    payloads: &events.payloads,
                    node: live.paths.path_of(&span.place),
                });
            }
            EncodedEvent::Log(record) => {
                run.logged(record.time);
                taken.lines.push(record);
            }
        }
    }
}

/// Whether the row of a run has other columns that lists are kept of.
pub(super) fn started_of(run: &StoredRun) -> i64 {
    time_to_column(run.row.started)
}
