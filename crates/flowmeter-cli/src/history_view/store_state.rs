//! The shared store of a run as it was at some moment, rebuilt from the writes that its spans recorded.
//!
//! Never shows a value that is not known: what was not captured is said to be there, and unknown.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;
use flowmeter_engine::{PathSegment, StorePath};
use flowmeter_model::{AttributeValue, Span, SpanId, SpanKind, TimestampNs};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::places::{PlacedSpan, Places};
use super::stored_trace::RunSpans;
use super::value_words::Altered;

/// One write to the store.
#[derive(Clone, Debug)]
pub(crate) struct StoreWrite {
    /// `namespace.key` or deeper; a root key stands alone.
    pub(crate) path: String,
    pub(crate) before: Option<Arc<Value>>,
    /// The value after; `None` where the key was removed, or where values were not captured.
    pub(crate) after: Option<Arc<Value>>,
    /// Whether values were captured.
    pub(crate) is_known: bool,
    pub(crate) time: TimestampNs,
    pub(crate) writer: Writer,
}

/// Who wrote.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) span_id: SpanId,
    /// The node; empty for the inputs of a workflow.
    pub(crate) node: SmolStr,
    /// Which time the node ran, from 1.
    pub(crate) nth: usize,
}

/// A key of the store at some moment.
#[derive(Clone, Debug)]
pub(crate) struct StateEntry {
    /// `None` where it was not captured.
    pub(crate) value: Option<Arc<Value>>,
    /// Who wrote it last and when; `None` for what was there before the first write that is known.
    pub(crate) last: Option<(Writer, TimestampNs)>,
}

/// The store at some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreState {
    pub(crate) entries: BTreeMap<String, StateEntry>,
    /// Paths of writes that could not be followed, because the value around them was cut when it was recorded.
    pub(crate) lost: Vec<String>,
}

/// All writes to one store of a run, oldest first.
pub(crate) struct StoreJournal {
    pub(crate) writes: Vec<StoreWrite>,
    /// What keeps the journal from being complete, in words.
    pub(crate) notes: Vec<String>,
    /// The names that are namespaces: those of nodes.
    namespaces: HashSet<SmolStr>,
}

impl StoreJournal {
    /// The writes to the store of the workflow that `workflow` is the span of.
    ///
    /// # Errors
    /// When the store of the history cannot be read.
    pub(crate) fn of(run: &RunSpans<'_>, workflow: SpanId) -> Result<Self> {
        let places = run.places();
        let mut journal = Self {
            writes: Vec::new(),
            notes: Vec::new(),
            namespaces: HashSet::new(),
        };
        let nth: HashMap<SpanId, usize> = places
            .executions()
            .into_iter()
            .map(|(span, nth)| (span.span_id, nth))
            .collect();
        let mut dropped = Vec::new();
        run.each(&mut |span| {
            let is_own = span.span_id == workflow;
            let in_store =
                || places.workflow_around(span.span_id).map(|around| around.span_id) == Some(workflow);
            if !is_own && !(span.kind == SpanKind::Node && in_store()) {
                return;
            }
            let node = places
                .get(span.span_id)
                .map(|place| place.node.clone())
                .unwrap_or_default();
            let writer = Writer {
                span_id: span.span_id,
                nth: nth.get(&span.span_id).copied().unwrap_or(1),
                node: if is_own { SmolStr::default() } else { node },
            };
            if let Some(id) = span.attributes.get_str("node.id") {
                journal.namespaces.insert(SmolStr::new(id));
            }
            if span.attributes.get("flowmeter.details_dropped").is_some() {
                dropped.push(writer.node.to_string());
            }
            journal.add(span, writer);
        })?;
        // Stable: what came at the same moment stays in the order in which it was recorded.
        journal.writes.sort_by_key(|write| write.time);
        if !dropped.is_empty() {
            journal.notes.push(format!(
                "what these wrote was dropped when the run was recorded: {}",
                names(&dropped)
            ));
        }
        if journal.writes.iter().any(|write| !write.is_known) {
            journal.notes.push(
                "the run was recorded without content (--capture metadata): it is known which keys were written, but \
                 not the values"
                    .to_owned(),
            );
        }
        Ok(journal)
    }

    fn add(&mut self, span: &Span, writer: Writer) {
        for mutation in &span.mutations {
            self.writes.push(StoreWrite {
                path: mutation.path.clone(),
                before: mutation.before.clone(),
                after: mutation.after.clone(),
                is_known: true,
                time: mutation.time,
                writer: writer.clone(),
            });
        }
        // Without content the recorder notes the paths alone.
        if span.mutations.is_empty()
            && let Some(AttributeValue::Json(paths)) = span.attributes.get("node.writes")
            && let Some(paths) = paths.as_array()
        {
            for path in paths.iter().filter_map(Value::as_str) {
                self.writes.push(StoreWrite {
                    path: path.to_owned(),
                    before: None,
                    after: None,
                    is_known: false,
                    time: span.end.unwrap_or(span.start),
                    writer: writer.clone(),
                });
            }
        }
    }

    /// Notes the nodes that had begun by then and not ended: what they wrote is recorded when they end.
    pub(crate) fn note_open(&mut self, places: &Places, workflow: SpanId, until: Option<TimestampNs>) {
        let is_open = |span: &&PlacedSpan| {
            span.kind == SpanKind::Node
                && span.end.is_none()
                && until.is_none_or(|until| span.start <= until)
                && places.workflow_around(span.span_id).map(|around| around.span_id) == Some(workflow)
        };
        let open: Vec<String> = places
            .all()
            .iter()
            .filter(is_open)
            .map(|span| span.node.to_string())
            .collect();
        if !open.is_empty() {
            self.notes.push(format!(
                "not ended, so what they may have written is not known: {}",
                names(&open)
            ));
        }
    }

    /// The store as it was then: after all writes up to that moment, and those of `own`. `None`: at the end.
    pub(crate) fn state_at(&self, until: Option<TimestampNs>, own: Option<SpanId>) -> StoreState {
        let mut state = StoreState::default();
        // A key whose first known write replaced something was there before.
        let mut seen = HashSet::new();
        for write in &self.writes {
            let (key, rest) = self.split(&write.path);
            if let (true, Some(before)) = (seen.insert(key), &write.before) {
                let mut value = Value::Null;
                if set_inside(&mut value, rest, Some(before)) {
                    let entry = StateEntry {
                        value: Some(Arc::new(value)),
                        last: None,
                    };
                    state.entries.insert(key.to_owned(), entry);
                }
            }
        }
        for write in &self.writes {
            let is_in_time = until.is_none_or(|until| write.time <= until);
            if is_in_time || Some(write.writer.span_id) == own {
                self.apply(&mut state, write);
            }
        }
        state
    }

    fn apply(&self, state: &mut StoreState, write: &StoreWrite) {
        let last = Some((write.writer.clone(), write.time));
        let (key, rest) = self.split(&write.path);
        if rest.is_empty() || !write.is_known || state.entries.contains_key(&write.path) {
            if write.after.is_none() && write.is_known {
                state.entries.remove(&write.path);
            } else {
                let value = write.after.clone();
                state
                    .entries
                    .insert(write.path.clone(), StateEntry { value, last });
            }
            return;
        }
        let entry = state.entries.entry(key.to_owned()).or_insert_with(|| StateEntry {
            value: Some(Arc::new(Value::Null)),
            last: None,
        });
        let is_followed = match &mut entry.value {
            Some(value) => set_inside(Arc::make_mut(value), rest, write.after.as_ref()),
            None => false,
        };
        entry.last = last;
        if !is_followed {
            state.lost.push(write.path.clone());
        }
    }

    /// The key that a path begins with, and the way inside its value: `reply` and `.items[0]`. The name of a node is a
    /// namespace: of `fetch.reply.items` the key is `fetch.reply`.
    fn split<'a>(&self, path: &'a str) -> (&'a str, &'a str) {
        let first = path.find(['.', '[']).unwrap_or(path.len());
        let is_space = path[first..].starts_with('.') && self.namespaces.contains(&path[..first]);
        if !is_space {
            return path.split_at(first);
        }
        let second = path[first + 1..].find(['.', '[']);
        path.split_at(second.map_or(path.len(), |second| first + 1 + second))
    }
}

impl StoreState {
    /// The store as one JSON object: a namespace is an object. What is not known is null.
    pub(crate) fn tree(&self) -> Value {
        let mut tree = Map::new();
        for (path, entry) in &self.entries {
            let value = entry.value.as_deref().cloned().unwrap_or_default();
            match path.split_once('.') {
                Some((namespace, key)) if !self.entries.contains_key(namespace) => {
                    let space = tree
                        .entry(namespace.to_owned())
                        .or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(members) = space {
                        members.insert(key.to_owned(), value);
                    }
                }
                // A root key of the name of a namespace: both are kept.
                _ => {
                    tree.insert(path.clone(), value);
                }
            }
        }
        tree.into()
    }
}

impl StateEntry {
    /// What became of the value when it was recorded.
    pub(crate) fn altered(&self) -> Altered {
        self.value.as_deref().map(Altered::of).unwrap_or_default()
    }
}

/// Whether `path` leads into `owner`.
pub(crate) fn is_beneath(path: &str, owner: &str) -> bool {
    path.strip_prefix(owner)
        .is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// Puts a value deep inside another one, or takes it away: `.items[0].name`. Says whether the way was there.
fn set_inside(root: &mut Value, rest: &str, after: Option<&Arc<Value>>) -> bool {
    let Ok(path) = StorePath::parse(&format!("key{rest}")) else {
        return false;
    };
    let mut place = root;
    for (depth, segment) in path.rest().iter().enumerate() {
        let is_last = depth + 1 == path.rest().len();
        if place.is_null() && matches!(segment, PathSegment::Name(_)) {
            *place = Value::Object(Map::new());
        }
        place = match (segment, place) {
            (PathSegment::Name(name), Value::Object(members)) => {
                if is_last && after.is_none() {
                    members.shift_remove(name);
                    return true;
                }
                members.entry(name.clone()).or_insert(Value::Null)
            }
            (PathSegment::Index(index), Value::Array(elements)) if *index <= elements.len() => {
                if *index == elements.len() {
                    elements.push(Value::Null);
                }
                &mut elements[*index]
            }
            _ => return false,
        };
    }
    *place = after.map(|value| Value::clone(value)).unwrap_or_default();
    true
}

/// Names with commas, the first ones of many.
fn names(all: &[String]) -> String {
    let shown: Vec<String> = all
        .iter()
        .take(8)
        .map(|name| {
            if name.is_empty() {
                "the inputs".to_owned()
            } else {
                format!("`{name}`")
            }
        })
        .collect();
    let more = if all.len() > 8 {
        format!(" and {} more", all.len() - 8)
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests;
