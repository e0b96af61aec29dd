//! `flowmeter list`: the saved workflows.
//!
//! Never validates one: it may be called on every key that a shell completes.

use anyhow::Result;
use flowmeter_workflow::SavedEntry;
use serde_json::{Value, json};

use crate::args::ListArgs;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::saved::{entry_json, plain, workflows};

/// The longest summary on a line, in letters.
const SUMMARY_LETTERS: usize = 80;

/// Lists them.
pub(super) fn run(args: &ListArgs, home: &Home, output: &Output) -> Result<Exit> {
    let saved = workflows(home);
    let all = saved.list().map_err(plain)?;
    let count = all.len();
    let words: Vec<String> = args.words.iter().map(|word| word.to_lowercase()).collect();
    let shown: Vec<SavedEntry> = all.into_iter().filter(|entry| has(entry, &words)).collect();
    if args.json {
        let workflows: Vec<Value> = shown.iter().map(entry_json).collect();
        output.json(&json!({ "folder": saved.folder(), "workflows": workflows }))?;
        return Ok(Exit::Success);
    }
    if !shown.is_empty() {
        output.text(&text_of(&shown))?;
    }
    match (count, shown.len()) {
        (0, _) => output.note("no workflow is saved yet; `flowmeter save FILE` saves one"),
        (_, 0) => output.note(&format!(
            "none of the {count} saved workflows has `{}`",
            args.words.join(" ")
        )),
        _ => {}
    }
    Ok(Exit::Success)
}

fn has(entry: &SavedEntry, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let texts = [
        Some(entry.name.as_str()),
        entry.title.as_deref(),
        entry.description.as_deref(),
    ];
    let text = texts
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n")
        .to_lowercase();
    words.iter().all(|word| text.contains(word))
}

fn text_of(entries: &[SavedEntry]) -> String {
    let version = |entry: &SavedEntry| match (entry.version, entry.is_changed) {
        (Some(version), false) => format!("v{version}"),
        (Some(version), true) => format!("v{version} (changed)"),
        (None, _) => "by hand".to_owned(),
    };
    let rows: Vec<(&str, String, String)> = entries
        .iter()
        .map(|entry| {
            let mut summary: String = entry.summary().unwrap_or_default().to_owned();
            if summary.chars().count() > SUMMARY_LETTERS {
                summary = summary.chars().take(SUMMARY_LETTERS - 1).collect();
                summary.push('…');
            }
            (entry.name.as_str(), version(entry), summary)
        })
        .collect();
    let names = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let versions = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, version, summary) in rows {
        let line = format!("{name:names$}  {version:versions$}  {summary}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
