//! What became of a key of the shared store, or of a parameter: what it was and what it is.
//!
//! Never decides which keys are compared.

use std::sync::Arc;

use owo_colors::{OwoColorize, Style};
use serde_json::{Value, json};

use super::store_state::StoreWrite;
use super::text_diff::diff_lines;
use super::value_words::{Altered, value_lines};
use crate::printable::one_line;

/// What became of a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyChange {
    pub(crate) path: String,
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) after: Option<Arc<Value>>,
    pub(crate) is_known: bool,
}

impl KeyChange {
    /// `added`, `removed`, `changed`, `same`, `unknown`.
    pub(crate) fn name(&self) -> &'static str {
        match (&self.before, &self.after) {
            _ if !self.is_known => "unknown",
            (None, Some(_)) => "added",
            (Some(_), None) => "removed",
            (before, after) if before == after => "same",
            _ => "changed",
        }
    }
}

/// What these writes came to, each key once, in the order of the first write to it.
pub(crate) fn changes_of<'a>(writes: impl Iterator<Item = &'a StoreWrite>) -> Vec<KeyChange> {
    let mut changes: Vec<KeyChange> = Vec::new();
    let mut places = std::collections::HashMap::<&str, usize>::new();
    for write in writes {
        match places.get(write.path.as_str()) {
            Some(place) => {
                changes[*place].after.clone_from(&write.after);
                changes[*place].is_known &= write.is_known;
            }
            None => {
                places.insert(&write.path, changes.len());
                changes.push(KeyChange {
                    path: write.path.clone(),
                    before: write.before.clone(),
                    after: write.after.clone(),
                    is_known: write.is_known,
                });
            }
        }
    }
    changes
}

/// A change: the key with its sign, then what it was and became.
pub(crate) fn change_text(change: &KeyChange, is_full: bool, colour: bool) -> String {
    let (sign, style) = match change.name() {
        "added" => ("+", Style::new().green()),
        "removed" => ("-", Style::new().red()),
        "changed" => ("~", Style::new().yellow()),
        _ => ("=", Style::new().dimmed()),
    };
    let altered = [&change.before, &change.after]
        .into_iter()
        .flatten()
        .map(|value| Altered::of(value))
        .find(|altered| altered.is_any())
        .unwrap_or_default();
    let what = match change.name() {
        "unknown" => " (written; the value was not captured)",
        "same" => " (written again, unchanged)",
        _ => altered.note(),
    };
    let mut text = format!(
        "{}{what}\n",
        paint(&format!("{sign} {}", one_line(&change.path)), style, colour)
    );
    match change.name() {
        "added" => push_values(
            &mut text,
            "+",
            change.after.as_deref(),
            Style::new().green(),
            is_full,
            colour,
        ),
        "removed" => push_values(
            &mut text,
            "-",
            change.before.as_deref(),
            Style::new().red(),
            is_full,
            colour,
        ),
        "changed" => push_changed(&mut text, change, is_full, colour),
        _ => {}
    }
    text
}

fn push_values(
    text: &mut String,
    sign: &str,
    value: Option<&Value>,
    style: Style,
    is_full: bool,
    colour: bool,
) {
    for line in value.map(|value| value_lines(value, is_full)).unwrap_or_default() {
        text.push_str(&format!(
            "    {}\n",
            paint(&format!("{sign} {line}"), style, colour)
        ));
    }
}

/// What was there and what came, line by line; of long texts only the lines that changed.
fn push_changed(text: &mut String, change: &KeyChange, is_full: bool, colour: bool) {
    let whole = |value: &Option<Arc<Value>>| {
        let lines = value
            .as_deref()
            .map(|value| value_lines(value, true))
            .unwrap_or_default();
        lines.join("\n")
    };
    for line in diff_lines(&whole(&change.before), &whole(&change.after), is_full, colour) {
        text.push_str(&format!("    {line}\n"));
    }
}

/// A change as JSON.
pub(crate) fn change_json(change: &KeyChange) -> Value {
    json!({
        "key": change.path,
        "change": change.name(),
        "before": change.before,
        "after": change.after,
    })
}

/// What differs between the members of two objects, or between two values that are none.
pub(crate) fn changed_members(before: Option<&Value>, after: Option<&Value>) -> Vec<KeyChange> {
    let change = |path: &str, before: Option<&Value>, after: Option<&Value>| {
        (before != after).then(|| KeyChange {
            path: path.to_owned(),
            before: before.cloned().map(Arc::new),
            after: after.cloned().map(Arc::new),
            is_known: true,
        })
    };
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            let names = old.keys().chain(added);
            names
                .filter_map(|name| change(name, old.get(name), new.get(name)))
                .collect()
        }
        _ => change("(all)", before, after).into_iter().collect(),
    }
}

fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}
