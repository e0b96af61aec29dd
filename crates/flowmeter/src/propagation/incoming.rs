//! What comes in: the remote parent and the baggage that a carrier holds.
//!
//! Never fails: what is malformed is left out, with a warning that says what is done instead.

use flowmeter_model::{SpanId, TraceId};
use thiserror::Error;

use super::{
    BAGGAGE, Baggage, InvalidTraceParent, TRACEPARENT, TRACESTATE, TraceFlags, TraceParent, variable_of,
};
use crate::sampling::{InvalidTraceState, TraceState};

/// The span of another process that a run belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteParent {
    /// The trace, which the run becomes part of.
    pub trace_id: TraceId,
    /// The span that the run's root stands beneath.
    pub span_id: SpanId,
    /// Whether the caller keeps the trace, and whether its id is random.
    pub flags: TraceFlags,
    /// What each tracing system on the way has to say.
    pub trace_state: TraceState,
}

impl RemoteParent {
    /// The `traceparent` that it came as.
    #[must_use]
    pub fn trace_parent(&self) -> TraceParent {
        TraceParent {
            trace_id: self.trace_id,
            span_id: self.span_id,
            flags: self.flags,
        }
    }
}

/// Something in a carrier that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CarrierProblem {
    /// The `traceparent`: the run begins a trace of its own.
    #[error("{name} `{value}` is malformed: {problem}; starting a new trace")]
    TraceParent {
        /// The header or the variable.
        name: &'static str,
        /// What it held, cut and made printable.
        value: String,
        /// What is wrong with it.
        problem: InvalidTraceParent,
    },
    /// More than one `traceparent`.
    #[error("{name} is there more than once; starting a new trace")]
    Ambiguous {
        /// The header.
        name: &'static str,
    },
    /// The `tracestate`: the run joins the trace without it.
    #[error("{name} is malformed: {problem}; going on without it")]
    TraceState {
        /// The header or the variable.
        name: &'static str,
        /// What is wrong with it.
        problem: InvalidTraceState,
    },
    /// Members of the `baggage`: the others are carried on.
    #[error("{name} is malformed in part: {problem}; going on without that")]
    Baggage {
        /// The header or the variable.
        name: &'static str,
        /// What is wrong with them.
        problem: String,
    },
}

/// What a carrier told.
///
/// ```
/// use flowmeter::{IncomingContext, RunMeter};
///
/// let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let incoming = IncomingContext::from_headers([("traceparent", caller), ("baggage", "tier=gold")]);
/// let mut builder = RunMeter::builder("nightly").baggage(incoming.baggage);
/// if let Some(parent) = incoming.parent {
///     builder = builder.parent(parent);
/// }
/// let meter = builder.start().unwrap();
/// assert_eq!(meter.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncomingContext {
    /// The span that calls; `None` where there is none, or none that can be read.
    pub parent: Option<RemoteParent>,
    /// What users sent along.
    pub baggage: Baggage,
    /// What could not be used.
    pub problems: Vec<CarrierProblem>,
}

/// The most of a malformed value that a warning shows, in characters.
const SHOWN_MAX: usize = 80;

impl IncomingContext {
    /// Reads `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`. An empty variable is as good as none.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self::read(variable_of, |header| {
            variable(variable_of(header)).into_iter().collect()
        })
    }

    /// Reads the headers of a request; their names may be written in capitals and may be there more than once.
    #[must_use]
    pub fn from_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        let name_itself = |header| match header {
            TRACEPARENT => TRACEPARENT,
            TRACESTATE => TRACESTATE,
            _ => BAGGAGE,
        };
        Self::read(name_itself, |header| {
            let all = headers.clone().into_iter();
            all.filter(|(name, _)| name.eq_ignore_ascii_case(header))
                .map(|(_, value)| value.to_owned())
                .collect()
        })
    }

    fn read(name_of: impl Fn(&'static str) -> &'static str, values: impl Fn(&str) -> Vec<String>) -> Self {
        let mut context = Self::default();
        context.read_parent(&name_of, &values);
        let (baggage, problems) = Baggage::parse(&values(BAGGAGE).join(","));
        context.baggage = baggage;
        let baggage_problems = problems.into_iter().map(|problem| CarrierProblem::Baggage {
            name: name_of(BAGGAGE),
            problem,
        });
        context.problems.extend(baggage_problems);
        context
    }

    fn read_parent(
        &mut self,
        name_of: impl Fn(&'static str) -> &'static str,
        values: impl Fn(&str) -> Vec<String>,
    ) {
        let name = name_of(TRACEPARENT);
        let found = values(TRACEPARENT);
        let text = match found.as_slice() {
            [] => return,
            [only] => only.trim_matches([' ', '\t']),
            _ => return self.problems.push(CarrierProblem::Ambiguous { name }),
        };
        if text.is_empty() {
            return;
        }
        let parent = match TraceParent::parse(text) {
            Ok(parent) => parent,
            Err(problem) => {
                // Without a parent, a state says nothing: it is not even looked at.
                return self.problems.push(CarrierProblem::TraceParent {
                    name,
                    value: text
                        .chars()
                        .take(SHOWN_MAX)
                        .flat_map(char::escape_default)
                        .collect(),
                    problem,
                });
            }
        };
        let trace_state = TraceState::parse(&values(TRACESTATE).join(",")).unwrap_or_else(|problem| {
            let name = name_of(TRACESTATE);
            self.problems.push(CarrierProblem::TraceState { name, problem });
            TraceState::default()
        });
        self.parent = Some(RemoteParent {
            trace_id: parent.trace_id,
            span_id: parent.span_id,
            flags: parent.flags,
            trace_state,
        });
    }
}

#[cfg(test)]
mod tests;
