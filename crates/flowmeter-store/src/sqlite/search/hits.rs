//! What may hold the text is verified by the rules, and becomes a hit with its run, its node and its context.
//!
//! Never keeps more hits than are asked for, but for those of one wave.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use flowmeter_model::{SpanId, TimestampNs};
use rusqlite::Connection;
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::super::SqliteConfig;
use super::super::batch_runs::{BatchRun, decode_runs};
use super::super::content_source::StoredContent;
use super::super::failure::damaged;
use super::super::names::NameTexts;
use super::super::read::batches::{blob, firsts, select, with_columns};
use super::super::read::runs;
use super::super::run_row::{SELECT, StoredRun, time_to_column};
use super::filter::RawFilter;
use super::scan::{Candidate, Origin};
use super::sources::OnlyIn;
use crate::codec::columns::{Column, DictionaryColumn, decode_integers};
use crate::codec::content::{ContentHash, ContentSource, OpenedContent};
use crate::codec::payload::{LogHead, visit_log_texts, visit_references_in_values, visit_texts};
use crate::rules::filters::{holds_for_run, is_empty};
use crate::rules::patterns::{Pattern, context_of};
use crate::{RunKey, RunOrder, SearchHit, SearchPlace, SearchQuery, StoreError};

/// So few runs are looked for where they stand; of more, each hit is asked for its run.
const RUNS_FEW: usize = 2_000;
/// Content whose verdict is remembered, at most.
const VERDICTS_MAX: usize = 1_000_000;

/// A run as its hits show it.
#[derive(Clone)]
struct KnownRun {
    key: RunKey,
    workflow: SmolStr,
    is_wanted: bool,
}

/// What of a batch's spans hits show.
struct KnownBatch {
    runs: Vec<BatchRun>,
    starts: Vec<u64>,
    span_ids: Vec<u64>,
    nodes: DictionaryColumn,
    firsts: Vec<usize>,
}

impl KnownBatch {
    fn read(connection: &Connection, batch: i64) -> Result<Self, StoreError> {
        let columns = [Column::Start, Column::SpanId, Column::Node];
        with_columns(connection, batch, &columns, |row| {
            let (mut starts, mut span_ids) = (Vec::new(), Vec::new());
            decode_integers(row.bytes(0), row.spans, &mut starts)?;
            decode_integers(row.bytes(1), row.spans, &mut span_ids)?;
            Ok(Self {
                starts,
                span_ids,
                nodes: DictionaryColumn::decode(row.bytes(2), row.spans)?,
                firsts: firsts(connection, batch)?,
                runs: row.runs,
            })
        })
    }

    /// The number of the run that a span is of: the spans stand run by run.
    fn run(&self, place: usize) -> Option<i64> {
        let mut end = 0;
        let run = self.runs.iter().find(|run| {
            end += run.count;
            place < end
        });
        run.map(|run| run.id)
    }
}

/// A hit, and the run that it stands in: the node of a log line is looked up at the end.
struct Found {
    hit: SearchHit,
    run: i64,
}

/// The lines of a run in a block: the run's number, the first line, and how many.
type RunLines = (i64, usize, usize);

/// Gathers hits.
pub(super) struct Hits<'c> {
    connection: &'c Connection,
    config: &'c SqliteConfig,
    texts: &'c NameTexts,
    query: &'c SearchQuery,
    pattern: &'c Pattern,
    filter: &'c RawFilter,
    source: StoredContent<'c>,
    /// The runs that are asked for, where they are few.
    few: Option<FxHashSet<i64>>,
    runs: FxHashMap<i64, KnownRun>,
    /// Whether content may hold something of the text.
    verdicts: FxHashMap<ContentHash, bool>,
    /// The batch of the last hit.
    batch: Option<(i64, KnownBatch)>,
    /// The block of the last log line that was found, with the runs of its lines: number, first and count.
    lines: Option<(i64, Vec<RunLines>)>,
    found: Vec<Found>,
}

impl<'c> Hits<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        config: &'c SqliteConfig,
        texts: &'c NameTexts,
        query: &'c SearchQuery,
        pattern: &'c Pattern,
        filter: &'c RawFilter,
    ) -> Result<Self, StoreError> {
        let mut few = FxHashSet::default();
        let has_filter = !is_empty(&query.runs);
        if has_filter {
            runs::visit(
                connection,
                config,
                &query.runs,
                RunOrder::Started,
                &mut |id, _| {
                    few.insert(id);
                    Ok(few.len() <= RUNS_FEW)
                },
            )?;
        }
        Ok(Self {
            connection,
            config,
            texts,
            query,
            pattern,
            filter,
            source: StoredContent::new(connection),
            few: (has_filter && few.len() <= RUNS_FEW).then_some(few),
            runs: FxHashMap::default(),
            verdicts: FxHashMap::default(),
            batch: None,
            lines: None,
            found: Vec::new(),
        })
    }

    /// Where the runs that are asked for stand; `None`: anywhere.
    pub(super) fn only_in(&self) -> Result<Option<OnlyIn>, StoreError> {
        let Some(few) = &self.few else {
            return Ok(None);
        };
        let numbers = |sql: &str| -> Result<FxHashSet<i64>, StoreError> {
            let mut found = FxHashSet::default();
            let mut statement = self.connection.prepare_cached(sql)?;
            for run in few {
                let mut rows = statement.query([run])?;
                while let Some(row) = rows.next()? {
                    found.insert(row.get(0)?);
                }
            }
            Ok(found)
        };
        Ok(Some(OnlyIn {
            batches: numbers("SELECT batch FROM batch_run WHERE run = ?1")?,
            lines: numbers("SELECT block FROM log_run WHERE run = ?1")?,
        }))
    }

    /// Whether what is not newer than this can change nothing any more; what was found is sorted. `None`: nothing is left.
    pub(super) fn are_enough(&self, newest: Option<i64>) -> bool {
        let last = self.found.get(self.query.limit.saturating_sub(1));
        match (last, newest) {
            (Some(last), Some(newest)) => time_to_column(last.hit.time) > newest,
            _ => false,
        }
    }

    /// How many were found.
    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Sorts what was found, and keeps as much as is asked for.
    pub(super) fn trim(&mut self) {
        self.found
            .sort_by_key(|Found { hit, .. }| (Reverse(hit.time), hit.run, hit.span_id, hit.place));
        self.found.truncate(self.query.limit);
    }

    /// What was found, the newest first.
    pub(super) fn finish(mut self) -> Result<Vec<SearchHit>, StoreError> {
        self.trim();
        let mut hits = Vec::with_capacity(self.found.len());
        for Found { mut hit, run } in std::mem::take(&mut self.found) {
            if let (SearchPlace::Log, Some(span_id)) = (hit.place, hit.span_id) {
                hit.node = self.node_of(run, span_id)?;
            }
            hits.push(hit);
        }
        Ok(hits)
    }

    /// Looks at a candidate, and keeps the hits in it. Candidates come the newest first.
    pub(super) fn verify(&mut self, candidate: &Candidate) -> Result<(), StoreError> {
        if self.found.len() >= self.query.limit {
            self.trim();
            if self.are_enough(Some(candidate.time)) {
                return Ok(());
            }
        }
        let mut may_hold = candidate.references.is_empty();
        for hash in &candidate.references {
            may_hold = may_hold || self.content_may_hold(*hash)?;
        }
        if !may_hold {
            return Ok(());
        }
        match candidate.origin {
            Origin::Span { batch, block, place } => self.verify_span(candidate, batch, block, place),
            Origin::Line { block, place } => self.verify_line(candidate, block, place),
        }
    }

    fn verify_span(
        &mut self,
        candidate: &Candidate,
        batch: i64,
        block: usize,
        place: usize,
    ) -> Result<(), StoreError> {
        let (wanted, filter) = (&self.query.places, self.filter);
        let mut places: BTreeMap<SearchPlace, Vec<(String, String)>> = BTreeMap::new();
        visit_texts(&candidate.bytes, &mut self.source, &mut |place, field, text| {
            // One that holds nothing of it adds nothing.
            if (wanted.is_empty() || wanted.contains(&place)) && filter.may_hold_some(text.as_bytes()) {
                let texts = places.entry(place).or_default();
                texts.push((field.to_owned(), text.to_owned()));
            }
        })?;
        for (kind, texts) in places {
            let Some((at, found)) = self.pattern.find(texts.iter().map(|(_, text)| text.as_str())) else {
                continue;
            };
            let Some((field, text)) = texts.get(at) else {
                continue;
            };
            let (context, matches) = context_of(text, &found);
            let Some(hit) = self.span_hit(batch, block, place)? else {
                return Ok(());
            };
            let (run, hit) = hit;
            self.found.push(Found {
                run,
                hit: SearchHit {
                    place: kind,
                    field: field.clone(),
                    context,
                    matches,
                    ..hit
                },
            });
        }
        Ok(())
    }

    /// A hit in this span, its text still missing; `None` where its run is not asked for.
    fn span_hit(
        &mut self,
        batch: i64,
        block: usize,
        place: usize,
    ) -> Result<Option<(i64, SearchHit)>, StoreError> {
        if self.batch.as_ref().is_none_or(|(known, _)| *known != batch) {
            self.batch = Some((batch, KnownBatch::read(self.connection, batch)?));
        }
        let missing = || damaged(format!("span {place} in block {block} of batch {batch}"));
        let known = self.batch.as_ref().map(|(_, known)| known).ok_or_else(missing)?;
        let place = known.firsts.get(block).ok_or_else(missing)? + place;
        let run = known.run(place).ok_or_else(missing)?;
        let span_id = known.span_ids.get(place).copied().and_then(SpanId::from_u64);
        let span_id = span_id.ok_or_else(missing)?;
        let start = TimestampNs(*known.starts.get(place).ok_or_else(missing)?);
        let node = known.nodes.name(place).ok_or_else(missing)?;
        let Some(known) = self.run(run)?.filter(|run| run.is_wanted) else {
            return Ok(None);
        };
        let node = self.texts.text(self.connection, node)?;
        Ok(Some((run, empty_hit(known, Some(span_id), node, start))))
    }

    fn verify_line(&mut self, candidate: &Candidate, block: i64, place: usize) -> Result<(), StoreError> {
        let mut message = None;
        visit_log_texts(&candidate.bytes, &mut self.source, &mut |_, field, text| {
            message = Some((field.to_owned(), text.to_owned()));
        })?;
        let Some((field, text)) = message else {
            return Ok(());
        };
        let Some((_, found)) = self.pattern.find(std::iter::once(text.as_str())) else {
            return Ok(());
        };
        if self.lines.as_ref().is_none_or(|(known, _)| *known != block) {
            let slices = self
                .connection
                .prepare_cached("SELECT run, first, count FROM log_run WHERE block = ?1")?
                .query_map([block], |row| {
                    let number = |column| row.get::<_, i64>(column);
                    Ok((number(0)?, number(1)? as usize, number(2)? as usize))
                })?
                .collect::<Result<_, _>>()?;
            self.lines = Some((block, slices));
        }
        let slices = self
            .lines
            .as_ref()
            .map(|(_, slices)| slices.as_slice())
            .unwrap_or_default();
        let slice = slices
            .iter()
            .find(|(_, first, count)| (*first..first + count).contains(&place));
        // A line that no run claims is one of a run that was forgotten.
        let Some(run) = slice.map(|(run, _, _)| *run) else {
            return Ok(());
        };
        let Some(known) = self.run(run)?.filter(|run| run.is_wanted) else {
            return Ok(());
        };
        let head = LogHead::of(&candidate.bytes)?;
        let (context, matches) = context_of(&text, &found);
        let hit = SearchHit {
            place: SearchPlace::Log,
            field,
            context,
            matches,
            ..empty_hit(known, head.span_id, SmolStr::default(), head.time)
        };
        self.found.push(Found { run, hit });
        Ok(())
    }

    /// A run by its number; `None` where it is gone.
    fn run(&mut self, id: i64) -> Result<Option<KnownRun>, StoreError> {
        if let Some(known) = self.runs.get(&id) {
            return Ok(Some(known.clone()));
        }
        let sql = format!("{SELECT}run WHERE id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([id])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let row = StoredRun::read(row)?.into_row(self.config);
        let known = KnownRun {
            key: row.key,
            workflow: row.workflow.clone(),
            is_wanted: match &self.few {
                Some(few) => few.contains(&id),
                None => holds_for_run(&self.query.runs, &row),
            },
        };
        self.runs.insert(id, known.clone());
        Ok(Some(known))
    }

    /// The node of a span.
    fn node_of(&self, run: i64, span_id: SpanId) -> Result<SmolStr, StoreError> {
        let mut slices = self
            .connection
            .prepare_cached("SELECT batch, first, count FROM batch_run WHERE run = ?1")?;
        let mut slices = slices.query([run])?;
        let sql = select(&[Column::SpanId, Column::Node]);
        let mut ids = Vec::new();
        while let Some(slice) = slices.next()? {
            let (batch, first, count): (i64, i64, i64) = (slice.get(0)?, slice.get(1)?, slice.get(2)?);
            let (first, count) = (first as usize, count as usize);
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query([batch])?;
            let Some(row) = rows.next()? else {
                continue;
            };
            let all = decode_runs(blob(row, 0))?.iter().map(|run| run.count).sum();
            decode_integers(blob(row, 1), all, &mut ids)?;
            let slice = ids.get(first..first + count).unwrap_or_default();
            if let Some(offset) = slice.iter().position(|id| *id == span_id.to_u64()) {
                let nodes = DictionaryColumn::decode(blob(row, 2), all)?;
                let node = nodes.name(first + offset).unwrap_or(0);
                return self.texts.text(self.connection, node);
            }
        }
        Ok(SmolStr::default())
    }

    /// Whether content, or what it builds upon, may hold something of the text.
    fn content_may_hold(&mut self, hash: ContentHash) -> Result<bool, StoreError> {
        let mut asked: Vec<ContentHash> = Vec::new();
        let mut waiting = vec![hash];
        let mut holds = false;
        // Rows build upon rows: each is asked once, and what is above a row that holds it holds it, too.
        while let Some(hash) = waiting.pop() {
            match self.verdicts.get(&hash) {
                Some(true) => {
                    holds = true;
                    break;
                }
                Some(false) => continue,
                None => {}
            }
            let content = self.source.content(hash)?;
            let (bytes, parent) = match &*content {
                OpenedContent::Text(text) => (text.as_bytes(), None),
                OpenedContent::Messages { bytes, parent, .. } => {
                    visit_references_in_values(bytes, &mut |hash| waiting.push(hash))?;
                    (bytes.as_slice(), *parent)
                }
            };
            asked.push(hash);
            if self.filter.may_hold_some(bytes) {
                holds = true;
                break;
            }
            waiting.extend(parent.map(|(hash, _)| hash));
            if asked.len() > VERDICTS_MAX {
                return Ok(true);
            }
        }
        if self.verdicts.len() > VERDICTS_MAX {
            self.verdicts.clear();
        }
        if holds {
            self.verdicts.insert(hash, true);
        } else {
            self.verdicts.extend(asked.into_iter().map(|hash| (hash, false)));
        }
        Ok(holds)
    }
}

fn empty_hit(run: KnownRun, span_id: Option<SpanId>, node: SmolStr, time: TimestampNs) -> SearchHit {
    SearchHit {
        run: run.key,
        workflow: run.workflow,
        span_id,
        node,
        time,
        place: SearchPlace::Log,
        field: String::new(),
        context: String::new(),
        matches: Vec::new(),
    }
}
