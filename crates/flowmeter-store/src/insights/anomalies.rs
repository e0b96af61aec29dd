//! Runs and days that are unlike their workflow's own past.
//!
//! Never compares across a change of level: a day after a change is compared with days after it. Where there is too
//! little past, nothing is said.

use std::collections::BTreeMap;

use flowmeter_model::TimestampNs;

use super::change_points::{self, levelled};
use super::gathered::{Family, Gathered};
use super::history::History;
use super::series::{self, Metric, Series};
use super::sizes::of_failures;
use super::{Amount, Insight, InsightKind, InsightQuery, Per, Shortage, Size, robust, splits, words};

/// A run needs so many others of its level beside it.
pub(super) const PAST_MIN: usize = 30;
/// A day needs so many days before it,
const DAYS_MIN: usize = 14;
/// looks back so far,
const DAYS_MAX: usize = 120;
/// and needs so many runs, as do those days.
const DAY_RUNS_MIN: usize = 5;
/// An amount nearer to the usual one is no anomaly.
const RATIO_MIN: f64 = 1.5;
/// A share of failures nearer to the usual one neither.
const SHARE_MIN: f64 = 0.1;
/// What is more likely than this is never told, and needs no words.
const P_WORDS: f64 = 1e-4;
/// Values that hardly differ are still taken to differ by two percent.
const SPREAD_MIN: f64 = 0.02;

/// Looks for anomalies in a workflow.
pub(super) fn look(history: &History, workflow: u32, query: &InsightQuery, gathered: &mut Gathered) {
    let runs = history.runs_of(workflow);
    if runs.len() < PAST_MIN {
        gathered.shortages.push(Shortage {
            workflow: history.name(workflow).clone(),
            what: "runs and days unlike the past",
            has: words::counted(runs.len(), "run"),
            needs: format!("{PAST_MIN} runs"),
        });
        return;
    }
    for series in series::of_workflow(history, &runs) {
        if series.node.is_some() || series.values.len() < PAST_MIN {
            continue;
        }
        let (values, is_seasonal) = levelled(history, &series, query.utc_offset_seconds);
        for (from, until) in levels(&series, &values) {
            let part = Part {
                history,
                workflow,
                series: &series,
                values: &values,
                from,
                until,
                is_seasonal,
                query,
            };
            if series.metric == Metric::Errors {
                part.failing_days(&runs, gathered);
            } else {
                let told = part.days(gathered);
                part.runs(&told, gathered);
            }
        }
    }
}

/// The parts of a series that are on one level each.
fn levels(series: &Series, values: &[f64]) -> Vec<(usize, usize)> {
    let (found, _) = if series.metric == Metric::Errors {
        splits::of_shares(values)
    } else {
        splits::of_amounts(values)
    };
    let mut edges: Vec<usize> = found.iter().map(|split| split.at).collect();
    edges.insert(0, 0);
    edges.push(values.len());
    edges.windows(2).map(|edge| (edge[0], edge[1])).collect()
}

/// A part of a series that is on one level.
struct Part<'a> {
    history: &'a History,
    workflow: u32,
    series: &'a Series,
    values: &'a [f64],
    from: usize,
    until: usize,
    is_seasonal: bool,
    query: &'a InsightQuery,
}

/// How unlikely a value is among others, on the scale of logarithms, and what would be usual.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unusual {
    pub(super) p_value: f64,
    /// By how much it is above the usual; negative: below.
    pub(super) above: f64,
}

/// What is known of some values: their middle, their spread, and how their upper and lower ends fall off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others {
    middle: f64,
    spread: f64,
    count: usize,
    upper: Tail,
    lower: Tail,
}

/// The outermost twentieth.
#[derive(Clone, Copy, Debug, Default)]
struct Tail {
    /// Where it begins: a distance from the middle.
    edge: f64,
    /// What its values are beyond that, in sum.
    beyond: f64,
    count: usize,
}

impl Tail {
    fn of(distances: &mut [f64]) -> Self {
        let edge = robust::quantile(distances, 0.95).unwrap_or(0.0);
        let beyond = distances.iter().filter(|distance| **distance > edge);
        Self {
            edge,
            beyond: beyond.clone().map(|distance| distance - edge).sum(),
            count: beyond.count(),
        }
    }
}

impl Others {
    /// Where there are enough of them.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        if values.len() < PAST_MIN {
            return None;
        }
        let middle = robust::median_of(values.iter().copied())?;
        Some(Self {
            middle,
            spread: robust::spread(values, middle).max(SPREAD_MIN),
            count: values.len(),
            upper: Tail::of(&mut values.iter().map(|value| value - middle).collect::<Vec<f64>>()),
            lower: Tail::of(&mut values.iter().map(|value| middle - value).collect::<Vec<f64>>()),
        })
    }

    /// Judges a value. The tail is the longer one of a normal one and of one that falls as the largest twentieth of
    /// the others does: values that reach far out now and then are no anomaly. `is_among`: it is one of them.
    pub(super) fn judge(&self, value: f64, is_among: bool) -> Unusual {
        let above = value - self.middle;
        let tail = if above >= 0.0 { self.upper } else { self.lower };
        let (mut beyond, mut count) = (tail.beyond, tail.count);
        if is_among && above.abs() > tail.edge {
            beyond -= above.abs() - tail.edge;
            count -= 1;
        }
        // Few values know little of their tail; at least it falls as a normal one does there.
        let count = count.max(1) as f64;
        let mean = (beyond / count).max(0.4 * self.spread) * (1.0 + 1.0 / count.sqrt());
        let by_tail = 0.05 * (-(above.abs() - tail.edge).max(0.0) / mean).exp();
        let by_spread = robust::student_two_sided(above / self.spread, self.count as f64 / 2.0);
        Unusual {
            p_value: by_tail.max(by_spread),
            above,
        }
    }
}

/// The runs of a day.
struct Day {
    runs: Vec<usize>,
    median: f64,
    /// Without what lies far out.
    mean: f64,
}

impl Part<'_> {
    fn day(&self, runs: Vec<usize>) -> Option<Day> {
        let values: Vec<f64> = runs.iter().map(|place| self.values[*place]).collect();
        let median = robust::median_of(values.iter().copied())?;
        let reach = 3.0 * robust::spread(&values, median).max(SPREAD_MIN);
        let held = values
            .iter()
            .map(|value| value.clamp(median - reach, median + reach));
        let mean = held.sum::<f64>() / values.len() as f64;
        Some(Day { runs, median, mean })
    }

    fn kind(&self) -> InsightKind {
        match self.series.metric {
            Metric::Latency => InsightKind::LatencyAnomaly,
            Metric::Cost => InsightKind::CostAnomaly,
            Metric::Tokens => InsightKind::TokenAnomaly,
            Metric::Errors => InsightKind::ErrorAnomaly,
        }
    }

    /// Places of the values by local day.
    fn by_day(&self) -> BTreeMap<i64, Vec<usize>> {
        let mut days: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for place in self.from..self.until {
            let started = self.history.run(self.series.runs[place]).started;
            let day = words::local(started, self.query.utc_offset_seconds).day_number;
            days.entry(day).or_default().push(place);
        }
        days.retain(|_, places| places.len() >= DAY_RUNS_MIN);
        days
    }

    /// Days whose usual run is far from that of the days before. Returns the places that are told by it.
    fn days(&self, gathered: &mut Gathered) -> Vec<usize> {
        let days: Vec<Day> = self
            .by_day()
            .into_values()
            .filter_map(|places| self.day(places))
            .collect();
        let mut told = Vec::new();
        for (place, day) in days.iter().enumerate() {
            let past = &days[place.saturating_sub(DAYS_MAX)..place];
            if past.len() < DAYS_MIN {
                continue;
            }
            let middle = |level: fn(&Day) -> f64| robust::median_of(past.iter().map(level)).unwrap_or(0.0);
            let (mean, median) = (middle(|day| day.mean), middle(|day| day.median));
            // The mean of more runs lies nearer to the usual one.
            let off = |day: &Day| (day.mean - mean) * (day.runs.len() as f64).sqrt();
            let distances: Vec<f64> = past.iter().map(off).collect();
            let spread = robust::spread(&distances, 0.0).max(SPREAD_MIN);
            let p_value = robust::student_two_sided(off(day) / spread, past.len() as f64 / 2.0);
            let above = day.median - median;
            let is_large =
                above.abs() >= RATIO_MIN.ln() && (day.mean - mean) * above > 0.0 && p_value < P_WORDS;
            if is_large {
                told.extend(day.runs.iter().copied());
            }
            let insight =
                is_large.then(|| self.told(&day.runs, above, &format!("{} days before", past.len())));
            gathered.tested(Family::Days, p_value, insight);
        }
        told.sort_unstable();
        told
    }

    /// Single runs far above the others of their level.
    fn runs(&self, told: &[usize], gathered: &mut Gathered) {
        let Some(others) = Others::of(&self.values[self.from..self.until]) else {
            return;
        };
        for place in self.from..self.until {
            let unusual = others.judge(self.values[place], true);
            let is_large = unusual.above >= RATIO_MIN.ln() && unusual.p_value < P_WORDS;
            let insight = (is_large && told.binary_search(&place).is_err()).then(|| {
                let beside = format!("{} other runs", self.until - self.from - 1);
                self.told(&[place], unusual.above, &beside)
            });
            gathered.tested(Family::Runs, unusual.p_value, insight);
        }
    }

    /// Says that these runs are `above` the usual, on the scale of logarithms.
    fn told(&self, places: &[usize], above: f64, beside: &str) -> Insight {
        let metric = self.series.metric;
        let values: Vec<f64> = places.iter().map(|place| self.series.values[*place]).collect();
        let value = robust::median_of(values.iter().copied()).unwrap_or(0.0);
        let usual = value / above.exp();
        let first = self.history.run(self.series.runs[places[0]]);
        let name = self.history.name(self.workflow);
        let (offset, now) = (self.query.utc_offset_seconds, self.query.now);
        let (subject, when) = if let [_] = places {
            let subject = format!("run {}", words::short(&first.key));
            (subject, words::moment(first.started, now, offset))
        } else {
            let subject = format!("runs of `{name}`");
            (subject, words::day(first.started, now, offset))
        };
        let verb = match metric {
            Metric::Latency => "took",
            Metric::Cost => "cost",
            _ => "used",
        };
        let amount = |value: f64| match metric {
            Metric::Latency => words::seconds(value),
            Metric::Cost => words::dollars(value),
            _ => format!("{} tokens", words::count(value)),
        };
        let many = if places.len() > 1 { " (p50)" } else { "" };
        let title = format!(
            "{subject} {verb} {}{many} on {when}, {:.1} times the usual {}",
            amount(value),
            above.exp(),
            amount(usual)
        );
        let mut insight = Insight::new(self.kind(), name, title);
        insight.at = Some(TimestampNs(first.started));
        insight.runs = places
            .iter()
            .take(5)
            .map(|place| self.history.run(self.series.runs[*place]).key)
            .collect();
        let excess = values.iter().map(|value| value - usual).sum::<f64>().abs();
        insight.size = self.size(excess, places);
        insight
            .evidence
            .push(format!("compared with {beside} on the same level"));
        if places.len() > 1 {
            let shown: Vec<String> = insight.runs.iter().map(words::short).collect();
            insight
                .evidence
                .push(format!("{} runs: {}", places.len(), shown.join(", ")));
        }
        if self.is_seasonal {
            let local = words::local(first.started, offset);
            insight.evidence.push(format!(
                "usual for a {} at {:02}:00",
                words::weekday(local.weekday),
                local.hour
            ));
        }
        insight.figure("value", value);
        insight.figure("usual", usual);
        insight.figure("times", above.exp());
        insight.figure("runs", places.len() as f64);
        insight.suggestion = format!(
            "`flowmeter insights {}` and `flowmeter show {0}` show where it went",
            words::short(&insight.runs[0])
        );
        insight
    }

    fn size(&self, excess: f64, places: &[usize]) -> Option<Size> {
        let amount = match self.series.metric {
            Metric::Latency => Amount::Seconds(excess),
            Metric::Cost => Amount::Usd(words::usd_of(excess)),
            _ => {
                let runs = places
                    .iter()
                    .map(|place| self.history.run(self.series.runs[*place]));
                let (usd, tokens) = runs.fold((Some(0), 0), |(usd, tokens), run| {
                    (
                        usd.zip(run.cost).map(|(sum, cost)| sum + cost),
                        tokens + run.tokens,
                    )
                });
                let usd = usd.filter(|usd| *usd > 0)? as f64 / 1e9;
                Amount::Usd(words::usd_of(excess * usd / tokens.max(1) as f64))
            }
        };
        Some(Size {
            amount,
            per: Per::Total,
        })
    }

    /// Days on which more runs failed than before.
    fn failing_days(&self, runs: &[u32], gathered: &mut Gathered) {
        let counts: Vec<(Vec<usize>, u64)> = self
            .by_day()
            .into_values()
            .map(|places| {
                let failed = places.iter().filter(|place| self.values[**place] > 0.0).count();
                (places, failed as u64)
            })
            .collect();
        for (place, (day, failed)) in counts.iter().enumerate() {
            let past = &counts[place.saturating_sub(DAYS_MAX)..place];
            if past.len() < DAYS_MIN {
                continue;
            }
            let n: usize = past.iter().map(|(places, _)| places.len()).sum();
            let hits: u64 = past.iter().map(|(_, failed)| failed).sum();
            let usual = (hits as f64 + 0.5) / (n as f64 + 1.0);
            let share = *failed as f64 / day.len() as f64;
            // Failures that come in crowds are more likely to come in one more.
            let crowds: f64 = past
                .iter()
                .map(|(places, failed)| {
                    let expected = usual * places.len() as f64;
                    (*failed as f64 - expected).powi(2) / (expected * (1.0 - usual)).max(1e-9)
                })
                .sum::<f64>()
                / past.len() as f64;
            let p_value =
                robust::binomial_at_least(*failed, day.len() as u64, usual).powf(1.0 / crowds.max(1.0));
            let is_large = *failed >= 3 && share >= usual + SHARE_MIN && share >= 2.0 * usual;
            let insight = is_large.then(|| self.told_failing(day, *failed, usual, past.len(), runs));
            gathered.tested(Family::Days, p_value, insight);
        }
    }

    fn told_failing(&self, places: &[usize], failed: u64, usual: f64, days: usize, runs: &[u32]) -> Insight {
        let name = self.history.name(self.workflow);
        let first = self.history.run(self.series.runs[places[0]]);
        let when = words::day(first.started, self.query.now, self.query.utc_offset_seconds);
        let title = format!(
            "{failed} of {} runs of `{name}` failed on {when}, where {} is usual",
            places.len(),
            words::percent(usual)
        );
        let mut insight = Insight::new(self.kind(), name, title);
        insight.at = Some(TimestampNs(first.started));
        let failing = places.iter().filter(|place| self.values[**place] > 0.0);
        insight.runs = failing
            .clone()
            .take(5)
            .map(|place| self.history.run(self.series.runs[*place]).key)
            .collect();
        let mut errors: BTreeMap<&str, usize> = BTreeMap::new();
        for place in failing {
            let error = self.history.run(self.series.runs[*place]).error;
            *errors.entry(self.history.name(error).as_str()).or_default() += 1;
        }
        let errors: Vec<String> = errors
            .iter()
            .map(|(error, count)| {
                format!(
                    "{} {count} times",
                    if error.is_empty() { "unknown" } else { error }
                )
            })
            .collect();
        insight.evidence.push(format!("errors: {}", errors.join(", ")));
        insight.evidence.push(format!("compared with {days} days before"));
        insight.figure("failed", failed as f64);
        insight.figure("runs", places.len() as f64);
        insight.figure("usual_share", usual);
        let extra = failed as f64 - usual * places.len() as f64;
        insight.size = Some(of_failures(self.history, runs, extra, Per::Total));
        insight.suggestion = format!(
            "`flowmeter show {}` shows one of them; errors of a provider are worth a retry with backoff",
            words::short(&insight.runs[0])
        );
        insight
    }
}

/// The same judgement for one run among its past, for the scope of a run.
pub(super) fn of_past(
    history: &History,
    series: &Series,
    query: &InsightQuery,
) -> Option<(Unusual, usize, bool)> {
    let (values, is_seasonal) = levelled(history, series, query.utc_offset_seconds);
    let (value, past) = values.split_last()?;
    let from = if past.len() >= 2 * change_points::RUNS_MIN {
        splits::of_amounts(past).0.last().map_or(0, |split| split.at)
    } else {
        0
    };
    let others = Others::of(&past[from..])?;
    Some((others.judge(*value, false), past.len() - from, is_seasonal))
}
