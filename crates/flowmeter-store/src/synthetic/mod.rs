//! A year of runs that never were: with seasons, noise, failures and retries as real ones have, and with effects planted
//! on request. Tests and benchmarks of what the history says by itself go by it.
//!
//! Equal seeds give equal years. Never asks for the time or for randomness.

mod making;
mod noise;
mod workflows;

use flowmeter_model::{IdSource, TimestampNs};

use crate::Append;
use noise::Noise;

/// Something that is planted into a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Since day 200, 10:00, prompts of node `classify` of `triage` have 2.5 times the tokens.
    CostShift,
    /// Since day 250, 14:00, node `summarize` of `digest` takes 2.3 times as long, with another model.
    LatencyShift,
    /// Since day 300, 9:00, 15 % of the runs of `triage` fail in node `save`.
    ErrorRise,
    /// Two of five prompts of `classify` are one of ten.
    RepeatedPrompts,
    /// `classify` asks six times a run, each time with the same 9,000 characters in front.
    StaticPrefix,
    /// A cheaper model does two of five calls of `summarize`, as well and as fast.
    CheaperModel,
    /// `summarize` asks for up to 16,384 tokens.
    OutputLimit,
    /// A quarter of the answers in `review` are refused and asked for again.
    CostlyRetries,
    /// In 6 % of runs of `digest`, `fetch` fails with `http_429`; after four of five of these `publish` fails, too.
    ErrorPair,
    /// Rounds of `polish` from the third on change nothing.
    IdleLoop,
    /// On day 320, runs of `triage` take four times as long.
    SlowDay,
    /// On day 330, one run of `digest` costs 40 times as much.
    DearRun,
    /// `summarize` works on twelve items, three at a time.
    BatchQueue,
    /// `digest` also finds a title, after the summary and without need of it.
    Independent,
    /// Since day 150, 10:00, twice as many runs of `triage` go by `escalate`.
    PathShift,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 15] = [
        Self::CostShift,
        Self::LatencyShift,
        Self::ErrorRise,
        Self::RepeatedPrompts,
        Self::StaticPrefix,
        Self::CheaperModel,
        Self::OutputLimit,
        Self::CostlyRetries,
        Self::ErrorPair,
        Self::IdleLoop,
        Self::SlowDay,
        Self::DearRun,
        Self::BatchQueue,
        Self::Independent,
        Self::PathShift,
    ];

    /// Day and hour since which it is there, where it is not there from the beginning.
    fn begins(self) -> Option<(u64, u64)> {
        match self {
            Self::CostShift => Some((200, 10)),
            Self::LatencyShift => Some((250, 14)),
            Self::ErrorRise => Some((300, 9)),
            Self::SlowDay => Some((320, 0)),
            Self::DearRun => Some((330, 0)),
            Self::PathShift => Some((150, 10)),
            _ => None,
        }
    }
}

/// What a year is like.
#[derive(Clone, Debug)]
pub struct Year {
    /// Equal seeds give equal years.
    pub seed: u64,
    /// Its first moment; days begin there.
    pub begins: TimestampNs,
    /// So many days.
    pub days: u64,
    /// So many runs of each workflow on a working day, on average.
    pub runs_per_day: f64,
    /// By how much whole days are faster or slower than others, together: the spread of the logarithm. Default: 0.
    pub restlessness: f64,
    /// What is planted.
    pub effects: Vec<Effect>,
}

pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;
pub(crate) const DAY_NS: u64 = 24 * HOUR_NS;

impl Year {
    /// A year that ends on 1 March 2026 in UTC, with ten runs of each workflow on a working day.
    #[must_use]
    pub fn new(seed: u64, effects: &[Effect]) -> Self {
        Self {
            seed,
            begins: TimestampNs(1_740_787_200_000_000_000),
            days: 365,
            runs_per_day: 10.0,
            restlessness: 0.0,
            effects: effects.to_vec(),
        }
    }

    /// Its last moment.
    #[must_use]
    pub fn ends(&self) -> TimestampNs {
        TimestampNs(self.begins.0 + self.days * DAY_NS)
    }

    /// Since when an effect is there; `None` where it is there from the beginning.
    #[must_use]
    pub fn begins_at(&self, effect: Effect) -> Option<TimestampNs> {
        let (day, hour) = effect.begins()?;
        Some(TimestampNs(self.begins.0 + day * DAY_NS + hour * HOUR_NS))
    }

    /// Whether an effect is planted and there at this time.
    pub(crate) fn has(&self, effect: Effect, at: u64) -> bool {
        let is_over = |begins: TimestampNs| match effect {
            Effect::SlowDay | Effect::DearRun => at >= begins.0 + DAY_NS,
            _ => false,
        };
        self.effects.contains(&effect)
            && self
                .begins_at(effect)
                .is_none_or(|begins| at >= begins.0 && !is_over(begins))
    }

    /// What a program would have told the store, in the order of time.
    pub fn appends(&self) -> impl Iterator<Item = Append> + '_ {
        let mut noise = Noise::new(IdSource::from_seed(self.seed));
        let mut is_dear_told = false;
        (0..self.days).flat_map(move |day| {
            let mut starts: Vec<(u64, usize)> = Vec::new();
            // 1 March 2025 was a Saturday.
            let weekday = (self.begins.0 / DAY_NS + day + 3) % 7;
            let busy = if weekday >= 5 { 0.35 } else { 1.0 };
            for workflow in 0..workflows::NAMES.len() {
                for _ in 0..noise.count(self.runs_per_day * busy) {
                    let hour = noise.hour_of_day();
                    let at = self.begins.0 + day * DAY_NS + (hour * HOUR_NS as f64) as u64;
                    starts.push((at, workflow));
                }
            }
            starts.sort_unstable();
            let mood = if self.restlessness > 0.0 {
                noise.around(1.0, self.restlessness)
            } else {
                1.0
            };
            let mut appends = Vec::new();
            for (at, workflow) in starts {
                appends.extend(workflows::run(
                    self,
                    workflow,
                    (at, mood),
                    &mut is_dear_told,
                    &mut noise,
                ));
            }
            appends
        })
    }
}
