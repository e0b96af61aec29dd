//! Findings that need prompts, parameters and writes: from a sample of the newest runs of each workflow.
//!
//! Never reads more than a bounded number of runs and spans, whatever the size of the history.

use std::collections::BTreeMap;

use flowmeter_model::{SpanKind, SpanStatus};
use smol_str::SmolStr;

use super::bottlenecks::{self, IdleRounds, Queue};
use super::gathered::Gathered;
use super::history::History;
use super::sample::{Sample, Step, common_beginning};
use super::{
    Amount, DAY_NS, Insight, InsightKind, InsightQuery, ModelRates, Per, PriceLookup, SECOND_NS, Size,
    robust, words,
};
use crate::{RunKey, RunStatus, Store, StoreError};

/// So many runs of a workflow are read whole.
const RUNS: usize = 24;
/// Larger ones are left out.
const RUN_SPANS_MAX: usize = 5_000;
/// All of them together have so many spans at most.
const SPANS_MAX: usize = 60_000;
/// What is said of a workflow is seen in so many runs at least.
const SEEN_MIN: usize = 5;
/// Provider caches begin at so many tokens (OpenAI: 1,024; Anthropic: 1,024 to 4,096).
const PREFIX_TOKENS_MIN: f64 = 1_024.0;
/// They keep a prefix for so long after its last use.
const PREFIX_LIFE_NS: u64 = 300_000_000_000;
/// Calls that prompts are compared of.
const PROMPTS_MIN: usize = 8;
/// Answers that a limit is judged by.
const ANSWERS_MIN: usize = 30;
/// A limit so many times the longest answer is far above it,
const LIMIT_FACTOR_MIN: f64 = 8.0;
/// and only if so many tokens could be spared.
const LIMIT_SPARE_MIN: f64 = 2_048.0;
/// A smaller part of a run is not worth waiting for.
const SAVED_SHARE_MIN: f64 = 0.1;
/// Nor is less than this.
const SAVED_NS_MIN: u64 = 200_000_000;

/// Node, provider and model of a call.
type Asked = (SmolStr, SmolStr, SmolStr);

/// Reads the sample of a workflow and looks through it.
pub(super) fn look(
    store: &dyn Store,
    history: &History,
    workflow: u32,
    query: &InsightQuery,
    prices: &dyn PriceLookup,
    gathered: &mut Gathered,
) -> Result<(), StoreError> {
    let runs = history.runs_of(workflow);
    let newest = runs.iter().rev().filter(|run| {
        let point = history.run(**run);
        point.is_sampled && point.has_payloads && point.status == RunStatus::Ok && !point.is_cached
    });
    let (mut samples, mut spans) = (Vec::new(), 0);
    for run in newest.take(RUNS) {
        if history.spans_of(*run).len() > RUN_SPANS_MAX || spans > SPANS_MAX {
            continue;
        }
        let sample = Sample::read(store, &history.run(*run).key)?;
        spans += sample.steps.len();
        samples.push(sample);
    }
    let view = View {
        history,
        workflow,
        runs: &runs,
        query,
        prices,
        samples: &samples,
        seen_min: SEEN_MIN,
    };
    view.prompts(gathered);
    view.waiting(gathered);
    Ok(())
}

/// Some runs of a workflow with their payloads.
pub(super) struct View<'a> {
    pub(super) history: &'a History,
    pub(super) workflow: u32,
    pub(super) runs: &'a [u32],
    pub(super) query: &'a InsightQuery,
    pub(super) prices: &'a dyn PriceLookup,
    pub(super) samples: &'a [Sample],
    /// In so many runs a thing must be seen.
    pub(super) seen_min: usize,
}

/// What a node's calls to a model were within the last 30 days.
struct Recent {
    starts: Vec<u64>,
    outputs: Vec<f64>,
}

impl View<'_> {
    fn insight(&self, kind: InsightKind, node: &SmolStr, title: String) -> Insight {
        let mut insight = Insight::new(kind, self.history.name(self.workflow), title);
        insight.node = Some(node.clone());
        insight
    }

    /// What the calls of each node and model have in common.
    fn prompts(&self, gathered: &mut Gathered) {
        let mut calls: BTreeMap<Asked, Vec<(RunKey, &Step)>> = BTreeMap::new();
        for sample in self.samples {
            for step in &sample.steps {
                if step.kind == SpanKind::LlmCall && step.is_ok {
                    let key = (step.node.clone(), step.provider.clone(), step.model.clone());
                    calls.entry(key).or_default().push((sample.key, step));
                }
            }
        }
        for ((node, provider, model), calls) in calls {
            if calls.len() < PROMPTS_MIN {
                continue;
            }
            let rates = self.prices.rates(&provider, &model, self.query.now);
            let recent = self.recent(&node, &model);
            if let Some(rates) = rates {
                gathered.extend(self.static_prefix(&node, &model, &calls, rates, &recent));
            }
            gathered.extend(self.output_limit(&node, &model, &calls, rates, &recent));
        }
    }

    fn recent(&self, node: &str, model: &str) -> Recent {
        let begins = self.query.now.0.saturating_sub(30 * DAY_NS);
        let mut recent = Recent {
            starts: Vec::new(),
            outputs: Vec::new(),
        };
        let (Some(node), Some(model)) = (self.history.names.known(node), self.history.names.known(model))
        else {
            return recent;
        };
        let runs = self
            .runs
            .iter()
            .filter(|run| self.history.run(**run).started >= begins);
        for span in runs.flat_map(|run| self.history.spans_of(*run)) {
            let is_it = span.kind == SpanKind::LlmCall
                && span.status == SpanStatus::Ok
                && !span.cache_hit
                && span.node == node
                && span.model == model;
            if is_it {
                recent.starts.push(span.start);
                if span.output > 0 {
                    recent.outputs.push(f64::from(span.output));
                }
            }
        }
        recent.starts.sort_unstable();
        recent
    }

    /// Prompts that begin alike and are sent often enough for the provider's cache to pay.
    fn static_prefix(
        &self,
        node: &SmolStr,
        model: &SmolStr,
        calls: &[(RunKey, &Step)],
        rates: ModelRates,
        recent: &Recent,
    ) -> Option<Insight> {
        let with_prompt = || {
            calls
                .iter()
                .map(|(_, step)| *step)
                .filter(|step| step.prompt.len > 0 && step.input > 0)
        };
        let prompts = with_prompt().count();
        let common = common_beginning(with_prompt().map(|step| &step.prompt));
        let is_all = with_prompt().all(|step| step.prompt.len <= common + 1);
        if prompts < PROMPTS_MIN || is_all {
            return None;
        }
        let tokens = with_prompt()
            .map(|step| step.input as f64 * common as f64 / step.prompt.len as f64)
            .sum::<f64>()
            / prompts as f64;
        let cached = with_prompt().map(|step| step.cache_read as f64).sum::<f64>() / prompts as f64;
        if tokens < PREFIX_TOKENS_MIN || cached > 0.1 * tokens {
            return None;
        }
        let read = rates.cache_read?;
        let write = rates.cache_write.unwrap_or(rates.input);
        let warm = recent
            .starts
            .windows(2)
            .filter(|pair| pair[1] - pair[0] < PREFIX_LIFE_NS)
            .count() as f64;
        let all = recent.starts.len() as f64;
        let usd = |calls: f64, rate: i64| calls * tokens / 1e6 * rate as f64 / 1e9;
        let now = usd(all, rates.input);
        let then = usd(warm, read) + usd(all - warm, write);
        let saved = now - then;
        if saved <= 0.05 * now {
            return None;
        }
        let title = format!(
            "prompts of node `{node}` begin with the same {} tokens, and {model} reads them anew each time",
            words::count(tokens)
        );
        let mut insight = self.insight(InsightKind::StaticPrefix, node, title);
        insight.size = Some(Size {
            amount: Amount::Usd(words::usd_of(saved)),
            per: Per::Month,
        });
        insight.runs = keys(calls);
        insight.evidence.push(format!(
            "the same in {prompts} of {prompts} prompts of {} runs, such as {}",
            distinct(calls),
            insight
                .runs
                .iter()
                .take(3)
                .map(words::short)
                .collect::<Vec<_>>()
                .join(", ")
        ));
        insight.evidence.push(format!(
            "{} calls in the last 30 days, {} of them within 5 minutes after another",
            words::count(all),
            words::count(warm)
        ));
        insight.evidence.push(format!(
            "without the provider's cache {} a month for this part, with it {} ({} a million tokens read, {} written, {} plain)",
            words::dollars(now),
            words::dollars(then),
            words::dollars(read as f64 / 1e9),
            words::dollars(write as f64 / 1e9),
            words::dollars(rates.input as f64 / 1e9)
        ));
        insight.figure("prefix_tokens", tokens);
        insight.figure("calls", all);
        insight.figure("usd_without", now);
        insight.figure("usd_with", then);
        insight.suggestion = format!(
            "turn on the provider's prompt caching for node `{node}`, and keep what changes behind what stays the same"
        );
        Some(insight)
    }

    /// Answers far below the limit that is asked for.
    fn output_limit(
        &self,
        node: &SmolStr,
        model: &SmolStr,
        calls: &[(RunKey, &Step)],
        rates: Option<ModelRates>,
        recent: &Recent,
    ) -> Option<Insight> {
        let limit = calls.last()?.1.max_tokens?;
        let same = calls
            .iter()
            .filter(|(_, step)| step.max_tokens == Some(limit))
            .count();
        let is_cut_off = calls.iter().any(|(_, step)| step.is_cut_off);
        if (same as f64) < 0.8 * calls.len() as f64 || is_cut_off || recent.outputs.len() < ANSWERS_MIN {
            return None;
        }
        let longest = recent.outputs.iter().copied().fold(0.0, f64::max);
        let p99 = robust::quantile(&mut recent.outputs.clone(), 0.99)?;
        // Twice the longest answer is room enough; a power of two is easier to read.
        let enough = (2.0 * longest).max(64.0).log2().ceil().exp2();
        if (limit as f64) < LIMIT_FACTOR_MIN * longest || limit as f64 - enough < LIMIT_SPARE_MIN {
            return None;
        }
        let title = format!(
            "node `{node}` asks {model} for up to {} tokens and never got more than {}",
            words::count(limit as f64),
            words::count(longest)
        );
        let mut insight = self.insight(InsightKind::OutputLimit, node, title);
        insight.size = rates.map(|rates| Size {
            amount: Amount::Usd(words::usd_of(
                (limit as f64 - enough) / 1e6 * rates.output as f64 / 1e9,
            )),
            per: Per::Call,
        });
        insight.runs = keys(calls);
        insight.evidence.push(format!(
            "{} answers in the last 30 days: p99 {} tokens, the longest {}",
            words::count(recent.outputs.len() as f64),
            words::count(p99),
            words::count(longest)
        ));
        insight.evidence.push(format!(
            "max_tokens is {limit} in {same} of {} calls looked at, such as in {}",
            calls.len(),
            insight
                .runs
                .iter()
                .take(3)
                .map(words::short)
                .collect::<Vec<_>>()
                .join(", ")
        ));
        insight
            .evidence
            .push("the size is what budgets hold back for each call without need".to_owned());
        insight.figure("max_tokens", limit as f64);
        insight.figure("longest", longest);
        insight.figure("p99", p99);
        insight.suggestion = format!(
            "set `max_tokens` of node `{node}` to {enough:.0}: budgets and rate limits hold back what is asked for, and an answer that runs away ends sooner"
        );
        Some(insight)
    }

    /// Batches, independent nodes and idle loops.
    pub(super) fn waiting(&self, gathered: &mut Gathered) {
        let mut queues: BTreeMap<SmolStr, Vec<(RunKey, f64, Queue)>> = BTreeMap::new();
        let mut independent: BTreeMap<Vec<SmolStr>, Vec<(RunKey, f64, u64)>> = BTreeMap::new();
        let mut loops: BTreeMap<SmolStr, Vec<(RunKey, IdleRounds)>> = BTreeMap::new();
        let deciding = bottlenecks::deciding_nodes(self.samples);
        for sample in self.samples {
            let duration = sample.duration_ns.max(1) as f64;
            for queue in bottlenecks::queues(sample) {
                let share = queue.saved_ns as f64 / duration;
                queues
                    .entry(queue.node.clone())
                    .or_default()
                    .push((sample.key, share, queue));
            }
            for found in bottlenecks::independent(sample, &deciding) {
                let share = found.saved_ns as f64 / duration;
                independent
                    .entry(found.nodes)
                    .or_default()
                    .push((sample.key, share, found.saved_ns));
            }
            for found in bottlenecks::loops(sample) {
                loops
                    .entry(found.node.clone())
                    .or_default()
                    .push((sample.key, found));
            }
        }
        for (node, seen) in queues {
            gathered.extend(self.queue(&node, &seen));
        }
        for (nodes, seen) in independent {
            gathered.extend(self.parallel(&nodes, &seen));
        }
        for (node, seen) in loops {
            gathered.extend(self.idle(&node, &seen));
        }
    }

    fn queue(&self, node: &SmolStr, seen: &[(RunKey, f64, Queue)]) -> Option<Insight> {
        let share = robust::median_of(seen.iter().map(|(_, share, _)| *share))?;
        let saved = robust::median_of(seen.iter().map(|(_, _, queue)| queue.saved_ns as f64))?;
        if seen.len() < self.seen_min || share < SAVED_SHARE_MIN || saved < SAVED_NS_MIN as f64 {
            return None;
        }
        let wait = robust::median_of(seen.iter().map(|(_, _, queue)| queue.wait_p50_ns as f64))?;
        let (key, _, newest) = seen.first()?;
        let title = format!(
            "items of batch `{node}` wait for a place: more at a time would save {} of a run at most",
            words::seconds(saved / SECOND_NS)
        );
        let mut insight = self.insight(InsightKind::BatchQueue, node, title);
        insight.size = Some(Size {
            amount: Amount::Seconds(saved / SECOND_NS),
            per: Per::Run,
        });
        insight.runs = seen.iter().take(5).map(|(key, ..)| *key).collect();
        insight.evidence.push(format!(
            "half of the items wait {} or longer; in run {} {} items, {} at a time",
            words::seconds(wait / SECOND_NS),
            words::short(key),
            newest.items,
            newest.places
        ));
        insight.evidence.push(format!(
            "{} of a run's time, seen in {}",
            words::percent(share),
            words::counted(seen.len(), "run")
        ));
        insight.figure("items", newest.items as f64);
        insight.figure("at_a_time", newest.places as f64);
        insight.figure("wait_p50_s", wait / SECOND_NS);
        insight.figure("share", share);
        insight.suggestion =
            format!("raise the number of items at a time of batch `{node}`, as far as rate limits allow");
        Some(insight)
    }

    fn parallel(&self, nodes: &[SmolStr], seen: &[(RunKey, f64, u64)]) -> Option<Insight> {
        let share = robust::median_of(seen.iter().map(|(_, share, _)| *share))?;
        let saved = robust::median_of(seen.iter().map(|(_, _, saved)| *saved as f64))?;
        let is_usual = seen.len() * 2 > self.samples.len();
        if seen.len() < self.seen_min || !is_usual || share < SAVED_SHARE_MIN || saved < SAVED_NS_MIN as f64 {
            return None;
        }
        let title = format!(
            "{} run one after another and read nothing of each other: at the same time they would save {} of a run at most",
            words::listed(nodes),
            words::seconds(saved / SECOND_NS)
        );
        let mut insight = Insight::new(InsightKind::Parallel, self.history.name(self.workflow), title);
        insight.size = Some(Size {
            amount: Amount::Seconds(saved / SECOND_NS),
            per: Per::Run,
        });
        insight.runs = seen.iter().take(5).map(|(key, ..)| *key).collect();
        insight.evidence.push(format!(
            "{} of a run's time, seen in {}, such as {}",
            words::percent(share),
            words::counted(seen.len(), "run"),
            insight
                .runs
                .iter()
                .take(3)
                .map(words::short)
                .collect::<Vec<_>>()
                .join(", ")
        ));
        insight
            .evidence
            .push("by what their templates name and what they write to the shared store".to_owned());
        insight.figure("share", share);
        insight.figure("saved_s", saved / SECOND_NS);
        insight.suggestion =
            "fork: give the node before them edges to all of them, and join after them".to_owned();
        Some(insight)
    }

    fn idle(&self, node: &SmolStr, seen: &[(RunKey, IdleRounds)]) -> Option<Insight> {
        let idle: Vec<&(RunKey, IdleRounds)> = seen.iter().filter(|(_, rounds)| rounds.idle >= 2).collect();
        let is_usual = idle.len() * 10 >= seen.len() * 3;
        if idle.is_empty() || idle.len() < self.seen_min.min(3) || !is_usual {
            return None;
        }
        let rounds = robust::median_of(idle.iter().map(|(_, rounds)| rounds.rounds as f64))?;
        let unchanged = robust::median_of(idle.iter().map(|(_, rounds)| rounds.idle as f64))?;
        let seconds = robust::median_of(idle.iter().map(|(_, rounds)| rounds.idle_ns as f64))? / SECOND_NS;
        let usd = idle
            .iter()
            .map(|(_, rounds)| rounds.cost.map(|cost| cost as f64 / 1e9));
        let usd =
            robust::median_of(usd.collect::<Option<Vec<f64>>>().unwrap_or_default()).filter(|usd| *usd > 0.0);
        let title =
            format!("of {rounds:.0} rounds of `{node}`, {unchanged:.0} leave the shared store as it was");
        let mut insight = self.insight(InsightKind::IdleLoop, node, title);
        let amount = usd.map_or(Amount::Seconds(seconds), |usd| Amount::Usd(words::usd_of(usd)));
        insight.size = Some(Size {
            amount,
            per: Per::Run,
        });
        insight.runs = idle.iter().take(5).map(|(key, _)| *key).collect();
        insight.evidence.push(format!(
            "in {} of {} runs with this loop that were looked at, such as {}; medians",
            idle.len(),
            seen.len(),
            insight
                .runs
                .iter()
                .take(3)
                .map(words::short)
                .collect::<Vec<_>>()
                .join(", ")
        ));
        insight
            .evidence
            .push(format!("these rounds take {} of a run", words::seconds(seconds)));
        insight.figure("rounds", rounds);
        insight.figure("idle_rounds", unchanged);
        insight.figure("idle_s", seconds);
        insight.suggestion = format!("end the loop of `{node}` when a round changes nothing");
        Some(insight)
    }
}

fn keys(calls: &[(RunKey, &Step)]) -> Vec<RunKey> {
    let mut keys: Vec<RunKey> = calls.iter().map(|(key, _)| *key).collect();
    keys.dedup();
    keys.truncate(5);
    keys
}

fn distinct(calls: &[(RunKey, &Step)]) -> usize {
    let mut keys: Vec<RunKey> = calls.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len()
}
