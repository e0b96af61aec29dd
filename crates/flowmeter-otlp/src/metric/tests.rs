//! The histogram's buckets.

use super::Histogram;

#[test]
fn a_bound_belongs_to_the_bucket_below_it() {
    let mut histogram = Histogram::new(&[10.0, 1.0, 1.0, f64::NAN]);
    assert_eq!(histogram.bounds(), [1.0, 10.0]);
    for value in [1.0, 1.000_001, 10.0, 11.0, -5.0, f64::NAN, f64::INFINITY] {
        histogram.record(value);
    }
    assert_eq!(histogram.bucket_counts(), [2, 2, 1]);
    assert_eq!(histogram.count(), 5);
    assert_eq!((histogram.min(), histogram.max()), (Some(-5.0), Some(11.0)));
    let mut twice = histogram.clone();
    assert!(twice.merge(&histogram));
    assert_eq!(twice.bucket_counts(), [4, 4, 2]);
    assert!(!twice.merge(&Histogram::new(&[1.0])));
    twice.clear();
    assert_eq!(twice, Histogram::new(&[1.0, 10.0]));
    assert_eq!(twice.min(), None);
}

#[test]
fn counts_and_sum_are_those_of_the_values() {
    arbtest::arbtest(|u| {
        let values: Vec<i32> = u.arbitrary()?;
        let bounds: Vec<i16> = u.arbitrary()?;
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let mut histogram = Histogram::new(&bounds);
        values
            .iter()
            .for_each(|value| histogram.record(f64::from(*value)));
        assert_eq!(histogram.count(), values.len() as u64);
        assert_eq!(histogram.bucket_counts().iter().sum::<u64>(), values.len() as u64);
        for (index, bound) in histogram.bounds().iter().enumerate() {
            let below = values.iter().filter(|value| f64::from(**value) <= *bound).count() as u64;
            assert_eq!(histogram.bucket_counts()[..=index].iter().sum::<u64>(), below);
        }
        Ok(())
    });
}
