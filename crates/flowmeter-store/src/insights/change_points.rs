//! Moments since which cost, time, tokens or failures are on another level, and what changed with them.
//!
//! Never tells the same change twice: what a node explains is not told of the run around it again.

use flowmeter_model::TimestampNs;
use rustc_hash::FxHashMap;

use super::alongside::{self, Changed};
use super::gathered::{Family, Gathered};
use super::history::History;
use super::seasons::{Seasons, WEEKS_MIN};
use super::series::{self, Metric, Series};
use super::sizes::{monthly, of_failures, price_of_a_token};
use super::splits::{self, Split};
use super::{Amount, DAY_NS, Insight, InsightKind, InsightQuery, Per, Shortage, Size, robust, words};

/// With fewer runs no change can be told from chance.
pub(super) const RUNS_MIN: usize = 40;
/// A smaller change of a level is not worth a word.
const RATIO_MIN: f64 = 1.15;
/// A smaller change in seconds neither.
const SECONDS_MIN: f64 = 0.01;
/// A smaller change of a share neither.
const SHARE_MIN: f64 = 0.03;
/// What is less sure does not stand in for a change of the run around it.
const P_SURE: f64 = 1e-6;

/// A change of level.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) metric: Metric,
    node: Option<u32>,
    /// The last run before and the first run after.
    edge: (u32, u32),
    pub(super) at: u64,
    until: Option<u64>,
    before: f64,
    after: f64,
    counts: (usize, usize),
    hits: (usize, usize),
    p_value: f64,
    changed: Vec<Changed>,
    is_seasonal: bool,
    notes: Vec<String>,
}

impl Change {
    fn rises(&self) -> bool {
        self.after > self.before
    }

    fn kind(&self) -> InsightKind {
        match self.metric {
            Metric::Latency => InsightKind::LatencyChange,
            Metric::Cost => InsightKind::CostChange,
            Metric::Tokens => InsightKind::TokenChange,
            Metric::Errors => InsightKind::ErrorChange,
        }
    }
}

/// The values of a series freed from seasons, on the scale on which levels are compared.
pub(super) fn levelled(history: &History, series: &Series, utc_offset_seconds: i32) -> (Vec<f64>, bool) {
    if series.metric == Metric::Errors {
        return (series.values.clone(), false);
    }
    let times: Vec<u64> = series.runs.iter().map(|run| history.run(*run).started).collect();
    let logs: Vec<f64> = series.values.iter().map(|value| value.max(1e-12).ln()).collect();
    let seasons = Seasons::learn(&times, &logs, utc_offset_seconds);
    let values = logs
        .iter()
        .zip(&times)
        .map(|(log, at)| log - seasons.usual(*at, utc_offset_seconds));
    (values.collect(), seasons.is_known)
}

/// Looks for changes in a workflow.
pub(super) fn look(history: &History, workflow: u32, query: &InsightQuery, gathered: &mut Gathered) {
    let runs = history.runs_of(workflow);
    if runs.len() < RUNS_MIN {
        gathered.shortages.push(Shortage {
            workflow: history.name(workflow).clone(),
            what: "changes of cost, time, tokens and failures",
            has: words::counted(runs.len(), "run"),
            needs: format!("{RUNS_MIN} runs"),
        });
        return;
    }
    let spanned = history.run(runs[runs.len() - 1]).started - history.run(runs[0]).started;
    if spanned < WEEKS_MIN * 7 * DAY_NS {
        gathered.shortages.push(Shortage {
            workflow: history.name(workflow).clone(),
            what: "hours and weekdays as seasons",
            has: format!("{} days", spanned / DAY_NS),
            needs: format!("{} days", WEEKS_MIN * 7),
        });
    }
    let (changes, tests) = all(history, &runs, query);
    gathered.tests(tests.saturating_sub(changes.len() as u64));
    for change in without_echoes(history, changes) {
        let insight = told(history, workflow, &runs, &change, query);
        gathered.tested(Family::Other, change.p_value, Some(insight));
    }
}

/// All changes of all series of these runs, and how many tests that took.
pub(super) fn all(history: &History, runs: &[u32], query: &InsightQuery) -> (Vec<Change>, u64) {
    let (mut changes, mut tests) = (Vec::new(), 0);
    for series in series::of_workflow(history, runs) {
        if series.values.len() < RUNS_MIN / 2 {
            continue;
        }
        let (of_series, more) = of_series(history, &series, query);
        tests += more;
        changes.extend(of_series);
    }
    (changes, tests)
}

fn of_series(history: &History, series: &Series, query: &InsightQuery) -> (Vec<Change>, u64) {
    let offset = query.utc_offset_seconds;
    let (values, is_seasonal) = levelled(history, series, offset);
    let (mut splits, tests) = if series.metric == Metric::Errors {
        splits::of_shares(&values)
    } else {
        splits::of_amounts(&values)
    };
    splits.retain(|split| is_seasonal || among_alike(history, series, &values, split.at, offset));
    // Levels between splits that are no change worth a word are one level.
    while let Some(place) = (0..splits.len()).find(|place| !is_large(series, &values, &splits, *place)) {
        splits.remove(place);
    }
    let changes = (0..splits.len()).map(|place| {
        let (from, at, until) = around(&splits, place, values.len());
        change(history, series, (from, at, until), &splits, place, is_seasonal)
    });
    (changes.collect(), tests)
}

/// The level before, the split, and the end of the level after.
fn around(splits: &[Split], place: usize, len: usize) -> (usize, usize, usize) {
    let from = place.checked_sub(1).map_or(0, |before| splits[before].at);
    let until = splits.get(place + 1).map_or(len, |next| next.at);
    (from, splits[place].at, until)
}

fn is_large(series: &Series, values: &[f64], splits: &[Split], place: usize) -> bool {
    let (from, at, until) = around(splits, place, values.len());
    let level = |values: &[f64]| level(series.metric, values);
    if series.metric == Metric::Errors {
        let (before, after) = (level(&values[from..at]), level(&values[at..until]));
        return (before - after).abs() >= SHARE_MIN;
    }
    let ratio = (level(&values[at..until]) - level(&values[from..at])).abs().exp();
    let (before, after) = (level(&series.values[from..at]), level(&series.values[at..until]));
    // With the seasons taken off and with them, it must go the same way.
    let same_way = (after > before) == (level(&values[at..until]) > level(&values[from..at]));
    let least = if series.metric == Metric::Latency {
        SECONDS_MIN
    } else {
        0.0
    };
    ratio >= RATIO_MIN && same_way && (after - before).abs() >= least
}

fn level(metric: Metric, values: &[f64]) -> f64 {
    if metric == Metric::Errors {
        values.iter().sum::<f64>() / values.len().max(1) as f64
    } else {
        robust::median_of(values.iter().copied()).unwrap_or(0.0)
    }
}

/// Without knowledge of seasons: whether the change is to be seen between runs at like hours of like days, too.
/// Otherwise it may be nothing but a weekend.
fn among_alike(history: &History, series: &Series, values: &[f64], at: usize, offset: i32) -> bool {
    let cell = |place: usize| {
        let local = words::local(history.run(series.runs[place]).started, offset);
        (local.weekday >= 5, local.hour / 6)
    };
    let mut cells: FxHashMap<(bool, usize), (Vec<f64>, Vec<f64>)> = FxHashMap::default();
    for (place, value) in values.iter().enumerate() {
        let (before, after) = cells.entry(cell(place)).or_default();
        if place < at {
            before.push(*value);
        } else {
            after.push(*value);
        }
    }
    let alike = cells
        .into_values()
        .filter(|(before, after)| before.len() >= 3 && after.len() >= 3);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (of_before, of_after) in alike {
        before.extend(of_before);
        after.extend(of_after);
    }
    if before.len() < 5 || after.len() < 5 {
        return false;
    }
    let hits = |values: &[f64]| values.iter().filter(|value| **value > 0.0).count() as u64;
    let p_value = if series.metric == Metric::Errors {
        robust::fisher(
            hits(&before),
            before.len() as u64,
            hits(&after),
            after.len() as u64,
        )
    } else {
        robust::mann_whitney(&before, &after)
    };
    p_value < 0.005
}

fn change(
    history: &History,
    series: &Series,
    (from, at, until): (usize, usize, usize),
    splits: &[Split],
    place: usize,
    is_seasonal: bool,
) -> Change {
    let changed = alongside::changed(history, &series.runs, series.node, at);
    // A model or a version changes at one run; where the level changed is only known by so much.
    let exact = changed
        .iter()
        .find(|changed| changed.what != "user")
        .map(|changed| changed.at);
    let at = exact
        .filter(|exact| (from + 1..until).contains(exact))
        .unwrap_or(at);
    let (before, after) = (&series.values[from..at], &series.values[at..until]);
    let hits = |values: &[f64]| values.iter().filter(|value| **value > 0.0).count();
    Change {
        metric: series.metric,
        node: series.node,
        edge: (series.runs[at - 1], series.runs[at]),
        at: history.run(series.runs[at]).started,
        until: splits
            .get(place + 1)
            .map(|next| history.run(series.runs[next.at]).started),
        before: level(series.metric, before),
        after: level(series.metric, after),
        counts: (before.len(), after.len()),
        hits: (hits(before), hits(after)),
        p_value: splits[place].p_value,
        changed,
        is_seasonal,
        notes: Vec::new(),
    }
}

/// Leaves out what another change explains, and notes it there: tokens beside their cost, a run beside its node, a
/// node beside the one inside it.
fn without_echoes(history: &History, changes: Vec<Change>) -> Vec<Change> {
    let mut kept = changes.clone();
    let mut notes: Vec<(usize, String)> = Vec::new();
    let mut dropped = vec![false; changes.len()];
    for (place, echo) in changes.iter().enumerate() {
        let explains = |cause: &Change| {
            let is_near = cause.at.abs_diff(echo.at) <= tolerance(cause, echo, history);
            let is_sure = cause.p_value <= P_SURE || cause.p_value <= echo.p_value;
            is_near && is_sure && cause.rises() == echo.rises() && is_closer(history, cause, echo)
        };
        if let Some(cause) = changes.iter().position(explains) {
            dropped[place] = true;
            notes.push((cause, format!("{}: {}", subject(history, echo), from_to(echo))));
        }
    }
    for (cause, note) in notes {
        kept[cause].notes.push(note);
    }
    let mut dropped = dropped.into_iter();
    kept.retain(|_| !dropped.next().unwrap_or(false));
    kept
}

/// Whether a change is nearer to the cause than another.
fn is_closer(history: &History, cause: &Change, echo: &Change) -> bool {
    let is_inside = match (cause.node, echo.node) {
        (Some(_), None) => true,
        (Some(inner), Some(outer)) if inner != outer => history
            .name(inner)
            .strip_prefix(history.name(outer).as_str())
            .is_some_and(|rest| rest.starts_with('/')),
        _ => false,
    };
    let is_same_place = cause.node == echo.node;
    match (cause.metric, echo.metric) {
        (cause, echo) if cause == echo => is_inside,
        // Tokens make the cost, and are told with it.
        (Metric::Cost, Metric::Tokens) => is_inside || is_same_place,
        _ => false,
    }
}

/// How far two changes may lie apart and be one: what 30 runs take, or two hours.
fn tolerance(a: &Change, b: &Change, history: &History) -> u64 {
    let near = |change: &Change| {
        let run = change.edge.1 as usize;
        let (from, until) = (run.saturating_sub(30), (run + 30).min(history.runs.len() - 1));
        history.runs[until]
            .started
            .saturating_sub(history.runs[from].started)
    };
    near(a).max(near(b)).max(DAY_NS / 12)
}

fn subject(history: &History, change: &Change) -> String {
    let node = change.node.map(|node| history.name(node).clone());
    match (change.metric, node) {
        (Metric::Latency, Some(node)) => format!("p50 of node `{node}`"),
        (Metric::Latency, None) => "p50 of a run".to_owned(),
        (Metric::Cost, Some(node)) => format!("the cost of a call in node `{node}`"),
        (Metric::Cost, None) => "the cost of a run".to_owned(),
        (Metric::Tokens, Some(node)) => format!("tokens of a call in node `{node}`"),
        (Metric::Tokens, None) => "tokens of a run".to_owned(),
        (Metric::Errors, Some(node)) => format!("the share of runs in which node `{node}` failed"),
        (Metric::Errors, None) => "the share of failed runs".to_owned(),
    }
}

fn amount(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Latency => words::seconds(value),
        Metric::Cost => words::dollars(value),
        Metric::Tokens => words::count(value),
        Metric::Errors => words::percent(value),
    }
}

fn from_to(change: &Change) -> String {
    let (before, after) = (
        amount(change.metric, change.before),
        amount(change.metric, change.after),
    );
    let verb = if change.rises() { "rose" } else { "fell" };
    format!("{verb} from {before} to {after}")
}

fn told(history: &History, workflow: u32, runs: &[u32], change: &Change, query: &InsightQuery) -> Insight {
    let at = words::moment(change.at, query.now, query.utc_offset_seconds);
    let together: Vec<String> = change
        .changed
        .iter()
        .map(|changed| format!("with {} {} → {}", changed.what, changed.before, changed.after))
        .collect();
    let mut title = format!("{} {} since {at}", subject(history, change), from_to(change));
    if let Some(until) = change.until {
        let until = words::moment(until, query.now, query.utc_offset_seconds);
        title = format!("{title} (until {until})");
    }
    for changed in &together {
        title = format!("{title}, {changed}");
    }
    let mut insight = Insight::new(change.kind(), history.name(workflow), title);
    insight.node = change.node.map(|node| history.name(node).clone());
    insight.at = Some(TimestampNs(change.at));
    insight.runs = vec![history.run(change.edge.0).key, history.run(change.edge.1).key];
    insight.size = size(history, runs, change, query);
    let (before, after) = change.counts;
    let counted = match change.metric {
        Metric::Errors => format!(
            "{} of {before} runs failed before, {} of {after} since",
            change.hits.0, change.hits.1
        ),
        _ => format!("{before} runs before, {after} since; medians of both"),
    };
    insight.evidence.push(counted);
    insight.evidence.push(format!(
        "last run before: {}, first run after: {}",
        words::short(&insight.runs[0]),
        words::short(&insight.runs[1])
    ));
    for changed in &change.changed {
        insight.evidence.push(format!(
            "{}: {} in {} of the runs just before, {} in {} of those just after",
            changed.what,
            changed.before,
            words::percent(changed.share_before),
            changed.after,
            words::percent(changed.share_after)
        ));
    }
    insight
        .evidence
        .extend(change.notes.iter().map(|note| format!("at the same time {note}")));
    if change.is_seasonal {
        insight
            .evidence
            .push("hours and weekdays are compared with their like".to_owned());
    }
    insight.figure("before", change.before);
    insight.figure("after", change.after);
    insight.figure("runs_before", before as f64);
    insight.figure("runs_after", after as f64);
    insight.suggestion = suggestion(change, &insight);
    insight
}

fn suggestion(change: &Change, insight: &Insight) -> String {
    let (before, after) = (words::short(&insight.runs[0]), words::short(&insight.runs[1]));
    let look = format!("`flowmeter diff {before} {after}` shows what differs");
    let Some(changed) = change.changed.first() else {
        return format!("nothing that is recorded of the runs changed with it: {look}");
    };
    if change.rises() {
        format!(
            "look at what came with it ({} {} → {}); {look}",
            changed.what, changed.before, changed.after
        )
    } else {
        format!("it got better with {} {}; {look}", changed.what, changed.after)
    }
}

fn size(history: &History, runs: &[u32], change: &Change, query: &InsightQuery) -> Option<Size> {
    let difference = (change.after - change.before).abs();
    match change.metric {
        Metric::Latency => Some(Size {
            amount: Amount::Seconds(difference),
            per: Per::Run,
        }),
        Metric::Cost | Metric::Tokens => {
            let usd = if change.metric == Metric::Cost {
                difference
            } else {
                difference * price_of_a_token(history, runs, change.node)?
            };
            let monthly = monthly(history, runs, change.node, query);
            let (count, per) = if monthly > 0.0 {
                (monthly, Per::Month)
            } else {
                (
                    1.0,
                    if change.node.is_some() {
                        Per::Call
                    } else {
                        Per::Run
                    },
                )
            };
            Some(Size {
                amount: Amount::Usd(words::usd_of(usd * count)),
                per,
            })
        }
        Metric::Errors => {
            let monthly = history.runs_a_month(runs, query.now);
            let (count, per) = if monthly > 0.0 {
                (monthly * difference, Per::Month)
            } else {
                (change.counts.1 as f64 * difference, Per::Total)
            };
            Some(of_failures(history, runs, count, per))
        }
    }
}
