//! The statistics behind insights: medians, ranks, tails and the control of false alarms.
//!
//! Never assumes a normal distribution of what is measured: tests go by ranks or by counts.

/// The middle of some values; the mean of the middle two where there is none. Changes their order.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value that a share `q` of the values does not pass, between two of them by their distance. Changes their order.
pub(super) fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    Some(low + (high - low) * (place - below as f64))
}

/// The median of a copy.
pub(super) fn median_of(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    median(&mut values.into_iter().collect::<Vec<f64>>())
}

/// How far values lie from their middle: 1.4826 times the median distance, which is the standard deviation where they
/// are normal. Where half of them are equal, the mean distance stands in.
pub(super) fn spread(values: &[f64], middle: f64) -> f64 {
    let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let typical = 1.4826 * median(&mut distances).unwrap_or(0.0);
    if typical > 0.0 {
        return typical;
    }
    let sum: f64 = distances.iter().sum();
    1.2533 * sum / distances.len().max(1) as f64
}

/// Each value's rank between 0 and 1; equal values share the middle of their ranks.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    // Each value beside its place: looked up through the places, sorting would wait for memory.
    let mut order: Vec<(f64, u32)> = values.iter().copied().zip(0..).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let value = order[first].0;
        let equal = order[first..]
            .iter()
            .take_while(|(other, _)| *other == value)
            .count()
            .max(1);
        let rank = (first as f64 + 0.5 * equal as f64) / values.len() as f64;
        for (_, place) in &order[first..first + equal] {
            ranks[*place as usize] = rank;
        }
        first += equal;
    }
    ranks
}

/// The two-sided probability that two samples of one origin differ so much in rank (Mann and Whitney's test, normal
/// approximation, corrected for ties).
pub(super) fn mann_whitney(a: &[f64], b: &[f64]) -> f64 {
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let n = all.len() as f64;
    if a.is_empty() || b.is_empty() {
        return 1.0;
    }
    let ranks = ranks(&all);
    let mean_a = ranks[..a.len()].iter().sum::<f64>() / a.len() as f64;
    let mean_b = ranks[a.len()..].iter().sum::<f64>() / b.len() as f64;
    let variance = ranks.iter().map(|rank| (rank - 0.5).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (mean_a - mean_b).abs() / (variance * (1.0 / a.len() as f64 + 1.0 / b.len() as f64)).sqrt();
    (2.0 * normal_tail(z)).min(1.0)
}

/// The chance of a standard normal value above `z`. Relative error below 2e-7, far out as well.
/// Source: W. J. Cody's rational form is longer; this is the Chebyshev fit of Numerical Recipes, section 6.2.
pub(super) fn normal_tail(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let factors = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let series = factors.iter().rev().fold(0.0, |sum, factor| sum * t + factor);
    let tail = 0.5 * t * (series - x * x).exp();
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// The natural logarithm of the gamma function, for x > 0 (Lanczos).
pub(super) fn ln_gamma(x: f64) -> f64 {
    const FACTORS: [f64; 6] = [
        76.180_091_729_471_46,
        -86.505_320_329_416_77,
        24.014_098_240_830_91,
        -1.231_739_572_450_155,
        0.001_208_650_973_866_179,
        -0.000_005_395_239_384_953,
    ];
    let base = x + 5.5;
    let tail = base - (x + 0.5) * base.ln();
    let mut place = x;
    let series = FACTORS.iter().fold(1.000_000_000_190_015, |sum, factor| {
        place += 1.0;
        sum + factor / place
    });
    -tail + (2.506_628_274_631_000_5 * series / x).ln()
}

/// The regularised incomplete beta function, by its continued fraction (Lentz).
fn beta_share(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_share(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..400 {
        let m = f64::from(step);
        for numerator in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / away_from_zero(1.0 + numerator * d);
            c = away_from_zero(1.0 + numerator / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-12 {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

/// The two-sided chance of Student's t so far out.
pub(super) fn student_two_sided(t: f64, degrees: f64) -> f64 {
    beta_share(degrees / 2.0, 0.5, degrees / (degrees + t * t))
}

/// The chance of `hits` or more in `n` tries, each with the chance `p`.
pub(super) fn binomial_at_least(hits: u64, n: u64, p: f64) -> f64 {
    if hits == 0 {
        return 1.0;
    }
    if hits > n {
        return 0.0;
    }
    beta_share(hits as f64, (n - hits) as f64 + 1.0, p)
}

/// The two-sided chance that two shares of one origin differ so much (Fisher's exact test: twice the smaller tail).
pub(super) fn fisher(hits_a: u64, n_a: u64, hits_b: u64, n_b: u64) -> f64 {
    let (n, hits) = (n_a + n_b, hits_a + hits_b);
    if n_a == 0 || n_b == 0 || hits == 0 || hits == n {
        return 1.0;
    }
    let choose =
        |n: u64, k: u64| ln_gamma(n as f64 + 1.0) - ln_gamma(k as f64 + 1.0) - ln_gamma((n - k) as f64 + 1.0);
    let all = choose(n, hits);
    let weight = |k: u64| (choose(n_a, k) + choose(n_b, hits - k) - all).exp();
    let (least, most) = (hits.saturating_sub(n_b), hits.min(n_a));
    // The tail is summed outwards until nothing is added any more.
    let sum = |places: &mut dyn Iterator<Item = u64>| {
        let mut sum = 0.0;
        for place in places {
            let more = weight(place);
            sum += more;
            if more < sum * 1e-12 {
                break;
            }
        }
        sum
    };
    let upper = sum(&mut (hits_a..=most));
    let lower = sum(&mut (least..=hits_a).rev());
    (2.0 * upper.min(lower)).min(1.0)
}

/// The bounds of a share at 97.5 % on each side (Wilson).
pub(super) fn wilson(hits: u64, n: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_985;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (n as f64, hits as f64 / n as f64);
    let middle = share + Z * Z / (2.0 * n);
    let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let below = 1.0 + Z * Z / n;
    (
        ((middle - reach) / below).max(0.0),
        ((middle + reach) / below).min(1.0),
    )
}

/// The chance that the greatest of all standardised two-sample differences along a series is above `b`, where the
/// sides have at least a share `edge` of it each. Source: James, James and Siegmund, "Tests for a change-point",
/// Biometrika 74 (1987).
pub(super) fn greatest_split(b: f64, edge: f64) -> f64 {
    if b < 1.5 {
        return 1.0;
    }
    let edge = edge.clamp(1e-9, 0.49);
    let density = (-0.5 * b * b).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let reach = 2.0 * ((1.0 - edge) / edge).ln();
    (density * ((b - 1.0 / b) * reach + 4.0 / b)).min(1.0)
}

/// How many of the smallest p-values are findings if a share `rate` of findings may be false, among `tests` tests
/// (Benjamini and Hochberg). The values must be in ascending order.
pub(super) fn findings_among(ascending: &[f64], tests: u64, rate: f64) -> usize {
    let limit = |place: usize| rate * (place + 1) as f64 / tests.max(1) as f64;
    ascending
        .iter()
        .enumerate()
        .rev()
        .find(|(place, p)| **p <= limit(*place))
        .map_or(0, |(place, _)| place + 1)
}

#[cfg(test)]
mod tests;
