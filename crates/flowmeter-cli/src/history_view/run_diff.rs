//! Two runs beside each other: their nodes matched by path and by which time they ran, and their stores at the end.
//!
//! Never takes different times for a difference: they differ always.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use flowmeter_model::{AttributeValue, Cost, CostTotal, Span, SpanError, SpanId, SpanKind, SpanStatus};
use flowmeter_otlp::names;
use flowmeter_store::TokenSums;
use serde_json::Value;
use smol_str::SmolStr;

use super::key_change::KeyChange;
use super::messages::{joined, prompt_of, response_of};
use super::store_state::StoreJournal;
use super::stored_trace::RunSpans;

mod view;

pub(crate) use view::{DiffLook, diff_json, diff_text};

/// How much of a node's prompts or answers is compared.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// A node by its path and which time it ran.
type NodeKey = (SmolStr, usize);

/// One execution of a node in one of the runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeSide {
    pub(crate) span_id: Option<SpanId>,
    pub(crate) status: Option<SpanStatus>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) error: Option<SpanError>,
    pub(crate) params: Option<Arc<Value>>,
    /// Models that were asked, in the order of the calls, each once.
    pub(crate) models: Vec<SmolStr>,
    pub(crate) tokens: TokenSums,
    pub(crate) cost: CostTotal,
    pub(crate) prompt: String,
    pub(crate) response: String,
}

/// A node in both runs, or in one.
#[derive(Clone, Debug)]
pub(crate) struct NodePair {
    pub(crate) node: SmolStr,
    pub(crate) nth: usize,
    pub(crate) before: Option<NodeSide>,
    pub(crate) after: Option<NodeSide>,
}

/// The difference of two runs.
pub(crate) struct RunDiff {
    pub(crate) nodes: Vec<NodePair>,
    /// Keys of the store that are not the same at the end.
    pub(crate) state: Vec<KeyChange>,
    /// What could not be compared, in words.
    pub(crate) notes: Vec<String>,
}

impl NodePair {
    /// What differs, but for times.
    pub(crate) fn changed(&self) -> Vec<&'static str> {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return Vec::new();
        };
        let parts = [
            ("status", before.status != after.status),
            ("error", before.error != after.error),
            ("model", before.models != after.models),
            ("params", before.params != after.params),
            ("prompt", before.prompt != after.prompt),
            ("answer", before.response != after.response),
            ("tokens", before.tokens != after.tokens),
            ("cost", before.cost != after.cost),
        ];
        parts
            .into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }

    /// `added`, `removed`, `changed`, `same`.
    pub(crate) fn change(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ if self.changed().is_empty() => "same",
            _ => "changed",
        }
    }
}

impl RunDiff {
    /// Compares two runs; with a node, only that one and no stores.
    ///
    /// # Errors
    /// When the history cannot be read, or neither run has the node.
    pub(crate) fn of(before: &RunSpans<'_>, after: &RunSpans<'_>, node: Option<&str>) -> Result<Self> {
        let path = node.map(|node| path_of(before, after, node)).transpose()?;
        let is_wanted = |key: &NodeKey| path.as_ref().is_none_or(|path| key.0 == *path);
        let (first, second) = (sides_of(before)?, sides_of(after)?);
        let mut notes = notes_of(before, &first.1, "first");
        notes.extend(notes_of(after, &second.1, "second"));
        let nodes = paired(first, second, &is_wanted);
        let state = if path.is_some() {
            Vec::new()
        } else {
            let (one, one_notes) = end_state(before)?;
            let (other, other_notes) = end_state(after)?;
            notes.extend(one_notes.into_iter().map(|note| format!("first run: {note}")));
            notes.extend(other_notes.into_iter().map(|note| format!("second run: {note}")));
            state_changes(&one, &other)
        };
        Ok(Self { nodes, state, notes })
    }
}

/// The path that a name means, in whichever run has it.
fn path_of(before: &RunSpans<'_>, after: &RunSpans<'_>, node: &str) -> Result<SmolStr> {
    let found = after.places().find(node, None);
    let found = found.or_else(|error| before.places().find(node, None).map_err(|_| error))?;
    Ok(found.span.node.clone())
}

type Sides = (Vec<NodeKey>, HashMap<NodeKey, NodeSide>);

/// The nodes of a run in the order of their start, each with what is compared of it.
fn sides_of(run: &RunSpans<'_>) -> Result<Sides> {
    let places = run.places();
    let mut keys = Vec::new();
    let mut key_of_span: HashMap<SpanId, NodeKey> = HashMap::new();
    for (span, nth) in places.executions() {
        let key = (span.node.clone(), nth);
        key_of_span.insert(span.span_id, key.clone());
        keys.push(key);
    }
    let mut sides: HashMap<NodeKey, NodeSide> = HashMap::new();
    let mut calls: Vec<(NodeKey, Span)> = Vec::new();
    let mut items: HashMap<SpanId, i64> = HashMap::new();
    run.each(&mut |span| match span.kind {
        SpanKind::Node => {
            if let Some(key) = key_of_span.get(&span.span_id) {
                let side = sides.entry(key.clone()).or_default();
                side.span_id = Some(span.span_id);
                side.status = span.status;
                side.duration_ns = span.duration_ns();
                side.error.clone_from(&span.error);
                side.params.clone_from(&span.params);
            }
        }
        SpanKind::LlmCall => {
            let mut around = places.get(span.span_id);
            while let Some(place) = around.filter(|place| place.kind != SpanKind::Node) {
                around = place.parent.and_then(|parent| places.get(parent));
            }
            if let Some(key) = around.and_then(|place| key_of_span.get(&place.span_id)) {
                calls.push((key.clone(), span.clone()));
            }
        }
        SpanKind::BatchItem => {
            if let Some(AttributeValue::I64(index)) = span.attributes.get("batch.index") {
                items.insert(span.span_id, *index);
            }
        }
        _ => {}
    })?;
    calls.sort_by_cached_key(|(_, call)| (item_of(run, &items, call.span_id), call.start));
    for (key, call) in &calls {
        add_call(sides.entry(key.clone()).or_default(), call);
    }
    Ok((keys, sides))
}

/// Items of a batch run at once and begin in any order: their calls are compared in the order of the items.
fn item_of(run: &RunSpans<'_>, items: &HashMap<SpanId, i64>, call: SpanId) -> i64 {
    let mut around = run.places().get(call);
    while let Some(place) = around.filter(|place| place.kind != SpanKind::Node) {
        if let Some(index) = items.get(&place.span_id) {
            return *index;
        }
        around = place.parent.and_then(|parent| run.places().get(parent));
    }
    0
}

fn add_call(side: &mut NodeSide, call: &Span) {
    let model = call.attributes.get_str(names::REQUEST_MODEL).unwrap_or_default();
    if !side.models.iter().any(|known| known == model) {
        side.models.push(SmolStr::new(model));
    }
    if let Some(usage) = &call.usage {
        side.tokens.add(&TokenSums::of(usage));
    }
    side.cost
        .add(model, call.cost.as_ref().unwrap_or(&Cost::unpriced()));
    // A call that is tried again is asked the same again: once is enough.
    let asked = joined(&prompt_of(call));
    if !side.prompt.ends_with(&asked) {
        append(&mut side.prompt, &asked);
    }
    append(&mut side.response, &joined(&response_of(call)));
}

fn append(text: &mut String, said: &str) {
    if !said.is_empty() && text.len() + said.len() <= TEXT_BYTES_MAX {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(said);
    }
}

/// The nodes of both runs: in the order of the first one, what only the second has behind what came before it there.
fn paired(first: Sides, second: Sides, is_wanted: &dyn Fn(&NodeKey) -> bool) -> Vec<NodePair> {
    let ((first_keys, mut first), (second_keys, mut second)) = (first, second);
    let known: std::collections::HashSet<NodeKey> = first_keys.iter().cloned().collect();
    let mut follow: HashMap<Option<NodeKey>, Vec<NodeKey>> = HashMap::new();
    let mut last_common = None;
    for key in second_keys {
        if known.contains(&key) {
            last_common = Some(key);
        } else {
            follow.entry(last_common.clone()).or_default().push(key);
        }
    }
    let mut order = follow.remove(&None).unwrap_or_default();
    for key in first_keys {
        let more = follow.remove(&Some(key.clone())).unwrap_or_default();
        order.push(key);
        order.extend(more);
    }
    order
        .into_iter()
        .filter(|key| is_wanted(key))
        .map(|key| NodePair {
            before: first.remove(&key),
            after: second.remove(&key),
            node: key.0,
            nth: key.1,
        })
        .collect()
}

fn notes_of(run: &RunSpans<'_>, sides: &HashMap<NodeKey, NodeSide>, which: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let has_calls = sides.values().any(|side| side.cost.calls > 0);
    let has_texts = sides
        .values()
        .any(|side| !side.prompt.is_empty() || !side.response.is_empty());
    if run.are_payloads_gone() {
        notes.push(format!(
            "{which} run: its payloads have had their time (retention): prompts, answers, parameters and the store are \
             gone"
        ));
    } else if has_calls && !has_texts {
        notes.push(format!("{which} run: prompts and answers were not captured"));
    }
    notes
}

type Entries = std::collections::BTreeMap<String, Option<Arc<Value>>>;

/// The store of a run at its end, and what is not known of it.
fn end_state(run: &RunSpans<'_>) -> Result<(Entries, Vec<String>)> {
    let root = run.places().all().iter().find(|span| span.kind == SpanKind::Run);
    let Some(root) = root else {
        return Ok((Entries::new(), Vec::new()));
    };
    let mut journal = StoreJournal::of(run, root.span_id)?;
    journal.note_open(run.places(), root.span_id, None);
    let state = journal.state_at(None, None);
    let entries = state.entries.into_iter().map(|(path, entry)| (path, entry.value));
    Ok((entries.collect(), journal.notes))
}

fn state_changes(before: &Entries, after: &Entries) -> Vec<KeyChange> {
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter_map(|path| {
            let (old, new) = (before.get(path), after.get(path));
            // Both there, one of them unknown: nothing can be said.
            let is_known = !matches!((old, new), (Some(None), _) | (_, Some(None)));
            let is_same = old == new || (!is_known && old.is_some() && new.is_some());
            (!is_same).then(|| KeyChange {
                path: path.clone(),
                before: old.cloned().flatten(),
                after: new.cloned().flatten(),
                is_known,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
