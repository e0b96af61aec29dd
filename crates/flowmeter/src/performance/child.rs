//! What a child process used, as the system says it when the process has ended.
//!
//! Never waits for a process: whoever started it does, and reports here.

use std::time::Duration;

use flowmeter_model::Attributes;

use super::{names, whole};

/// The most memory that a process held, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildMemory {
    /// This many bytes: as the system says, or the most that was seen while the process ran.
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
            (ChildMemory::AtMost(ours), ChildMemory::AtMost(theirs)) => ChildMemory::AtMost(ours.max(theirs)),
        };
    }

    pub(crate) fn cpu_ns(&self) -> u64 {
        nanoseconds(self.cpu_user.saturating_add(self.cpu_system))
    }

    pub(crate) fn memory_max_bytes(&self) -> Option<u64> {
        match self.memory_max {
            ChildMemory::Bytes(bytes) => Some(bytes),
            ChildMemory::AtMost(_) | ChildMemory::Unknown => None,
        }
    }

    /// The way back from [`ChildUsage::attributes`].
    pub(crate) fn of_attributes(attributes: &Attributes) -> Option<Self> {
        let bytes = |key| whole(attributes, key);
        let memory_max = match (
            bytes(names::CHILD_MEMORY_MAX_BYTES),
            bytes(names::CHILD_MEMORY_AT_MOST_BYTES),
        ) {
            (Some(max), _) => ChildMemory::Bytes(max),
            (None, Some(bound)) => ChildMemory::AtMost(bound),
            (None, None) => ChildMemory::Unknown,
        };
        Some(Self {
            cpu_user: Duration::from_nanos(whole(attributes, names::CHILD_CPU_USER_NS)?),
            cpu_system: Duration::from_nanos(whole(attributes, names::CHILD_CPU_SYSTEM_NS)?),
            memory_max,
        })
    }

    /// As attributes of a span.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let memory = match self.memory_max {
            ChildMemory::Bytes(bytes) => Some((names::CHILD_MEMORY_MAX_BYTES, bytes)),
            ChildMemory::AtMost(bytes) => Some((names::CHILD_MEMORY_AT_MOST_BYTES, bytes)),
            ChildMemory::Unknown => None,
        };
        [
            Some((names::CHILD_CPU_USER_NS, nanoseconds(self.cpu_user))),
            Some((names::CHILD_CPU_SYSTEM_NS, nanoseconds(self.cpu_system))),
            memory,
        ]
        .into_iter()
        .flatten()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
