//! The names of the attributes that say what a node used.
//!
//! Near OpenTelemetry's, which knows metrics of a process and of the system, but no attributes of a span for them.

/// Attempts at the node's `exec`.
pub(crate) const NODE_ATTEMPTS: &str = "node.attempts";
/// CPU time of the node in this process.
pub(crate) const NODE_CPU_NS: &str = "node.cpu_ns";
/// How long an item of a batch was ready but waited for a place.
pub(crate) const BATCH_QUEUE_NS: &str = "batch.queue_ns";
/// By how much the memory of the whole process changed while the node ran.
pub(crate) const MEMORY_CHANGE_BYTES: &str = "process.memory.change_bytes";
/// The most memory that the whole process was seen to hold while the node ran.
pub(crate) const MEMORY_PEAK_BYTES: &str = "process.memory.peak_bytes";
/// CPU time of the processes that the node started, in their own code.
pub(crate) const CHILD_CPU_USER_NS: &str = "process.child.cpu.user_ns";
/// The same in the system on their behalf.
pub(crate) const CHILD_CPU_SYSTEM_NS: &str = "process.child.cpu.system_ns";
/// The most memory that one of those processes held.
pub(crate) const CHILD_MEMORY_MAX_BYTES: &str = "process.child.memory.max_bytes";
/// The same where only a bound is known.
pub(crate) const CHILD_MEMORY_AT_MOST_BYTES: &str = "process.child.memory.at_most_bytes";
