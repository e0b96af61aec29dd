//! Questions to the history in memory.
//!
//! Looks at everything; never at an index.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use flowmeter_model::{SpanId, TimestampNs};
use smol_str::SmolStr;

use super::MemoryConfig;
use super::history::History;
use super::kept_run::KeptRun;
use crate::rules::filters;
use crate::rules::patterns::{Pattern, context_of};
use crate::rules::sums::{self, Figures, Parts, SLOT_NS, Steps};
use crate::rules::texts::{LOG_FIELD, visit_texts};
use crate::{
    LogFilter, RunFilter, RunKey, RunOrder, RunRow, SearchHit, SearchPlace, SearchQuery, SpanFilter, SpanRow,
    StatsQuery, StatsRow, StatsSums, StoreError, StoredLog,
};

impl History {
    pub(super) fn runs(
        &self,
        config: &MemoryConfig,
        filter: &RunFilter,
        order: RunOrder,
        limit: usize,
        offset: usize,
    ) -> Vec<RunRow> {
        let mut rows: Vec<(u64, RunRow)> = self
            .matching(config, filter)
            .map(|run| (run.number, run.row(config)))
            .collect();
        // Among equals the newer one comes first, and among those that which was first heard of later.
        rows.sort_by_key(|(number, row)| Reverse((row.started, *number)));
        match order {
            RunOrder::Started => {}
            RunOrder::Duration => rows.sort_by_key(|(_, row)| Reverse(row.duration_ns())),
            RunOrder::Cost => rows.sort_by_key(|(_, row)| Reverse(row.cost.known)),
            RunOrder::Tokens => rows.sort_by_key(|(_, row)| Reverse(row.tokens.total())),
            RunOrder::Workflow => rows.sort_by(|a, b| a.1.workflow.cmp(&b.1.workflow)),
        }
        rows.into_iter()
            .map(|(_, row)| row)
            .skip(offset)
            .take(limit)
            .collect()
    }

    fn matching<'a>(
        &'a self,
        config: &'a MemoryConfig,
        filter: &'a RunFilter,
    ) -> impl Iterator<Item = &'a KeptRun> {
        self.runs
            .values()
            .filter(move |run| filters::is_empty(filter) || filters::holds_for_run(filter, &run.row(config)))
    }

    pub(super) fn scan(&self, config: &MemoryConfig, filter: &SpanFilter) -> Vec<SpanRow> {
        let mut rows: Vec<SpanRow> = self
            .matching(config, &filter.runs)
            .flat_map(|run| run.spans.values().map(|kept| &kept.row))
            .filter(|row| filters::holds_for_span(filter, row))
            .cloned()
            .collect();
        rows.sort_by_key(|row| Reverse((row.start, row.run, row.span_id)));
        rows
    }

    pub(super) fn logs(&self, config: &MemoryConfig, filter: &LogFilter) -> Vec<StoredLog> {
        let mut logs: Vec<StoredLog> = self
            .matching(config, &filter.runs)
            .filter(|run| filter.run.is_none_or(|key| key == run.key))
            .flat_map(|run| run.logs.iter().map(|record| (run.key, record)))
            .filter(|(_, record)| filters::holds_for_log(filter, record))
            .map(|(run, record)| StoredLog {
                run,
                record: record.clone(),
            })
            .collect();
        logs.sort_by_key(|log| log.record.time);
        logs
    }

    pub(super) fn search(
        &self,
        config: &MemoryConfig,
        query: &SearchQuery,
    ) -> Result<Vec<SearchHit>, StoreError> {
        let pattern = Pattern::of(query)?;
        let wanted = |place: SearchPlace| query.places.is_empty() || query.places.contains(&place);
        let mut hits = Vec::new();
        for run in self.matching(config, &query.runs) {
            for kept in run.spans.values() {
                let Some(span) = &kept.span else {
                    continue;
                };
                let mut places: BTreeMap<SearchPlace, Vec<(String, String)>> = BTreeMap::new();
                visit_texts(span, &mut |place, field, text| {
                    if wanted(place) {
                        let texts = places.entry(place).or_default();
                        texts.push((field.to_owned(), text.to_owned()));
                    }
                });
                for (place, texts) in places {
                    let found = pattern.find(texts.iter().map(|(_, text)| text.as_str()));
                    if let Some((field, text, found)) =
                        found.and_then(|(at, found)| texts.get(at).map(|text| (&text.0, &text.1, found)))
                    {
                        let of = (run.key, &run.workflow, &kept.row.node);
                        let at = (Some(kept.row.span_id), kept.row.start);
                        hits.push(hit(of, at, place, field, (text, &found)));
                    }
                }
            }
            for record in run.logs.iter().filter(|_| wanted(SearchPlace::Log)) {
                if let Some((_, found)) = pattern.find(std::iter::once(record.message.as_str())) {
                    let node = record
                        .span_id
                        .and_then(|span_id| run.spans.get(&span_id))
                        .map_or_else(SmolStr::default, |kept| kept.row.node.clone());
                    let of = (run.key, &run.workflow, &node);
                    let at = (record.span_id, record.time);
                    hits.push(hit(
                        of,
                        at,
                        SearchPlace::Log,
                        LOG_FIELD,
                        (&record.message, &found),
                    ));
                }
            }
        }
        hits.sort_by_key(|hit| (Reverse(hit.time), hit.run, hit.span_id, hit.place));
        hits.truncate(query.limit);
        Ok(hits)
    }

    pub(super) fn stats(&self, config: &MemoryConfig, query: &StatsQuery) -> Vec<StatsRow> {
        let of_runs = sums::conditions_on_runs(&query.filter);
        let keys: BTreeSet<RunKey> = self.matching(config, &of_runs).map(|run| run.key).collect();
        let counted = |row: &&SpanRow| sums::holds_for(&query.filter, row) && parts(query, row).any();
        let kept: Vec<&SpanRow> = self
            .runs
            .values()
            .filter(|run| keys.contains(&run.key))
            .flat_map(|run| run.spans.values().map(|kept| &kept.row))
            .filter(counted)
            .collect();
        let gone: Vec<&SpanRow> = self
            .gone
            .iter()
            .filter(|_| sums::is_of_roll_ups(query) && sums::has_whole_slots(query))
            .filter(|row| slot_lies_within(row.start, query))
            .filter(counted)
            .collect();
        let all = || kept.iter().chain(&gone).copied();

        let steps = steps_of(query, all().map(|row| row.start));
        let tag = |row: &SpanRow, key: &str| {
            let start = self.runs.get(&row.run)?.start.as_ref()?;
            let found = start.origin.tags.iter().find(|(present, _)| present == key);
            found.map(|(_, value)| value.clone())
        };
        let mut rows: BTreeMap<(Option<TimestampNs>, SmolStr), (StatsSums, Vec<StatsSums>)> = BTreeMap::new();
        if query.by.is_none() {
            rows.insert((None, SmolStr::default()), Default::default());
        }
        for (number, row) in all().enumerate() {
            let (sums, trend) = rows.entry(sums::group_of(query, row, &tag)).or_default();
            let figures = Figures::of(row);
            sums::add(sums, parts(query, row), &figures);
            let is_gone = number >= kept.len();
            if let Some(steps) = steps {
                trend.resize_with(steps.count, StatsSums::default);
            }
            if let Some(steps) = steps.filter(|steps| !is_gone || steps.are_whole(SLOT_NS)) {
                if let Some(step) = steps.of_time(row.start).and_then(|step| trend.get_mut(step)) {
                    sums::add(step, parts(query, row), &figures);
                }
            }
        }
        rows.into_iter()
            .map(|((begins, group), (sums, trend))| StatsRow {
                group,
                begins,
                sums,
                trend,
            })
            .collect()
    }
}

fn parts(query: &StatsQuery, row: &SpanRow) -> Parts {
    Parts::of(row.kind, row.span_id == row.run.root_span_id).within(query)
}

/// Whether the half-hour around a time lies in the interval of a query, all of it.
fn slot_lies_within(time: TimestampNs, query: &StatsQuery) -> bool {
    let begins = time.0 - time.0 % SLOT_NS;
    let runs = &query.filter.runs;
    runs.since.is_none_or(|since| begins >= since.0)
        && runs
            .until
            .is_none_or(|until| begins.saturating_add(SLOT_NS) <= until.0)
}

/// The steps of a query's trend: from the first to the last moment that it names, or that there is.
fn steps_of(query: &StatsQuery, times: impl Iterator<Item = TimestampNs> + Clone) -> Option<Steps> {
    if sums::period_ns(query.by.as_ref()).is_some() {
        return None;
    }
    let (first, last) = (times.clone().min()?, times.max()?);
    let first = query.filter.runs.since.unwrap_or(first);
    let end = query
        .filter
        .runs
        .until
        .unwrap_or(TimestampNs(last.0.saturating_add(1)));
    Steps::of(first, end, query.trend_steps)
}

fn hit(
    (run, workflow, node): (RunKey, &SmolStr, &SmolStr),
    (span_id, time): (Option<SpanId>, TimestampNs),
    place: SearchPlace,
    field: &str,
    (text, found): (&str, &[(usize, usize)]),
) -> SearchHit {
    let (context, matches) = context_of(text, found);
    SearchHit {
        run,
        workflow: workflow.clone(),
        span_id,
        node: node.clone(),
        time,
        place,
        field: field.to_owned(),
        context,
        matches,
    }
}
