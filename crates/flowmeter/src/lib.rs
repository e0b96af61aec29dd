//! flowmeter: meter LLM workflows. What did a run do, what did it cost, where did the time go?
//!
//! # A hand-written flow
//!
//! Wrap its nodes in [`Traced`] and run it in the context of a [`RunMeter`]. The nodes stay as they are:
//!
//! ```
//! use flowmeter::{NodeDescription, RunMeter, Traced};
//! # use flowmeter_engine::{Action, Flow, Node, NodeContext, NodeError, SharedStore, async_trait};
//! # struct Greet;
//! # #[async_trait]
//! # impl Node for Greet {
//! #     async fn post(&self, cx: &NodeContext, _: serde_json::Value, _: serde_json::Value) -> Result<Action, NodeError> {
//! #         cx.store().set("greeting", serde_json::json!("hello"));
//! #         Ok(Action::default())
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("flowmeter-doc-{}", std::process::id()));
//! # let path = folder.join("trace.json");
//!
//! let greet = Traced::new(Greet, NodeDescription::node("greet", "greeting"));
//! let flow = Flow::builder("hello").node("greet", greet).build()?;
//!
//! let meter = RunMeter::builder("hello").trace_file(&path).start()?;
//! let outcome = flow.run_to_end(&meter.context(SharedStore::new().root())).await;
//! let report = meter.finish(outcome.as_ref());
//! assert_eq!(report.metrics.nodes_executed, 1);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Plain async code
//!
//! Without the engine a run is whatever runs [`within`](RunMeter::within) it: [`in_span`] and [`fn@span`] make spans,
//! [`llm_call`] meters a call that was made with any client, and [`FlowmeterLayer`] takes what `tracing` is told.
//!
//! ```
//! use flowmeter::{LlmRequest, LlmResponse, RunMeter};
//! # async fn ask(_: &str) -> Vec<u8> {
//! #     br#"{"model": "gpt-4o", "choices": [{"message": {"content": "Much went well."}}],
//! #          "usage": {"prompt_tokens": 812, "completion_tokens": 64}}"#.to_vec()
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!
//! let meter = RunMeter::builder("nightly").start()?;
//! let work = async {
//!     let rows = flowmeter::in_span("load", async { 3_i64 }).set("table", "orders").await;
//!     let call = flowmeter::llm_call(LlmRequest::chat("openai", "gpt-4o").prompt("Sum it up"));
//!     let body = ask("Sum it up").await; // with any client
//!     call.succeed(LlmResponse::from_body("openai", &body));
//!     flowmeter::span("write").set("rows", rows);
//! };
//! meter.within(work).await;
//! let report = meter.succeed();
//! assert_eq!(report.metrics.llm.total_tokens(), 876);
//! # Ok(())
//! # }
//! ```
//!
//! Never prints, never reads the environment and never fails the run that it meters.

#![forbid(unsafe_code)]

mod aggregate;
mod ambient;
mod backends;
mod budget;
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
    AggregatedMetrics, Aggregator, CacheHitSample, CacheTotals, CallCost, CostBreakdown, CostLineSum,
    DurationSummary, ItemSample, LlmSample, LlmTimings, LlmTotals, MemoryUsage, ModelMetrics, NodeMetrics,
    NodeSample, PriceUse, QueueTime, Resources, Throughput, TypeMetrics, cost_json,
};
pub use ambient::{
    InSpan, SpanGuard, SpanHandle, budgeted_llm_call, carry, carry_call, current_span, in_span,
    llm_cache_hit, llm_call, span,
};
pub use backends::otlp::{
    ExporterSelection, FlushError, FlushOutcome, FlushReport, FlushedRequests, InvalidOtlpConfig,
    InvalidOtlpEndpoint, OtlpBackend, OtlpCompression, OtlpConfig, OtlpDestination, OtlpEndpoint,
    OtlpHeaders, OtlpProtocol, OtlpRetryPolicy, Preset, Spool, SpoolError, SpoolEvictions, SpooledRequest,
    Variables, flush_spool, resource_from_environment, run_metrics, sdk_disabled,
};
pub use backends::{
    Backend, BackendFailure, BackendProgress, Batch, ConsoleBackend, ConsoleConfig, Deadline, ExportError,
    FileBackend, FileConfig, FileFormat, FileMode, FileSync, InvalidFileConfig, Rotation, RunEnding,
    RunIdentity, StartsWanted,
};
pub use backends::{InvalidStreamTarget, StreamBackend, StreamConfig, StreamTarget};
pub use budget::{
    BoundOfCall, Budget, BudgetError, BudgetLimit, BudgetOwner, BudgetReport, NodeBudgetReport, OverBudget,
    OverBudgetKind, SharedAccount, SharedAnswer, SharedBudgetName, SharedBudgets, SharedCall, SharedConcern,
    SharedCost, SharedHold, SharedRefusal, UncheckedBudgets, UnpricedModel,
};
pub use capture::{CaptureLevel, CaptureLimits, InvalidRedaction, Redactor, is_secret_name};
pub use current::{CurrentSpan, current};
pub use events::{
    Block, EventFormat, EventFormatter, EventFormatterConfig, EventProblem, EventProblemKind, FormatError,
    FormatOutcome, FormatStep, InvalidEventLine, LINE_BYTES_MAX, LineBlocks, read_event, write_event,
    write_log_line, write_open_span_line, write_span_line,
};
pub use flowmeter_engine::{EnteredScope, InScope};
pub use flowmeter_model::LogLevel;
pub use flowmeter_otlp::{
    EncoderConfig, SemanticConventions, Signal as OtlpSignal, Temporality as OtlpTemporality,
};
pub use flowmeter_pricing::HAS_TOKENIZER;
pub use formats::{
    HumanStyle, LiveTree, LiveView, cache_note, format_duration, graph_mermaid, graph_text, grouped,
    planner_note, planner_part, provider_cache_note, write_human, write_summary,
};
pub use llm::{LlmCacheHit, LlmCall, LlmFailure, LlmRequest, LlmResponse};
pub use logging::{
    ContextualLogger, FlowmeterLayer, InvalidLogFilter, LogFilter, LogLineFormat, LogLines, LogLinesConfig,
    RunFilter,
};
pub use meter::{ProgressHandle, RunMeter, RunMeterBuilder, RunReport, StartError};
pub use metrics::{BatchProgress, PlannerPath, Progress, RunMetrics, RunParts, milliseconds};
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
    FORMAT, KeepTrace, ReadError, TraceDocument, TraceFileError, TraceFollower, TraceProgress, TracedCall,
    read_trace, total_of_calls, write_trace_json,
};
pub use traced::{NodeDescription, Traced};
