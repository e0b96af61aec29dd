//! What comes again and again: errors that follow others, and ways through the workflow that go with failures, with
//! cost, or that became more frequent.
//!
//! Never takes a way for a cause: it says what goes together.

use std::collections::BTreeMap;

use flowmeter_model::{SpanKind, SpanStatus, TimestampNs};
use rustc_hash::FxHashSet;

use super::gathered::{Family, Gathered};
use super::history::History;
use super::sizes::of_failures;
use super::{Amount, Insight, InsightKind, InsightQuery, Per, Size, faults, robust, splits, words};
use crate::RunStatus;

/// Fewer runs are no pattern.
pub(super) const RUNS_MIN: usize = 8;
/// A pattern that so many runs have is the workflow itself.
const SHARE_MAX: f64 = 0.95;
/// More different ways are not told apart.
const GRAMS_MAX: usize = 20_000;
/// Of those, so many are looked at, the most frequent.
const GRAMS_TESTED_MAX: usize = 256;
/// Longer ways are cut.
const PATH_MAX: usize = 200;
/// What is more likely by chance than this needs no words.
pub(super) const P_WORDS: f64 = 1e-3;

/// Looks for patterns in a workflow.
pub(super) fn look(history: &History, workflow: u32, query: &InsightQuery, gathered: &mut Gathered) {
    let runs: Vec<u32> = history
        .runs_of(workflow)
        .into_iter()
        .filter(|run| {
            let point = history.run(*run);
            point.is_sampled && matches!(point.status, RunStatus::Ok | RunStatus::Error)
        })
        .collect();
    if runs.len() < 4 * RUNS_MIN {
        return;
    }
    faults::error_pairs(history, workflow, &runs, gathered);
    ways(history, workflow, &runs, query, gathered);
}

pub(super) fn newest(history: &History, runs: &[u32]) -> Vec<crate::RunKey> {
    runs.iter()
        .rev()
        .take(5)
        .map(|run| history.run(*run).key)
        .collect()
}

pub(super) fn such_as(insight: &Insight) -> String {
    let shown: Vec<String> = insight.runs.iter().map(words::short).collect();
    format!("such as {}", shown.join(", "))
}

/// The top nodes of a run in the order of their start, up to the first that failed.
pub(super) fn way(history: &History, run: u32) -> Vec<u32> {
    history
        .spans_of(run)
        .iter()
        .filter(|span| span.kind == SpanKind::Node && !history.name(span.node).contains('/'))
        .take_while(|span| span.status == SpanStatus::Ok)
        .take(PATH_MAX)
        .map(|span| span.node)
        .collect()
}

/// A part of a way, and the runs that went it (places in the list of runs).
struct Gram {
    nodes: Vec<u32>,
    places: Vec<usize>,
}

fn grams(history: &History, runs: &[u32]) -> Vec<Gram> {
    let mut found: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
    for (place, run) in runs.iter().enumerate() {
        let way = way(history, *run);
        for length in [2, 3] {
            for nodes in way.windows(length) {
                let has_room = found.len() < GRAMS_MAX;
                match found.get_mut(nodes) {
                    Some(places) if places.last() == Some(&place) => {}
                    Some(places) => places.push(place),
                    None if has_room => {
                        found.insert(nodes.to_vec(), vec![place]);
                    }
                    None => {}
                }
            }
        }
    }
    let most = (runs.len() as f64 * SHARE_MAX) as usize;
    let mut grams: Vec<Gram> = found
        .into_iter()
        .filter(|(_, places)| (RUNS_MIN..=most).contains(&places.len()))
        .map(|(nodes, places)| Gram { nodes, places })
        .collect();
    grams.sort_by_key(|gram| std::cmp::Reverse(gram.places.len()));
    grams.truncate(GRAMS_TESTED_MAX);
    // The shorter of two that the same runs went says all.
    grams.sort_by_key(|gram| gram.nodes.len());
    let mut seen: FxHashSet<Vec<usize>> = FxHashSet::default();
    grams.retain(|gram| seen.insert(gram.places.clone()));
    grams
}

fn ways(history: &History, workflow: u32, runs: &[u32], query: &InsightQuery, gathered: &mut Gathered) {
    let grams = grams(history, runs);
    let way = Way {
        history,
        workflow,
        runs,
        query,
    };
    let mut failing: Vec<(f64, Insight, &Gram)> = Vec::new();
    let mut detours: Vec<(f64, Insight, &Gram)> = Vec::new();
    let mut shifts: Vec<(f64, f64, Insight)> = Vec::new();
    let mut tests = 0;
    for gram in &grams {
        tests += 3;
        failing.extend(
            way.failing(gram)
                .map(|(p_value, insight)| (p_value, insight, gram)),
        );
        detours.extend(
            way.detour(gram)
                .map(|(p_value, insight)| (p_value, insight, gram)),
        );
        shifts.extend(way.shifts(gram));
    }
    for mut found in [failing, detours] {
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut told: Vec<&Gram> = Vec::new();
        for (p_value, insight, gram) in found {
            if told.iter().any(|known| overlap(known, gram) > 0.5) {
                continue;
            }
            told.push(gram);
            gathered.tested(Family::Other, p_value, Some(insight));
        }
    }
    // Where one way becomes more frequent, others become rarer: the largest rise stands for all at its time.
    shifts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut told: Vec<u64> = Vec::new();
    let near = (history.run(runs[runs.len() - 1]).started - history.run(runs[0]).started) / 50;
    for (p_value, _, insight) in shifts {
        let at = insight.at.map_or(0, |at| at.0);
        if told.iter().all(|known| known.abs_diff(at) > near) {
            told.push(at);
            gathered.tested(Family::Other, p_value, Some(insight));
        }
    }
    gathered.tests(tests);
}

fn overlap(a: &Gram, b: &Gram) -> f64 {
    let of_a: FxHashSet<usize> = a.places.iter().copied().collect();
    let both = b.places.iter().filter(|place| of_a.contains(place)).count();
    both as f64 / (a.places.len() + b.places.len() - both).max(1) as f64
}

struct Way<'a> {
    history: &'a History,
    workflow: u32,
    runs: &'a [u32],
    query: &'a InsightQuery,
}

impl Way<'_> {
    fn shown(&self, gram: &Gram) -> String {
        let names: Vec<&str> = gram
            .nodes
            .iter()
            .map(|node| self.history.name(*node).as_str())
            .collect();
        names.join(" → ")
    }

    fn is_failed(&self, place: usize) -> bool {
        self.history.run(self.runs[place]).status == RunStatus::Error
    }

    fn runs_of(&self, gram: &Gram) -> Vec<u32> {
        gram.places.iter().map(|place| self.runs[*place]).collect()
    }

    /// Runs that went this way fail more often. All nodes of the way itself did what they should.
    fn failing(&self, gram: &Gram) -> Option<(f64, Insight)> {
        let with = gram.places.len();
        let failed_with = gram.places.iter().filter(|place| self.is_failed(**place)).count();
        let failed = (0..self.runs.len())
            .filter(|place| self.is_failed(*place))
            .count();
        let (without, failed_without) = (self.runs.len() - with, failed - failed_with);
        let (share, elsewhere) = (
            failed_with as f64 / with as f64,
            failed_without as f64 / without.max(1) as f64,
        );
        if failed_with < RUNS_MIN || share < elsewhere + 0.15 || share < 2.0 * elsewhere {
            return None;
        }
        let p_value = robust::fisher(
            failed_with as u64,
            with as u64,
            failed_without as u64,
            without as u64,
        );
        if p_value >= P_WORDS {
            return None;
        }
        let title = format!(
            "{} of runs that go {} fail, of others {}",
            words::percent(share),
            self.shown(gram),
            words::percent(elsewhere)
        );
        let mut insight = Insight::new(InsightKind::PathPattern, self.history.name(self.workflow), title);
        let failing: Vec<u32> = gram
            .places
            .iter()
            .filter(|place| self.is_failed(**place))
            .map(|place| self.runs[*place])
            .collect();
        insight.runs = newest(self.history, &failing);
        insight.size = Some(of_failures(
            self.history,
            &failing,
            failing.len() as f64,
            Per::Total,
        ));
        insight.evidence.push(format!(
            "{failed_with} of {with} runs that way, {failed_without} of {without} others"
        ));
        insight.evidence.push(such_as(&insight));
        insight.figure("share_with", share);
        insight.figure("share_without", elsewhere);
        insight.suggestion = format!(
            "see what comes after {} in `flowmeter show {}`",
            self.shown(gram),
            words::short(insight.runs.first()?)
        );
        Some((p_value, insight))
    }

    /// Runs that come back to a node cost or take more.
    fn detour(&self, gram: &Gram) -> Option<(f64, Insight)> {
        let share = gram.places.len() as f64 / self.runs.len() as f64;
        if gram.nodes.first() != gram.nodes.last() || !(0.02..=0.5).contains(&share) {
            return None;
        }
        let with: FxHashSet<usize> = gram.places.iter().copied().collect();
        let value = |place: usize, is_money: bool| {
            let run = self.history.run(self.runs[place]);
            let is_plain = run.status == RunStatus::Ok && !run.is_cached;
            let amount = if is_money {
                run.cost
            } else {
                run.duration_ns.map(|ns| ns as i64)
            };
            amount
                .filter(|amount| is_plain && *amount > 0)
                .map(|amount| amount as f64 / 1e9)
        };
        let sides = |is_money: bool| {
            let (mut inside, mut outside) = (Vec::new(), Vec::new());
            for place in 0..self.runs.len() {
                let side = if with.contains(&place) {
                    &mut inside
                } else {
                    &mut outside
                };
                side.extend(value(place, is_money));
            }
            (inside, outside)
        };
        let (mut inside, mut outside) = sides(true);
        let is_money = inside.len() >= RUNS_MIN;
        if !is_money {
            (inside, outside) = sides(false);
        }
        if inside.len() < RUNS_MIN || outside.len() < RUNS_MIN {
            return None;
        }
        let p_value = robust::mann_whitney(&inside, &outside);
        let (more, less) = (robust::median(&mut inside)?, robust::median(&mut outside)?);
        if more < 1.5 * less || p_value >= P_WORDS {
            return None;
        }
        let amount = |value: f64| {
            if is_money {
                words::dollars(value)
            } else {
                words::seconds(value)
            }
        };
        let title = format!(
            "runs that come back ({}) {} {}, others {}",
            self.shown(gram),
            if is_money { "cost" } else { "take" },
            amount(more),
            amount(less)
        );
        let mut insight = Insight::new(InsightKind::PathPattern, self.history.name(self.workflow), title);
        let extra = (more - less) * gram.places.len() as f64;
        insight.size = Some(Size {
            amount: if is_money {
                Amount::Usd(words::usd_of(extra))
            } else {
                Amount::Seconds(extra)
            },
            per: Per::Total,
        });
        insight.runs = newest(self.history, &self.runs_of(gram));
        insight.evidence.push(format!(
            "{} of {} runs go that way ({}); medians",
            gram.places.len(),
            self.runs.len(),
            words::percent(share)
        ));
        insight.evidence.push(such_as(&insight));
        insight.figure("share", share);
        insight.figure("with", more);
        insight.figure("without", less);
        insight.suggestion = format!(
            "find out why {} is gone at all: each time costs {} more",
            self.shown(gram),
            amount(more - less)
        );
        Some((p_value, insight))
    }

    /// Since a moment more of the runs that end well go this way.
    fn shifts(&self, gram: &Gram) -> Vec<(f64, f64, Insight)> {
        let with: FxHashSet<usize> = gram.places.iter().copied().collect();
        let good: Vec<usize> = (0..self.runs.len())
            .filter(|place| !self.is_failed(*place))
            .collect();
        let series: Vec<f64> = good
            .iter()
            .map(|place| f64::from(u8::from(with.contains(place))))
            .collect();
        let (found, _) = splits::of_shares(&series);
        let share = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mut shifts = Vec::new();
        for (number, split) in found.iter().enumerate() {
            let from = number.checked_sub(1).map_or(0, |before| found[before].at);
            let until = found.get(number + 1).map_or(series.len(), |next| next.at);
            let (before, after) = (share(&series[from..split.at]), share(&series[split.at..until]));
            if after - before < 0.1 {
                continue;
            }
            let first = self.runs[good[split.at]];
            let started = self.history.run(first).started;
            let since = words::moment(started, self.query.now, self.query.utc_offset_seconds);
            let title = format!(
                "{} of runs go {} since {since}, {} before",
                words::percent(after),
                self.shown(gram),
                words::percent(before)
            );
            let mut insight = Insight::new(InsightKind::PathChange, self.history.name(self.workflow), title);
            insight.at = Some(TimestampNs(started));
            insight.runs = vec![
                self.history.run(self.runs[good[split.at - 1]]).key,
                self.history.run(first).key,
            ];
            let durations = |inside: bool| {
                let of_side = good.iter().filter(|place| with.contains(*place) == inside);
                robust::median_of(of_side.filter_map(|place| {
                    let duration = self.history.run(self.runs[*place]).duration_ns?;
                    Some(duration as f64 / super::SECOND_NS)
                }))
            };
            let longer = durations(true)
                .zip(durations(false))
                .map_or(0.0, |(with, without)| with - without);
            insight.size = Some(Size {
                amount: Amount::Seconds((longer * (after - before)).abs()),
                per: Per::Run,
            });
            insight.evidence.push(format!(
                "{} runs before, {} since",
                split.at - from,
                until - split.at
            ));
            insight.figure("share_before", before);
            insight.figure("share_after", after);
            let [last, next] = [0, 1].map(|place| words::short(&insight.runs[place]));
            insight.suggestion = format!("`flowmeter diff {last} {next}` shows what differs");
            shifts.push((split.p_value, after - before, insight));
        }
        shifts
    }
}
