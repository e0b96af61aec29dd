//! What a child process used, as the system says it when the process has ended.
//!
//! Never waits for a process: whoever started it does, and reports here.

use std::time::Duration;

use flowmeter_engine::NodeContext;

use crate::scope::SpanScope;

/// The most memory that a process held, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildMemory {
    /// This many bytes.
    Bytes(u64),
    /// No more than this: between its start and its own program a process counts as large as the one that
    /// started it.
    AtMost(u64),
    /// The system does not say.
    Unknown,
}

/// What a child process used, and with it the processes that it started and waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildUsage {
    /// CPU time in its own code.
    pub cpu_user: Duration,
    /// CPU time in the system on its behalf.
    pub cpu_system: Duration,
    /// The most memory that one of the processes held.
    pub memory_max: ChildMemory,
}

impl ChildUsage {
    /// Nothing yet: what [`ChildUsage::add`] begins with.
    pub(crate) const NONE: Self = Self {
        cpu_user: Duration::ZERO,
        cpu_system: Duration::ZERO,
        memory_max: ChildMemory::Unknown,
    };

    /// Adds another process: times add up, of the memories the larger counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.cpu_user = self.cpu_user.saturating_add(other.cpu_user);
        self.cpu_system = self.cpu_system.saturating_add(other.cpu_system);
        self.memory_max = match (self.memory_max, other.memory_max) {
            (ChildMemory::Unknown, memory) | (memory, ChildMemory::Unknown) => memory,
            (ChildMemory::Bytes(ours), ChildMemory::Bytes(theirs)) => ChildMemory::Bytes(ours.max(theirs)),
            // What is known for certain tells more than a bound.
            (ChildMemory::Bytes(bytes), ChildMemory::AtMost(_))
            | (ChildMemory::AtMost(_), ChildMemory::Bytes(bytes)) => ChildMemory::Bytes(bytes),
            (ChildMemory::AtMost(ours), ChildMemory::AtMost(theirs)) => {
                ChildMemory::AtMost(ours.max(theirs))
            }
        };
    }

    pub(crate) fn cpu_ns(&self) -> u64 {
        nanoseconds(self.cpu_user.saturating_add(self.cpu_system))
    }

    /// As attributes of a span: `process.child.cpu.user_ns`, `.system_ns`, and `process.child.memory.max_bytes`
    /// or `.at_most_bytes`.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let memory = match self.memory_max {
            ChildMemory::Bytes(bytes) => Some(("process.child.memory.max_bytes", bytes)),
            ChildMemory::AtMost(bytes) => Some(("process.child.memory.at_most_bytes", bytes)),
            ChildMemory::Unknown => None,
        };
        [
            Some(("process.child.cpu.user_ns", nanoseconds(self.cpu_user))),
            Some(("process.child.cpu.system_ns", nanoseconds(self.cpu_system))),
            memory,
        ]
        .into_iter()
        .flatten()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Notes that a process which the node of `cx` had started has ended and used this. It counts for the node, and
/// stands in the node's span. Does nothing where nothing is metered.
pub fn child_ended(cx: &NodeContext, usage: &ChildUsage) {
    if let Some(scope) = SpanScope::of(cx) {
        scope.child_ended(usage);
    }
}
