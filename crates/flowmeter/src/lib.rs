//! flowmeter: meter LLM workflows. What did a run do, what did it cost, where did the time go?
//!
//! Wrap a node in [`Traced`], run its flow in the context of a [`RunMeter`], and ask for the report:
//!
//! ```
//! use flowmeter::{NodeDescription, RunMeter, Traced};
//! use flowmeter_engine::{Action, Flow, Node, NodeContext, NodeError, SharedStore, async_trait};
//! use serde_json::{Value, json};
//!
//! struct Greet;
//! #[async_trait]
//! impl Node for Greet {
//!     async fn post(&self, cx: &NodeContext, _: Value, _: Value) -> Result<Action, NodeError> {
//!         cx.store().set("greeting", json!("hello"));
//!         Ok(Action::default())
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let greet = Traced::new(Greet, NodeDescription::node("greet", "greet"));
//! let flow = Flow::builder("hello").node("greet", greet).build().unwrap();
//! let meter = RunMeter::builder("hello").start().unwrap();
//! let outcome = flow.run_to_end(&meter.context(SharedStore::new().root())).await;
//! let report = meter.finish(outcome.as_ref());
//! assert_eq!(report.metrics.nodes_executed, 1);
//! # });
//! ```
//!
//! Never prints, never reads the environment and never fails the run that it meters.

#![forbid(unsafe_code)]

mod aggregate;
mod ambient;
mod backends;
mod capture;
mod current;
mod details;
mod events;
mod formats;
mod genai;
mod llm;
mod logging;
mod meter;
mod metrics;
mod performance;
mod pipeline;
mod propagation;
mod recorder;
mod sampling;
mod scope;
mod trace_file;
mod traced;

pub use aggregate::{
    AggregatedMetrics, Aggregator, DurationSummary, ItemSample, LlmSample, LlmTimings, LlmTotals,
    MemoryUsage, ModelMetrics, NodeMetrics, NodeSample, QueueTime, Resources, Throughput, TypeMetrics,
};
pub use ambient::{InSpan, SpanGuard, SpanHandle, carry, carry_call, current_span, in_span, llm_call, span};
pub use backends::otlp::{
    ExporterSelection, FlushError, FlushOutcome, FlushReport, FlushedRequests, InvalidOtlpConfig,
    InvalidOtlpEndpoint, OtlpBackend, OtlpCompression, OtlpConfig, OtlpDestination, OtlpEndpoint,
    OtlpHeaders, OtlpProtocol, OtlpRetryPolicy, Preset, Spool, SpoolError, SpoolEvictions, SpooledRequest,
    Variables, flush_spool, resource_from_environment, run_metrics, sdk_disabled,
};
pub use backends::{
    Backend, BackendFailure, Batch, ConsoleBackend, ConsoleConfig, Deadline, ExportError, FileBackend,
    FileConfig, FileFormat, FileMode, FileSync, InvalidFileConfig, Rotation, RunEnding, RunIdentity,
};
pub use backends::{InvalidStreamTarget, StreamBackend, StreamConfig, StreamTarget};
pub use capture::{CaptureLevel, CaptureLimits, InvalidRedaction, Redactor, is_secret_name};
pub use current::{CurrentSpan, current};
pub use events::{
    Block, EventFormat, EventFormatter, EventFormatterConfig, EventProblem, EventProblemKind, FormatError,
    FormatOutcome, FormatStep, InvalidEventLine, LINE_BYTES_MAX, LineBlocks, read_event, write_event,
};
pub use flowmeter_engine::{EnteredScope, InScope};
pub use flowmeter_model::LogLevel;
pub use flowmeter_otlp::{
    EncoderConfig, SemanticConventions, Signal as OtlpSignal, Temporality as OtlpTemporality,
};
pub use formats::{
    HumanStyle, LiveTree, LiveView, format_duration, graph_mermaid, graph_text, write_human, write_summary,
};
pub use llm::{LlmCall, LlmFailure, LlmRequest, LlmResponse};
pub use logging::{ContextualLogger, FlowmeterLayer, InvalidLogFilter, LogFilter, RunFilter};
pub use meter::{ProgressHandle, RunMeter, RunMeterBuilder, RunReport, StartError};
pub use metrics::{BatchProgress, Progress, RunMetrics, milliseconds};
pub use performance::{ChildMemory, ChildUsage, MemoryChange};
pub use pipeline::{
    ExportOutcome, FormatEventsError, FormatWatch, PipelineError, format_events, pipeline_flow,
};
pub use propagation::{
    Baggage, BaggageMember, Carrier, CarrierProblem, IncomingContext, InvalidBaggageMember,
    InvalidTraceParent, RemoteParent, TraceContext, TraceFlags, TraceParent,
};
pub use recorder::{
    DropCounts, RecordKind, RecordRef, RecordedValue, Recorder, RecorderConfig, RecordingSpan,
};
pub use sampling::{
    InvalidSamplingRate, InvalidTraceState, Minimal, MinimalTrace, OtState, Randomness, Sampler,
    SamplerSetting, SamplingDecision, SamplingRate, TailRules, Threshold, TraceState, minimal_form,
};
pub use trace_file::{
    FORMAT, KeepTrace, ReadError, TraceDocument, TraceFileError, TraceFollower, TraceProgress, read_trace,
    write_trace_json,
};
pub use traced::{NodeDescription, Traced};
