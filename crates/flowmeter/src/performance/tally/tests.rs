//! Counts of one node, and attributes of its processes and back. Never starts a process.

use std::time::Duration;

use flowmeter_model::Attributes;

use super::*;
use crate::performance::ChildMemory;

fn child(user_ms: u64, memory_max: ChildMemory) -> ChildUsage {
    ChildUsage {
        cpu_user: Duration::from_millis(user_ms),
        cpu_system: Duration::from_millis(1),
        memory_max,
    }
}

#[test]
fn one_attempt_where_nobody_said_otherwise() {
    let tally = NodeTally::default();
    assert_eq!(tally.attempts(), 1);
    tally.attempt_began();
    assert_eq!(tally.attempts(), 1);
    tally.attempt_began();
    assert_eq!(tally.attempts(), 2);
}

#[test]
fn times_of_processes_add_up_and_the_largest_memory_counts() {
    let tally = NodeTally::default();
    assert_eq!(tally.children(), None);
    tally.child_ended(&child(10, ChildMemory::AtMost(900)));
    assert_eq!(tally.children().unwrap().memory_max, ChildMemory::AtMost(900));
    tally.child_ended(&child(20, ChildMemory::Bytes(400)));
    tally.child_ended(&child(30, ChildMemory::Bytes(300)));
    let sum = tally.children().unwrap();
    assert_eq!(sum.cpu_user, Duration::from_millis(60));
    assert_eq!(sum.cpu_ns(), 63_000_000);
    assert_eq!(sum.memory_max_bytes(), Some(400));
}

#[test]
fn what_a_process_used_as_attributes_and_back() {
    for memory in [
        ChildMemory::Bytes(5),
        ChildMemory::AtMost(6),
        ChildMemory::Unknown,
    ] {
        let usage = child(7, memory);
        let mut attributes = Attributes::new();
        for (key, figure) in usage.attributes() {
            attributes.set(key, figure);
        }
        assert_eq!(ChildUsage::of_attributes(&attributes), Some(usage));
    }
    assert_eq!(ChildUsage::of_attributes(&Attributes::new()), None);
}

#[test]
fn carried_ticks_never_lead_below_zero() {
    let tally = NodeTally::default();
    tally.add_cpu(10, -1_000);
    assert_eq!(tally.cpu_ns(1.0), Some(0));
    tally.add_cpu(2_000, 0);
    assert_eq!(tally.cpu_ns(0.5), Some(1_510));
}
