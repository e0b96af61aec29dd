//! Sketches: percentiles within one percent, merging, bytes.

use arbtest::arbtest;

use super::{BUCKETS_MAX, GAMMA, LatencySketch, bucket_by_logarithm, bucket_of, read_varint, write_varint};

fn sketch_of(durations: &[u64]) -> LatencySketch {
    let mut sketch = LatencySketch::default();
    for duration in durations {
        sketch.add(*duration);
    }
    sketch
}

#[test]
fn percentiles_are_off_by_a_percent_at_most() {
    arbtest(|u| {
        let mut durations: Vec<u64> = u.arbitrary()?;
        for duration in &mut durations {
            *duration >>= u.int_in_range(0..=63)?;
        }
        let sketch = sketch_of(&durations);
        durations.sort_unstable();
        for percent in [0, 1, 25, 50, 90, 99, 100] {
            let rank = (durations.len() * percent).div_ceil(100).max(1);
            let exact = durations.get(rank - 1).copied();
            let found = sketch.quantile_ns(percent as f64 / 100.0);
            assert_eq!(found.is_some(), exact.is_some());
            if let (Some(found), Some(exact)) = (found, exact) {
                let off = found.abs_diff(exact) as f64;
                assert!(
                    off <= 0.0101 * exact as f64 + 1.0,
                    "{percent} %: {found} for {exact}"
                );
            }
        }
        Ok(())
    });
}

#[test]
fn a_merged_sketch_is_that_of_all() {
    arbtest(|u| {
        let (a, b): (Vec<u32>, Vec<u32>) = (u.arbitrary()?, u.arbitrary()?);
        let wide = |durations: &[u32]| durations.iter().map(|ns| u64::from(*ns)).collect::<Vec<_>>();
        let (a, b) = (wide(&a), wide(&b));
        let mut merged = sketch_of(&a);
        merged.merge(&sketch_of(&b));
        assert_eq!(merged, sketch_of(&[a, b].concat()));
        let mut bytes = Vec::new();
        merged.write(&mut bytes);
        let mut rest = bytes.as_slice();
        assert_eq!(LatencySketch::read(&mut rest), Some(merged));
        assert!(rest.is_empty());
        Ok(())
    });
}

#[test]
fn bytes_that_are_no_sketch_are_refused_or_read_without_harm() {
    arbtest(|u| {
        let bytes: Vec<u8> = u.arbitrary()?;
        let _read_or_not = LatencySketch::read(&mut bytes.as_slice());
        Ok(())
    });
    let mut bytes = Vec::new();
    write_varint(&mut bytes, u64::MAX);
    assert_eq!(read_varint(&mut bytes.as_slice()), Some(u64::MAX));
    assert_eq!(read_varint(&mut &bytes[..3]), None);
}

#[test]
fn the_quick_way_to_a_bucket_leads_where_the_logarithm_does() {
    let same = |duration_ns: u64| {
        let wanted = bucket_by_logarithm(duration_ns.max(1) as f64);
        assert_eq!(bucket_of(duration_ns), wanted, "{duration_ns}");
    };
    for power in 0..64 {
        for around in 0..200_u64 {
            same((1_u64 << power).saturating_add(around));
            same((1_u64 << power).saturating_sub(around));
        }
    }
    // At the edge of each bucket.
    for bucket in 0..BUCKETS_MAX {
        let edge = GAMMA.powi(bucket as i32) as u64;
        for around in 0..8_u64 {
            same(edge.saturating_add(around));
            same(edge.saturating_sub(around));
        }
    }
    same(u64::MAX);
    arbtest(|u| {
        same(u.arbitrary()?);
        same(u64::from(u.arbitrary::<u32>()?));
        Ok(())
    });
}

#[test]
fn what_is_left_of_a_sketch_can_be_written_and_read() {
    arbtest(|u| {
        // Close together, so that what is left shares its bucket with what goes.
        let durations = |u: &mut arbtest::arbitrary::Unstructured<'_>| {
            let mut durations: Vec<u64> = Vec::new();
            for _ in 0..u.int_in_range(0..=6)? {
                durations.push(1_000_000 + u.int_in_range(0..=60_000)?);
            }
            Ok(durations)
        };
        let (gone, left) = (durations(u)?, durations(u)?);
        let mut sketch = sketch_of(&[gone.as_slice(), left.as_slice()].concat());
        sketch.subtract(&sketch_of(&gone));
        let exact = sketch_of(&left);
        assert_eq!((sketch.count(), sketch.sum_ns()), (exact.count(), exact.sum_ns()));
        assert_eq!(sketch.buckets(), exact.buckets());
        for (found, exact) in [
            (sketch.min_ns(), exact.min_ns()),
            (sketch.max_ns(), exact.max_ns()),
        ] {
            assert_eq!(found.is_some(), exact.is_some());
            if let (Some(found), Some(exact)) = (found, exact) {
                assert!(found.abs_diff(exact) <= exact / 50, "{found} for {exact}");
            }
        }
        assert!(sketch.min_ns() <= sketch.max_ns());
        let mut bytes = Vec::new();
        sketch.write(&mut bytes);
        assert_eq!(LatencySketch::read(&mut bytes.as_slice()), Some(sketch));
        Ok(())
    });
}

#[test]
fn the_last_one_left_is_known_exactly() {
    let mut sketch = sketch_of(&[5_000_000, 5_010_000, 9_000_000]);
    sketch.subtract(&sketch_of(&[5_000_000, 9_000_000]));
    assert_eq!(
        (sketch.min_ns(), sketch.max_ns()),
        (Some(5_010_000), Some(5_010_000))
    );
}

#[test]
fn numbers_of_any_length_come_back_one_behind_the_other() {
    arbtest(|u| {
        let numbers = (0..u.int_in_range(0..=12)?)
            .map(|_| Ok(u.arbitrary::<u64>()? >> u.int_in_range(0..=63)?))
            .collect::<Result<Vec<u64>, _>>()?;
        let mut bytes = Vec::new();
        for number in &numbers {
            write_varint(&mut bytes, *number);
        }
        let mut rest = bytes.as_slice();
        for number in &numbers {
            assert_eq!(read_varint(&mut rest), Some(*number));
        }
        assert!(rest.is_empty());
        assert_eq!(read_varint(&mut &[0xff; 7][..]), None);
        assert_eq!(read_varint(&mut &[0xff; 20][..]), None);
        Ok(())
    });
}
