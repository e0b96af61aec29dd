//! What nodes tell those they call of the trace: environment variables for processes, headers for servers.
//!
//! What a workflow file says itself wins. Never changes this process's own environment: children get a copy.

use flowmeter::{Carrier, LlmCall, current};
use flowmeter_engine::{NodeContext, NodeError};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use std::process::Command;

use super::params::Params;
use super::{ParamSpec, ValueType, defaulting};

/// Whether a process joins the trace.
pub(super) const PROPAGATE_TO_PROCESS: ParamSpec = defaulting(
    "propagate",
    ValueType::Boolean,
    "true",
    "whether it joins the trace: TRACEPARENT, TRACESTATE and BAGGAGE in its environment",
);

/// Whether a server joins the trace.
pub(super) const PROPAGATE_TO_SERVER: ParamSpec = defaulting(
    "propagate",
    ValueType::Boolean,
    "true",
    "whether the server joins the trace: the headers traceparent, tracestate and baggage",
);

/// Whether a server is told what users send along.
pub(super) const PROPAGATE_BAGGAGE: ParamSpec = defaulting(
    "propagate_baggage",
    ValueType::Boolean,
    "true",
    "whether the baggage is among these headers; false keeps it from a server of somebody else's",
);

const TRACEPARENT: &str = "TRACEPARENT";
const TRACESTATE: &str = "TRACESTATE";

/// Lets a child process join the trace as called by the current span. `explicit` are the variables that the node
/// sets itself.
pub(super) fn into_environment(
    command: &mut Command,
    cx: &NodeContext,
    explicit: Option<&Map<String, Value>>,
) -> Result<(), NodeError> {
    let takes_part = Params::of(cx).flag("propagate", true)?;
    let carrier = if takes_part { current(cx).carrier() } else { None };
    if let Some(carrier) = &carrier {
        for (name, value) in carrier.environment() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
    } else if !takes_part {
        // What this process inherited is no better: it would make the child part of the trace all the same.
        for name in Carrier::variables() {
            command.env_remove(name);
        }
    }
    // A state of our trace says nothing about another parent.
    if explicit.is_some_and(|explicit| explicit.contains_key(TRACEPARENT)) {
        command.env_remove(TRACESTATE);
    }
    Ok(())
}

/// Lets the server of an HTTP request join the trace as called by the current span.
pub(super) fn into_headers(headers: &mut HeaderMap, cx: &NodeContext) -> Result<(), NodeError> {
    let Some(carrier) = Reach::of(Params::of(cx))?.limit(current(cx).carrier()) else {
        return Ok(());
    };
    let has_own_parent = headers.contains_key(TRACEPARENT);
    for (name, value) in carrier.headers() {
        let of_other_parent = has_own_parent && name.eq_ignore_ascii_case(TRACESTATE);
        let name = HeaderName::from_static(name);
        if let Ok(value) = HeaderValue::from_str(value)
            && !of_other_parent
            && !headers.contains_key(&name)
        {
            headers.insert(name, value);
        }
    }
    Ok(())
}

/// How much of the trace a server is told, as the node's parameters have it.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    trace: bool,
    baggage: bool,
}

impl Reach {
    pub(super) fn of(params: Params<'_>) -> Result<Self, NodeError> {
        Ok(Self {
            trace: params.flag("propagate", true)?,
            baggage: params.flag("propagate_baggage", true)?,
        })
    }

    fn limit(self, carrier: Option<Carrier>) -> Option<Carrier> {
        let carrier = carrier.filter(|_| self.trace)?;
        Some(if self.baggage {
            carrier
        } else {
            carrier.without_baggage()
        })
    }

    /// What lets a model's provider join the trace as called by this call's span.
    pub(super) fn headers_of(self, call: &LlmCall) -> Vec<(String, String)> {
        let carrier = self.limit(call.carrier());
        let headers = carrier.iter().flat_map(Carrier::headers);
        headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}
