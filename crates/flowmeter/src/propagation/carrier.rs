//! What goes out: a run's place in its trace, as headers or as environment variables for those it calls.
//!
//! Never touches this process's own environment: it says what belongs into a copy.

use flowmeter_model::{SpanId, TraceId};

use super::{BAGGAGE, Baggage, RemoteParent, TRACEPARENT, TRACESTATE, TraceFlags, TraceParent, variable_of};
use crate::sampling::{Sampler, TraceState};

/// A run's place in its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace: the remote parent's, or the run's own.
    pub trace_id: TraceId,
    /// The `tracestate` that all of the run's spans carry, with the sampler's threshold in it.
    pub trace_state: TraceState,
    /// Whether the whole trace is kept. Metrics are counted in any case.
    pub sampled: bool,
    /// Whether the trace id is known to be random.
    pub random: bool,
    /// What users send along.
    pub baggage: Baggage,
    /// The span of another process that the run belongs to.
    pub parent: Option<RemoteParent>,
}

impl TraceContext {
    /// The context of a run with this parent, as the sampler decides. `own_id` is the trace's id where there is no
    /// parent; it must be random.
    #[must_use]
    pub fn begin(own_id: TraceId, parent: Option<RemoteParent>, sampler: Sampler, baggage: Baggage) -> Self {
        let trace_id = parent.as_ref().map_or(own_id, |parent| parent.trace_id);
        let decision = sampler.decide(trace_id, parent.as_ref());
        Self {
            trace_id,
            trace_state: decision.trace_state,
            sampled: decision.sampled,
            random: parent.as_ref().is_none_or(|parent| parent.flags.is_random()),
            baggage,
            parent,
        }
    }

    /// The trace state of a run that was kept for how it ended: nobody can say any more how many runs it stands
    /// for, so there is no threshold. Source: OpenTelemetry, "Probability sampling", thresholds are erased where
    /// a decision was not made by them.
    #[must_use]
    pub fn trace_state_kept_at_last(&self) -> TraceState {
        let mut ot = self.trace_state.ot();
        ot.threshold = None;
        self.trace_state.clone().with_ot(&ot)
    }

    /// What tells others that they are called by this span.
    #[must_use]
    pub fn carrier(&self, span_id: SpanId) -> Carrier {
        let parent = TraceParent {
            trace_id: self.trace_id,
            span_id,
            flags: TraceFlags::new(self.sampled, self.random),
        };
        self.carrier_of(parent, &self.trace_state)
    }

    /// What tells others of the remote parent as it is: a run that keeps no spans stands aside.
    #[must_use]
    pub fn carrier_past(&self) -> Option<Carrier> {
        let parent = self.parent.as_ref()?;
        Some(self.carrier_of(parent.trace_parent(), &parent.trace_state))
    }

    fn carrier_of(&self, parent: TraceParent, trace_state: &TraceState) -> Carrier {
        Carrier {
            trace_parent: parent.to_string(),
            trace_state: trace_state.to_string(),
            baggage: self.baggage.to_string(),
        }
    }
}

/// What is handed to a callee so that it joins the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    trace_parent: String,
    trace_state: String,
    baggage: String,
}

impl Carrier {
    /// The same without baggage, for a callee that is none of the users' business.
    #[must_use]
    pub fn without_baggage(mut self) -> Self {
        self.baggage.clear();
        self
    }

    /// The headers, by their names in small letters. What is empty is not sent.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.all().into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// What belongs into the copy of the environment that a child gets: a variable to set, or, where there is no
    /// value, one to take away, for it would be about somebody else.
    pub fn environment(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.all()
            .into_iter()
            .map(|(header, value)| (variable_of(header), (!value.is_empty()).then_some(value)))
    }

    /// What to take away from the environment of a child that is to know nothing of the trace.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter().map(variable_of)
    }

    fn all(&self) -> [(&'static str, &str); 3] {
        [
            (TRACEPARENT, self.trace_parent.as_str()),
            (TRACESTATE, self.trace_state.as_str()),
            (BAGGAGE, self.baggage.as_str()),
        ]
    }
}

#[cfg(test)]
mod tests;
