//! The OTLP backend: spans, log records and metrics to any receiver that speaks OTLP.
//!
//! What arrives is encoded at once and handed to a sending thread; what cannot be sent in time goes to the spool.
//! Never waits for a receiver but at the end, and never longer than it is given.

mod attempts;
mod config;
mod delivery;
mod environment;
mod flush;
mod grpc;
mod headers;
mod http;
mod lane;
mod langfuse;
pub(in crate::backends) mod metrics;
mod presets;
mod resource;
mod retry;
mod sender;
mod spool;
mod tally;
mod tls;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flowmeter_model::{Attributes, Clock, LogRecord, Span, SystemClock, TelemetryEvent, TraceId};
use flowmeter_otlp::{Encoder, Envelope, ExportRequest, Metric, Signal};

use self::delivery::Payload;
use self::lane::Keeper;
use self::metrics::CallMeter;
use self::presets::Dialect;
use self::sender::Sender;
use self::tally::Tally;
use super::{Backend, Batch, Deadline, ExportError, RunEnding, RunIdentity};

pub use self::config::{
    InvalidOtlpEndpoint, OtlpCompression, OtlpConfig, OtlpDestination, OtlpEndpoint, OtlpProtocol,
};
pub use self::environment::{ExporterSelection, InvalidOtlpConfig, Variables, sdk_disabled};
pub use self::flush::{FlushError, FlushOutcome, FlushReport, FlushedRequests, flush_spool};
pub use self::headers::OtlpHeaders;
pub use self::metrics::run_metrics;
pub use self::presets::Preset;
pub use self::resource::resource_from_environment;
pub use self::retry::OtlpRetryPolicy;
pub use self::spool::{Spool, SpoolError, SpoolEvictions, SpooledRequest};

/// How requests introduce themselves. Source: OTLP exporter specification, user agent.
const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"));
/// The version of the instrumentation scope.
const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long the end may take where nobody says.
const END_PATIENCE: Duration = Duration::from_secs(10);
/// How long the end may take that nobody waits for.
const DROP_PATIENCE: Duration = Duration::from_millis(500);

/// Sends what happens in a run to an OTLP receiver.
pub struct OtlpBackend {
    config: OtlpConfig,
    encoder: Encoder,
    clock: Arc<dyn Clock>,
    deadline: Option<Deadline>,
    run: Option<Arc<RunIdentity>>,
    /// The run's resource with what the settings add.
    resource: Attributes,
    calls: CallMeter,
    tally: Arc<Tally>,
    /// Started when there is something to send.
    sender: Option<Sender>,
}

impl OtlpBackend {
    /// A backend with these settings. Nothing is opened before there is something to send.
    #[must_use]
    pub fn new(config: OtlpConfig) -> Self {
        let encoder = Encoder::new(config.encoder.clone());
        Self {
            config,
            encoder,
            clock: Arc::new(SystemClock),
            deadline: None,
            run: None,
            resource: Attributes::new(),
            calls: CallMeter::default(),
            tally: Arc::default(),
            sender: None,
        }
    }

    fn take_run(&mut self, run: &Arc<RunIdentity>) {
        if self.run.as_ref().is_some_and(|known| Arc::ptr_eq(known, run)) {
            return;
        }
        let mut resource = run.resource.clone();
        for (key, value) in self.config.resource.iter() {
            resource.set(key.clone(), value.clone());
        }
        self.resource = resource;
        self.run = Some(Arc::clone(run));
    }

    /// The sending thread, started when it is first needed.
    fn sender(&mut self) -> Result<&Sender, ExportError> {
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => {
                let keeper = Keeper {
                    name: self.config.name.clone(),
                    spool: self.config.spool.clone(),
                    tally: Arc::clone(&self.tally),
                };
                Sender::start(&self.config, keeper, &self.clock)
                    .map_err(|error| ExportError::new("the sender could not be started").with_source(error))?
            }
        };
        Ok(self.sender.insert(sender))
    }

    fn push(&mut self, request: ExportRequest) -> Result<(), ExportError> {
        if request.is_empty() {
            return Ok(());
        }
        let bytes_max = self.config.request_bytes_max;
        let sender = self.sender()?;
        for part in request.into_parts(bytes_max) {
            sender.push(Payload {
                signal: part.signal(),
                items: part.item_count() as u64,
                content: Bytes::from(part.to_protobuf()),
            });
        }
        Ok(())
    }

    fn export_spans(&mut self, run: &RunIdentity, spans: &[Cow<'_, Span>]) -> Result<(), ExportError> {
        for chunk in spans.chunks(self.config.batch_items_max.max(1)) {
            let mut chunk = chunk.iter().map(|span| &**span);
            let request = self.encoder.traces(&envelope(run, &self.resource), &mut chunk);
            self.push(request)?;
        }
        Ok(())
    }

    fn export_logs(
        &mut self,
        run: &RunIdentity,
        records: &[(TraceId, &LogRecord)],
    ) -> Result<(), ExportError> {
        for chunk in records.chunks(self.config.batch_items_max.max(1)) {
            let mut chunk = chunk.iter().copied();
            let request = self.encoder.logs(&envelope(run, &self.resource), &mut chunk);
            self.push(request)?;
        }
        Ok(())
    }

    fn export_metrics(&mut self, run: &RunIdentity, metrics: &[Metric]) -> Result<(), ExportError> {
        if self.config.metrics.is_none() || metrics.is_empty() {
            return Ok(());
        }
        let request = self.encoder.metrics(&envelope(run, &self.resource), metrics);
        self.push(request)
    }

    /// Sends or keeps the rest, and says what the user should know.
    fn end(&mut self, time_left: Duration) -> Result<(), ExportError> {
        if let Some(sender) = self.sender.take()
            && !sender.finish(time_left)
        {
            return Err(ExportError::new(
                "the sender did not come to an end in time; telemetry may be lost",
            ));
        }
        let receiver = |signal: Signal| {
            let destination = self.config.destination(signal);
            let endpoint = destination.map_or_else(String::new, |to| to.endpoint.identity());
            format!("{} ({endpoint})", self.config.name)
        };
        match self.tally.report(receiver) {
            None => Ok(()),
            Some(report) => Err(ExportError::new(report)),
        }
    }
}

/// What holds for all items of a run.
fn envelope<'a>(run: &'a RunIdentity, resource: &'a Attributes) -> Envelope<'a> {
    Envelope {
        resource,
        trace_state: &run.trace_state,
        sampled: run.sampled,
        scope_version: SCOPE_VERSION,
    }
}

impl Backend for OtlpBackend {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn begin(&mut self, run: &Arc<RunIdentity>, deadline: &Deadline) -> Result<(), ExportError> {
        self.deadline = Some(deadline.clone());
        self.take_run(run);
        Ok(())
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        self.take_run(&batch.run);
        let mut spans: Vec<Cow<'_, Span>> = Vec::new();
        let mut records = Vec::new();
        for event in &batch.events {
            match event {
                TelemetryEvent::SpanStarted(_) => {}
                TelemetryEvent::SpanEnded(span) => {
                    if self.config.metrics.is_some() {
                        self.calls.add(span);
                    }
                    if self.config.traces.is_some() {
                        spans.push(match self.config.dialect {
                            Dialect::Langfuse => langfuse::described(span, &batch.run),
                            Dialect::Plain | Dialect::OpenInference => Cow::Borrowed(&**span),
                        });
                    }
                }
                TelemetryEvent::Log(trace_id, record) => {
                    if self.config.logs.is_some() {
                        records.push((*trace_id, &**record));
                    }
                }
            }
        }
        self.export_spans(&batch.run, &spans)?;
        self.export_logs(&batch.run, &records)
    }

    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        let mut outcome = Ok(());
        if let Some(run) = self.run.clone() {
            let conventions = self.config.encoder.conventions;
            let temporality = self.config.temporality;
            let mut metrics = self.calls.metrics(conventions, temporality, &run, ending);
            metrics.extend(run_metrics(conventions, temporality, &run, ending));
            outcome = self.export_metrics(&run, &metrics);
        }
        let time_left = self.deadline.as_ref().and_then(Deadline::time_left);
        let ended = self.end(time_left.unwrap_or(END_PATIENCE));
        outcome.and(ended)
    }
}

/// A run that was not ended, as after a panic: what waits is sent or kept in a short time.
impl Drop for OtlpBackend {
    fn drop(&mut self) {
        if self.sender.is_some() {
            // Nobody is left to be told.
            let _nobody_listens = self.end(DROP_PATIENCE);
        }
    }
}
