//! The difference of two runs for people and for programs.
//!
//! Never compares: it is handed what differs.

use flowmeter::{grouped, milliseconds};
use flowmeter_model::UsdNanos;
use flowmeter_store::RunRow;
use owo_colors::{OwoColorize, Style};
use serde_json::{Map, Value, json};

use super::{NodePair, NodeSide, RunDiff};
use crate::history_view::key_change::{KeyChange, change_json, change_text, changed_members};
use crate::history_view::node_view::status_words as span_words;
use crate::history_view::run_words::{
    cost_members, duration_so_far, run_json, short_amount, short_cost, status_words, tokens_json,
};
use crate::history_view::text_diff::{diff_lines, unified};
use crate::printable::one_line;
use crate::run_selector::short_ids;
use crate::table::{Cell, Column, Table, TableStyle};
use crate::times::{TimeWords, short_duration};

/// Runs of more nodes are shown without those that are alike.
const NODES_SHOWN: usize = 40;
/// How many nodes are told in detail.
const DETAILS_SHOWN: usize = 20;
/// How many keys of the store are shown.
const KEYS_SHOWN: usize = 30;
/// From this difference on a time tells something.
const TELLING_NS: u64 = 100_000_000;

/// How the difference is to look.
#[derive(Clone, Copy)]
pub(crate) struct DiffLook<'a> {
    pub(crate) table: TableStyle,
    /// Whether texts, values and nodes are shown in full.
    pub(crate) is_full: bool,
    pub(crate) times: &'a TimeWords,
}

/// For people.
pub(crate) fn diff_text(before: &RunRow, after: &RunRow, diff: &RunDiff, look: DiffLook<'_>) -> String {
    let colour = look.table.colour;
    let mut text = heads(before, after, look);
    text.push('\n');
    text.push_str(&sums(before, after, look));
    let (shown, alike) = shown_nodes(diff, look.is_full);
    if !shown.is_empty() {
        text.push('\n');
        text.push_str(&node_table(&shown, look));
    }
    if alike > 0 {
        text.push_str(&format!(
            "… and {} nodes that are alike; --full shows all\n",
            grouped(alike as u64)
        ));
    }
    let changed: Vec<&NodePair> = diff.nodes.iter().filter(|pair| has_details(pair)).collect();
    let details = if look.is_full {
        changed.len()
    } else {
        DETAILS_SHOWN
    };
    for pair in changed.iter().take(details) {
        text.push_str(&node_details(pair, look));
    }
    if changed.len() > details {
        text.push_str(&format!(
            "\n… {} more nodes differ; --node shows one of them, --full all\n",
            changed.len() - details
        ));
    }
    if !diff.state.is_empty() {
        text.push_str(&format!(
            "\n{}\n",
            paint("Store at the end", Style::new().bold(), colour)
        ));
        let keys = if look.is_full {
            diff.state.len()
        } else {
            KEYS_SHOWN
        };
        for change in diff.state.iter().take(keys) {
            text.push_str(&indented(&change_text(change, look.is_full, colour)));
        }
        if diff.state.len() > keys {
            text.push_str(&format!(
                "  … {} more keys differ; --full shows all\n",
                diff.state.len() - keys
            ));
        }
    }
    text
}

fn heads(before: &RunRow, after: &RunRow, look: DiffLook<'_>) -> String {
    let mut table = Table::new(vec![
        Column::text(""),
        Column::text("RUN"),
        Column::text("WORKFLOW").cut_end(12),
        Column::text("STATUS"),
        Column::text("STARTED"),
        Column::text("VERSION").drops(1),
        Column::text("COMMIT").drops(2),
        Column::text("MODELS").cut_end(8).drops(3),
    ]);
    let ids = short_ids(&[before.key, after.key]);
    for ((row, id), sign) in [before, after].into_iter().zip(ids).zip(["-", "+"]) {
        let (status, style) = status_words(row.status);
        let commit: String = row
            .origin
            .git_commit
            .clone()
            .unwrap_or_default()
            .chars()
            .take(8)
            .collect();
        let models: Vec<&str> = row.models.iter().map(smol_str::SmolStr::as_str).collect();
        table.row([
            Cell::from(sign),
            Cell::styled(id, Style::new().yellow()),
            row.workflow.as_str().into(),
            Cell::styled(status, style),
            look.times.relative(row.started).into(),
            row.origin.workflow_version.as_deref().unwrap_or_default().into(),
            commit.into(),
            models.join(" ").into(),
        ]);
    }
    table.render(look.table)
}

fn sums(before: &RunRow, after: &RunRow, look: DiffLook<'_>) -> String {
    let mut table = Table::new(vec![
        Column::text(""),
        Column::number("BEFORE"),
        Column::number("AFTER"),
        Column::number("CHANGE"),
    ]);
    let durations = [before, after].map(|row| duration_so_far(row, look.times));
    let time = durations.map(|duration| duration.map_or_else(String::new, short_duration));
    let [old, new] = durations.map(|duration| duration.map(|duration| duration as f64));
    table.row(["time", &time[0], &time[1], &percent(old, new)]);
    let mut count = |name: &str, old: u64, new: u64| {
        let change = percent(Some(old as f64), Some(new as f64));
        table.row([name, &grouped(old), &grouped(new), &change]);
    };
    count("nodes", before.nodes, after.nodes);
    count("LLM calls", before.llm_calls, after.llm_calls);
    count("input tokens", before.tokens.input, after.tokens.input);
    count("output tokens", before.tokens.output, after.tokens.output);
    let amounts = [before, after].map(|row| row.cost.amount().map(|amount| amount.0 as f64));
    let none = |cost: String| {
        if cost.is_empty() {
            short_amount(UsdNanos::ZERO)
        } else {
            cost
        }
    };
    table.row([
        "cost",
        &none(short_cost(&before.cost)),
        &none(short_cost(&after.cost)),
        &percent(amounts[0], amounts[1]),
    ]);
    table.render(look.table)
}

/// `+129%`, `-8%`, `=`; empty where there is nothing to compare.
fn percent(before: Option<f64>, after: Option<f64>) -> String {
    match (before, after) {
        (Some(before), Some(after)) if before == after => "=".to_owned(),
        (Some(before), Some(after)) if before > 0.0 => {
            let change = (after - before) / before * 100.0;
            match change.abs() {
                small if small < 0.5 => "≈".to_owned(),
                large if large >= 1000.0 => format!("×{:.0}", after / before),
                _ => format!("{change:+.0}%"),
            }
        }
        _ => String::new(),
    }
}

/// The nodes for the table, and how many are left out for being alike.
fn shown_nodes(diff: &RunDiff, is_full: bool) -> (Vec<&NodePair>, usize) {
    if is_full || diff.nodes.len() <= NODES_SHOWN {
        return (diff.nodes.iter().collect(), 0);
    }
    let shown: Vec<&NodePair> = diff
        .nodes
        .iter()
        .filter(|pair| pair.change() != "same" || is_time_telling(pair))
        .collect();
    let alike = diff.nodes.len() - shown.len();
    (shown, alike)
}

/// Whether a node took half as long again, and noticeably.
fn is_time_telling(pair: &NodePair) -> bool {
    let duration = |side: &Option<NodeSide>| side.as_ref().and_then(|side| side.duration_ns);
    match (duration(&pair.before), duration(&pair.after)) {
        (Some(before), Some(after)) => {
            let (less, more) = (before.min(after), before.max(after));
            more - less >= TELLING_NS && more >= less + less / 2
        }
        _ => false,
    }
}

fn node_table(pairs: &[&NodePair], look: DiffLook<'_>) -> String {
    let mut table = Table::new(vec![
        Column::text(""),
        Column::text("NODE").cut_start(12),
        Column::number("TIME"),
        Column::number(""),
        Column::number("TOKENS").drops(2),
        Column::number("COST").drops(1),
        Column::text("DIFFERS IN").cut_end(10),
    ]);
    for pair in pairs {
        table.row(node_cells(pair));
    }
    table.render(look.table)
}

fn node_cells(pair: &NodePair) -> Vec<Cell> {
    let (sign, style) = match pair.change() {
        "added" => ("+", Style::new().green()),
        "removed" => ("-", Style::new().red()),
        "changed" => ("~", Style::new().yellow()),
        _ => (" ", Style::new()),
    };
    let sides = || [pair.before.as_ref(), pair.after.as_ref()];
    let durations = sides().map(|side| side.and_then(|side| side.duration_ns));
    let [old, new] = durations.map(|duration| duration.map(|duration| duration as f64));
    let both = |texts: [Option<String>; 2]| match texts {
        [Some(one), Some(other)] if one == other => one,
        [one, other] => {
            let texts: Vec<String> = [one, other]
                .into_iter()
                .flatten()
                .filter(|text| !text.is_empty())
                .collect();
            texts.join(" → ")
        }
    };
    let tokens = sides().map(|side| {
        side.filter(|side| side.cost.calls > 0)
            .map(|side| grouped(side.tokens.total()))
    });
    let cost = sides().map(|side| side.map(|side| short_cost(&side.cost)));
    let node = if pair.nth > 1 {
        format!("{} #{}", pair.node, pair.nth)
    } else {
        pair.node.to_string()
    };
    let what = match pair.change() {
        "added" => "only in the second".to_owned(),
        "removed" => "only in the first".to_owned(),
        _ => pair.changed().join(", "),
    };
    vec![
        Cell::styled(sign, style),
        Cell::styled(node, style),
        both(durations.map(|duration| duration.map(short_duration))).into(),
        percent(old, new).into(),
        both(tokens).into(),
        both(cost).into(),
        what.into(),
    ]
}

/// Whether there is more to say of a node than the table does.
fn has_details(pair: &NodePair) -> bool {
    let telling = ["status", "error", "model", "params", "prompt", "answer"];
    pair.changed().iter().any(|part| telling.contains(part))
}

fn node_details(pair: &NodePair, look: DiffLook<'_>) -> String {
    let (Some(before), Some(after)) = (&pair.before, &pair.after) else {
        return String::new();
    };
    let colour = look.table.colour;
    let nth = if pair.nth > 1 {
        format!(" #{}", pair.nth)
    } else {
        String::new()
    };
    let title = format!("{}{nth}", one_line(&pair.node));
    let mut text = format!("\n{}\n", paint(&title, Style::new().bold(), colour));
    if before.status != after.status {
        let [old, new] = [before, after].map(|side| span_words(side.status).0);
        text.push_str(&format!("  status: {old} → {new}\n"));
    }
    if before.error != after.error {
        let [old, new] =
            [before, after].map(|side| side.error.as_ref().map_or("", |error| error.message.as_str()));
        push_diff(&mut text, "error", old, new, look);
    }
    if before.models != after.models {
        let [old, new] = [before, after].map(|side| side.models.join(", "));
        text.push_str(&format!("  model: {} → {}\n", one_line(&old), one_line(&new)));
    }
    if before.params != after.params {
        text.push_str("  parameters:\n");
        for change in changed_members(before.params.as_deref(), after.params.as_deref()) {
            text.push_str(&indented(&indented(&change_text(&change, look.is_full, colour))));
        }
    }
    push_diff(&mut text, "prompt", &before.prompt, &after.prompt, look);
    push_diff(&mut text, "answer", &before.response, &after.response, look);
    text
}

fn push_diff(text: &mut String, name: &str, before: &str, after: &str, look: DiffLook<'_>) {
    if before == after {
        return;
    }
    text.push_str(&format!("  {name}:\n"));
    for line in diff_lines(before, after, look.is_full, look.table.colour) {
        text.push_str(&format!("    {line}\n"));
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// For programs. Texts stand there where they differ.
pub(crate) fn diff_json(before: &RunRow, after: &RunRow, diff: &RunDiff, times: &TimeWords) -> Value {
    let pair = |old: Value, new: Value| json!({"before": old, "after": new});
    let cost = |row: &RunRow| {
        let mut members = Map::new();
        cost_members(&row.cost, "cost", &mut members);
        members
    };
    let (old_cost, new_cost) = (cost(before), cost(after));
    let mut sums = Map::new();
    let durations = [before, after].map(|row| json!(duration_so_far(row, times).map(milliseconds)));
    let [old, new] = durations;
    sums.insert("duration_ms".to_owned(), pair(old, new));
    sums.insert("nodes".to_owned(), pair(before.nodes.into(), after.nodes.into()));
    sums.insert(
        "llm_calls".to_owned(),
        pair(before.llm_calls.into(), after.llm_calls.into()),
    );
    sums.insert(
        "tokens".to_owned(),
        pair(tokens_json(&before.tokens), tokens_json(&after.tokens)),
    );
    for (name, old) in old_cost {
        let new = new_cost.get(&name).cloned().unwrap_or_default();
        sums.insert(name, pair(old, new));
    }
    json!({
        "before": run_json(before, times),
        "after": run_json(after, times),
        "sums": sums,
        "nodes": diff.nodes.iter().map(node_json).collect::<Vec<_>>(),
        "state": diff.state.iter().map(change_json).collect::<Vec<_>>(),
        "notes": diff.notes,
    })
}

fn node_json(pair: &NodePair) -> Value {
    let has_same = |text: fn(&NodeSide) -> &str| match (&pair.before, &pair.after) {
        (Some(before), Some(after)) => text(before) == text(after),
        _ => false,
    };
    let (same_prompt, same_response) = (has_same(|side| &side.prompt), has_same(|side| &side.response));
    let side = |side: &Option<NodeSide>| {
        side.as_ref().map(|side| {
            let mut object = Map::new();
            let mut set = |name: &str, value: Value| {
                object.insert(name.to_owned(), value);
            };
            set("span_id", json!(side.span_id.map(|id| id.to_string())));
            set("status", json!(side.status));
            set("duration_ms", json!(side.duration_ns.map(milliseconds)));
            set("error", json!(side.error));
            set("models", json!(side.models));
            set("llm_calls", side.cost.calls.into());
            set("tokens", tokens_json(&side.tokens));
            cost_members(&side.cost, "cost", &mut object);
            object.insert("params".to_owned(), json!(side.params));
            if !same_prompt && !side.prompt.is_empty() {
                object.insert("prompt".to_owned(), side.prompt.as_str().into());
            }
            if !same_response && !side.response.is_empty() {
                object.insert("response".to_owned(), side.response.as_str().into());
            }
            Value::from(object)
        })
    };
    let diff_of = |text: fn(&NodeSide) -> &str| match (&pair.before, &pair.after) {
        (Some(before), Some(after)) => unified(text(before), text(after)),
        _ => None,
    };
    let params = match (&pair.before, &pair.after) {
        (Some(before), Some(after)) => changed_members(before.params.as_deref(), after.params.as_deref()),
        _ => Vec::<KeyChange>::new(),
    };
    json!({
        "node": pair.node.as_str(),
        "execution": pair.nth,
        "change": pair.change(),
        "changed": pair.changed(),
        "before": side(&pair.before),
        "after": side(&pair.after),
        "params": params.iter().map(change_json).collect::<Vec<_>>(),
        "prompt_diff": diff_of(|side| &side.prompt),
        "response_diff": diff_of(|side| &side.response),
    })
}

fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}
