//! Which spans of a trace are open, and which of them a line means: by ids where there are any, else by order.
//!
//! Keeps open spans only: what has ended is forgotten. Never writes anything.

use flowmeter_model::{SpanKind, SpanStatus};
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;

use super::content::Content;
use super::line::{End, Subject, Whereabouts};
use crate::aggregate::LlmTotals;

const NONE: u32 = u32::MAX;

/// A span that was open when this was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanRef {
    index: u32,
    serial: u64,
}

impl SpanRef {
    /// Whether it is this span, also when that has just ended.
    pub(super) fn is(self, span: &OpenSpan) -> bool {
        self.serial == span.serial
    }
}

/// A span that began and has not ended.
#[derive(Debug)]
pub(super) struct OpenSpan {
    serial: u64,
    /// As the line gave it.
    pub(super) id: Option<SmolStr>,
    pub(super) subject: Subject,
    pub(super) kind: SpanKind,
    /// The id of the workflow or node; empty where there is none.
    pub(super) name: SmolStr,
    /// The type of the node, or the whole name of another span.
    pub(super) operation: SmolStr,
    /// Whether name and operation can be shown as they stand.
    pub(super) is_plain: bool,
    pub(super) start_ns: Option<u64>,
    pub(super) line: u64,
    pub(super) parent: Option<SpanRef>,
    pub(super) depth: u32,
    /// An `error` line said that it failed.
    pub(super) has_failed: bool,
    /// The message of the last error that was shown in it.
    pub(super) told_error: Option<Box<str>>,
    pub(super) items: u64,
    pub(super) items_ok: u64,
    /// Whether calls to models inside it were counted.
    pub(super) has_calls: bool,
    /// What stands before the ids of nodes inside it: the path of the node that runs this workflow.
    pub(super) path: SmolStr,
    /// The path of the innermost node around it, itself included.
    pub(super) node: SmolStr,
    /// Whether it has lines of its own. A first attempt that does well has none.
    pub(super) is_shown: bool,
    /// What holds its lines back: a first attempt around it.
    pub(super) held_by: Option<u64>,
    /// What holds the lines inside it back, if it is a first attempt.
    pub(super) holds: Option<u64>,
    pub(super) content: Option<Box<Content>>,
    before: u32,
    after: u32,
}

impl OpenSpan {
    pub(super) fn begun(whereabouts: &Whereabouts<'_>, subject: Subject, kind: SpanKind, line: u64) -> Self {
        Self {
            serial: 0,
            id: whereabouts.span_id.as_deref().map(SmolStr::new),
            subject,
            kind,
            name: SmolStr::default(),
            operation: SmolStr::default(),
            is_plain: true,
            start_ns: whereabouts.at_ns,
            line,
            parent: None,
            depth: 0,
            has_failed: false,
            told_error: None,
            items: 0,
            items_ok: 0,
            has_calls: false,
            path: SmolStr::default(),
            node: SmolStr::default(),
            is_shown: true,
            held_by: None,
            holds: None,
            content: None,
            before: NONE,
            after: NONE,
        }
    }

    /// The depth of what is inside it.
    pub(super) fn depth_inside(&self) -> u32 {
        self.depth + u32::from(self.is_shown)
    }

    /// What holds the lines inside it back.
    pub(super) fn held_inside(&self) -> Option<u64> {
        self.holds.or(self.held_by)
    }

    /// What a message calls it.
    pub(super) fn what(&self) -> String {
        let name = if self.subject == Subject::Span {
            &self.operation
        } else {
            &self.name
        };
        self.subject.named(name)
    }

    /// Its own path among the nodes.
    pub(super) fn node_path(&self) -> SmolStr {
        if self.path.is_empty() {
            self.name.clone()
        } else {
            smol_str::format_smolstr!("{}/{}", self.path, self.name)
        }
    }
}

/// How the outermost workflow of a trace ended.
#[derive(Clone, Debug)]
pub(super) struct RootEnd {
    pub(super) status: SpanStatus,
    pub(super) duration_ns: Option<u64>,
}

/// What a trace came to so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) nodes_executed: u64,
    pub(crate) nodes_failed: u64,
    pub(crate) nodes_unfinished: u64,
    /// Spans of any kind whose end was not seen.
    pub(crate) unfinished: u64,
    pub(crate) errors: u64,
    pub(crate) llm: LlmTotals,
    pub(super) first_ns: Option<u64>,
    pub(super) last_ns: Option<u64>,
}

impl Tally {
    #[inline]
    pub(super) fn see(&mut self, at_ns: Option<u64>) {
        if let Some(at_ns) = at_ns {
            self.first_ns = Some(self.first_ns.map_or(at_ns, |first| first.min(at_ns)));
            self.last_ns = self.last_ns.max(Some(at_ns));
        }
    }

    /// Share of the nodes that did well; 1 where none ran.
    pub(super) fn success_rate(&self) -> f64 {
        if self.nodes_executed == 0 {
            return 1.0;
        }
        (self.nodes_executed - self.nodes_failed) as f64 / self.nodes_executed as f64
    }

    fn seen_ns(&self) -> Option<u64> {
        let (first, last) = (self.first_ns?, self.last_ns?);
        (last > first).then(|| last - first)
    }
}

/// A trace of which lines were read.
#[derive(Debug)]
pub(super) struct Trace {
    /// Counts the traces of a file.
    pub(super) number: u64,
    /// As the lines gave it, or one of ours.
    pub(super) id: SmolStr,
    pub(super) is_id_given: bool,
    /// One that a later line gave.
    pub(super) late_id: Option<SmolStr>,
    /// The workflow's name.
    pub(super) workflow: Option<SmolStr>,
    /// Whether all of it is told; of a run that was not sampled only the root, errors and LLM usage are.
    pub(super) is_sampled: bool,
    /// The outermost workflow, while it is open.
    pub(super) root: Option<SpanRef>,
    /// Whether there ever was one.
    pub(super) had_root: bool,
    pub(super) root_end: Option<RootEnd>,
    /// Whether any span began in it.
    pub(super) had_spans: bool,
    pub(super) tally: Tally,
    slots: Vec<Option<OpenSpan>>,
    free: Vec<u32>,
    /// The span that was opened last.
    innermost: u32,
    open: usize,
    /// How many open spans have no id.
    open_without_id: usize,
    by_id: FxHashMap<SmolStr, u32>,
    next_serial: u64,
}

impl Trace {
    pub(super) fn new(number: u64, id: SmolStr, is_id_given: bool) -> Self {
        Self {
            number,
            id,
            is_id_given,
            late_id: None,
            workflow: None,
            is_sampled: true,
            root: None,
            had_root: false,
            root_end: None,
            had_spans: false,
            tally: Tally::default(),
            slots: Vec::new(),
            free: Vec::new(),
            innermost: NONE,
            open: 0,
            open_without_id: 0,
            by_id: FxHashMap::default(),
            next_serial: 1,
        }
    }

    /// Whether this id means it.
    pub(super) fn answers_to(&self, id: &str) -> bool {
        self.id == id || self.late_id.as_deref() == Some(id)
    }

    /// How long it took, as far as the lines tell.
    pub(super) fn duration_ns(&self) -> Option<u64> {
        match &self.root_end {
            Some(end) => end.duration_ns,
            None => self.tally.seen_ns(),
        }
    }

    /// Whether its end was seen, or there is none to be seen.
    pub(super) fn is_finished(&self) -> bool {
        self.root_end.is_some() || (!self.had_root && self.tally.unfinished == 0)
    }

    pub(super) fn open_count(&self) -> usize {
        self.open
    }

    /// Opens a span inside `span.parent`.
    pub(super) fn open(&mut self, mut span: OpenSpan) -> SpanRef {
        span.serial = self.next_serial;
        self.next_serial += 1;
        span.before = self.innermost;
        span.after = NONE;
        let serial = span.serial;
        let id = span.id.clone();
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(span);
                index
            }
            None => {
                self.slots.push(Some(span));
                (self.slots.len() - 1) as u32
            }
        };
        if let Some(before) = self.slot_mut(self.innermost) {
            before.after = index;
        }
        self.innermost = index;
        self.open += 1;
        match id {
            Some(id) => {
                self.by_id.insert(id, index);
            }
            None => self.open_without_id += 1,
        }
        self.had_spans = true;
        SpanRef { index, serial }
    }

    /// Takes a span out: it has ended.
    pub(super) fn close(&mut self, span: SpanRef) -> Option<OpenSpan> {
        self.get(span)?;
        let closed = self.slots.get_mut(span.index as usize)?.take()?;
        self.free.push(span.index);
        if let Some(before) = self.slot_mut(closed.before) {
            before.after = closed.after;
        }
        match self.slot_mut(closed.after) {
            Some(after) => after.before = closed.before,
            None => self.innermost = closed.before,
        }
        self.open -= 1;
        match &closed.id {
            Some(id) => {
                // A second span of the same id may have taken its place.
                if self.by_id.get(id) == Some(&span.index) {
                    self.by_id.remove(id);
                }
            }
            None => self.open_without_id -= 1,
        }
        if self.root == Some(span) {
            self.root = None;
        }
        Some(closed)
    }

    fn slot(&self, index: u32) -> Option<&OpenSpan> {
        self.slots.get(index as usize)?.as_ref()
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut OpenSpan> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn get(&self, span: SpanRef) -> Option<&OpenSpan> {
        self.slot(span.index).filter(|open| open.serial == span.serial)
    }

    pub(super) fn get_mut(&mut self, span: SpanRef) -> Option<&mut OpenSpan> {
        self.slot_mut(span.index)
            .filter(|open| open.serial == span.serial)
    }

    /// The span that was opened last of those still open.
    pub(super) fn innermost(&self) -> Option<SpanRef> {
        let serial = self.slot(self.innermost)?.serial;
        Some(SpanRef {
            index: self.innermost,
            serial,
        })
    }

    /// The last opened span of which this is true.
    pub(super) fn innermost_where(&self, mut is_meant: impl FnMut(&OpenSpan) -> bool) -> Option<SpanRef> {
        let mut index = self.innermost;
        while let Some(span) = self.slot(index) {
            if is_meant(span) {
                let serial = span.serial;
                return Some(SpanRef { index, serial });
            }
            index = span.before;
        }
        None
    }

    pub(super) fn by_id(&self, id: &str) -> Option<SpanRef> {
        let index = *self.by_id.get(id)?;
        let serial = self.slot(index)?.serial;
        Some(SpanRef { index, serial })
    }

    /// The span in which one begins that says this of itself. What has an id and names no parent can be inside of
    /// what has none, and of nothing else: that it would have named.
    pub(super) fn parent_for(&self, whereabouts: &Whereabouts<'_>) -> Option<SpanRef> {
        match (&whereabouts.parent_span_id, &whereabouts.span_id) {
            (Some(parent), _) => self.by_id(parent).or(self.root),
            (None, Some(_)) => {
                let root_has_none = self
                    .root
                    .and_then(|root| self.get(root))
                    .is_some_and(|root| root.id.is_none());
                if self.open_without_id == usize::from(root_has_none) {
                    self.root
                } else {
                    self.innermost_where(|span| span.id.is_none())
                }
            }
            (None, None) => self.innermost(),
        }
    }

    /// The span that a line inside of it means: by its id, or else the innermost one.
    pub(super) fn around(&self, whereabouts: &Whereabouts<'_>) -> Option<SpanRef> {
        match &whereabouts.span_id {
            Some(id) => self.by_id(id).or(self.root),
            None => self.innermost(),
        }
    }

    /// The innermost node of this id.
    pub(super) fn node_named(&self, name: &str) -> Option<SpanRef> {
        self.innermost_where(|span| span.subject == Subject::Node && span.name == name)
    }

    /// The span that a line ends.
    pub(super) fn ended_by(&self, whereabouts: &Whereabouts<'_>, end: &End<'_>) -> Option<SpanRef> {
        if let Some(id) = &whereabouts.span_id {
            return self.by_id(id);
        }
        let beginning = &end.beginning;
        match (beginning.subject, &beginning.name) {
            (Subject::Span, _) => self.innermost_where(|span| {
                let is_named = (!end.names_operation || *span.operation == *beginning.operation.text)
                    && (!end.names_kind || span.kind == beginning.kind);
                span.subject == Subject::Span && is_named
            }),
            (subject, None) => self.innermost_where(|span| span.subject == subject),
            (subject, Some(name)) => {
                self.innermost_where(|span| span.subject == subject && *span.name == *name.text)
            }
        }
    }

    /// Spans inside `around` that nothing can end any more once it has ended, for they have no ids; the innermost
    /// first. A node inside a node is none of them: nodes that run beside each other look like that without ids.
    pub(super) fn left_open_in(&self, around: SpanRef) -> Vec<SpanRef> {
        let Some(outer) = self.get(around) else {
            return Vec::new();
        };
        let with_nodes = outer.subject == Subject::Workflow;
        let mut inside: FxHashSet<(u32, u64)> = FxHashSet::default();
        let mut found = Vec::new();
        let mut index = outer.after;
        while let Some(span) = self.slot(index) {
            let serial = span.serial;
            let is_inside = span
                .parent
                .is_some_and(|parent| parent == around || inside.contains(&(parent.index, parent.serial)));
            if is_inside && span.id.is_none() && (with_nodes || span.subject != Subject::Node) {
                inside.insert((index, serial));
                found.push(SpanRef { index, serial });
            }
            index = span.after;
        }
        found.reverse();
        found
    }

    /// All open spans, the innermost first.
    pub(super) fn all_open(&self) -> Vec<SpanRef> {
        let mut found = Vec::with_capacity(self.open);
        let mut index = self.innermost;
        while let Some(span) = self.slot(index) {
            let serial = span.serial;
            found.push(SpanRef { index, serial });
            index = span.before;
        }
        found
    }
}
