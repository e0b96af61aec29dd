//! OTLP for flowmeter: telemetry as protobuf and JSON, and the names of the GenAI conventions.
//!
//! Pure and synchronous: bytes in, bytes out. Never sends anything, never asks for the time or the environment.
//! No type of the generated OTLP code is public.

#![forbid(unsafe_code)]

mod conventions;
mod decode;
mod encode;
pub mod genai_metrics;
mod json;
mod json_text;
mod metric;
pub mod names;
mod proto;
mod request;
mod response;
mod wire;

pub use conventions::{InvalidSemanticConventions, SemanticConventions};
pub use decode::{
    OtlpSpanKind, Received, ReceivedBatch, ReceivedLink, ReceivedLog, ReceivedSpan, decode_logs,
    decode_logs_json, decode_traces, decode_traces_json,
};
pub use encode::{Encoder, EncoderConfig, Envelope, SCOPE_NAME};
pub use genai_metrics::{Instrument, MetricDefinition, genai_metric, genai_metrics};
pub use metric::{Histogram, HistogramPoint, Metric, MetricKind, MetricNumber, NumberPoint, Temporality};
pub use request::{ExportRequest, InvalidOtlp, Signal};
pub use response::{ExportResponse, PartialSuccess, Status};
