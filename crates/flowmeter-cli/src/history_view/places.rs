//! Where the spans of a run stand: which node each belongs to, what is inside it, and which one a name means.
//!
//! Never holds a payload: a run of many thousand nodes is looked at by its rows.

use std::collections::HashMap;

use anyhow::Result;
use flowmeter_model::{Span, SpanId, SpanKind, SpanStatus, TimestampNs};
use flowmeter_store::{RunDetail, SpanRow, Store};
use flowmeter_workflow::nearest_name;
use smol_str::{SmolStr, format_smolstr};

use crate::exit::BadUsage;

/// How many names are listed where one is not found.
const NAMES_SHOWN: usize = 12;

/// A span without its payload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacedSpan {
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) kind: SpanKind,
    pub(crate) operation: SmolStr,
    /// The node that it is, or that it happened in; empty outside nodes.
    pub(crate) node: SmolStr,
    pub(crate) start: TimestampNs,
    /// `None` while it runs, or where nobody saw the end.
    pub(crate) end: Option<TimestampNs>,
    pub(crate) status: Option<SpanStatus>,
}

/// The spans of a run, in the order of their start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    spans: Vec<PlacedSpan>,
    by_id: HashMap<SpanId, usize>,
    children: HashMap<SpanId, Vec<usize>>,
}

/// The span that a name means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundSpan<'a> {
    pub(crate) span: &'a PlacedSpan,
    /// Which time the node ran, from 1, and of how many. Both are 1 where a span was named by its id.
    pub(crate) nth: usize,
    pub(crate) count: usize,
}

impl Places {
    /// The spans of a run of the store, those that are open among them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn of_run(store: &dyn Store, detail: &RunDetail) -> Result<Self> {
        let rows = store.span_rows(&detail.row.key)?;
        let ended: std::collections::HashSet<SpanId> = rows.iter().map(|row| row.span_id).collect();
        let mut spans: Vec<PlacedSpan> = rows.iter().map(placed_row).collect();
        // A span may have ended between the two readings.
        let open = detail.open.iter().filter(|span| !ended.contains(&span.span_id));
        spans.extend(open.map(placed_span));
        Ok(Self::new(spans))
    }

    /// The spans of a trace that was read from a file.
    pub(crate) fn of_spans(spans: &[Span]) -> Self {
        Self::new(spans.iter().map(placed_span).collect())
    }

    fn new(mut spans: Vec<PlacedSpan>) -> Self {
        spans.sort_by_key(|span| span.start);
        let by_id: HashMap<SpanId, usize> = spans
            .iter()
            .enumerate()
            .map(|(index, span)| (span.span_id, index))
            .collect();
        let mut children: HashMap<SpanId, Vec<usize>> = HashMap::new();
        for (index, span) in spans.iter().enumerate() {
            if let Some(parent) = span.parent.filter(|parent| by_id.contains_key(parent)) {
                children.entry(parent).or_default().push(index);
            }
        }
        let mut places = Self {
            spans,
            by_id,
            children,
        };
        places.name_nodes();
        places
    }

    /// Gives every span the path of its node: rows have it already, spans only the node's own id.
    fn name_nodes(&mut self) {
        let mut pending: Vec<(usize, SmolStr)> = self
            .spans
            .iter()
            .enumerate()
            .filter(|(_, span)| span.parent.is_none_or(|parent| !self.by_id.contains_key(&parent)))
            .map(|(index, _)| (index, SmolStr::default()))
            .collect();
        while let Some((index, around)) = pending.pop() {
            let span = &mut self.spans[index];
            let is_whole = around.is_empty() || span.node.starts_with(&format!("{around}/"));
            let node = match span.kind {
                _ if span.node.is_empty() => around,
                SpanKind::Node if !is_whole => format_smolstr!("{around}/{}", span.node),
                _ => span.node.clone(),
            };
            span.node = node.clone();
            if let Some(children) = self.children.get(&self.spans[index].span_id) {
                pending.extend(children.iter().map(|child| (*child, node.clone())));
            }
        }
    }

    /// All spans.
    pub(crate) fn all(&self) -> &[PlacedSpan] {
        &self.spans
    }

    /// The span with this id.
    pub(crate) fn get(&self, id: SpanId) -> Option<&PlacedSpan> {
        self.by_id.get(&id).map(|index| &self.spans[*index])
    }

    /// The executions of nodes, each with which time the node ran, from 1.
    pub(crate) fn executions(&self) -> Vec<(&PlacedSpan, usize)> {
        let mut times: HashMap<&str, usize> = HashMap::new();
        let nodes = self.spans.iter().filter(|span| span.kind == SpanKind::Node);
        nodes
            .map(|span| {
                let nth = times.entry(&span.node).or_default();
                *nth += 1;
                (span, *nth)
            })
            .collect()
    }

    /// The spans directly inside this one.
    pub(crate) fn children(&self, id: SpanId) -> impl Iterator<Item = &PlacedSpan> {
        let children = self.children.get(&id).map(Vec::as_slice).unwrap_or_default();
        children.iter().map(|index| &self.spans[*index])
    }

    /// The spans inside this one at any depth, in the order of their start, itself first. Nodes of nested workflows
    /// are among them, where `with_nodes` says so.
    pub(crate) fn inside(&self, id: SpanId, with_nodes: bool) -> Vec<&PlacedSpan> {
        let mut found = Vec::new();
        let mut pending: Vec<usize> = self.by_id.get(&id).copied().into_iter().collect();
        while let Some(index) = pending.pop() {
            let span = &self.spans[index];
            found.push(index);
            let children = self
                .children
                .get(&span.span_id)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let is_wanted = |child: &&usize| with_nodes || self.spans[**child].kind != SpanKind::Node;
            pending.extend(children.iter().filter(is_wanted));
        }
        found.sort_unstable();
        found.into_iter().map(|index| &self.spans[index]).collect()
    }

    /// The span whose workflow this one runs in: that of a nested workflow, else the root; they have a store each.
    pub(crate) fn workflow_around(&self, id: SpanId) -> Option<&PlacedSpan> {
        let mut at = self.get(id)?;
        loop {
            at = match at.parent.and_then(|parent| self.get(parent)) {
                Some(parent) => parent,
                None => return (at.kind == SpanKind::Run).then_some(at),
            };
            if matches!(at.kind, SpanKind::Workflow | SpanKind::Run) {
                return Some(at);
            }
        }
    }

    /// The span that is meant by a span's id, a node's path, the last part of one, or the name of a span that is no
    /// node.
    ///
    /// # Errors
    /// When there is none, several nodes are meant alike, or the node did not run so often.
    pub(crate) fn find(&self, wanted: &str, nth: Option<u64>) -> Result<FoundSpan<'_>> {
        let by_id = SpanId::parse(wanted).ok().and_then(|id| self.get(id));
        if let Some(span) = by_id {
            return Ok(FoundSpan {
                span,
                nth: 1,
                count: 1,
            });
        }
        let nodes = || self.spans.iter().filter(|span| span.kind == SpanKind::Node);
        let mut found: Vec<&PlacedSpan> = nodes().filter(|span| span.node == wanted).collect();
        if found.is_empty() {
            found = nodes().filter(|span| last_part(&span.node) == wanted).collect();
            let mut paths: Vec<&str> = found.iter().map(|span| span.node.as_str()).collect();
            paths.sort_unstable();
            paths.dedup();
            if paths.len() > 1 {
                return Err(BadUsage(format!(
                    "several nodes are called `{wanted}`: {}; name one by its path",
                    listed(&paths)
                ))
                .into());
            }
        }
        if found.is_empty() {
            let others = self.spans.iter().filter(|span| span.kind != SpanKind::Node);
            found = others.filter(|span| span.operation == wanted).collect();
        }
        if found.is_empty() {
            return Err(self.unknown(wanted).into());
        }
        let count = found.len();
        let nth = nth.map_or(count, |nth| usize::try_from(nth).unwrap_or(usize::MAX));
        match found.get(nth.wrapping_sub(1)) {
            Some(span) => Ok(FoundSpan { span, nth, count }),
            None => {
                let times = if count == 1 {
                    "once".to_owned()
                } else {
                    format!("{count} times")
                };
                Err(BadUsage(format!(
                    "`{wanted}` ran {times} in this run; there is no --nth {nth}"
                ))
                .into())
            }
        }
    }

    fn unknown(&self, wanted: &str) -> BadUsage {
        let mut names: Vec<&str> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for span in self.spans.iter().filter(|span| span.kind == SpanKind::Node) {
            if seen.insert(span.node.as_str()) {
                names.push(&span.node);
            }
        }
        if names.is_empty() {
            return BadUsage(format!(
                "no node `{wanted}` ran in this run: none did, as far as is kept"
            ));
        }
        let near = nearest_name(wanted, names.iter().copied())
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        BadUsage(format!(
            "no node `{wanted}` ran in this run; these did: {}{near}",
            listed(&names)
        ))
    }
}

/// Names with commas, the first dozen of them.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).map(|name| format!("`{name}`"));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN {
        text.push_str(&format!(" and {} more", names.len() - NAMES_SHOWN));
    }
    text
}

fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn placed_row(row: &SpanRow) -> PlacedSpan {
    PlacedSpan {
        span_id: row.span_id,
        parent: row.parent_span_id,
        kind: row.kind,
        operation: row.operation.clone(),
        node: row.node.clone(),
        start: row.start,
        end: Some(TimestampNs(row.start.0.saturating_add(row.duration_ns))),
        status: Some(row.status),
    }
}

fn placed_span(span: &Span) -> PlacedSpan {
    let own = (span.kind == SpanKind::Node)
        .then(|| span.attributes.get_str("node.id"))
        .flatten();
    let path = span.attributes.get_str("flowmeter.node.path");
    PlacedSpan {
        span_id: span.span_id,
        parent: span.parent_span_id,
        kind: span.kind,
        operation: span.operation.clone(),
        node: SmolStr::new(path.or(own).unwrap_or_default()),
        start: span.start,
        end: span.end,
        status: span.status,
    }
}

#[cfg(test)]
mod tests;
