//! The memory of this process and peaks in its history. Never asserts how large the process is.

use std::io::Write;

use super::*;

fn history(readings: &[u64]) -> History {
    let mut history = History::default();
    for bytes in readings {
        history.add(*bytes);
    }
    history
}

#[test]
fn the_peak_since_a_reading_is_the_most_from_then_on() {
    arbtest::arbtest(|source| {
        let count = source.int_in_range(1..=200_usize)?;
        let mut readings = Vec::with_capacity(count);
        for _ in 0..count {
            readings.push(source.int_in_range(1..=50_u64)?);
        }
        let history = history(&readings);
        for from in 0..count {
            let most = readings[from..].iter().max().copied().unwrap();
            assert_eq!(
                history.peak_since(from as u64 + 1),
                most,
                "{readings:?} from {from}"
            );
        }
        assert_eq!((history.first, history.last), (readings[0], readings[count - 1]));
        assert_eq!(Some(history.peak), readings.iter().max().copied());
        Ok(())
    });
}

#[test]
fn a_long_fall_takes_no_more_room_and_peaks_err_to_the_high_side() {
    let readings: Vec<u64> = (0..10_000_u64).map(|index| 1_000_000 - index).collect();
    let history = history(&readings);
    assert!(history.falling.len() <= FALLING_MAX);
    for from in 1..=10_000_u64 {
        let exact = 1_000_000 - (from - 1);
        let found = history.peak_since(from);
        assert!(found >= exact && found <= 1_000_000, "{found} from {from}");
    }
}

#[test]
fn the_system_says_how_large_this_process_is() {
    let memory = ProcessMemory::open();
    let before = memory.look(Ticks::now()).unwrap();
    assert!(before.bytes > 100_000, "{before:?}");
    let ballast = vec![1_u8; 64 << 20];
    std::hint::black_box(&ballast);
    memory.read();
    drop(ballast);
    memory.read();
    let change = memory.since(before, Ticks::now()).unwrap();
    assert!(
        change.peak_bytes >= before.bytes + (48 << 20),
        "{change:?} after {before:?}"
    );
    let usage = memory.usage().unwrap();
    assert!(usage.peak_bytes >= change.peak_bytes && usage.start_bytes > 0);
}

#[test]
fn it_is_read_once_in_a_while() {
    let memory = ProcessMemory::open();
    let at = Ticks::from_raw(memory.read_at.load(Ordering::Relaxed) + 1_000_000_000_000);
    let first = memory.look(at).unwrap();
    for _ in 0..1_000 {
        assert_eq!(memory.look(at).unwrap().reading, first.reading);
    }
    let later = Ticks::from_raw(at.to_raw() + ticks_of(2 * READING_INTERVAL_US));
    assert_eq!(memory.look(later).unwrap().reading, first.reading + 1);
}

#[test]
fn where_the_system_says_nothing_nothing_is_known() {
    let memory = ProcessMemory::reading_from(None);
    assert_eq!((memory.look(Ticks::now()), memory.usage()), (None, None));
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"no numbers").unwrap();
    let memory = ProcessMemory::reading_from(Some(file));
    assert_eq!((memory.look(Ticks::now()), memory.usage()), (None, None));
}

#[test]
fn attributes_and_back() {
    let mut attributes = Attributes::new();
    assert_eq!(MemoryChange::of_attributes(&attributes), None);
    attributes.set(names::MEMORY_CHANGE_BYTES, -5_i64);
    attributes.set(names::MEMORY_PEAK_BYTES, 70_i64);
    let change = MemoryChange {
        change_bytes: -5,
        peak_bytes: 70,
    };
    assert_eq!(MemoryChange::of_attributes(&attributes), Some(change));
}
