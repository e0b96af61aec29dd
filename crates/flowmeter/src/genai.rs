//! Names of attributes: OpenTelemetry's GenAI conventions, and our own where there is none.
//!
//! They live beside the encoder that types them; this is only their short name here.

pub(crate) use flowmeter_otlp::names::*;
