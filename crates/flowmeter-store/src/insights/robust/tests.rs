//! Statistics against values from tables.

use super::*;

fn near(found: f64, wanted: f64) {
    assert!(
        (found - wanted).abs() <= 1e-4 * wanted.abs().max(1e-12),
        "{found} is not {wanted}"
    );
}

#[test]
fn middles_and_spreads() {
    assert_eq!(median(&mut []), None);
    assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(quantile(&mut [1.0, 2.0, 3.0, 4.0, 5.0], 0.9), Some(4.6));
    near(spread(&[1.0, 2.0, 3.0, 4.0, 5.0], 3.0), 1.4826);
    assert_eq!(spread(&[7.0; 9], 7.0), 0.0);
    assert!(
        spread(&[7.0, 7.0, 7.0, 7.0, 9.0], 7.0) > 0.0,
        "half equal is not all equal"
    );
}

#[test]
fn ranks_share_ties() {
    assert_eq!(ranks(&[5.0, 1.0, 5.0, 9.0]), [0.5, 0.125, 0.5, 0.875]);
    assert_eq!(ranks(&[2.0; 4]), [0.5; 4]);
}

#[test]
fn tails_are_those_of_the_tables() {
    near(normal_tail(1.96), 0.024_997_9);
    near(normal_tail(6.0), 9.865_88e-10);
    near(normal_tail(-1.0), 0.841_345);
    near(student_two_sided(2.228, 10.0), 0.050_012);
    near(binomial_at_least(8, 10, 0.5), 0.054_687_5);
    near(binomial_at_least(3, 100, 0.01), 0.079_373);
    near(ln_gamma(10.0), 362_880.0_f64.ln());
    // The lady tasting tea: one tail is 17/70.
    near(fisher(3, 4, 1, 4), 2.0 * 17.0 / 70.0);
    assert!(fisher(0, 5, 0, 5) >= 1.0 && fisher(50, 50, 0, 50) < 1e-25);
}

#[test]
fn equal_samples_do_not_differ() {
    assert!(mann_whitney(&[1.0; 30], &[1.0; 30]) >= 1.0);
    let low: Vec<f64> = (0..30).map(f64::from).collect();
    let high: Vec<f64> = (100..130).map(f64::from).collect();
    assert!(mann_whitney(&low, &high) < 1e-9);
    assert!(mann_whitney(&low, &low) > 0.9);
    assert!(mann_whitney(&[], &low) >= 1.0);
}

#[test]
fn false_alarms_are_bounded_over_all_tests() {
    // With 100 tests and a rate of 5 %, the first limit is 0.0005.
    assert_eq!(findings_among(&[0.000_4, 0.000_9, 0.5], 100, 0.05), 2);
    assert_eq!(findings_among(&[0.000_6, 0.001_1, 0.5], 100, 0.05), 0);
    assert_eq!(findings_among(&[], 0, 0.05), 0);
}

#[test]
fn the_greatest_split_of_noise_is_within_its_bound() {
    // Of 400 series of noise, about 5 % may pass the bound for 5 %.
    let mut source = flowmeter_model::IdSource::from_seed(7);
    let (n, edge) = (400_usize, 20_usize);
    let passed = (0..400)
        .filter(|_| {
            let values: Vec<f64> = (0..n).map(|_| source.next_u64() as f64).collect();
            let ranks = ranks(&values);
            let (mut sum, mut best) = (0.0, 0.0_f64);
            for k in 1..n {
                sum += ranks[k - 1] - 0.5;
                if k >= edge && n - k >= edge {
                    let (k, n) = (k as f64, n as f64);
                    let z = (sum / k + sum / (n - k)) / ((1.0 / k + 1.0 / (n - k)) / 12.0).sqrt();
                    best = best.max(z.abs());
                }
            }
            greatest_split(best, edge as f64 / n as f64) < 0.05
        })
        .count();
    assert!((4..=32).contains(&passed), "{passed} of 400");
}
