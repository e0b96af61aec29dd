//! The chain of steps that decides when a run ends.
//!
//! Never counts a moment twice: at each moment of the run one step decides, the innermost of those that the end waited
//! for.

use flowmeter_model::{SpanId, SpanKind};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::SpanRow;

/// What a node has of the chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Link {
    /// The node; empty for what is between nodes.
    pub(super) node: SmolStr,
    /// Nanoseconds.
    pub(super) duration_ns: u64,
    /// Of these, within LLM calls.
    pub(super) llm_ns: u64,
}

/// The chain of a run, by node, the largest first; and the time from its start to its end.
pub(super) fn critical_path(rows: &[SpanRow], root: SpanId) -> (Vec<Link>, u64) {
    let Some(root) = rows.iter().position(|row| row.span_id == root) else {
        return (Vec::new(), 0);
    };
    let end = |place: usize| rows[place].start.0.saturating_add(rows[place].duration_ns);
    let mut children: FxHashMap<SpanId, Vec<usize>> = FxHashMap::default();
    for (place, row) in rows.iter().enumerate() {
        if let Some(parent) = row.parent_span_id.filter(|_| place != root) {
            children.entry(parent).or_default().push(place);
        }
    }
    for of_parent in children.values_mut() {
        of_parent.sort_by_key(|place| (end(*place), rows[*place].start));
    }
    let mut links: FxHashMap<SmolStr, (u64, u64)> = FxHashMap::default();
    let mut open = vec![root];
    while let Some(place) = open.pop() {
        let row = &rows[place];
        // Taken out, so that spans that stand in a circle end.
        let mut inside = children.remove(&row.span_id).unwrap_or_default();
        let mut cursor = end(place);
        let mut own = 0;
        while let Some(child) = inside.pop() {
            if end(child) > cursor || rows[child].start < row.start {
                continue;
            }
            own += cursor - end(child);
            cursor = rows[child].start.0;
            open.push(child);
        }
        own += cursor.saturating_sub(row.start.0);
        let link = links.entry(row.node.clone()).or_default();
        link.0 += own;
        if row.kind == SpanKind::LlmCall {
            link.1 += own;
        }
    }
    let mut links: Vec<Link> = links
        .into_iter()
        .map(|(node, (duration_ns, llm_ns))| Link {
            node,
            duration_ns,
            llm_ns,
        })
        .filter(|link| link.duration_ns > 0)
        .collect();
    links.sort_by(|a, b| (b.duration_ns, &a.node).cmp(&(a.duration_ns, &b.node)));
    (links, rows[root].duration_ns)
}

#[cfg(test)]
mod tests;
