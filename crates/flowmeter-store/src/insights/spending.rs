//! Money and time that the rows of spans show to be spent twice: prompts sent again, attempts thrown away.
//!
//! Never counts a call without a price as free: where the price is missing, the size is in seconds.

use std::collections::BTreeMap;

use flowmeter_model::{SpanKind, SpanStatus};
use rustc_hash::FxHashMap;

use super::gathered::{Family, Gathered};
use super::history::History;
use super::models::failed_attempts;
use super::{Amount, DAY_NS, Insight, InsightKind, InsightQuery, Per, SECOND_NS, Size, robust, words};
use crate::RunKey;

/// Answers are kept so long by our response cache unless somebody says otherwise.
const CACHE_LIFE_NS: u64 = 7 * DAY_NS;
/// Fewer repeats are not worth a word.
const REPEATS_MIN: u64 = 5;
/// Nor are repeats that are a smaller share of a node's calls.
const REPEATED_SHARE_MIN: f64 = 0.05;
/// So many executions with a retry are nothing special.
const RETRIES_USUAL: f64 = 0.02;
/// Fewer retries are not worth a word.
const RETRIES_MIN: u64 = 5;
/// Nor are retries that are a smaller share of what a node costs or takes.
const WASTED_SHARE_MIN: f64 = 0.03;

/// What was spent, in all and within the last 30 days.
#[derive(Clone, Copy, Default)]
struct Spent {
    nanos: i64,
    recent_nanos: i64,
    duration_ns: u64,
    recent_ns: u64,
    count: u64,
    unpriced: u64,
}

impl Spent {
    fn add(&mut self, cost: Option<i64>, duration_ns: u64, is_recent: bool) {
        self.count += 1;
        self.duration_ns = self.duration_ns.saturating_add(duration_ns);
        self.nanos += cost.unwrap_or(0);
        self.unpriced += u64::from(cost.is_none());
        if is_recent {
            self.recent_nanos += cost.unwrap_or(0);
            self.recent_ns = self.recent_ns.saturating_add(duration_ns);
        }
    }

    /// Money where any is known, else time; of a month where there was any in the last one.
    fn size(&self) -> Size {
        let (nanos, nanoseconds, per) = if self.recent_ns > 0 {
            (self.recent_nanos, self.recent_ns, Per::Month)
        } else {
            (self.nanos, self.duration_ns, Per::Total)
        };
        let amount = if nanos > 0 {
            Amount::Usd(flowmeter_model::UsdNanos(nanos))
        } else {
            Amount::Seconds(nanoseconds as f64 / SECOND_NS)
        };
        Size { amount, per }
    }
}

/// Looks for what was spent twice in a workflow.
pub(super) fn look(history: &History, workflow: u32, query: &InsightQuery, gathered: &mut Gathered) {
    let runs = history.runs_of(workflow);
    repeated_prompts(history, workflow, &runs, query, gathered);
    costly_retries(history, workflow, &runs, query, gathered);
}

#[derive(Default)]
struct Repeats {
    calls: u64,
    spent: Spent,
    within_run: u64,
    /// How often each prompt came again.
    by_prompt: FxHashMap<u64, (u64, RunKey)>,
}

fn repeated_prompts(
    history: &History,
    workflow: u32,
    runs: &[u32],
    query: &InsightQuery,
    gathered: &mut Gathered,
) {
    let recent = query.now.0.saturating_sub(30 * DAY_NS);
    // When an answer to a prompt would have been kept, and in which run.
    let mut kept: FxHashMap<(u32, u64), (u64, u32)> = FxHashMap::default();
    let mut nodes: BTreeMap<u32, Repeats> = BTreeMap::new();
    for run in runs {
        let failed = failed_attempts(history.spans_of(*run));
        for span in history.spans_of(*run) {
            let is_plain = span.kind == SpanKind::LlmCall
                && span.status == SpanStatus::Ok
                && span.prompt != 0
                && !span.cache_hit
                && !failed.contains(&span.parent);
            if !is_plain {
                continue;
            }
            let repeats = nodes.entry(span.node).or_default();
            repeats.calls += 1;
            let known = kept.entry((span.node, span.prompt)).or_insert((0, u32::MAX));
            if known.1 != u32::MAX && span.start.saturating_sub(known.0) < CACHE_LIFE_NS {
                repeats
                    .spent
                    .add(span.cost, span.duration_ns, span.start >= recent);
                repeats.within_run += u64::from(known.1 == *run);
                let prompt = repeats
                    .by_prompt
                    .entry(span.prompt)
                    .or_insert((0, history.run(*run).key));
                *prompt = (prompt.0 + 1, history.run(*run).key);
            } else {
                *known = (span.start, *run);
            }
        }
    }
    for (node, repeats) in nodes {
        let share = repeats.spent.count as f64 / repeats.calls.max(1) as f64;
        if repeats.spent.count < REPEATS_MIN || share < REPEATED_SHARE_MIN {
            continue;
        }
        gathered.certain(told_repeats(history, workflow, node, &repeats, share));
    }
}

fn told_repeats(history: &History, workflow: u32, node: u32, repeats: &Repeats, share: f64) -> Insight {
    let name = history.name(node);
    let title = format!(
        "{} of {} calls in node `{name}` sent a prompt that was sent within 7 days before",
        words::count(repeats.spent.count as f64),
        words::count(repeats.calls as f64)
    );
    let mut insight = Insight::new(InsightKind::RepeatedPrompt, history.name(workflow), title);
    insight.node = Some(name.clone());
    insight.size = Some(repeats.spent.size());
    let mut most: Vec<(u64, RunKey)> = repeats.by_prompt.values().copied().collect();
    most.sort_unstable_by_key(|(count, key)| (std::cmp::Reverse(*count), *key));
    insight.runs = most.iter().take(5).map(|(_, key)| *key).collect();
    insight.runs.dedup();
    let money = if repeats.spent.nanos > 0 {
        words::dollars(repeats.spent.nanos as f64 / 1e9)
    } else {
        "an unknown amount".to_owned()
    };
    insight.evidence.push(format!(
        "the repeats cost {money} and took {} in all",
        words::seconds(repeats.spent.duration_ns as f64 / SECOND_NS)
    ));
    if repeats.spent.unpriced > 0 && repeats.spent.nanos > 0 {
        let unpriced = words::count(repeats.spent.unpriced as f64);
        insight.evidence.push(format!(
            "{unpriced} of them have no price and are not in the amount"
        ));
    }
    if let Some((count, key)) = most.first() {
        insight.evidence.push(format!(
            "{} different prompts came again, one of them {} times, last in run {}",
            words::count(most.len() as f64),
            words::count(*count as f64),
            words::short(key)
        ));
    }
    if repeats.within_run > 0 {
        insight.evidence.push(format!(
            "{} of the repeats were within one run",
            words::count(repeats.within_run as f64)
        ));
    }
    insight.figure("repeats", repeats.spent.count as f64);
    insight.figure("calls", repeats.calls as f64);
    insight.figure("share", share);
    insight.figure("usd_total", repeats.spent.nanos as f64 / 1e9);
    insight.suggestion = format!(
        "set `cache: true` on node `{name}`, or run with --cache, unless different answers to the same prompt are wanted"
    );
    insight
}

#[derive(Default)]
struct Retries {
    executions: u64,
    retried: u64,
    wasted: Spent,
    node_nanos: i64,
    node_ns: u64,
    errors: BTreeMap<u32, u64>,
    runs: Vec<RunKey>,
}

fn costly_retries(
    history: &History,
    workflow: u32,
    runs: &[u32],
    query: &InsightQuery,
    gathered: &mut Gathered,
) {
    let recent = query.now.0.saturating_sub(30 * DAY_NS);
    let mut nodes: BTreeMap<u32, Retries> = BTreeMap::new();
    for run in runs {
        let point = history.run(*run);
        if !point.is_sampled {
            continue;
        }
        let spans = history.spans_of(*run);
        let failed = failed_attempts(spans);
        // Of a step that failed for good, the last attempt was no retry's cause.
        let mut last: FxHashMap<u64, u64> = FxHashMap::default();
        let mut failed_nodes: Vec<u32> = Vec::new();
        for span in spans {
            match span.kind {
                SpanKind::Attempt => {
                    last.insert(span.parent, span.span_id);
                }
                SpanKind::Node if span.status != SpanStatus::Ok => failed_nodes.push(span.node),
                _ => {}
            }
        }
        let mut thrown_away: FxHashMap<u64, ()> = FxHashMap::default();
        for span in spans {
            let is_last = last.get(&span.parent) == Some(&span.span_id) && failed_nodes.contains(&span.node);
            if span.kind == SpanKind::Attempt && span.status == SpanStatus::Error && !is_last {
                thrown_away.insert(span.span_id, ());
            }
        }
        let is_recent = point.started >= recent;
        for span in spans {
            match span.kind {
                SpanKind::Node => {
                    let retries = nodes.entry(span.node).or_default();
                    retries.executions += 1;
                    retries.node_ns = retries.node_ns.saturating_add(span.duration_ns);
                }
                SpanKind::Attempt if thrown_away.contains_key(&span.span_id) => {
                    let retries = nodes.entry(span.node).or_default();
                    retries.retried += 1;
                    retries.wasted.duration_ns += span.duration_ns;
                    retries.wasted.recent_ns += if is_recent { span.duration_ns } else { 0 };
                    *retries.errors.entry(span.error).or_default() += 1;
                    if retries.runs.last() != Some(&point.key) {
                        retries.runs.push(point.key);
                    }
                }
                SpanKind::LlmCall => {
                    let retries = nodes.entry(span.node).or_default();
                    retries.node_nanos += span.cost.unwrap_or(0);
                    if failed.contains(&span.parent) && thrown_away.contains_key(&span.parent) {
                        retries.wasted.add(span.cost, 0, is_recent);
                    }
                }
                _ => {}
            }
        }
    }
    for (node, retries) in nodes {
        let p_value = robust::binomial_at_least(
            retries.retried.min(retries.executions),
            retries.executions,
            RETRIES_USUAL,
        );
        let of_cost = retries.wasted.nanos as f64 / retries.node_nanos.max(1) as f64;
        let of_time = retries.wasted.duration_ns as f64 / retries.node_ns.max(1) as f64;
        let is_large = retries.retried >= RETRIES_MIN && of_cost.max(of_time) >= WASTED_SHARE_MIN;
        gathered.tested(
            Family::Other,
            p_value,
            is_large.then(|| told_retries(history, workflow, node, &retries)),
        );
    }
}

fn told_retries(history: &History, workflow: u32, node: u32, retries: &Retries) -> Insight {
    let name = history.name(node);
    let wasted = &retries.wasted;
    let lost = if wasted.nanos > 0 {
        let money = words::dollars(wasted.nanos as f64 / 1e9);
        format!(
            "{money} and {}",
            words::seconds(wasted.duration_ns as f64 / SECOND_NS)
        )
    } else {
        words::seconds(wasted.duration_ns as f64 / SECOND_NS)
    };
    let title = format!(
        "{} attempts of node `{name}` failed and were made again, which cost {lost}",
        words::count(retries.retried as f64)
    );
    let mut insight = Insight::new(InsightKind::CostlyRetries, history.name(workflow), title);
    insight.node = Some(name.clone());
    insight.size = Some(wasted.size());
    insight.runs = retries.runs.iter().rev().take(5).copied().collect();
    let mut errors: Vec<(u64, &str)> = retries
        .errors
        .iter()
        .map(|(error, count)| (*count, history.name(*error).as_str()))
        .collect();
    errors.sort_unstable_by(|a, b| b.cmp(a));
    let shown: Vec<String> = errors
        .iter()
        .take(5)
        .map(|(count, error)| {
            format!(
                "{} {count} times",
                if error.is_empty() { "unknown" } else { error }
            )
        })
        .collect();
    insight.evidence.push(format!("errors: {}", shown.join(", ")));
    insight.evidence.push(format!(
        "{} executions of the node in {} runs with a retry, such as {}",
        words::count(retries.executions as f64),
        words::count(retries.runs.len() as f64),
        insight
            .runs
            .iter()
            .take(3)
            .map(words::short)
            .collect::<Vec<_>>()
            .join(", ")
    ));
    if retries.node_nanos > 0 && wasted.nanos > 0 {
        insight.evidence.push(format!(
            "{} of what the node cost",
            words::percent(wasted.nanos as f64 / retries.node_nanos as f64)
        ));
    }
    insight.figure("retries", retries.retried as f64);
    insight.figure("executions", retries.executions as f64);
    insight.figure("usd_total", wasted.nanos as f64 / 1e9);
    insight.figure("seconds_total", wasted.duration_ns as f64 / SECOND_NS);
    insight.suggestion = if wasted.nanos > 0 {
        format!(
            "answers were paid for and refused: make the prompt or `schema` of node `{name}` easier to meet, or take a model that meets it"
        )
    } else {
        format!("wait longer between the attempts of node `{name}`, or send less at once")
    };
    insight
}
