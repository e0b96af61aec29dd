//! Splits in noise with and without a change.

use flowmeter_model::IdSource;

use super::*;

fn noise(source: &mut IdSource) -> f64 {
    // The sum of twelve uniform values less six is nearly normal.
    (0..12)
        .map(|_| (source.next_u64() >> 11) as f64 / (1_u64 << 53) as f64)
        .sum::<f64>()
        - 6.0
}

#[test]
fn a_change_is_found_where_it_is() {
    for seed in 0..10 {
        let mut source = IdSource::from_seed(seed);
        let values: Vec<f64> = (0..1_000)
            .map(|place| noise(&mut source) + if place >= 700 { 1.5 } else { 0.0 })
            .collect();
        let (splits, _) = of_amounts(&values);
        assert_eq!(splits.len(), 1, "{splits:?}");
        assert!(
            (690..=710).contains(&splits[0].at) && splits[0].p_value < 1e-20,
            "{splits:?}"
        );
    }
}

#[test]
fn noise_has_no_changes() {
    let found = (0..200).filter(|seed| {
        let mut source = IdSource::from_seed(1_000 + seed);
        let values: Vec<f64> = (0..500).map(|_| noise(&mut source)).collect();
        !of_amounts(&values).0.is_empty()
    });
    assert!(found.count() <= 1);
}

#[test]
fn slow_days_are_no_change() {
    // All values of a day share a part of their noise: naive tests find something in most of these series.
    let found = (0..100).filter(|seed| {
        let mut source = IdSource::from_seed(5_000 + seed);
        let mut values = Vec::new();
        for _ in 0..60 {
            let day = noise(&mut source);
            values.extend((0..20).map(|_| day + noise(&mut source)));
        }
        !of_amounts(&values).0.is_empty()
    });
    assert!(found.count() <= 2);
}

#[test]
fn shares_are_counted_exactly() {
    let rate = |source: &mut IdSource, chance: f64| {
        f64::from(u8::from((source.next_u64() as f64) < chance * u64::MAX as f64))
    };
    let mut source = IdSource::from_seed(3);
    let risen: Vec<f64> = (0..800)
        .map(|place| rate(&mut source, if place >= 500 { 0.15 } else { 0.02 }))
        .collect();
    let (splits, _) = of_shares(&risen);
    assert_eq!(splits.len(), 1);
    assert!((470..=530).contains(&splits[0].at), "{splits:?}");
    let found = (0..200).filter(|seed| {
        let mut source = IdSource::from_seed(9_000 + seed);
        let rare: Vec<f64> = (0..1_000).map(|_| rate(&mut source, 0.01)).collect();
        !of_shares(&rare).0.is_empty()
    });
    assert!(found.count() <= 1);
}

#[test]
fn constants_and_short_series_have_none() {
    assert!(of_amounts(&[2.0; 100]).0.is_empty());
    assert!(of_shares(&[0.0; 100]).0.is_empty());
    assert!(of_amounts(&[1.0; 3]).0.is_empty() && of_amounts(&[]).0.is_empty());
}
