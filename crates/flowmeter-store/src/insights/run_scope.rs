//! One run beside the earlier runs of its workflow: what is unlike them, where its time went, what would save some.
//!
//! Never judges by runs that came later.

use flowmeter_model::{SpanKind, SpanStatus, TimestampNs};

use super::anomalies::{self, PAST_MIN};
use super::gathered::{Family, Gathered};
use super::history::History;
use super::payloads::View;
use super::sample::Sample;
use super::series::{self, Metric};
use super::{
    Amount, Insight, InsightKind, InsightQuery, Per, PriceLookup, SECOND_NS, Shortage, Size, profile, tree,
    words,
};
use crate::{RunKey, RunStatus, Store, StoreError};

/// An amount nearer to the usual one is no anomaly.
const RATIO_MIN: f64 = 1.3;
/// A part of the run that is smaller is not worth a word in the critical path.
const SHARE_MIN: f64 = 0.05;
/// Answers are kept so long by our response cache.
const CACHE_LIFE_NS: u64 = 7 * super::DAY_NS;

/// Looks at a run.
pub(super) fn look(
    store: &dyn Store,
    history: &History,
    key: &RunKey,
    query: &InsightQuery,
    prices: &dyn PriceLookup,
    gathered: &mut Gathered,
) -> Result<(), StoreError> {
    let Some(run) = history.runs.iter().position(|point| point.key == *key) else {
        return Ok(());
    };
    let run = run as u32;
    let workflow = history.run(run).workflow;
    let runs: Vec<u32> = history
        .runs_of(workflow)
        .into_iter()
        .filter(|other| *other <= run)
        .collect();
    if runs.len() <= PAST_MIN {
        gathered.shortages.push(Shortage {
            workflow: history.name(workflow).clone(),
            what: "what is unlike the past",
            has: format!("{} earlier runs", runs.len() - 1),
            needs: format!("{PAST_MIN} earlier runs that went well"),
        });
    }
    unlike_the_past(history, run, &runs, query, gathered);
    failure(history, run, &runs, gathered);
    sent_before(history, run, &runs, gathered);
    critical_path(store, history, run, gathered)?;
    if history.run(run).has_payloads {
        let samples = [Sample::read(store, key)?];
        let view = View {
            history,
            workflow,
            runs: &runs,
            query,
            prices,
            samples: &samples,
            seen_min: 1,
        };
        view.waiting(gathered);
    }
    Ok(())
}

fn unlike_the_past(history: &History, run: u32, runs: &[u32], query: &InsightQuery, gathered: &mut Gathered) {
    let point = history.run(run);
    for series in series::of_workflow(history, runs) {
        if series.metric == Metric::Errors || series.runs.last() != Some(&run) {
            continue;
        }
        let Some((unusual, beside, is_seasonal)) = anomalies::of_past(history, &series, query) else {
            continue;
        };
        let times = unusual.above.exp();
        let value = series.values.last().copied().unwrap_or(0.0);
        let usual = value / times;
        let is_long = series.metric != Metric::Latency || (value - usual).abs() >= 0.01;
        let is_large = unusual.above.abs() >= RATIO_MIN.ln() && is_long;
        let insight = is_large.then(|| {
            let (kind, verb) = match series.metric {
                Metric::Latency => (InsightKind::LatencyAnomaly, "took"),
                Metric::Cost => (InsightKind::CostAnomaly, "cost"),
                _ => (InsightKind::TokenAnomaly, "used"),
            };
            let amount = |value: f64| match series.metric {
                Metric::Latency => words::seconds(value),
                Metric::Cost => words::dollars(value),
                _ => format!("{} tokens", words::count(value)),
            };
            let subject = match (series.node, series.metric) {
                (None, _) => "this run".to_owned(),
                (Some(node), Metric::Latency) => format!("node `{}`", history.name(node)),
                (Some(node), _) => format!("a call in node `{}`", history.name(node)),
            };
            let title = format!(
                "{subject} {verb} {}, {times:.1} times the usual {}",
                amount(value),
                amount(usual)
            );
            let mut insight = Insight::new(kind, history.name(point.workflow), title);
            insight.node = series.node.map(|node| history.name(node).clone());
            insight.at = Some(TimestampNs(point.started));
            insight.runs = vec![point.key];
            let difference = (value - usual).abs();
            let amount = match series.metric {
                Metric::Latency => Some(Amount::Seconds(difference)),
                Metric::Cost => Some(Amount::Usd(words::usd_of(difference))),
                _ => point
                    .cost
                    .filter(|cost| *cost > 0 && point.tokens > 0)
                    .map(|cost| {
                        Amount::Usd(words::usd_of(
                            difference * cost as f64 / 1e9 / point.tokens as f64,
                        ))
                    }),
            };
            insight.size = amount.map(|amount| Size {
                amount,
                per: Per::Run,
            });
            insight
                .evidence
                .push(format!("compared with {beside} earlier runs on the same level"));
            if is_seasonal {
                let local = words::local(point.started, query.utc_offset_seconds);
                insight.evidence.push(format!(
                    "usual for a {} at {:02}:00",
                    words::weekday(local.weekday),
                    local.hour
                ));
            }
            insight.figure("value", value);
            insight.figure("usual", usual);
            insight.figure("times", times);
            // The newest run before it, to compare with.
            if let Some(before) = series.runs.len().checked_sub(2).map(|place| series.runs[place]) {
                insight.suggestion = format!(
                    "`flowmeter diff {} {}` compares it with the run before",
                    words::short(&history.run(before).key),
                    words::short(&point.key)
                );
                insight.runs.push(history.run(before).key);
            }
            insight
        });
        gathered.tested(Family::Other, unusual.p_value, insight);
    }
}

/// How often runs failed in the same way before.
fn failure(history: &History, run: u32, runs: &[u32], gathered: &mut Gathered) {
    let point = history.run(run);
    if point.status != RunStatus::Error {
        return;
    }
    let failed = |other: &&u32| history.run(**other).status == RunStatus::Error;
    let ended = |other: &&u32| matches!(history.run(**other).status, RunStatus::Ok | RunStatus::Error);
    let before = &runs[..runs.len() - 1];
    let all = before.iter().filter(ended).count();
    let same: Vec<u32> = before
        .iter()
        .filter(failed)
        .filter(|other| history.run(**other).error == point.error)
        .copied()
        .collect();
    let error = match history.name(point.error).as_str() {
        "" => "an error",
        error => error,
    };
    let title = if same.is_empty() {
        format!("this run failed with {error}, as none of {all} earlier runs did")
    } else {
        format!(
            "this run failed with {error}, as {} of {all} earlier runs did",
            same.len()
        )
    };
    let mut insight = Insight::new(InsightKind::ErrorAnomaly, history.name(point.workflow), title);
    insight.at = Some(TimestampNs(point.started));
    insight.runs = std::iter::once(run)
        .chain(same.iter().rev().take(4).copied())
        .map(|run| history.run(run).key)
        .collect();
    insight.figure("same_error", same.len() as f64);
    insight.figure("runs", all as f64);
    let amount = match (point.cost.filter(|cost| *cost > 0), point.duration_ns) {
        (Some(cost), _) => Some(Amount::Usd(flowmeter_model::UsdNanos(cost))),
        (None, Some(duration)) => Some(Amount::Seconds(duration as f64 / SECOND_NS)),
        _ => None,
    };
    insight.size = amount.map(|amount| Size {
        amount,
        per: Per::Run,
    });
    let first = history
        .spans_of(run)
        .iter()
        .filter(|span| span.status == SpanStatus::Error)
        .min_by_key(|span| span.start.saturating_add(span.duration_ns));
    if let Some(first) = first {
        insight.node = Some(history.name(first.node).clone());
        insight.evidence.push(format!(
            "the first to fail was node `{}` with {}",
            history.name(first.node),
            history.name(first.error)
        ));
    }
    if let Some(last) = same.last() {
        insight
            .evidence
            .push(format!("last in run {}", words::short(&history.run(*last).key)));
    }
    let suggestion = same.last().map_or_else(
        || {
            format!(
                "`flowmeter show {}` shows what happened",
                words::short(&point.key)
            )
        },
        |last| {
            let (last, this) = (words::short(&history.run(*last).key), words::short(&point.key));
            format!("`flowmeter diff {last} {this}` shows what both have in common")
        },
    );
    insight.suggestion = suggestion;
    gathered.certain(insight);
}

/// Prompts of this run that were sent before.
fn sent_before(history: &History, run: u32, runs: &[u32], gathered: &mut Gathered) {
    let point = history.run(run);
    let is_call = |span: &&super::history::SpanPoint| {
        span.kind == SpanKind::LlmCall && span.status == SpanStatus::Ok && span.prompt != 0 && !span.cache_hit
    };
    let calls: Vec<_> = history.spans_of(run).iter().filter(is_call).collect();
    let from = point.started.saturating_sub(CACHE_LIFE_NS);
    let recent = runs
        .iter()
        .filter(|other| **other != run && history.run(**other).started >= from);
    let known: rustc_hash::FxHashMap<(u32, u64), u32> = recent
        .flat_map(|other| history.spans_of(*other))
        .filter(is_call)
        .map(|span| ((span.node, span.prompt), span.run))
        .collect();
    let again: Vec<_> = calls
        .iter()
        .filter_map(|span| Some((*span, *known.get(&(span.node, span.prompt))?)))
        .collect();
    let Some((_, earlier)) = again.first() else { return };
    let cost: i64 = again.iter().filter_map(|(span, _)| span.cost).sum();
    let duration_ns: u64 = again.iter().map(|(span, _)| span.duration_ns).sum();
    let title = format!(
        "{} of {} prompts of this run were sent within 7 days before",
        again.len(),
        calls.len()
    );
    let mut insight = Insight::new(InsightKind::RepeatedPrompt, history.name(point.workflow), title);
    let amount = if cost > 0 {
        Amount::Usd(flowmeter_model::UsdNanos(cost))
    } else {
        Amount::Seconds(duration_ns as f64 / SECOND_NS)
    };
    insight.size = Some(Size {
        amount,
        per: Per::Run,
    });
    insight.runs = vec![point.key, history.run(*earlier).key];
    let mut nodes: Vec<&str> = again
        .iter()
        .map(|(span, _)| history.name(span.node).as_str())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    insight.evidence.push(format!(
        "in node `{}`, last in run {}",
        nodes.join("`, `"),
        words::short(&history.run(*earlier).key)
    ));
    insight.figure("repeats", again.len() as f64);
    insight.figure("calls", calls.len() as f64);
    insight.suggestion =
        "run with --cache, unless different answers to the same prompt are wanted".to_owned();
    gathered.certain(insight);
}

fn critical_path(
    store: &dyn Store,
    history: &History,
    run: u32,
    gathered: &mut Gathered,
) -> Result<(), StoreError> {
    let point = history.run(run);
    if point.duration_ns.is_none() || !point.is_sampled {
        return Ok(());
    }
    let rows = store.span_rows(&point.key)?;
    let (links, duration_ns) = tree::critical_path(&rows, point.key.root_span_id);
    let sums = links
        .iter()
        .map(|link| (link.node.clone(), link.duration_ns, link.llm_ns));
    gathered.time = profile::shares(sums, duration_ns, 1);
    let of_nodes = gathered.time.iter().filter(|share| !share.node.is_empty());
    let large: Vec<_> = of_nodes
        .filter(|share| share.share >= SHARE_MIN)
        .cloned()
        .collect();
    let Some(most) = large.first() else { return Ok(()) };
    let title = format!(
        "node `{}` decides {} of this run's {}",
        most.node,
        words::percent(most.share),
        words::seconds(duration_ns as f64 / SECOND_NS)
    );
    let mut insight = Insight::new(InsightKind::CriticalPath, history.name(point.workflow), title);
    insight.node = Some(most.node.clone());
    insight.size = Some(Size {
        amount: Amount::Seconds(most.seconds),
        per: Per::Run,
    });
    insight.runs = vec![point.key];
    for share in large.iter().take(8) {
        let llm = if share.llm_seconds > 0.0 {
            format!(", {} of it in LLM calls", words::seconds(share.llm_seconds))
        } else {
            String::new()
        };
        insight.evidence.push(format!(
            "`{}`: {} of the critical path, {}{llm}",
            share.node,
            words::percent(share.share),
            words::seconds(share.seconds)
        ));
    }
    insight.figure("share", most.share);
    insight.suggestion = if most.llm_seconds > 0.5 * most.seconds {
        format!(
            "a faster model, a shorter answer or a cached one in node `{}` makes the run shorter by as much",
            most.node
        )
    } else {
        format!("what node `{}` does not take, the run does not take", most.node)
    };
    gathered.certain(insight);
    Ok(())
}
