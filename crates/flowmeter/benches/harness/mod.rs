//! Medians and ratios: all variants of a benchmark run in turns within one process, so that noise hits them
//! alike.
//!
//! Never judges by one absolute time: a limit is checked on a difference or a ratio of medians.

use std::time::Duration;

/// A variant: runs its work and says how long one operation took, in nanoseconds.
pub struct Variant<'a> {
    pub name: &'static str,
    pub run: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Variant<'a> {
    pub fn new(name: &'static str, run: impl FnMut() -> f64 + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }
}

/// Rounds from the environment: `cargo xtask bench --quick` asks for few.
pub fn rounds(default: usize) -> usize {
    if std::env::args().any(|argument| argument == "--quick") {
        (default / 5).max(3)
    } else {
        default
    }
}

/// Runs all variants `rounds` times in turns and returns the median of each.
pub fn medians(rounds: usize, variants: &mut [Variant<'_>]) -> Vec<f64> {
    let mut times: Vec<Vec<f64>> = variants.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for _ in 0..rounds {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            times.push((variant.run)());
        }
    }
    times.into_iter().map(median).collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn per_op(elapsed: Duration, operations: usize) -> f64 {
    elapsed.as_nanos() as f64 / operations as f64
}

/// CPU time of the whole process so far, all threads.
pub fn process_cpu() -> Duration {
    let mut total = Duration::ZERO;
    if let Ok(tasks) = std::fs::read_dir("/proc/self/task") {
        for task in tasks.flatten() {
            let schedstat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let ran_ns: u64 = schedstat
                .split(' ')
                .next()
                .and_then(|field| field.parse().ok())
                .unwrap_or(0);
            total += Duration::from_nanos(ran_ns);
        }
    }
    total
}

/// Prints one line of a result and whether it holds.
pub fn verdict(what: &str, measured: String, limit: &str, holds: bool) {
    println!(
        "{} {what}: {measured} (limit {limit})",
        if holds { "ok  " } else { "MISS" }
    );
}
