//! Which node a span belongs to: the nearest node around it or itself, with the nodes around that.
//!
//! Never waits for a span: what has not come when a span ends is not known of it. Who appends a run's spans in another
//! order than that in which they happened puts the spans around a span into the same append or an earlier one.

use flowmeter_model::{AttributeValue, Span, SpanId, SpanKind};
use rustc_hash::FxHashMap;
use smol_str::{SmolStr, format_smolstr};

/// The attribute that names a node.
pub(crate) const NODE_ID: &str = "node.id";
/// The attribute of a span that was kept without the spans around it (runs that were not sampled): its path.
pub(crate) const NODE_PATH: &str = "flowmeter.node.path";
/// Deeper trees are cut here: ids that lead in a circle must not lead us.
const DEPTH_MAX: usize = 1_000;

/// The spans of one run that may be around others.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodePaths {
    spans: FxHashMap<SpanId, Around>,
}

/// What a span tells of where it stands.
#[derive(Clone, Debug)]
pub(crate) struct SpanPlace {
    span_id: SpanId,
    parent: Option<SpanId>,
    /// The node that it is.
    node: Option<SmolStr>,
    /// The path of its node, where it says so itself.
    path: Option<SmolStr>,
}

impl SpanPlace {
    pub(crate) fn of(span: &Span) -> Self {
        let node = (span.kind == SpanKind::Node)
            .then(|| span.attributes.get_str(NODE_ID).map(SmolStr::new))
            .flatten();
        let path = match span.attributes.get(NODE_PATH) {
            Some(AttributeValue::Str(path)) => Some(path.clone()),
            _ => None,
        };
        Self {
            span_id: span.span_id,
            parent: span.parent_span_id,
            node,
            path,
        }
    }
}

#[derive(Clone, Debug)]
struct Around {
    parent: Option<SpanId>,
    node: Option<SmolStr>,
}

impl NodePaths {
    /// So many spans are going to be noted at most.
    pub(crate) fn expect(&mut self, spans: usize) {
        self.spans.reserve(spans);
    }

    /// Remembers a span that began or ended.
    pub(crate) fn note(&mut self, place: &SpanPlace) {
        let SpanPlace {
            span_id,
            parent,
            node,
            ..
        } = place;
        match self.spans.get_mut(span_id) {
            // The end of a span may come without what its beginning said.
            Some(around) => {
                around.parent = around.parent.or(*parent);
                if around.node.is_none() {
                    around.node.clone_from(node);
                }
            }
            None => {
                let (parent, node) = (*parent, node.clone());
                self.spans.insert(*span_id, Around { parent, node });
            }
        }
    }

    /// Forgets a span that nothing lies in any more.
    pub(crate) fn remove(&mut self, span_id: SpanId) {
        self.spans.remove(&span_id);
    }

    /// How many spans are remembered.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The node of a span that was noted: `outer/inner` where workflows are nested, empty outside nodes.
    pub(crate) fn path_of(&self, place: &SpanPlace) -> SmolStr {
        if let Some(path) = &place.path {
            return path.clone();
        }
        let mut path = SmolStr::default();
        let mut at = Some(place.span_id);
        for _ in 0..DEPTH_MAX {
            let Some(around) = at.and_then(|span_id| self.spans.get(&span_id)) else {
                break;
            };
            if let Some(node) = &around.node {
                path = if path.is_empty() {
                    node.clone()
                } else {
                    format_smolstr!("{node}/{path}")
                };
            }
            at = around.parent;
        }
        path
    }
}
