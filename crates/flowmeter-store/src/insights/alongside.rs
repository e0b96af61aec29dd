//! What else became different at the moment when a level changed: model, version, commit, user.
//!
//! Never claims a cause: it says what came together.

use flowmeter_model::SpanKind;
use rustc_hash::FxHashMap;

use super::history::History;

/// So many runs on each side are looked at.
const SIDE: usize = 100;
/// A value is the usual one from this share on.
const USUAL: f64 = 0.6;
/// A change is put where something else changed if that is so many runs away at most.
const NEAR: usize = 25;

/// Something that was usually one thing before and another after.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Changed {
    /// `model`, `workflow version`, `git commit`, `user`.
    pub(super) what: &'static str,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) share_before: f64,
    pub(super) share_after: f64,
    /// Where in the series of runs it changed.
    pub(super) at: usize,
}

/// What changed near `at` in a series of runs.
pub(super) fn changed(history: &History, runs: &[u32], node: Option<u32>, at: usize) -> Vec<Changed> {
    let values: [(&'static str, &dyn Fn(u32) -> u32); 4] = [
        ("model", &|run| model_of(history, run, node)),
        ("workflow version", &|run| history.run(run).version),
        ("git commit", &|run| history.run(run).commit),
        ("user", &|run| history.run(run).user),
    ];
    values
        .into_iter()
        .filter_map(|(what, value)| {
            let (from, until) = (at.saturating_sub(SIDE), (at + SIDE).min(runs.len()));
            let near: Vec<u32> = runs[from..until].iter().map(|run| value(*run)).collect();
            switched(&near, at - from).map(|switch| Changed {
                what,
                before: shown(history, what, switch.before),
                after: shown(history, what, switch.after),
                share_before: switch.share_before,
                share_after: switch.share_after,
                at: from + switch.at,
            })
        })
        .collect()
}

fn shown(history: &History, what: &str, number: u32) -> String {
    let name = history.name(number);
    if what == "git commit" {
        name.chars().take(10).collect()
    } else {
        name.to_string()
    }
}

/// The model that a run used in a node, or all its models.
fn model_of(history: &History, run: u32, node: Option<u32>) -> u32 {
    let Some(node) = node else {
        return history.run(run).models;
    };
    let calls = history.spans_of(run).iter();
    usual(
        calls
            .filter(|span| span.kind == SpanKind::LlmCall && span.node == node)
            .map(|span| span.model),
    )
    .map_or(0, |(model, _)| model)
}

struct Switch {
    before: u32,
    after: u32,
    share_before: f64,
    share_after: f64,
    at: usize,
}

fn switched(values: &[u32], at: usize) -> Option<Switch> {
    let (before, share_before) = usual(values[..at].iter().copied())?;
    let (after, share_after) = usual(values[at..].iter().copied())?;
    if before == after || before == 0 || after == 0 || share_before < USUAL || share_after < USUAL {
        return None;
    }
    // The place that leaves the fewest runs on the wrong side.
    let wrong_after = values.iter().filter(|value| **value == before).count();
    let (mut wrong, mut best) = (wrong_after as i64, (wrong_after as i64, 0));
    for (place, value) in values.iter().enumerate() {
        wrong += i64::from(*value == after) - i64::from(*value == before);
        if wrong < best.0 {
            best = (wrong, place + 1);
        }
    }
    let is_near = best.1.abs_diff(at) <= NEAR.max(values.len() / 10);
    let is_clear = (best.0 as f64) <= 0.1 * values.len() as f64;
    (is_near && is_clear && best.1 < values.len()).then_some(Switch {
        before,
        after,
        share_before,
        share_after,
        at: best.1,
    })
}

/// The most frequent value and its share.
fn usual(values: impl Iterator<Item = u32>) -> Option<(u32, f64)> {
    let mut counts: FxHashMap<u32, usize> = FxHashMap::default();
    let mut all = 0;
    for value in values {
        *counts.entry(value).or_default() += 1;
        all += 1;
    }
    let (value, count) = counts.into_iter().max_by_key(|(value, count)| (*count, *value))?;
    Some((value, count as f64 / all as f64))
}
