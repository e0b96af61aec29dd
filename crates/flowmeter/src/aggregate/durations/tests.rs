//! Sums and percentiles against exact ones, and the bounds of what is kept. Never measures a time of its own.

use super::*;

fn summary_of(durations: &[u64]) -> DurationSummary {
    let mut budget = SketchBudget::new(1 << 20);
    let mut sums = Durations::default();
    for duration in durations {
        let _ = sums.add(*duration, &mut budget);
    }
    sums.summary(1.0)
}

/// The first duration in ascending order that at least this share of all does not exceed, by counting.
fn exact_percentile(durations: &[u64], percent: usize) -> u64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    *sorted
        .iter()
        .find(|candidate| {
            let within = sorted.iter().filter(|duration| duration <= candidate).count();
            within * 100 >= percent * sorted.len()
        })
        .unwrap()
}

fn assert_within(found: Option<u64>, exact: u64, error: f64) {
    let found = found.unwrap();
    let allowed = exact as f64 * error + 0.5;
    assert!(
        (found as f64 - exact as f64).abs() <= allowed,
        "{found} is not within {error} of {exact}"
    );
}

#[test]
fn nothing_is_known_of_no_durations() {
    let summary = summary_of(&[]);
    assert_eq!(summary, DurationSummary::default());
    assert_eq!(summary.avg_ns(), None);
}

#[test]
fn a_few_durations_have_exact_percentiles() {
    let summary = summary_of(&[40, 10, 30, 20]);
    assert_eq!(
        (summary.min_ns, summary.max_ns, summary.sum_ns),
        (Some(10), Some(40), 100)
    );
    assert_eq!(
        (summary.p50_ns, summary.p90_ns, summary.p99_ns),
        (Some(20), Some(40), Some(40))
    );
    assert_eq!(summary.avg_ns(), Some(25.0));
    let one = summary_of(&[u64::MAX]);
    assert_eq!(
        (one.p50_ns, one.p99_ns, one.sum_ns),
        (Some(u64::MAX), Some(u64::MAX), u64::MAX)
    );
    let hundred: Vec<u64> = (1..=32).collect();
    assert_eq!(summary_of(&hundred).p90_ns, Some(29));
}

#[test]
fn percentiles_of_many_durations_are_within_one_percent() {
    arbtest::arbtest(|source| {
        let count = source.int_in_range(1..=400_usize)?;
        // From nanoseconds to a day, spread over all orders of magnitude.
        let mut durations = Vec::with_capacity(count);
        for _ in 0..count {
            let bits = source.int_in_range(0..=46_u32)?;
            durations.push(source.int_in_range(0..=(1_u64 << bits))?);
        }
        let summary = summary_of(&durations);
        let error = if count <= EXACT_MAX { 0.0 } else { RELATIVE_ERROR };
        assert_within(summary.p50_ns, exact_percentile(&durations, 50), error);
        assert_within(summary.p90_ns, exact_percentile(&durations, 90), error);
        assert_within(summary.p99_ns, exact_percentile(&durations, 99), error);
        assert_eq!(summary.sum_ns, durations.iter().sum::<u64>());
        assert_eq!(summary.min_ns, durations.iter().min().copied());
        assert_eq!(summary.max_ns, durations.iter().max().copied());
        Ok(())
    });
}

#[test]
fn merging_gives_what_adding_one_by_one_gives() {
    arbtest::arbtest(|source| {
        let counts = [
            source.int_in_range(0..=80_usize)?,
            source.int_in_range(0..=80_usize)?,
        ];
        let mut budget = SketchBudget::new(1 << 20);
        let mut all = Durations::default();
        let mut parts = [Durations::default(), Durations::default()];
        for (part, count) in parts.iter_mut().zip(counts) {
            for _ in 0..count {
                let duration = source.int_in_range(0..=1_u64 << 40)?;
                let _ = part.add(duration, &mut budget);
                let _ = all.add(duration, &mut budget);
            }
        }
        let [mut first, second] = parts;
        first.merge(&second, &mut budget);
        let (merged, whole) = (first.summary(1.0), all.summary(1.0));
        assert_eq!(
            (merged.count, merged.sum_ns, merged.min_ns, merged.max_ns),
            (whole.count, whole.sum_ns, whole.min_ns, whole.max_ns)
        );
        // A sketch that was merged from two knows no more than one.
        for (merged, whole) in [(merged.p50_ns, whole.p50_ns), (merged.p99_ns, whole.p99_ns)] {
            match whole {
                None => assert_eq!(merged, None),
                Some(whole) => assert_within(merged, whole, 0.02),
            }
        }
        Ok(())
    });
}

#[test]
fn ticks_become_nanoseconds_at_the_end() {
    let mut budget = SketchBudget::new(1 << 20);
    let mut sums = Durations::default();
    for ticks in [3_000, 6_000] {
        let _ = sums.add(ticks, &mut budget);
    }
    let summary = sums.summary(1.0 / 3.0);
    assert_eq!(
        (summary.sum_ns, summary.min_ns, summary.p99_ns),
        (3_000, Some(1_000), Some(2_000))
    );
}

#[test]
fn a_spent_budget_costs_percentiles_and_nothing_else() {
    let one_sketch = bytes_of(&Spread::Exact(SmallVec::from_slice(&[1])).to_sketch().unwrap());
    let mut budget = SketchBudget::new(one_sketch);
    let mut first = Durations::default();
    let mut second = Durations::default();
    for _ in 0..40 {
        let _ = first.add(1_000, &mut budget);
        let _ = second.add(2_000, &mut budget);
    }
    assert_eq!(budget.bytes_left, 0);
    let (first_sum, second_sum) = (first.summary(1.0), second.summary(1.0));
    assert_within(first_sum.p50_ns, 1_000, RELATIVE_ERROR);
    assert_eq!(
        (second_sum.p50_ns, second_sum.sum_ns, second_sum.max_ns),
        (None, 80_000, Some(2_000))
    );
    // A sketch that grows beyond the budget gives back what it had.
    let _ = first.add(1_000_000_000_000, &mut budget);
    let first_sum = first.summary(1.0);
    assert_eq!((first_sum.p50_ns, first_sum.count), (None, 41));
    assert_eq!(budget.bytes_left, one_sketch);
}

#[test]
fn a_sketch_never_takes_more_than_its_bins() {
    let mut budget = SketchBudget::new(1 << 20);
    let mut sums = Durations::default();
    for bit in 0..64_u32 {
        for step in 0..64_u64 {
            let _ = sums.add(
                (1_u64 << bit).saturating_add(step << bit.saturating_sub(6)),
                &mut budget,
            );
        }
    }
    let used = (1 << 20) - budget.bytes_left;
    assert!(
        used <= BINS_MAX as usize * 8 + size_of::<DDSketch>(),
        "{used} bytes"
    );
}
