//! CPU time of work on this thread and on others. Measured against the thread's own clock, never against a wall's.

use std::time::Duration;

use flowmeter_engine::TickClock;

use super::*;
use crate::performance::know_tick_rate;

/// How long a tick is; tells it to the whole module as a run does.
fn tick_rate() -> f64 {
    let mut clock = TickClock::new();
    clock.refresh();
    know_tick_rate(clock.ns_per_tick());
    clock.ns_per_tick()
}

/// Works until this thread has used this much CPU time.
fn work(cpu: Duration) {
    let until = thread_cpu_ns() + u64::try_from(cpu.as_nanos()).unwrap();
    while thread_cpu_ns() < until {
        std::hint::black_box((0..1_000).sum::<u64>());
    }
}

fn polled(tally: &Arc<NodeTally>, work: impl FnOnce()) {
    poll_began(tally);
    work();
    poll_ended(tally);
}

#[test]
fn a_node_that_sleeps_uses_less_than_one_that_works() {
    let rate = tick_rate();
    let (busy, idle) = (Arc::<NodeTally>::default(), Arc::<NodeTally>::default());
    polled(&busy, || work(Duration::from_millis(30)));
    polled(&idle, || std::thread::sleep(Duration::from_millis(30)));
    let (busy, idle) = (busy.cpu_ns(rate).unwrap(), idle.cpu_ns(rate).unwrap());
    assert!((30_000_000..35_000_000).contains(&busy), "{busy}");
    assert!(idle < 3_000_000, "{idle}");
}

#[test]
fn short_polls_add_up() {
    let rate = tick_rate();
    let tally = Arc::<NodeTally>::default();
    let (mut counted, mut polls) = (0, 0_u32);
    while counted < 10_000_000 {
        poll_began(&tally);
        let before = thread_cpu_ns();
        std::hint::black_box((0..500).sum::<u64>());
        counted += thread_cpu_ns() - before;
        poll_ended(&tally);
        polls += 1;
    }
    let found = tally.cpu_ns(rate).unwrap();
    // Reading the clock twice is in each poll, too.
    assert!(
        found >= counted && found < counted * 20,
        "{found} against {counted} in {polls} polls"
    );
}

#[test]
fn a_node_inside_another_counts_in_both_and_the_outer_keeps_its_own() {
    let rate = tick_rate();
    let (outer, inner) = (Arc::<NodeTally>::default(), Arc::<NodeTally>::default());
    polled(&outer, || {
        work(Duration::from_millis(4));
        polled(&inner, || work(Duration::from_millis(8)));
        work(Duration::from_millis(4));
    });
    let (outer, inner) = (outer.cpu_ns(rate).unwrap(), inner.cpu_ns(rate).unwrap());
    assert!((8_000_000..10_000_000).contains(&inner), "{inner}");
    assert!((16_000_000..20_000_000).contains(&outer), "{outer}");
}

#[test]
fn a_node_that_is_entered_twice_on_a_thread_counts_once() {
    let rate = tick_rate();
    let (node, between) = (Arc::<NodeTally>::default(), Arc::<NodeTally>::default());
    polled(&node, || {
        polled(&node, || work(Duration::from_millis(5)));
        polled(&between, || polled(&node, || work(Duration::from_millis(5))));
    });
    let found = node.cpu_ns(rate).unwrap();
    assert!((10_000_000..14_000_000).contains(&found), "{found}");
}

#[test]
fn scopes_may_be_left_in_any_order() {
    let rate = tick_rate();
    let (first, second) = (Arc::<NodeTally>::default(), Arc::<NodeTally>::default());
    poll_began(&first);
    poll_began(&second);
    work(Duration::from_millis(5));
    poll_ended(&first);
    work(Duration::from_millis(5));
    poll_ended(&second);
    // Nobody entered it any more.
    poll_ended(&second);
    let (first, second) = (first.cpu_ns(rate).unwrap(), second.cpu_ns(rate).unwrap());
    assert!((5_000_000..8_000_000).contains(&first), "{first}");
    assert!((10_000_000..14_000_000).contains(&second), "{second}");
    THREAD.with_borrow(|thread| assert!(thread.turns.is_empty()));
}

#[test]
fn threads_add_to_the_same_node() {
    let rate = tick_rate();
    let tally = Arc::<NodeTally>::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| polled(&tally, || work(Duration::from_millis(10))));
        }
    });
    let found = tally.cpu_ns(rate).unwrap();
    assert!((30_000_000..36_000_000).contains(&found), "{found}");
}

/// How often the thread's clock is read while `work` is done.
fn readings_during(mut work: impl FnMut(), times: usize) -> usize {
    let mut readings = 0;
    let mut seen = THREAD.with_borrow(|thread| thread.read_ns);
    for _ in 0..times {
        work();
        let read_ns = THREAD.with_borrow(|thread| thread.read_ns);
        readings += usize::from(read_ns != seen);
        seen = read_ns;
    }
    readings
}

#[test]
fn the_clock_is_read_seldom_in_bursts_and_once_after_a_pause() {
    tick_rate();
    let tally = Arc::<NodeTally>::default();
    // Others may take the processor meanwhile, which is a pause, too.
    let fewest = (0..20)
        .map(|_| readings_during(|| polled(&tally, || ()), 1_000))
        .min();
    assert!(fewest <= Some(1), "{fewest:?}");
    let pause = || {
        std::thread::sleep(Duration::from_millis(1));
        polled(&tally, || ());
    };
    assert_eq!(readings_during(pause, 10), 10);
}

#[test]
fn what_a_thread_does_between_polls_is_nobodys() {
    let rate = tick_rate();
    let tally = Arc::<NodeTally>::default();
    for _ in 0..5 {
        work(Duration::from_millis(2));
        polled(&tally, || std::thread::sleep(Duration::from_millis(2)));
    }
    let found = tally.cpu_ns(rate).unwrap();
    assert!(found < 2_000_000, "{found}");
}

#[test]
fn nothing_is_known_of_a_node_that_was_never_polled() {
    assert_eq!(NodeTally::default().cpu_ns(1.0), None);
    assert!(process_cpu_ns() > 0);
}
