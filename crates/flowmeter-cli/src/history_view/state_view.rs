//! The shared store at a moment, what a node changed in it, and who wrote a key: for people and for programs.
//!
//! Never rebuilds the store itself: the journal does.

use std::sync::Arc;

use flowmeter_model::{SpanKind, TimestampNs};
use owo_colors::{OwoColorize, Style};
use serde_json::{Value, json};

use super::key_change::{KeyChange, change_json, change_text};
use super::places::FoundSpan;
use super::store_state::{StateEntry, StoreJournal, StoreState, StoreWrite, Writer, is_beneath};
use super::stored_trace::RunSpans;
use super::value_words::{Altered, short_value, value_lines};
use crate::printable::one_line;
use crate::table::{Cell, Column, Table, TableStyle};
use crate::times::{TimeWords, rfc3339};

/// How many columns of a value a table may have where it is not cut by the screen.
const VALUE_COLUMNS: usize = 200;

/// How the view is to look.
#[derive(Clone, Copy)]
pub(crate) struct StateLook<'a> {
    pub(crate) table: TableStyle,
    pub(crate) is_full: bool,
    pub(crate) times: &'a TimeWords,
}

/// The moment that is asked about.
#[derive(Clone, Copy)]
pub(crate) struct StateMoment<'a> {
    /// The node; `None`: the end of the run.
    pub(crate) at: Option<FoundSpan<'a>>,
    /// The node whose workflow's store it is; empty for that of the run.
    pub(crate) store: &'a str,
}

impl StateMoment<'_> {
    fn text(&self, run: &RunSpans<'_>, times: &TimeWords) -> String {
        let id: String = run.run_id().chars().take(8).collect();
        let inside = if self.store.is_empty() {
            String::new()
        } else {
            format!(", in the store of the workflow in `{}`", self.store)
        };
        let when = match self.at {
            None => "at the end".to_owned(),
            Some(found) => {
                let nth = if found.count > 1 {
                    format!(" (execution {} of {})", found.nth, found.count)
                } else {
                    String::new()
                };
                let ended = found.span.end.map_or_else(
                    || ", which has not ended".to_owned(),
                    |end| format!(", {}", times.clock(end)),
                );
                format!("after `{}`{nth}{ended}", name_of(found))
            }
        };
        format!("{id} {}: {when}{inside}", one_line(run.workflow()))
    }

    fn json(&self) -> Value {
        match self.at {
            None => Value::Null,
            Some(found) => json!({
                "node": name_of(found),
                "span_id": found.span.span_id.to_string(),
                "execution": found.nth,
                "executions": found.count,
                "ended": found.span.end.map(rfc3339),
            }),
        }
    }
}

fn name_of(found: FoundSpan<'_>) -> &str {
    if found.span.kind == SpanKind::Node || !found.span.node.is_empty() {
        &found.span.node
    } else {
        &found.span.operation
    }
}

fn writer_name(writer: Option<&Writer>) -> String {
    match writer {
        None => "(before)".to_owned(),
        Some(writer) if writer.node.is_empty() => "(input)".to_owned(),
        Some(writer) if writer.nth > 1 => format!("{} #{}", writer.node, writer.nth),
        Some(writer) => writer.node.to_string(),
    }
}

/// The store as a table, or with all values whole.
pub(crate) fn state_text(
    run: &RunSpans<'_>,
    moment: StateMoment<'_>,
    state: &StoreState,
    look: StateLook<'_>,
) -> String {
    let mut text = format!("{}\n", bold(&moment.text(run, look.times), look.table.colour));
    if state.entries.is_empty() {
        text.push_str("\nthe shared store is empty\n");
        return text;
    }
    text.push('\n');
    if look.is_full {
        for (path, entry) in &state.entries {
            let note = entry.altered().note();
            text.push_str(&format!(
                "{}  {}{note}\n",
                bold(&one_line(path), look.table.colour),
                writer_name(entry.last.as_ref().map(|(writer, _)| writer))
            ));
            match &entry.value {
                Some(value) => {
                    for line in value_lines(value, true) {
                        text.push_str(&format!("  {line}\n"));
                    }
                }
                None => text.push_str("  (not captured)\n"),
            }
        }
        return text;
    }
    let mut table = Table::new(vec![
        Column::text("KEY").cut_end(12),
        Column::text("VALUE").cut_end(16),
        Column::text("NOTE"),
        Column::text("WRITTEN BY").cut_start(10),
        Column::text("AT").drops(1),
    ]);
    for (path, entry) in &state.entries {
        let value = entry.value.as_deref().map_or_else(
            || "(not captured)".to_owned(),
            |value| short_value(value, VALUE_COLUMNS),
        );
        table.row([
            Cell::styled(path, Style::new().cyan()),
            value.into(),
            Cell::styled(short_note(entry.altered()), Style::new().yellow()),
            writer_name(entry.last.as_ref().map(|(writer, _)| writer)).into(),
            entry
                .last
                .as_ref()
                .map_or_else(String::new, |(_, time)| look.times.clock(*time))
                .into(),
        ]);
    }
    text.push_str(&table.render(look.table));
    text
}

fn short_note(altered: Altered) -> &'static str {
    match (altered.is_cut, altered.is_masked) {
        (true, true) => "cut, masked",
        (true, false) => "cut",
        (false, true) => "masked",
        (false, false) => "",
    }
}

/// The store as JSON.
pub(crate) fn state_json(
    run: &RunSpans<'_>,
    moment: StateMoment<'_>,
    state: &StoreState,
    notes: &[String],
) -> Value {
    let keys: Vec<Value> = state
        .entries
        .iter()
        .map(|(path, entry)| entry_json(path, entry))
        .collect();
    json!({
        "run": run.run_id(),
        "workflow": run.workflow(),
        "at": moment.json(),
        "store": moment.store,
        "state": state.tree(),
        "keys": keys,
        "notes": notes,
    })
}

fn entry_json(path: &str, entry: &StateEntry) -> Value {
    let altered = entry.altered();
    let (writer, time) = entry.last.as_ref().map(|(writer, time)| (writer, *time)).unzip();
    json!({
        "key": path,
        "is_known": entry.value.is_some(),
        "is_cut": altered.is_cut,
        "is_masked": altered.is_masked,
        "written_by": writer.map(writer_json),
        "time": time.map(rfc3339),
    })
}

fn writer_json(writer: &Writer) -> Value {
    json!({
        "node": (!writer.node.is_empty()).then_some(writer.node.as_str()),
        "span_id": writer.span_id.to_string(),
        "execution": writer.nth,
    })
}

/// What a node changed.
pub(crate) fn changes_text(
    run: &RunSpans<'_>,
    moment: StateMoment<'_>,
    changes: &[KeyChange],
    look: StateLook<'_>,
) -> String {
    let colour = look.table.colour;
    let mut text = format!("{}\n", bold(&moment.text(run, look.times), colour));
    if changes.is_empty() {
        text.push_str("\nit wrote nothing to the shared store\n");
        return text;
    }
    for change in changes {
        text.push('\n');
        text.push_str(&change_text(change, look.is_full, colour));
    }
    text
}

/// What a node changed, as JSON.
pub(crate) fn changes_json(
    run: &RunSpans<'_>,
    moment: StateMoment<'_>,
    changes: &[KeyChange],
    notes: &[String],
) -> Value {
    json!({
        "run": run.run_id(),
        "workflow": run.workflow(),
        "at": moment.json(),
        "store": moment.store,
        "changes": changes.iter().map(change_json).collect::<Vec<_>>(),
        "notes": notes,
    })
}

/// The writes to a key up to a moment, oldest first: to the key itself, into its value, or to what holds it.
pub(crate) fn writes_to<'a>(
    journal: &'a StoreJournal,
    key: &str,
    until: Option<TimestampNs>,
) -> Vec<&'a StoreWrite> {
    let concerns = |write: &&StoreWrite| {
        let is_meant = write.path == key || is_beneath(&write.path, key) || is_beneath(key, &write.path);
        is_meant && until.is_none_or(|until| write.time <= until)
    };
    journal.writes.iter().filter(concerns).collect()
}

/// Who wrote a key.
pub(crate) fn who_text(key: &str, writes: &[&StoreWrite], look: StateLook<'_>) -> String {
    let Some(last) = writes.last() else {
        return String::new();
    };
    let value = |value: &Option<Arc<Value>>| {
        let none = || "(nothing)".to_owned();
        value
            .as_deref()
            .map_or_else(none, |value| short_value(value, VALUE_COLUMNS))
    };
    let after = |write: &StoreWrite| {
        if write.is_known {
            value(&write.after)
        } else {
            "(not captured)".to_owned()
        }
    };
    let verb = if last.after.is_none() && last.is_known {
        "removed"
    } else {
        "written"
    };
    let by = match last.writer.node.as_str() {
        "" => "as an input".to_owned(),
        _ => format!("by `{}`", writer_name(Some(&last.writer))),
    };
    let mut text = format!(
        "{} was last {verb} {by}, {} ({})\n\n",
        bold(&one_line(key), look.table.colour),
        look.times.absolute(last.time),
        look.times.relative(last.time)
    );
    let mut table = Table::new(vec![
        Column::text("TIME"),
        Column::text("WRITTEN BY").cut_start(10),
        Column::text("KEY").cut_start(10),
        Column::text("BEFORE").cut_end(12),
        Column::text("AFTER").cut_end(16),
        Column::text("NOTE"),
        Column::text("SPAN").drops(1),
    ]);
    for write in writes.iter().rev() {
        let altered = write.after.as_deref().map(Altered::of).unwrap_or_default();
        table.row([
            Cell::from(look.times.clock(write.time)),
            writer_name(Some(&write.writer)).into(),
            if write.path == key {
                Cell::default()
            } else {
                write.path.as_str().into()
            },
            if write.is_known {
                value(&write.before).into()
            } else {
                Cell::default()
            },
            after(write).into(),
            Cell::styled(short_note(altered), Style::new().yellow()),
            Cell::styled(write.writer.span_id.to_string(), Style::new().dimmed()),
        ]);
    }
    text.push_str(&table.render(look.table));
    text
}

/// Who wrote a key, as JSON, oldest first.
pub(crate) fn who_json(
    run: &RunSpans<'_>,
    moment: StateMoment<'_>,
    key: &str,
    writes: &[&StoreWrite],
    notes: &[String],
) -> Value {
    let writes: Vec<Value> = writes
        .iter()
        .map(|write| {
            json!({
                "key": write.path,
                "time": rfc3339(write.time),
                "written_by": writer_json(&write.writer),
                "is_known": write.is_known,
                "before": write.before,
                "after": write.after,
            })
        })
        .collect();
    json!({
        "run": run.run_id(),
        "workflow": run.workflow(),
        "at": moment.json(),
        "store": moment.store,
        "key": key,
        "last": writes.last(),
        "writes": writes,
        "notes": notes,
    })
}

fn bold(text: &str, colour: bool) -> String {
    paint(text, Style::new().bold(), colour)
}

fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests;
