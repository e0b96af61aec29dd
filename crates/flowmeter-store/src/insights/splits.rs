//! Where a series goes over to another level, and how likely that is by chance.
//!
//! Works on ranks and on counts. Values that hang together (a slow day, a bad hour) are not taken for many independent
//! ones: the tests are weakened by as much as neighbouring values are alike.

use super::robust;

/// A side of a split has so many values at least.
pub(super) const SIDE_MIN: usize = 8;
/// More splits in one series nobody reads.
const DEPTH_MAX: usize = 4;
/// What is less likely than this is looked at further.
const P_FURTHER: f64 = 1e-4;

/// A place where a series goes over to another level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    /// The first value of the new level.
    pub(super) at: usize,
    /// The chance of it where there is none.
    pub(super) p_value: f64,
}

/// All splits of a series of amounts, and how many tests that took.
pub(super) fn of_amounts(values: &[f64]) -> (Vec<Split>, u64) {
    all_splits(values, &best_of_amounts)
}

/// All splits of a series of noughts and ones.
pub(super) fn of_shares(values: &[f64]) -> (Vec<Split>, u64) {
    all_splits(values, &best_of_shares)
}

fn all_splits(values: &[f64], best: &dyn Fn(&[f64]) -> Option<Split>) -> (Vec<Split>, u64) {
    let (mut splits, mut tests) = (Vec::new(), 0);
    let mut open = vec![(0, values.len(), 0)];
    while let Some((from, until, depth)) = open.pop() {
        if until - from < 2 * SIDE_MIN || depth >= DEPTH_MAX {
            continue;
        }
        tests += 1;
        let Some(split) = best(&values[from..until]) else {
            continue;
        };
        if split.p_value > P_FURTHER {
            continue;
        }
        let at = from + split.at;
        splits.push(Split { at, ..split });
        open.push((from, at, depth + 1));
        open.push((at, until, depth + 1));
    }
    splits.sort_unstable_by_key(|split| split.at);
    (splits, tests)
}

/// The place with the greatest difference in rank between what is before and what is after.
fn best_of_amounts(values: &[f64]) -> Option<Split> {
    let ranks = robust::ranks(values);
    let n = ranks.len() as f64;
    let variance = ranks.iter().map(|rank| (rank - 0.5).powi(2)).sum::<f64>() / n;
    if variance <= 0.0 {
        return None;
    }
    let (mut sum, mut best) = (0.0, (0, 0.0));
    for (before, rank) in ranks.iter().enumerate() {
        if before >= SIDE_MIN && ranks.len() - before >= SIDE_MIN {
            let k = before as f64;
            // The sum of all distances from the middle is zero, so that the rest's is the opposite.
            let z: f64 = (sum / k + sum / (n - k)) / (variance * (1.0 / k + 1.0 / (n - k))).sqrt();
            if z.abs() > best.1 {
                best = (before, z.abs());
            }
        }
        sum += rank - 0.5;
    }
    let (at, z) = best;
    let z = z / alikeness(&ranks).sqrt();
    (at > 0).then(|| Split {
        at,
        p_value: robust::greatest_split(z, SIDE_MIN as f64 / n),
    })
}

/// The place with the greatest likelihood ratio of two shares instead of one.
fn best_of_shares(values: &[f64]) -> Option<Split> {
    let n = values.len();
    let all = values.iter().filter(|value| **value > 0.0).count();
    let gain = |hits: usize, n: usize| {
        let share = hits as f64 / n as f64;
        let part = |count: usize, share: f64| {
            if count == 0 {
                0.0
            } else {
                count as f64 * share.ln()
            }
        };
        part(hits, share) + part(n - hits, 1.0 - share)
    };
    let (mut hits, mut best) = (0, (0, 0.0, 0));
    let base = gain(all, n);
    for (before, value) in values.iter().enumerate() {
        if before >= SIDE_MIN && n - before >= SIDE_MIN {
            let ratio = gain(hits, before) + gain(all - hits, n - before) - base;
            if ratio > best.1 {
                best = (before, ratio, hits);
            }
        }
        hits += usize::from(*value > 0.0);
    }
    let (at, _, hits) = best;
    if at == 0 {
        return None;
    }
    let p_value = robust::fisher(hits as u64, at as u64, (all - hits) as u64, (n - at) as u64);
    // Only beside a hit can a split be the best one: so many were tried.
    let tried = (2 * all.min(n - all) + 1) as f64;
    let p_value = (p_value * tried).min(1.0).powf(1.0 / alikeness(values));
    Some(Split { at, p_value })
}

/// By how much the mean of neighbouring values varies more than that of independent ones would; at least 1. From the
/// differences of successive blocks, so that a few changes of level do not count.
pub(super) fn alikeness(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let single: f64 = values
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).powi(2))
        .sum::<f64>()
        / (2.0 * (n - 1.0).max(1.0));
    let whole: f64 = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    let variance = whole.max(single);
    if variance <= 0.0 {
        return 1.0;
    }
    let mut most: f64 = 1.0;
    let mut size = 4;
    while values.len() / size >= 16 {
        let means: Vec<f64> = values
            .chunks_exact(size)
            .map(|block| block.iter().sum::<f64>() / size as f64)
            .collect();
        let steps = means.windows(2).map(|pair| (pair[1] - pair[0]).powi(2));
        // The median of a squared normal value is 0.455 of its mean.
        let typical = robust::median_of(steps).unwrap_or(0.0) / 0.455 / 2.0;
        most = most.max(typical * size as f64 / variance);
        size *= 4;
    }
    most
}

#[cfg(test)]
mod tests;
