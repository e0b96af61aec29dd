//! Errors that follow others within a run.
//!
//! Never counts an error twice that was only handed on: an attempt, its node and the node around it fail together.

use flowmeter_model::SpanStatus;
use rustc_hash::{FxHashMap, FxHashSet};

use super::gathered::{Family, Gathered};
use super::history::History;
use super::patterns::{P_WORDS, RUNS_MIN, newest, such_as};
use super::sizes::of_failures;
use super::{Insight, InsightKind, Per, robust, words};

/// More kinds of errors are not paired.
const ERRORS_MAX: usize = 64;

/// An error and where it was.
type Fault = (u32, u32);

/// The errors of a run in the order in which they came, each once, where they arose.
fn faults(history: &History, run: u32) -> Vec<Fault> {
    let mut failed: Vec<(u64, Fault)> = history
        .spans_of(run)
        .iter()
        .filter(|span| span.status == SpanStatus::Error && span.node != 0)
        .map(|span| {
            (
                span.start.saturating_add(span.duration_ns),
                (span.node, span.error),
            )
        })
        .collect();
    failed.sort_unstable();
    let mut seen: FxHashSet<Fault> = FxHashSet::default();
    let mut faults: Vec<Fault> = failed
        .into_iter()
        .filter(|(_, fault)| seen.insert(*fault))
        .map(|(_, fault)| fault)
        .collect();
    let all = faults.clone();
    // A node fails with what fails inside it.
    faults.retain(|(outer, error)| {
        !all.iter().any(|(inner, same)| {
            let rest = history.name(*inner).strip_prefix(history.name(*outer).as_str());
            same == error && rest.is_some_and(|rest| rest.starts_with('/'))
        })
    });
    faults
}

/// Looks for pairs among the runs of a workflow.
pub(super) fn error_pairs(history: &History, workflow: u32, runs: &[u32], gathered: &mut Gathered) {
    let by_run: Vec<(u32, Vec<Fault>)> = runs.iter().map(|run| (*run, faults(history, *run))).collect();
    let mut counts: FxHashMap<Fault, u64> = FxHashMap::default();
    let mut pairs: FxHashMap<(Fault, Fault), Vec<u32>> = FxHashMap::default();
    for (_, faults) in &by_run {
        for fault in faults {
            *counts.entry(*fault).or_default() += 1;
        }
    }
    let mut frequent: Vec<(u64, Fault)> = counts.iter().map(|(fault, count)| (*count, *fault)).collect();
    frequent.sort_unstable_by(|a, b| b.cmp(a));
    frequent.truncate(ERRORS_MAX);
    let frequent: FxHashSet<Fault> = frequent.into_iter().map(|(_, fault)| fault).collect();
    for (run, faults) in &by_run {
        let faults: Vec<Fault> = faults
            .iter()
            .copied()
            .filter(|fault| frequent.contains(fault))
            .collect();
        for (place, first) in faults.iter().enumerate() {
            for second in &faults[place + 1..] {
                pairs.entry((*first, *second)).or_default().push(*run);
            }
        }
    }
    let mut ordered: Vec<_> = pairs.into_iter().collect();
    ordered.sort_unstable_by_key(|(pair, runs)| (std::cmp::Reverse(runs.len()), *pair));
    for ((first, second), both) in ordered {
        let with_first = counts[&first];
        let with_second_only = counts[&second].saturating_sub(both.len() as u64);
        let without = runs.len() as u64 - with_first;
        let p_value = robust::fisher(
            both.len() as u64,
            with_first,
            with_second_only.min(without),
            without,
        );
        let share = both.len() as f64 / with_first as f64;
        let elsewhere = with_second_only as f64 / without.max(1) as f64;
        let is_large = both.len() >= RUNS_MIN && share >= 0.3 && share >= 2.0 * elsewhere;
        let insight = (is_large && p_value < P_WORDS).then(|| {
            let fault = |(node, error): Fault| {
                let error = match history.name(error).as_str() {
                    "" => "an error",
                    error => error,
                };
                format!("{error} in node `{}`", history.name(node))
            };
            let title = format!(
                "{} is followed by {} in {} of {with_first} runs",
                fault(first),
                fault(second),
                both.len()
            );
            let mut insight = Insight::new(InsightKind::ErrorPair, history.name(workflow), title);
            insight.node = Some(history.name(second.0).clone());
            insight.runs = newest(history, &both);
            insight.size = Some(of_failures(history, &both, both.len() as f64, Per::Total));
            insight.evidence.push(format!(
                "of the {without} runs without the first, {} have the second",
                words::percent(elsewhere)
            ));
            insight.evidence.push(such_as(&insight));
            insight.figure("share_with", share);
            insight.figure("share_without", elsewhere);
            insight.figure("runs", both.len() as f64);
            insight.suggestion = format!(
                "mend the first and the second goes with it: give node `{}` an edge for `error`, or stop the run there",
                history.name(first.0)
            );
            insight
        });
        gathered.tested(Family::Other, p_value, insight);
    }
}
