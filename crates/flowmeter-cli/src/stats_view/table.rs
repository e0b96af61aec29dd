//! Statistics as a table: a row a group, a trend or a bar, and a row of totals.
//!
//! Never says more than the grouping knows: models have no runs, days have no trend.

use flowmeter::grouped;
use flowmeter_model::{CostTotal, UsdNanos};
use flowmeter_store::{GroupBy, StatsRow, StatsSums};
use owo_colors::Style;

use super::{Subject, figure, is_every_tag, is_time, total_of};
use crate::args::Metric;
use crate::sparkline::{Glyphs, bar, sparkline};
use crate::table::{Cell, Column, Table, TableStyle};
use crate::times::{TimeWords, short_duration};

/// Cells of the longest bar.
const BAR_CELLS: usize = 12;

/// How the table is to look.
pub(crate) struct View<'a> {
    pub(crate) by: Option<&'a GroupBy>,
    pub(crate) subject: Subject,
    pub(crate) times: &'a TimeWords,
    pub(crate) glyphs: Glyphs,
    pub(crate) style: TableStyle,
    /// The figure of trends and bars.
    pub(crate) metric: Metric,
    /// The others are summed in one row.
    pub(crate) rows_max: usize,
}

/// The table's lines; of no rows none.
pub(crate) fn render(view: &View<'_>, rows: &[StatsRow]) -> String {
    let subject = view.subject;
    let most = rows
        .iter()
        .filter_map(|row| figure(&row.sums, view.metric, subject))
        .fold(0.0, f64::max);
    let mut table = Table::new(columns(view, subject));
    let (shown, rest) = rows.split_at(rows.len().min(view.rows_max));
    for row in shown {
        let last = if is_time(view.by) {
            let value = figure(&row.sums, view.metric, subject).unwrap_or(0.0);
            bar(value, most, BAR_CELLS, view.glyphs)
        } else {
            trend(&row.trend, view, subject)
        };
        table.row(cells(
            view,
            subject,
            &group_text(view, row),
            &row.sums,
            last,
            Style::new(),
        ));
    }
    if !rest.is_empty() {
        let sums = total_of(rest);
        let name = format!("{} more", grouped(rest.len() as u64));
        let last = if is_time(view.by) {
            String::new()
        } else {
            trend(&trend_of(rest), view, subject)
        };
        table.row(cells(view, subject, &name, &sums, last, Style::new().dimmed()));
    }
    if view.by.is_some() && rows.len() > 1 && !is_every_tag(view.by) {
        let last = if is_time(view.by) {
            String::new()
        } else {
            trend(&trend_of(rows), view, subject)
        };
        let sums = total_of(rows);
        table.row(cells(view, subject, "total", &sums, last, Style::new().bold()));
    }
    table.render(view.style)
}

fn columns(view: &View<'_>, subject: Subject) -> Vec<Column> {
    let mut columns = Vec::new();
    if let Some(by) = view.by {
        let title = match by {
            GroupBy::Tag(key) if !key.is_empty() => key.clone(),
            by => super::name_of(by),
        };
        columns.push(Column::text(title).cut_end(12));
    }
    let count = match subject {
        Subject::Runs => "runs",
        Subject::Nodes => "executions",
        Subject::LlmCalls => "calls",
    };
    columns.push(Column::number(count));
    columns.push(Column::number("success").drops(3));
    if subject != Subject::LlmCalls {
        columns.push(Column::number("LLM calls").drops(4));
    }
    columns.push(Column::number("input").drops(5));
    columns.push(Column::number("cached").drops(8));
    columns.push(Column::number("written").drops(10));
    columns.push(Column::number("output").drops(6));
    columns.push(Column::number("reasoning").drops(9));
    columns.push(Column::number("cost"));
    columns.push(Column::number("saved").drops(7));
    columns.push(Column::number("p50").drops(1));
    columns.push(Column::number("p90").drops(2));
    columns.push(Column::number("p99").drops(2));
    let figure = match view.metric {
        Metric::Cost => "cost",
        Metric::Saved => "saved",
        Metric::Runs => "runs",
        Metric::Failures => "failures",
        Metric::Calls => "LLM calls",
        Metric::Tokens => "tokens",
        Metric::P50 => "p50",
        Metric::P90 => "p90",
        Metric::P99 => "p99",
    };
    let title = if is_time(view.by) {
        figure.to_owned()
    } else {
        format!("{figure} over time")
    };
    columns.push(Column::text(title).drops(11));
    columns
}

fn cells(
    view: &View<'_>,
    subject: Subject,
    group: &str,
    sums: &StatsSums,
    last: String,
    style: Style,
) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut cell = |text: String| cells.push(Cell::styled(text, style));
    if view.by.is_some() {
        cell(group.to_owned());
    }
    cell(grouped(subject.count(sums)));
    cell(subject.success_rate(sums).map_or_else(String::new, percent));
    if subject != Subject::LlmCalls {
        cell(grouped(sums.llm_calls));
    }
    let tokens = &sums.tokens;
    cell(tokens_text(tokens.input, sums.llm_calls));
    cell(more_than_none(tokens.cache_read));
    cell(more_than_none(tokens.cache_write));
    cell(tokens_text(tokens.output, sums.llm_calls));
    cell(more_than_none(tokens.reasoning));
    cell(if sums.cost.calls == 0 {
        String::new()
    } else {
        cost_text(&sums.cost, view.glyphs)
    });
    let saved = super::saved_by_caches(sums);
    cell(if saved.calls == 0 {
        String::new()
    } else {
        cost_text(&saved, view.glyphs)
    });
    let durations = subject.durations(sums);
    for fraction in [0.5, 0.9, 0.99] {
        let ns = durations.quantile_ns(fraction);
        cell(ns.map_or_else(String::new, short_duration));
    }
    cell(last);
    cells
}

fn group_text(view: &View<'_>, row: &StatsRow) -> String {
    match (view.by, row.begins) {
        (Some(GroupBy::Day), Some(begins)) => view.times.day(begins),
        (Some(GroupBy::Hour), Some(begins)) => {
            let mut text = view.times.absolute(begins);
            // Seconds say nothing of an hour.
            text.truncate(text.len().saturating_sub(3));
            text
        }
        (Some(GroupBy::Tag(_)), _) if row.group.is_empty() => "(without)".to_owned(),
        _ if row.group.is_empty() => "(unknown)".to_owned(),
        _ => row.group.to_string(),
    }
}

fn trend(steps: &[StatsSums], view: &View<'_>, subject: Subject) -> String {
    let values: Vec<f64> = steps
        .iter()
        .map(|step| figure(step, view.metric, subject).unwrap_or(0.0))
        .collect();
    sparkline(&values, view.glyphs)
}

/// The trends of several rows in one.
fn trend_of(rows: &[StatsRow]) -> Vec<StatsSums> {
    let mut total: Vec<StatsSums> = Vec::new();
    for row in rows {
        total.resize_with(total.len().max(row.trend.len()), StatsSums::default);
        for (sum, step) in total.iter_mut().zip(&row.trend) {
            sum.merge(step);
        }
    }
    total
}

/// `100%`, `99.95%`: never rounded up to all.
fn percent(share: f64) -> String {
    if share >= 1.0 {
        return "100%".to_owned();
    }
    let percent = (share * 1_000.0).floor() / 10.0;
    if share > 0.999 {
        return format!("{:.2}%", (share * 10_000.0).floor() / 100.0);
    }
    format!("{percent:.1}%")
}

fn tokens_text(tokens: u64, calls: u64) -> String {
    if calls == 0 {
        String::new()
    } else {
        grouped(tokens)
    }
}

fn more_than_none(tokens: u64) -> String {
    if tokens == 0 {
        String::new()
    } else {
        grouped(tokens)
    }
}

/// A sum in as few places as tell it: cents above ten dollars, four places below. `~` and `≥` as everywhere.
pub(crate) fn cost_text(total: &CostTotal, glyphs: Glyphs) -> String {
    let estimated = if total.estimated_calls > 0 { "~" } else { "" };
    let lower_bound = match glyphs {
        Glyphs::Blocks => "≥ ",
        Glyphs::Ascii => ">= ",
    };
    let unpriced = grouped(total.unpriced_calls);
    match total.amount() {
        None => format!("unpriced ({unpriced})"),
        Some(amount) if total.unpriced_calls > 0 => {
            format!(
                "{lower_bound}{estimated}{} (+{unpriced} unpriced)",
                usd_text(amount)
            )
        }
        Some(amount) if total.partial_calls > 0 => format!("{lower_bound}{estimated}{}", usd_text(amount)),
        Some(amount) => format!("{estimated}{}", usd_text(amount)),
    }
}

/// `$1,234.50`, `$0.0089`, `$0.0000123`.
pub(crate) fn usd_text(amount: UsdNanos) -> String {
    let sign = if amount.0 < 0 { "-" } else { "" };
    let nanos = amount.0.unsigned_abs();
    let places: u32 = match nanos {
        0 | 10_000_000_000.. => 2,
        100_000.. => 4,
        10_000.. => 6,
        _ => 9,
    };
    let unit = 10_u64.pow(9 - places);
    let rounded = nanos.saturating_add(unit / 2) / unit;
    let whole = rounded / 10_u64.pow(places);
    let fraction = rounded % 10_u64.pow(places);
    format!(
        "{sign}${}.{fraction:0width$}",
        grouped(whole),
        width = places as usize
    )
}
