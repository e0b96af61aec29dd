//! `flowmeter describe`: what a saved workflow takes, gives and does, and what it usually costs.
//!
//! Never runs it, and never changes a trace.

use anyhow::{Error, Result};
use flowmeter::format_duration;
use flowmeter_workflow::{
    CheckedWorkflow, LoadError, NodeEntry, SavedEntry, SavedInput, SavedPlace, WorkflowDocument, check_file,
};
use serde_json::{Value, json};

use crate::args::DescribeArgs;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::past_runs::{PastOfRuns, Usual};
use crate::saved::{entry_json, plain, reference, saved_when, version_text, workflows};

/// Describes it. One that is invalid by now is described as far as it can be, with what is wrong.
pub(super) fn run(args: &DescribeArgs, home: &Home, output: &Output) -> Result<Exit> {
    let saved = workflows(home);
    let place = saved.find(&reference(&args.name)?).map_err(plain)?;
    let past = PastOfRuns::of(home, place.entry.name.as_str());
    let (checked, invalid) = match check_file(&place.file, Some(saved.folder())) {
        Ok(checked) => (Some(checked), None),
        Err(error @ LoadError::Invalid(_)) => (None, Some(Error::from(error))),
        Err(error) => return Err(error.into()),
    };
    let document = checked
        .as_ref()
        .map(|checked: &CheckedWorkflow| &*checked.document);
    if args.json {
        output.json(&as_json(&place, document, &past))?;
    } else {
        output.text(&described(&place, document, &past))?;
    }
    match invalid {
        Some(error) => Err(error),
        None => Ok(Exit::Success),
    }
}

/// Which workflow a node runs.
fn nested(node: &NodeEntry) -> Option<&str> {
    if node.node_type != "workflow" {
        return None;
    }
    ["workflow_name", "workflow_path", "workflow"]
        .iter()
        .find_map(|key| node.params.get(*key)?.as_str())
}

fn as_json(place: &SavedPlace, document: Option<&WorkflowDocument>, past: &PastOfRuns) -> Value {
    let mut described = entry_json(&place.entry);
    let nodes: Option<Vec<Value>> = document.map(|document| {
        document
            .nodes
            .iter()
            .map(|node| {
                let mut entry = json!({"id": node.id, "type": node.node_type, "purpose": node.purpose});
                if let Some(nested) = nested(node) {
                    entry["runs"] = json!(nested);
                }
                entry
            })
            .collect()
    });
    described["file"] = json!(place.file);
    // The file as it is; what was saved has the other one where somebody changed it.
    described["saved_checksum"] = described["checksum"].take();
    described["checksum"] = json!(format!("sha256:{}", place.sha256));
    described["versions"] = json!(place.versions);
    described["valid"] = json!(document.is_some());
    described["nodes"] = json!(nodes);
    described["history"] = history_json(past);
    described
}

fn history_json(past: &PastOfRuns) -> Value {
    let Some(history) = past.usual() else {
        return Value::Null;
    };
    let nanoseconds = |usual: Usual<u64>| {
        let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        json!({"median": ms(usual.median), "p90": ms(usual.p90), "low": ms(usual.low), "high": ms(usual.high)})
    };
    json!({
        "runs": history.runs,
        "succeeded": history.succeeded,
        "duration_ms": history.duration_ns.map(nanoseconds),
        "cost_usd": history.cost.map(|usual| json!({
            "median": usual.median, "p90": usual.p90, "low": usual.low, "high": usual.high,
        })),
        "runs_without_full_price": history.unpriced,
    })
}

fn described(place: &SavedPlace, document: Option<&WorkflowDocument>, past: &PastOfRuns) -> String {
    let entry = &place.entry;
    let when = saved_when(entry).map_or_else(String::new, |when| format!(", saved {when}"));
    let mut text = format!("{}: {}{when}\n", entry.name, version_text(entry));
    for line in [&entry.title, &entry.description].into_iter().flatten() {
        text.push_str(&format!("{}\n", line.trim_end()));
    }
    text.push_str(&section("Inputs", entry.inputs.iter().map(input)));
    let outputs = entry.outputs.iter().map(|output| {
        let what = with_description(output.value_type.to_string(), output.description.as_deref());
        [output.name.to_string(), what]
    });
    text.push_str(&section("Outputs", outputs));
    if let Some(document) = document {
        text.push_str(&section("Nodes", document.nodes.iter().map(node)));
    }
    text.push_str(&format!("\n{}\n\n", usual_text(past)));
    let mut rows = vec![
        ["File".to_owned(), place.file.display().to_string()],
        ["SHA-256".to_owned(), place.sha256.clone()],
    ];
    rows.extend(further(entry, place));
    text.push_str(&columns("", rows));
    text
}

fn further(entry: &SavedEntry, place: &SavedPlace) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |title: &str, what: String| rows.push([title.to_owned(), what]);
    if let Some(sum) = entry.sha256.as_ref().filter(|_| entry.is_changed) {
        row("As saved", sum.clone());
    }
    if let Some(origin) = &entry.origin {
        row("Saved from", origin.display().to_string());
    }
    if !entry.files.is_empty() {
        let files: Vec<&str> = entry.files.iter().map(|file| file.path.as_str()).collect();
        row("Saved along", files.join(", "));
    }
    if place.versions.len() > 1 {
        let versions: Vec<String> = place.versions.iter().map(u64::to_string).collect();
        row(
            "Versions",
            format!(
                "{} (run one as {}@{})",
                versions.join(", "),
                entry.name,
                versions[1]
            ),
        );
    }
    rows
}

fn with_description(mut what: String, description: Option<&str>) -> String {
    if let Some(description) = description {
        what.push_str(&format!("; {}", description.trim_end()));
    }
    what
}

fn input(input: &SavedInput) -> [String; 2] {
    let mut what = input.value_type.to_string();
    if input.required {
        what.push_str(", required");
    }
    if let Some(default) = &input.default {
        what.push_str(&format!(", default {default}"));
    }
    if input.stdin {
        what.push_str(", takes standard input");
    }
    [
        input.name.to_string(),
        with_description(what, input.description.as_deref()),
    ]
}

fn node(node: &NodeEntry) -> [String; 2] {
    let mut what = node.node_type.to_string();
    if let Some(nested) = nested(node) {
        what.push_str(&format!(" → {nested}"));
    }
    [
        node.id.to_string(),
        with_description(what, node.purpose.as_deref()),
    ]
}

fn section(title: &str, rows: impl Iterator<Item = [String; 2]>) -> String {
    let rows: Vec<[String; 2]> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{title}:\n{}", columns("  ", rows))
}

fn columns(indent: &str, rows: Vec<[String; 2]>) -> String {
    let width = rows.iter().map(|row| row[0].chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|[name, what]| {
            // The further lines of a description stand below its first.
            let what = what.replace('\n', &format!("\n{indent}{:width$}  ", ""));
            format!("{indent}{name:width$}  {what}\n")
        })
        .collect()
}

fn usual_text(past: &PastOfRuns) -> String {
    let Some(history) = past.usual() else {
        return "No run of it is known yet.".to_owned();
    };
    let range = |median: String, low: String, high: String| {
        if low == high {
            median
        } else {
            format!("{median} ({low} to {high})")
        }
    };
    let mut parts = Vec::new();
    if let Some(taken) = history.duration_ns {
        let [median, low, high] = [taken.median, taken.low, taken.high].map(format_duration);
        parts.push(range(median, low, high));
    }
    if let Some(cost) = history.cost {
        let [median, low, high] = [cost.median, cost.low, cost.high].map(|cost| cost.to_string());
        parts.push(range(median, low, high));
    }
    if history.unpriced > 0 {
        parts.push(format!("{} without a full price", history.unpriced));
    }
    let runs = if history.runs == 1 { "run" } else { "runs" };
    let known = format!("{} known {runs}, {} succeeded", history.runs, history.succeeded);
    if parts.is_empty() {
        format!("Usual run: not known ({known})")
    } else {
        format!("Usual run: {} ({known})", parts.join(", "))
    }
}
