//! Samplers: who decides whether a run's trace is kept, and what the decision tells those who come after.
//!
//! Never reads the environment itself: the lookup is handed in.

use flowmeter_model::TraceId;

use super::{Randomness, SamplingRate, Threshold, TraceState};
use crate::propagation::RemoteParent;

/// The variable that names the sampler.
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
/// The variable with the sampler's rate.
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Decides whether a run's trace is kept. The names are those of `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sampler {
    /// `always_on`: every trace, whatever the parent says.
    AlwaysOn,
    /// `always_off`: no trace, whatever the parent says.
    AlwaysOff,
    /// `traceidratio`: this share of traces, whatever the parent says.
    TraceIdRatio(SamplingRate),
    /// `parentbased_always_on`: as the parent says; without one, every trace.
    #[default]
    ParentBasedAlwaysOn,
    /// `parentbased_always_off`: as the parent says; without one, none.
    ParentBasedAlwaysOff,
    /// `parentbased_traceidratio`: as the parent says; without one, this share of traces.
    ParentBasedTraceIdRatio(SamplingRate),
}

/// What a sampler decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SamplingDecision {
    /// Whether the trace is kept.
    pub sampled: bool,
    /// The `tracestate` for this run's spans and for those who come after.
    pub trace_state: TraceState,
    /// The threshold that the trace was kept with; `None` where it was not kept, or with an unknown probability.
    pub threshold: Option<Threshold>,
}

impl SamplingDecision {
    /// How many runs this one stands for; `None` where nobody knows.
    #[must_use]
    pub fn adjusted_count(&self) -> Option<f64> {
        self.threshold
            .filter(|_| self.sampled)
            .map(Threshold::adjusted_count)
    }
}

/// The sampler that the environment asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SamplerSetting {
    /// The sampler; `None` where nothing usable is set.
    pub sampler: Option<Sampler>,
    /// What could not be used, and what is used instead.
    pub warnings: Vec<String>,
}

impl Sampler {
    /// The sampler that keeps this share of the traces that begin here, and obeys the parent of the others.
    #[must_use]
    pub fn parent_based(rate: SamplingRate) -> Self {
        Self::ParentBasedTraceIdRatio(rate)
    }

    /// Reads `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. What cannot be used is as good as not set, as
    /// OpenTelemetry wants it, and is told.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> SamplerSetting {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut setting = SamplerSetting::default();
        let Some(name) = set(SAMPLER) else {
            return setting;
        };
        let rate = |warnings: &mut Vec<String>| {
            match set(SAMPLER_ARG) {
            None => SamplingRate::ALL,
            Some(text) => rate_of_argument(&text).unwrap_or_else(|| {
                let text: String = text.chars().take(40).collect();
                warnings.push(format!(
                    "{SAMPLER_ARG} is `{text}`, which is no number from 0 to 1; sampling with 1, as if it were not set"
                ));
                SamplingRate::ALL
            }),
        }
        };
        setting.sampler = match name.trim().to_ascii_lowercase().as_str() {
            "always_on" => Some(Self::AlwaysOn),
            "always_off" => Some(Self::AlwaysOff),
            "traceidratio" => Some(Self::TraceIdRatio(rate(&mut setting.warnings))),
            "parentbased_always_on" => Some(Self::ParentBasedAlwaysOn),
            "parentbased_always_off" => Some(Self::ParentBasedAlwaysOff),
            "parentbased_traceidratio" => Some(Self::ParentBasedTraceIdRatio(rate(&mut setting.warnings))),
            _ => {
                let name: String = name.trim().chars().take(40).collect();
                setting.warnings.push(format!(
                    "{SAMPLER} is `{name}`, which is no sampler of flowmeter's; using the default instead \
                     (always_on, always_off, traceidratio, or one of these with parentbased_ before it)"
                ));
                None
            }
        };
        setting
    }

    /// Decides for a trace. `parent` is the span of another process that the run belongs to.
    #[must_use]
    pub fn decide(&self, trace_id: TraceId, parent: Option<&RemoteParent>) -> SamplingDecision {
        if let Some(parent) = parent.filter(|_| self.is_parent_based()) {
            return obey(trace_id, parent);
        }
        let trace_state = parent.map_or_else(TraceState::default, |parent| parent.trace_state.clone());
        let mut ot = trace_state.ot();
        let randomness = ot.randomness.unwrap_or_else(|| Randomness::of_trace_id(trace_id));
        let threshold = self
            .own_rate()
            .threshold()
            .filter(|threshold| threshold.keeps(randomness));
        // A trace that is not kept has no probability of having been kept: an inherited threshold goes.
        ot.threshold = threshold;
        SamplingDecision {
            sampled: threshold.is_some(),
            trace_state: trace_state.with_ot(&ot),
            threshold,
        }
    }

    /// Whether a trace that begins here is kept: [`Sampler::decide`] without what travels on.
    #[must_use]
    pub fn keeps(&self, trace_id: TraceId) -> bool {
        let threshold = self.own_rate().threshold();
        threshold.is_some_and(|threshold| threshold.keeps(Randomness::of_trace_id(trace_id)))
    }

    /// The share of traces that the sampler itself keeps.
    fn own_rate(&self) -> SamplingRate {
        match self {
            Self::AlwaysOn | Self::ParentBasedAlwaysOn => SamplingRate::ALL,
            Self::AlwaysOff | Self::ParentBasedAlwaysOff => SamplingRate::NONE,
            Self::TraceIdRatio(rate) | Self::ParentBasedTraceIdRatio(rate) => *rate,
        }
    }

    fn is_parent_based(&self) -> bool {
        matches!(
            self,
            Self::ParentBasedAlwaysOn | Self::ParentBasedAlwaysOff | Self::ParentBasedTraceIdRatio(_)
        )
    }

    /// Whether the decision rests on a trace id of which nobody says that it is random. Worth a warning: ids that
    /// are not random are kept or dropped in bulk.
    #[must_use]
    pub fn presumes_randomness(&self, parent: Option<&RemoteParent>) -> bool {
        let Self::TraceIdRatio(rate) = self else {
            return false;
        };
        let decides_by_id = *rate != SamplingRate::ALL && rate.threshold().is_some();
        decides_by_id
            && parent.is_some_and(|parent| {
                !parent.flags.is_random() && parent.trace_state.ot().randomness.is_none()
            })
    }
}

/// `OTEL_TRACES_SAMPLER_ARG` is a plain number by its specification.
fn rate_of_argument(text: &str) -> Option<SamplingRate> {
    let plain = !text.contains(['%', '/']);
    plain.then(|| SamplingRate::parse(text).ok()).flatten()
}

/// As the parent decided. Its threshold is carried on, unless it contradicts the decision.
fn obey(trace_id: TraceId, parent: &RemoteParent) -> SamplingDecision {
    let sampled = parent.flags.is_sampled();
    let mut ot = parent.trace_state.ot();
    let randomness = ot.randomness.unwrap_or_else(|| Randomness::of_trace_id(trace_id));
    ot.threshold = ot
        .threshold
        .filter(|threshold| threshold.keeps(randomness) == sampled);
    SamplingDecision {
        sampled,
        threshold: ot.threshold.filter(|_| sampled),
        trace_state: parent.trace_state.clone().with_ot(&ot),
    }
}

#[cfg(test)]
mod tests;
