//! The tracing pipeline as a flow on the engine: its nodes, its edges, and what each node has done.
//!
//! One flow for every source. Never knows what a source or a backend is: a [`Tracing`] does the work, the nodes
//! decide the way. Nodes work on batches, so the engine is paid for per batch and never per event.

use std::sync::Arc;

use flowmeter_engine::{Action, Flow, InvalidFlow, Node, NodeContext, NodeError, SharedStore, async_trait};
use parking_lot::Mutex;
use serde_json::Value;
use thiserror::Error;

/// What one stage failed with.
pub(crate) type StageError = Box<dyn std::error::Error + Send + Sync>;

/// What a collection came back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collected {
    /// The buffer is full, of events or of time.
    BufferFull,
    /// The source has ended; what is in the buffer is the last.
    Ended,
}

/// How the export went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportOutcome {
    /// Everything is where it should be.
    #[default]
    Success,
    /// Some places have it, others failed.
    PartialSuccess,
    /// No place has it.
    Failure,
}

impl ExportOutcome {
    /// The action of the flow's last node.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::PartialSuccess => "partial_success",
            Self::Failure => "failure",
        }
    }
}

/// Why a pipeline did not come to its export.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// `InitTracing` failed.
    #[error("tracing could not begin")]
    Init(#[source] StageError),
    /// `ConfigureHandlers` failed.
    #[error("the places that telemetry goes to could not be made ready")]
    Config(#[source] StageError),
    /// `AttachToRuntime` failed.
    #[error("tracing could not be attached to its source")]
    Attach(#[source] StageError),
    /// `CollectTraces` or `FlushTraces` failed.
    #[error("the telemetry could not be collected")]
    Collect(#[source] StageError),
    /// `AggregateMetrics` failed.
    #[error("the metrics could not be aggregated")]
    Aggregate(#[source] StageError),
    /// `FormatOutput` failed.
    #[error("the output could not be formatted")]
    Format(#[source] StageError),
    /// The flow itself failed.
    #[error("the tracing pipeline failed")]
    Flow(#[source] StageError),
}

/// What the nodes of the pipeline do, each by one method, in the order of the flow.
pub(crate) trait Tracing: Send + 'static {
    /// Gets ready whatever needs nobody else.
    fn init(&mut self) -> Result<(), StageError>;
    /// Opens the places that telemetry goes to.
    fn configure_handlers(&mut self) -> Result<(), StageError>;
    /// Begins to listen to the source.
    fn attach(&mut self) -> Result<(), StageError>;
    /// Waits for events and takes them into the buffer.
    fn collect(&mut self) -> Result<Collected, StageError>;
    /// Hands the buffer's content on and empties it.
    fn flush(&mut self) -> Result<(), StageError>;
    /// Takes the last of the buffer and adds the figures up.
    fn aggregate(&mut self) -> Result<(), StageError>;
    /// Completes what is written.
    fn format(&mut self) -> Result<(), StageError>;
    /// Sees every place to its end.
    fn export(&mut self) -> ExportOutcome;
}

#[derive(Clone, Copy)]
enum Stage {
    Init,
    Configure,
    Attach,
    Collect,
    Flush,
    Aggregate,
    Format,
    Export,
}

/// The action for a full buffer.
const BUFFER_FULL: &str = "buffer full";

impl Stage {
    /// The node's id in the graph.
    fn id(self) -> &'static str {
        match self {
            Self::Init => "InitTracing",
            Self::Configure => "ConfigureHandlers",
            Self::Attach => "AttachToRuntime",
            Self::Collect => "CollectTraces",
            Self::Flush => "FlushTraces",
            Self::Aggregate => "AggregateMetrics",
            Self::Format => "FormatOutput",
            Self::Export => "Export",
        }
    }

    /// The action when it fails, and the node that this leads to. An export has outcomes instead.
    fn error_action(self) -> Option<&'static str> {
        match self {
            Self::Init => Some("InitError"),
            Self::Configure => Some("ConfigError"),
            Self::Attach => Some("AttachError"),
            Self::Collect | Self::Flush => Some("CollectError"),
            Self::Aggregate => Some("AggregateError"),
            Self::Format => Some("FormatError"),
            Self::Export => None,
        }
    }

    fn error(self, cause: StageError) -> PipelineError {
        match self {
            Self::Init => PipelineError::Init(cause),
            Self::Configure => PipelineError::Config(cause),
            Self::Attach => PipelineError::Attach(cause),
            Self::Collect | Self::Flush => PipelineError::Collect(cause),
            Self::Aggregate => PipelineError::Aggregate(cause),
            Self::Format | Self::Export => PipelineError::Format(cause),
        }
    }
}

/// The stages in a row; `FlushTraces` stands beside the row.
const ROW: [Stage; 7] = [
    Stage::Init,
    Stage::Configure,
    Stage::Attach,
    Stage::Collect,
    Stage::Aggregate,
    Stage::Format,
    Stage::Export,
];

type Failure = Arc<Mutex<Option<PipelineError>>>;

/// One node of the pipeline.
struct StageNode<T> {
    stage: Stage,
    tracing: Arc<Mutex<T>>,
    failure: Failure,
}

impl<T: Tracing> StageNode<T> {
    fn work(&self) -> Result<Action, StageError> {
        let mut tracing = self.tracing.lock();
        let done = |()| Action::default();
        match self.stage {
            Stage::Init => tracing.init().map(done),
            Stage::Configure => tracing.configure_handlers().map(done),
            Stage::Attach => tracing.attach().map(done),
            Stage::Collect => tracing.collect().map(|collected| match collected {
                Collected::BufferFull => Action::from(BUFFER_FULL),
                Collected::Ended => Action::default(),
            }),
            Stage::Flush => tracing.flush().map(done),
            Stage::Aggregate => tracing.aggregate().map(done),
            Stage::Format => tracing.format().map(done),
            Stage::Export => Ok(Action::from(tracing.export().as_str())),
        }
    }
}

#[async_trait]
impl<T: Tracing> Node for StageNode<T> {
    // Blocks on purpose: the pipeline has a thread to itself.
    async fn post(&self, _: &NodeContext, _: Value, _: Value) -> Result<Action, NodeError> {
        Ok(self.work().unwrap_or_else(|cause| {
            *self.failure.lock() = Some(self.stage.error(cause));
            self.stage.error_action().map_or_else(Action::error, Action::from)
        }))
    }
}

/// Where a way through the pipeline ends.
struct End;

#[async_trait]
impl Node for End {}

/// The pipeline over `tracing`.
///
/// # Errors
/// [`InvalidFlow`] if the flow were drawn wrongly.
fn build<T: Tracing>(tracing: &Arc<Mutex<T>>, failure: &Failure) -> Result<Flow, InvalidFlow> {
    let node = |stage| StageNode {
        stage,
        tracing: Arc::clone(tracing),
        failure: Arc::clone(failure),
    };
    let mut flow = Flow::builder("tracing").visits_max(u32::MAX);
    for stage in ROW.into_iter().chain([Stage::Flush]) {
        flow = flow.node(stage.id(), node(stage));
    }
    for pair in ROW.windows(2) {
        flow = flow.edge(pair[0].id(), pair[1].id());
    }
    flow = flow
        .edge_on(Stage::Collect.id(), BUFFER_FULL, Stage::Flush.id())
        .edge(Stage::Flush.id(), Stage::Collect.id());
    let mut ends: Vec<&str> = Vec::new();
    for stage in ROW.into_iter().chain([Stage::Flush]) {
        if let Some(action) = stage.error_action() {
            if !ends.contains(&action) {
                flow = flow.node(action, End);
                ends.push(action);
            }
            flow = flow.edge_on(stage.id(), action, action);
        }
    }
    for (outcome, end) in [
        (ExportOutcome::Success, "Success"),
        (ExportOutcome::PartialSuccess, "PartialSuccess"),
        (ExportOutcome::Failure, "Failure"),
    ] {
        flow = flow
            .node(end, End)
            .edge_on(Stage::Export.id(), outcome.as_str(), end);
    }
    flow.build()
}

/// Runs the pipeline over `tracing` on this thread, to its end.
///
/// # Errors
/// [`PipelineError`] when a stage failed before the export.
pub(crate) fn run<T: Tracing>(tracing: &Arc<Mutex<T>>) -> Result<(), PipelineError> {
    let failure = Failure::default();
    let flow = build(tracing, &failure).map_err(|error| PipelineError::Flow(error.into()))?;
    // No timer, no I/O: the nodes block, and what waits for others has a runtime of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| PipelineError::Flow(error.into()))?;
    let cx = NodeContext::new(SharedStore::new().root());
    let ended = runtime.block_on(flow.run_to_end(&cx));
    if let Some(error) = failure.lock().take() {
        return Err(error);
    }
    ended
        .map(drop)
        .map_err(|error| PipelineError::Flow(error.to_string().into()))
}

/// The pipeline's flow, to be looked at.
///
/// # Errors
/// As [`Flow`]'s builder: not unless it were drawn wrongly.
pub fn pipeline_flow() -> Result<Flow, InvalidFlow> {
    build(&Arc::new(Mutex::new(Nothing)), &Failure::default())
}

/// A source without events.
struct Nothing;

impl Tracing for Nothing {
    fn init(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    fn configure_handlers(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    fn attach(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    fn collect(&mut self) -> Result<Collected, StageError> {
        Ok(Collected::Ended)
    }
    fn flush(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    fn aggregate(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    fn format(&mut self) -> Result<(), StageError> {
        Ok(())
    }
    fn export(&mut self) -> ExportOutcome {
        ExportOutcome::Success
    }
}

#[cfg(test)]
mod tests;
