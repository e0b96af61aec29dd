//! Models that did the same node, beside each other: cost, time, tokens, failures and length, from the user's own runs.
//!
//! Never says that answers are as good: it counts what failed, and says how to compare answers.

use flowmeter_model::{SpanKind, SpanStatus};
use rustc_hash::{FxHashMap, FxHashSet};

use super::gathered::{Family, Gathered};
use super::history::{History, SpanPoint};
use super::{Amount, DAY_NS, Insight, InsightKind, InsightQuery, Per, SECOND_NS, Size, robust, words};
use crate::RunKey;

/// Models with fewer runs are not compared.
const RUNS_MIN: usize = 30;
/// Of a node that more models did, those with the most runs are compared.
const MODELS_MAX: usize = 8;
/// A smaller difference is not worth a word.
const RATIO_MIN: f64 = 1.2;
/// Models may differ so much in success and still be called equal.
const SUCCESS_LOSS_MAX: f64 = 0.03;
/// What is more likely by chance than this needs no words.
const P_WORDS: f64 = 1e-3;

/// What a model did in a node. One value a run, for calls of one run hang together.
#[derive(Clone, Default)]
struct Record {
    cost: Vec<f64>,
    seconds: Vec<f64>,
    input: Vec<f64>,
    output: Vec<f64>,
    runs: u64,
    runs_failed: u64,
    calls: u64,
    /// Calls within the last 30 days.
    recent: u64,
    newest: Option<RunKey>,
}

#[derive(Clone, Copy, Default)]
struct OfRun {
    ok: u64,
    failed: u64,
    cost: i64,
    unpriced: u64,
    duration_ns: u64,
    input: u64,
    output: u64,
}

/// Compares the models of each node.
pub(super) fn look(history: &History, workflow: u32, query: &InsightQuery, gathered: &mut Gathered) {
    let runs = history.runs_of(workflow);
    let mut nodes: Vec<(u32, Vec<(u32, Record)>)> = records(history, &runs, query).into_iter().collect();
    nodes.sort_by_key(|(node, _)| history.name(*node).clone());
    for (node, mut models) in nodes {
        models.retain(|(_, record)| record.runs as usize >= RUNS_MIN);
        models.sort_by_key(|(model, record)| (std::cmp::Reverse(record.runs), history.name(*model).clone()));
        models.truncate(MODELS_MAX);
        for (place, first) in models.iter().enumerate() {
            for second in &models[place + 1..] {
                let pair = Pair {
                    history,
                    workflow,
                    node,
                };
                pair.look(first, second, gathered);
            }
        }
    }
}

fn records(history: &History, runs: &[u32], query: &InsightQuery) -> FxHashMap<u32, Vec<(u32, Record)>> {
    let mut nodes: FxHashMap<u32, Vec<(u32, Record)>> = FxHashMap::default();
    let recent = query.now.0.saturating_sub(30 * DAY_NS);
    for run in runs {
        let point = history.run(*run);
        if !point.is_sampled {
            continue;
        }
        let failed = failed_attempts(history.spans_of(*run));
        let mut of_run: Vec<((u32, u32), OfRun)> = Vec::new();
        for span in history.spans_of(*run) {
            if span.kind != SpanKind::LlmCall || span.cache_hit || span.status == SpanStatus::Cancelled {
                continue;
            }
            let key = (span.node, span.model);
            let place = of_run
                .iter()
                .position(|(known, _)| *known == key)
                .unwrap_or_else(|| {
                    of_run.push((key, OfRun::default()));
                    of_run.len() - 1
                });
            let sums = &mut of_run[place].1;
            if span.status == SpanStatus::Ok && !failed.contains(&span.parent) {
                sums.ok += 1;
                sums.duration_ns += span.duration_ns;
                sums.input += u64::from(span.input);
                sums.output += u64::from(span.output);
            } else {
                sums.failed += 1;
            }
            match span.cost {
                Some(cost) => sums.cost += cost,
                None => sums.unpriced += 1,
            }
        }
        for ((node, model), sums) in of_run {
            let models = nodes.entry(node).or_default();
            let place = models
                .iter()
                .position(|(known, _)| *known == model)
                .unwrap_or_else(|| {
                    models.push((model, Record::default()));
                    models.len() - 1
                });
            let record = &mut models[place].1;
            record.runs += 1;
            record.runs_failed += u64::from(sums.failed > 0);
            record.calls += sums.ok + sums.failed;
            record.recent += if point.started >= recent {
                sums.ok + sums.failed
            } else {
                0
            };
            record.newest = Some(point.key);
            if sums.ok > 0 {
                let calls = sums.ok as f64;
                record.seconds.push(sums.duration_ns as f64 / SECOND_NS / calls);
                record.input.push(sums.input as f64 / calls);
                record.output.push(sums.output as f64 / calls);
                if sums.unpriced == 0 {
                    // What failed was paid for, too.
                    record.cost.push(sums.cost as f64 / 1e9 / calls);
                }
            }
        }
    }
    nodes
}

/// The attempts of a run that failed: a call in one of them did not succeed, whatever its provider says.
pub(super) fn failed_attempts(spans: &[SpanPoint]) -> FxHashSet<u64> {
    spans
        .iter()
        .filter(|span| span.kind == SpanKind::Attempt && span.status == SpanStatus::Error)
        .map(|span| span.span_id)
        .collect()
}

struct Pair<'a> {
    history: &'a History,
    workflow: u32,
    node: u32,
}

impl Pair<'_> {
    fn look(&self, first: &(u32, Record), second: &(u32, Record), gathered: &mut Gathered) {
        let (dear, cheap) = if mean(&first.1.cost) >= mean(&second.1.cost) {
            (first, second)
        } else {
            (second, first)
        };
        let is_priced = |record: &Record| record.cost.len() >= RUNS_MIN;
        if is_priced(&dear.1) && is_priced(&cheap.1) {
            let p_value = robust::mann_whitney(&dear.1.cost, &cheap.1.cost);
            let is_cheaper = mean(&dear.1.cost) >= RATIO_MIN * mean(&cheap.1.cost)
                && p_value < P_WORDS
                && dear.1.recent > 0
                && is_equal(&dear.1, &cheap.1)
                && is_alike(&dear.1.input, &cheap.1.input);
            gathered.tested(
                Family::Other,
                p_value,
                is_cheaper.then(|| self.cheaper(dear, cheap)),
            );
            if is_cheaper {
                return;
            }
        }
        self.compare(first, second, gathered);
    }

    fn cheaper(&self, dear: &(u32, Record), cheap: &(u32, Record)) -> Insight {
        let (history, node) = (self.history, self.history.name(self.node));
        let (dear_name, cheap_name) = (history.name(dear.0), history.name(cheap.0));
        let saved = mean(&dear.1.cost) - mean(&cheap.1.cost);
        let title = format!(
            "{cheap_name} did node `{node}` as reliably as {dear_name} for {} less",
            words::percent(saved / mean(&dear.1.cost))
        );
        let mut insight = Insight::new(InsightKind::CheaperModel, history.name(self.workflow), title);
        insight.node = Some(node.clone());
        insight.size = Some(Size {
            amount: Amount::Usd(words::usd_of(saved * dear.1.recent as f64)),
            per: Per::Month,
        });
        self.describe(&mut insight, [dear, cheap]);
        insight.evidence.push(format!(
            "{} calls of {dear_name} in the last 30 days",
            words::count(dear.1.recent as f64)
        ));
        insight.figure("usd_a_call_now", mean(&dear.1.cost));
        insight.figure("usd_a_call_cheaper", mean(&cheap.1.cost));
        insight.suggestion = match (dear.1.newest, cheap.1.newest) {
            (Some(one), Some(other)) => format!(
                "compare answers with `flowmeter diff {} {}`, then set `model` of node `{node}` to {cheap_name}",
                words::short(&one),
                words::short(&other)
            ),
            _ => format!("compare answers, then set `model` of node `{node}` to {cheap_name}"),
        };
        insight
    }

    fn compare(&self, first: &(u32, Record), second: &(u32, Record), gathered: &mut Gathered) {
        let (a, b) = (&first.1, &second.1);
        let mut told: Vec<(f64, String)> = Vec::new();
        let parts: [(&str, &[f64], &[f64]); 4] = [
            ("cost", &a.cost, &b.cost),
            ("time", &a.seconds, &b.seconds),
            ("input tokens", &a.input, &b.input),
            ("output tokens", &a.output, &b.output),
        ];
        let mut tests = 1;
        for (what, of_a, of_b) in parts {
            if of_a.len() < RUNS_MIN || of_b.len() < RUNS_MIN {
                continue;
            }
            tests += 1;
            let p_value = robust::mann_whitney(of_a, of_b);
            let middle = |values: &[f64]| robust::median_of(values.iter().copied()).unwrap_or(0.0);
            let (low, high) = (middle(of_a).min(middle(of_b)), middle(of_a).max(middle(of_b)));
            if low > 0.0 && high / low >= RATIO_MIN && p_value < P_WORDS {
                let more = if middle(of_a) > middle(of_b) {
                    first.0
                } else {
                    second.0
                };
                told.push((
                    p_value,
                    format!("{} {:.1} times the {what}", self.history.name(more), high / low),
                ));
            }
        }
        let p_value = robust::fisher(a.runs_failed, a.runs, b.runs_failed, b.runs);
        let (failed_a, failed_b) = (share(a), share(b));
        if (failed_a - failed_b).abs() >= SUCCESS_LOSS_MAX && p_value < P_WORDS {
            let more = if failed_a > failed_b { first.0 } else { second.0 };
            told.push((
                p_value,
                format!(
                    "{} fails in {} of runs, the other in {}",
                    self.history.name(more),
                    words::percent(failed_a.max(failed_b)),
                    words::percent(failed_a.min(failed_b))
                ),
            ));
        }
        let Some(p_value) = told.iter().map(|(p_value, _)| *p_value).min_by(f64::total_cmp) else {
            gathered.tests(tests);
            return;
        };
        gathered.tests(tests - 1);
        let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
        let node = self.history.name(self.node);
        let title = format!(
            "in node `{node}` {} and {} differ: {}",
            self.history.name(first.0),
            self.history.name(second.0),
            texts.join("; ")
        );
        let mut insight = Insight::new(
            InsightKind::ModelComparison,
            self.history.name(self.workflow),
            title,
        );
        insight.node = Some(node.clone());
        let amount = if a.cost.len() >= RUNS_MIN
            && b.cost.len() >= RUNS_MIN
            && texts.iter().any(|text| text.contains("cost"))
        {
            Amount::Usd(words::usd_of((mean(&a.cost) - mean(&b.cost)).abs()))
        } else {
            Amount::Seconds((mean(&a.seconds) - mean(&b.seconds)).abs())
        };
        insight.size = Some(Size {
            amount,
            per: Per::Call,
        });
        self.describe(&mut insight, [first, second]);
        insight.suggestion = format!("choose the model of node `{node}` by what matters there");
        gathered.tested(Family::Other, p_value, Some(insight));
    }

    fn describe(&self, insight: &mut Insight, models: [&(u32, Record); 2]) {
        for (model, record) in models {
            let middle = |values: &[f64]| robust::median_of(values.iter().copied());
            let cost = if record.cost.is_empty() {
                "unpriced".to_owned()
            } else {
                format!("{} a call", words::dollars(mean(&record.cost)))
            };
            insight.evidence.push(format!(
                "{}: {cost}, p50 {}, {} in and {} out tokens, {} of {} runs with a failed call",
                self.history.name(*model),
                words::seconds(middle(&record.seconds).unwrap_or(0.0)),
                words::count(middle(&record.input).unwrap_or(0.0)),
                words::count(middle(&record.output).unwrap_or(0.0)),
                record.runs_failed,
                record.runs,
            ));
            insight.runs.extend(record.newest);
        }
        insight.figure("runs_first", models[0].1.runs as f64);
        insight.figure("runs_second", models[1].1.runs as f64);
        insight.figure("failed_share_first", share(&models[0].1));
        insight.figure("failed_share_second", share(&models[1].1));
        insight.evidence.push(format!(
            "`{}` last ran with each in {}",
            self.history.name(self.node),
            {
                let shown: Vec<String> = insight.runs.iter().map(words::short).collect();
                shown.join(" and ")
            }
        ));
    }
}

fn share(record: &Record) -> f64 {
    record.runs_failed as f64 / record.runs.max(1) as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Whether the cheaper one fails hardly more often, for certain (Newcombe's bound of a difference of shares).
fn is_equal(dear: &Record, cheap: &Record) -> bool {
    let (failed_dear, failed_cheap) = (share(dear), share(cheap));
    let (dear_low, _) = robust::wilson(dear.runs_failed, dear.runs);
    let (_, cheap_high) = robust::wilson(cheap.runs_failed, cheap.runs);
    let worst = failed_cheap - failed_dear
        + ((cheap_high - failed_cheap).powi(2) + (failed_dear - dear_low).powi(2)).sqrt();
    // With little to go by, no more than chance may speak against it.
    worst <= SUCCESS_LOSS_MAX.max(3.0 / cheap.runs as f64)
}

/// Whether both were asked about as much.
fn is_alike(a: &[f64], b: &[f64]) -> bool {
    let middle = |values: &[f64]| robust::median_of(values.iter().copied()).unwrap_or(0.0).max(1.0);
    (0.6..=1.67).contains(&(middle(a) / middle(b)))
}
