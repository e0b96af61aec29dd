//! The list of runs as a table.
//!
//! Never asks the store: it is handed rows.

use flowmeter::grouped;
use flowmeter_store::{RunKey, RunRow, RunStatus};
use owo_colors::Style;

use super::run_words::{duration_so_far, short_cost, status_words};
use crate::run_selector::short_ids;
use crate::table::{Cell, Column, Table, TableStyle};
use crate::times::{TimeWords, short_duration};

/// The table of these runs.
pub(crate) fn run_table(rows: &[RunRow], times: &TimeWords, style: TableStyle) -> String {
    let mut table = Table::new(vec![
        Column::text("RUN"),
        Column::text("WORKFLOW").cut_end(12),
        Column::text("STATUS"),
        Column::text("STARTED"),
        Column::number("TIME"),
        Column::number("NODES").drops(3),
        Column::number("CALLS").drops(2),
        Column::number("TOKENS").drops(1),
        Column::number("COST"),
        Column::text("SESSION").cut_end(8).drops(5),
        Column::text("TAGS").cut_end(12).drops(6),
        Column::text("ERROR").cut_end(24).drops(7),
    ]);
    let keys: Vec<RunKey> = rows.iter().map(|row| row.key).collect();
    for (row, id) in rows.iter().zip(short_ids(&keys)) {
        table.row(cells(row, id, times));
    }
    table.render(style)
}

fn cells(row: &RunRow, id: String, times: &TimeWords) -> Vec<Cell> {
    let (status, status_style) = status_words(row.status);
    let duration = duration_so_far(row, times).map_or_else(String::new, |duration_ns| {
        let so_far = if row.status == RunStatus::Running {
            "…"
        } else {
            ""
        };
        format!("{}{so_far}", short_duration(duration_ns))
    });
    let count = |count: u64| if count == 0 { String::new() } else { grouped(count) };
    let workflow = match &row.origin.workflow_version {
        Some(version) => format!("{}@{version}", row.workflow),
        None => row.workflow.to_string(),
    };
    let tags: Vec<String> = row
        .origin
        .tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let error = row.error.as_ref().map(|error| error.message.as_str());
    vec![
        Cell::styled(id, Style::new().yellow()),
        workflow.into(),
        Cell::styled(status, status_style),
        times.relative(row.started).into(),
        duration.into(),
        count(row.nodes).into(),
        count(row.llm_calls).into(),
        count(row.tokens.total()).into(),
        short_cost(&row.cost).into(),
        row.origin.session.clone().unwrap_or_default().into(),
        tags.join(" ").into(),
        Cell::styled(error.unwrap_or_default(), Style::new().red()),
    ]
}

#[cfg(test)]
mod tests;
