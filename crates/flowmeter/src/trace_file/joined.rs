//! One trace from several files: a run that another run started writes a file of its own.
//!
//! Never adds up metrics: those of the outermost run stand, and the spans tell the rest.

use std::collections::HashSet;

use flowmeter_model::SpanId;

use super::TraceDocument;

impl TraceDocument {
    /// Joins the parts of one trace. The run that none of the others started stands for the whole: its workflow,
    /// status and metrics. `None` where there are no parts.
    #[must_use]
    pub fn joined(mut parts: Vec<Self>) -> Option<Self> {
        parts.sort_by_key(|part| part.started);
        let known: HashSet<SpanId> = parts
            .iter()
            .flat_map(|part| part.spans.iter().map(|span| span.span_id))
            .collect();
        // The spans of a part that lead out of it lead to whoever started it.
        let is_inner = |part: &Self| {
            let own: HashSet<SpanId> = part.spans.iter().map(|span| span.span_id).collect();
            let mut parents = part.spans.iter().filter_map(|span| span.parent_span_id);
            parents.any(|parent| !own.contains(&parent) && known.contains(&parent))
        };
        let head = parts.iter().position(|part| !is_inner(part)).unwrap_or(0);
        if parts.is_empty() {
            return None;
        }
        let mut whole = parts.remove(head);
        for part in parts {
            whole.spans.extend(part.spans);
            whole.logs.extend(part.logs);
            whole.broken_lines += part.broken_lines;
        }
        Some(whole)
    }
}

#[cfg(test)]
mod tests;
