//! Answers: the sums that are kept, and the spans that these do not speak for.
//!
//! Everything is read in one transaction of the caller, so that what is folded meanwhile is in one of the two, never in
//! both.

use std::sync::mpsc::{self, TrySendError};

use flowmeter_model::TimestampNs;
use parking_lot::Mutex;
use rusqlite::Connection;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::super::SqliteConfig;
use super::super::cores::cores;
use super::super::names::NameTexts;
use super::super::read::run_values::RunValues;
use super::super::read::scan::RunSet;
use super::super::run_row::time_to_column;
use super::columns::{BatchColumns, BatchReader, PackedBatch};
use super::place::{self, Level};
use super::plan::Plan;
use super::tally::{Tally, Trend};
use crate::rules::calendar::DAY_NS;
use crate::rules::filters;
use crate::rules::sums::{self, SLOT_NS, Steps};
use crate::{GroupBy, StatsQuery, StatsRow, StatsSums, StoreError};

/// Fewer batches are not worth another thread.
const BATCHES_A_THREAD: usize = 16;
/// More threads would wait for the one that reads.
const THREADS_MAX: usize = 4;
/// Batches that are handed to a thread together.
const BATCHES_TOGETHER: usize = 8;

/// Sums and percentiles.
///
/// # Errors
/// When the file cannot be read.
pub(in crate::sqlite) fn stats(
    connection: &Connection,
    config: &SqliteConfig,
    texts: &NameTexts,
    query: &StatsQuery,
) -> Result<Vec<StatsRow>, StoreError> {
    let plan = Plan::of(connection, query)?;
    let question = Question {
        connection,
        config,
        plan: &plan,
    };
    let named = |number: i64| texts.text(connection, number);
    let wants_trend = query.trend_steps > 0 && sums::period_ns(query.by.as_ref()).is_none();
    if !wants_trend {
        let (tally, tags) = question.tally(plan.longest(None), Trend::None)?;
        return tally.rows(None, &named, &tags);
    }
    // From the longest periods to the exact moments: which steps there are is known when it is known how long it all is.
    for level in [Level::Day, Level::Slot] {
        if question.may_have_steps_of(level) {
            let (tally, tags) = question.tally(plan.longest(Some(level)), Trend::Periods(level))?;
            let steps = question.steps(&tally);
            let length = if level == Level::Day { DAY_NS } else { SLOT_NS };
            if steps.is_none_or(|steps| steps.are_whole(length)) {
                return tally.rows(steps, &named, &tags);
            }
        }
    }
    // Steps that are finer than sums: from spans alone, beside the sums.
    let (tally, tags) = question.tally(plan.longest(None), Trend::None)?;
    let mut rows = tally.rows(None, &named, &tags)?;
    let (extent, _) = question.tally(None, Trend::None)?;
    if let Some(steps) = question.steps(&extent) {
        let (tally, tags) = question.tally(None, Trend::Steps(steps))?;
        let mut trends: FxHashMap<SmolStr, Vec<StatsSums>> = tally
            .rows(Some(steps), &named, &tags)?
            .into_iter()
            .map(|row| (row.group, row.trend))
            .collect();
        for row in &mut rows {
            row.trend = trends.remove(&row.group).unwrap_or_default();
            row.trend.resize_with(steps.count, StatsSums::default);
        }
    }
    Ok(rows)
}

struct Question<'a, 'q> {
    connection: &'a Connection,
    config: &'a SqliteConfig,
    plan: &'a Plan<'q>,
}

impl<'a, 'q> Question<'a, 'q> {
    /// Whether the interval, as far as it is said, has room for steps of whole periods.
    fn may_have_steps_of(&self, level: Level) -> bool {
        let runs = &self.plan.query.filter.runs;
        let (Some(since), Some(until)) = (runs.since, runs.until) else {
            return true;
        };
        let length = if level == Level::Day { DAY_NS } else { SLOT_NS };
        Steps::of(since, until, self.plan.query.trend_steps).is_none_or(|steps| steps.are_whole(length))
    }

    /// The steps of the trend.
    fn steps(&self, tally: &Tally<'_, '_>) -> Option<Steps> {
        let runs = &self.plan.query.filter.runs;
        let (first, last) = tally.extent()?;
        let first = runs.since.unwrap_or(TimestampNs(first));
        let end = runs.until.unwrap_or(TimestampNs(last.saturating_add(1)));
        Steps::of(first, end, self.plan.query.trend_steps)
    }

    /// Adds everything up: from sums of periods of at most this length, and from spans.
    fn tally(
        &self,
        longest: Option<Level>,
        trend: Trend,
    ) -> Result<(Tally<'a, 'q>, Vec<SmolStr>), StoreError> {
        let mut tally = Tally::new(self.plan, trend);
        let (from, to) = self.plan.interval;
        let Some(longest) = longest else {
            let runs = self.runs()?;
            let tags = Tags::of(self.connection, &self.plan.query.by)?;
            self.add_spans(&mut tally, Which::All, (from, to), &runs, &tags)?;
            return Ok((tally, tags.values));
        };
        let tags = Tags::default();
        let (first, end) = self.plan.whole_slots();
        place::visit(
            self.connection,
            longest,
            self.plan.section,
            (first, end),
            self.plan.conditions(),
            &mut |slot, key, bytes| tally.add_entry(slot, key, bytes),
        )?;
        let all = RunSet::All;
        let (first, end) = (first.saturating_mul(SLOT_NS), end.saturating_mul(SLOT_NS));
        if first >= end {
            self.add_spans(&mut tally, Which::Folded, (from, to), &all, &tags)?;
        } else {
            self.add_spans(&mut tally, Which::Folded, (from, first), &all, &tags)?;
            self.add_spans(&mut tally, Which::Folded, (end, to), &all, &tags)?;
        }
        self.add_spans(&mut tally, Which::Unfolded, (from, to), &all, &tags)?;
        Ok((tally, Vec::new()))
    }

    /// The runs that count.
    fn runs(&self) -> Result<RunSet, StoreError> {
        let filter = sums::conditions_on_runs(&self.plan.query.filter);
        if filters::is_empty(&filter) {
            return Ok(RunSet::All);
        }
        super::runs::ids(self.connection, self.config, &filter)
    }

    /// Adds spans that began in an interval.
    fn add_spans(
        &self,
        tally: &mut Tally<'a, 'q>,
        which: Which,
        (from, to): (u64, u64),
        runs: &RunSet,
        tags: &Tags,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let batches = self.batches(which, (from, to))?;
        let adder = Adder {
            plan: self.plan,
            interval: (from, to),
            runs,
            tags,
        };
        let mut reader = BatchReader::new(self.connection)?;
        let mut columns = BatchColumns::default();
        let cores = cores();
        let helpers = (batches.len() / BATCHES_A_THREAD).min(cores.min(THREADS_MAX) - 1);
        if helpers == 0 {
            for batch in batches {
                adder.add(tally, &mut columns, &reader.packed(batch)?)?;
            }
            return Ok(());
        }
        // This thread reads; all add up, this one when the others have enough to do.
        let trend = tally.trend();
        let (send, receive) = mpsc::sync_channel::<Vec<PackedBatch>>(helpers);
        let receive = Mutex::new(receive);
        let plan = self.plan;
        let help = || -> Result<Tally<'a, 'q>, StoreError> {
            let mut tally = Tally::new(plan, trend);
            let mut columns = BatchColumns::default();
            loop {
                let next = receive.lock().recv();
                let Ok(packed) = next else {
                    return Ok(tally);
                };
                for packed in &packed {
                    adder.add(&mut tally, &mut columns, packed)?;
                }
            }
        };
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(help)).collect();
            let read = (|| {
                // Gone at the end, also after a failure: the helpers wait for it.
                let send = send;
                for together in batches.chunks(BATCHES_TOGETHER) {
                    let packed = together
                        .iter()
                        .map(|batch| reader.packed(*batch))
                        .collect::<Result<_, _>>()?;
                    if let Err(TrySendError::Full(packed) | TrySendError::Disconnected(packed)) =
                        send.try_send(packed)
                    {
                        for packed in &packed {
                            adder.add(tally, &mut columns, packed)?;
                        }
                    }
                }
                Ok(())
            })();
            for helper in helpers {
                let helped = helper
                    .join()
                    .map_err(|_| StoreError::Invalid("a thread that added up has failed".to_owned()))?;
                tally.absorb(helped?);
            }
            read
        })
    }

    /// The batches that may hold spans of an interval.
    fn batches(&self, which: Which, (from, to): (u64, u64)) -> Result<Vec<i64>, StoreError> {
        let sql = match which {
            Which::All => "SELECT id FROM batch WHERE start_max >= ?1 AND start_min <= ?2",
            Which::Folded => {
                "SELECT id FROM batch INDEXED BY batch_time WHERE start_max >= ?1 AND start_min <= ?2 AND folded <> 0"
            }
            Which::Unfolded => {
                "SELECT id FROM batch INDEXED BY batch_unfolded WHERE folded = 0 AND start_max >= ?1 AND start_min <= ?2"
            }
        };
        let times = (time_to_column(TimestampNs(from)), time_to_column(TimestampNs(to)));
        let batches = self
            .connection
            .prepare_cached(sql)?
            .query_map(times, |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(batches)
    }
}

/// Adds the spans of batches up, whoever reads them.
struct Adder<'a, 'q> {
    plan: &'a Plan<'q>,
    interval: (u64, u64),
    runs: &'a RunSet,
    tags: &'a Tags,
}

impl Adder<'_, '_> {
    fn add(
        &self,
        tally: &mut Tally<'_, '_>,
        columns: &mut BatchColumns,
        packed: &PackedBatch,
    ) -> Result<(), StoreError> {
        let (from, to) = self.interval;
        let mut of_batch: Vec<Option<i64>> = Vec::new();
        columns.visit_packed(packed, self.plan.parts, |entries, counting| {
            if of_batch.is_empty() {
                let value = |id: i64| self.runs.has(id).then(|| self.tags.of_run(id));
                of_batch.extend(entries.iter().map(|run| value(run.id)));
            }
            let Some(Some(tag)) = of_batch.get(counting.run) else {
                return Ok(());
            };
            if (from..to).contains(&counting.start.0) {
                tally.add_span(counting, *tag);
            }
            Ok(())
        })
    }
}

/// Which batches.
#[derive(Clone, Copy)]
enum Which {
    All,
    Folded,
    Unfolded,
}

/// The values of the tag that is asked for.
#[derive(Default)]
struct Tags {
    values: Vec<SmolStr>,
    of_runs: RunValues,
}

impl Tags {
    fn of(connection: &Connection, by: &Option<GroupBy>) -> Result<Self, StoreError> {
        // The first stands for none.
        let mut tags = Self {
            values: vec![SmolStr::default()],
            of_runs: RunValues::default(),
        };
        let Some(GroupBy::Tag(key)) = by else {
            return Ok(tags);
        };
        let mut statement =
            connection.prepare_cached("SELECT value, run FROM run_tag WHERE key = ?1 ORDER BY value")?;
        let mut rows = statement.query([key])?;
        let mut of_runs = Vec::new();
        while let Some(row) = rows.next()? {
            let value = row.get_ref(0)?;
            let value = value.as_str().unwrap_or_default();
            if tags.values.len() == 1 || tags.values.last().is_some_and(|last| last != value) {
                tags.values.push(SmolStr::new(value));
            }
            of_runs.push((row.get(1)?, tags.values.len() as u32 - 1));
        }
        tags.of_runs = RunValues::of(of_runs);
        Ok(tags)
    }

    fn of_run(&self, run: i64) -> i64 {
        i64::from(self.of_runs.get(run))
    }
}
