//! The chart of `flowmeter stats`: a figure over time, for the largest groups.
//!
//! Never draws: it says what is to be drawn.

use std::path::Path;

use anyhow::Result;
use flowmeter::grouped;
use flowmeter_model::TimestampNs;
use flowmeter_store::{GroupBy, StatsQuery, StatsRow, StatsSums, Store};

use super::counted;
use crate::args::Metric;
use crate::chart::{self, Chart, ImageFormat, Kind, SERIES_MAX, Series, StepLength, Steps, Unit};
use crate::exit::BadUsage;
use crate::replace::replace_bytes;
use crate::sparkline::Glyphs;
use crate::stats_view::{self, Subject, table};
use crate::times::TimeWords;

/// Writes the chart of a figure.
///
/// # Errors
/// For a file that is no image by its name, and where it cannot be written.
pub(super) fn write_chart(
    path: &Path,
    query: &StatsQuery,
    metric: Metric,
    rows: &[StatsRow],
    store: &dyn Store,
    times: &TimeWords,
) -> Result<()> {
    let format = ImageFormat::of_path(path).map_err(BadUsage)?;
    let chart = chart_of(query, metric, rows, store, times)?;
    replace_bytes(path, &chart::render(&chart, format)?)
}

/// The figure over time: a series for each of the largest groups, the others in one.
pub(super) fn chart_of(
    query: &StatsQuery,
    metric: Metric,
    rows: &[StatsRow],
    store: &dyn Store,
    times: &TimeWords,
) -> Result<Chart> {
    let by = query.by.as_ref().filter(|by| !stats_view::is_time(Some(by)));
    let subject = Subject::of(query);
    let steps = steps_of(query, store, times)?;
    let mut largest: Vec<StatsRow> = rows.to_vec();
    stats_view::sort(&mut largest, query, Some(metric));
    if by.is_some() {
        largest.retain(|row| stats_view::figure(&row.sums, metric, subject).is_some_and(|value| value > 0.0));
    }
    let groups: Vec<&StatsRow> = if by.is_some() {
        let shown = if largest.len() > SERIES_MAX {
            SERIES_MAX - 1
        } else {
            SERIES_MAX
        };
        largest.iter().take(shown).collect()
    } else {
        Vec::new()
    };
    let rest = largest.len().saturating_sub(groups.len());
    let mut values: Vec<Vec<Option<f64>>> = vec![Vec::new(); groups.len() + 1];
    for (begin, end) in steps.ranges() {
        let runs = &query.filter.runs;
        let mut of_step = StatsQuery {
            by: by.cloned(),
            trend_steps: 0,
            ..query.clone()
        };
        of_step.filter.runs.since = Some(runs.since.map_or(begin, |since| since.max(begin)));
        of_step.filter.runs.until = Some(runs.until.map_or(end, |until| until.min(end)));
        let mut sums = vec![StatsSums::default(); values.len()];
        for row in store.stats(&of_step)? {
            let place = groups.iter().position(|group| group.group == row.group);
            if let Some(sum) = sums.get_mut(place.unwrap_or(groups.len())) {
                sum.merge(&row.sums);
            }
        }
        for (values, sums) in values.iter_mut().zip(&sums) {
            values.push(stats_view::figure(sums, metric, subject));
        }
    }
    let mut series: Vec<Series> = Vec::new();
    let rest_values = values.pop().unwrap_or_default();
    for (group, values) in groups.iter().zip(values) {
        let name = match group.group.as_str() {
            "" if matches!(by, Some(GroupBy::Tag(_))) => "(without)".to_owned(),
            "" => "(unknown)".to_owned(),
            name => name.to_owned(),
        };
        series.push(Series {
            name,
            values,
            is_rest: false,
        });
    }
    if by.is_none() {
        series.push(Series {
            name: String::new(),
            values: rest_values,
            is_rest: false,
        });
    } else if rest > 0 {
        series.push(Series {
            name: format!("other ({})", grouped(rest as u64)),
            values: rest_values,
            is_rest: true,
        });
    }
    let words = Words::of(metric, subject);
    let title = match by {
        Some(GroupBy::Tag(key)) => format!("{} by {key}", words.title),
        Some(by) => format!("{} by {}", words.title, stats_view::name_of(by)),
        None => words.title.clone(),
    };
    let total = stats_view::total_of(rows);
    Ok(Chart {
        title,
        subtitle: subtitle(&steps, metric, &total, subject),
        axis: words.axis.to_owned(),
        unit: words.unit,
        kind: words.kind,
        steps,
        series,
    })
}

/// What a chart of a figure says.
struct Words {
    title: String,
    axis: &'static str,
    unit: Unit,
    kind: Kind,
}

impl Words {
    fn of(metric: Metric, subject: Subject) -> Self {
        let duration = |rank: &str| {
            let of = match subject {
                Subject::Runs => "a run",
                Subject::Nodes => "a node",
                Subject::LlmCalls => "an LLM call",
            };
            (
                format!("Duration of {of}, {rank}"),
                "duration",
                Unit::Seconds,
                Kind::Lines,
            )
        };
        let (title, axis, unit, kind) = match metric {
            Metric::Cost => ("Cost".to_owned(), "US dollars", Unit::Usd, Kind::Bars),
            Metric::Saved => ("Saved by caches".to_owned(), "US dollars", Unit::Usd, Kind::Bars),
            Metric::Runs => ("Runs".to_owned(), "runs", Unit::Count, Kind::Bars),
            Metric::Failures => (
                format!("Failed {}", subject.words()),
                subject.words(),
                Unit::Count,
                Kind::Bars,
            ),
            Metric::Calls => ("LLM calls".to_owned(), "LLM calls", Unit::Count, Kind::Bars),
            Metric::Tokens => (
                "Tokens, input and output".to_owned(),
                "tokens",
                Unit::Count,
                Kind::Bars,
            ),
            Metric::P50 => duration("median"),
            Metric::P90 => duration("90th percentile"),
            Metric::P99 => duration("99th percentile"),
        };
        Self {
            title,
            axis,
            unit,
            kind,
        }
    }
}

fn subtitle(steps: &Steps, metric: Metric, total: &StatsSums, subject: Subject) -> String {
    let ranges: Vec<_> = steps.ranges().collect();
    let (Some((first, _)), Some((last, _))) = (ranges.first(), ranges.last()) else {
        return String::new();
    };
    let (first, last) = (chart::step_text(*first, steps), chart::step_text(*last, steps));
    let when = if first == last {
        first
    } else {
        format!("{first} to {last}")
    };
    let amount = match metric {
        Metric::Cost => table::cost_text(&total.cost, Glyphs::Blocks),
        Metric::Saved => table::cost_text(&stats_view::saved_by_caches(total), Glyphs::Blocks),
        Metric::Runs => counted(total.runs, "run"),
        Metric::Failures => counted(subject.failed(total), "failure"),
        Metric::Calls => counted(total.llm_calls, "LLM call"),
        Metric::Tokens => counted(total.tokens.total(), "token"),
        Metric::P50 | Metric::P90 | Metric::P99 => {
            format!("{} {}", grouped(subject.count(total)), subject.words())
        }
    };
    format!("{when} · {amount} in all")
}

/// From the first to the last moment that is asked for, or that anything was recorded at.
fn steps_of(query: &StatsQuery, store: &dyn Store, times: &TimeWords) -> Result<Steps> {
    let wanted = match query.by {
        Some(GroupBy::Day) => Some(StepLength::Day),
        Some(GroupBy::Hour) => Some(StepLength::HOUR),
        _ => None,
    };
    let asked = &query.filter.runs;
    let now = times.now();
    let mut recorded = recorded(query, GroupBy::Day, store)?;
    if recorded.is_some_and(|(first, last)| last.since(first) <= 2 * DAY_NS) {
        recorded = self::recorded(query, GroupBy::Hour, store)?;
    }
    let first = asked.since.or(recorded.map(|(first, _)| first)).unwrap_or(now);
    let last = match (asked.until, recorded) {
        (Some(until), _) => TimestampNs(until.0.saturating_sub(1)).min(now),
        (None, _) if asked.since.is_some() => now,
        (None, Some((_, last))) => last,
        (None, None) => now,
    };
    Ok(Steps::over(first, last, wanted, query.utc_offset_seconds))
}

const DAY_NS: u64 = 86_400_000_000_000;
const HOUR_NS: u64 = 3_600_000_000_000;

/// The beginning of the first, and the end of the last day or hour in which anything was recorded.
fn recorded(
    query: &StatsQuery,
    by: GroupBy,
    store: &dyn Store,
) -> Result<Option<(TimestampNs, TimestampNs)>> {
    let length = if by == GroupBy::Hour { HOUR_NS } else { DAY_NS };
    let rows = store.stats(&StatsQuery {
        by: Some(by),
        trend_steps: 0,
        ..query.clone()
    })?;
    let begins = || rows.iter().filter_map(|row| row.begins);
    let bounds = begins().min().zip(begins().max());
    Ok(bounds.map(|(first, last)| (first, TimestampNs(last.0 + length - 1))))
}
