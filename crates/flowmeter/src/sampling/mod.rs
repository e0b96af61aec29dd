//! Sampling: whether the whole trace of a run is kept, decided so that everybody in the trace decides alike.
//!
//! Consistent probability sampling as OpenTelemetry specifies it. Never drops anything itself and never counts:
//! metrics are complete whatever is decided here.

mod minimal;
mod ot_state;
mod sampler;
mod tail;
mod threshold;
mod trace_state;

pub(crate) use minimal::NODE_PATH;
pub use minimal::{Minimal, MinimalTrace, minimal_form};
pub use ot_state::OtState;
pub use sampler::{Sampler, SamplerSetting, SamplingDecision};
pub use tail::TailRules;
pub use threshold::{InvalidSamplingRate, Randomness, SamplingRate, Threshold};
pub use trace_state::{InvalidTraceState, TraceState};
