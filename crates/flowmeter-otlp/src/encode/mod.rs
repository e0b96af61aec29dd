//! From the model to OTLP: the encoder and what it is told.
//!
//! Pure: no time, no environment, no network. Equal input gives equal bytes.

mod attributes;
mod logs;
mod metrics;
mod openinference;
mod spans;

pub(crate) use self::spans::CAUSED_BY;

use flowmeter_model::{Attributes, LogRecord, Span, TraceId};

use crate::SemanticConventions;
use crate::metric::Metric;
use crate::request::{ExportRequest, ResourceGroup, ScopeGroup, Signal};
use crate::wire::Wire;

/// The instrumentation scope of everything that flowmeter itself writes.
pub const SCOPE_NAME: &str = "flowmeter";

/// What the encoder writes beyond the bare telemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncoderConfig {
    /// Which edition of the GenAI names. Default: the newest.
    pub conventions: SemanticConventions,
    /// Whether spans carry OpenInference's attributes too, which Arize Phoenix reads. Default: no.
    pub openinference: bool,
    /// Whether prompts, answers, parameters and store values are written. Default: no.
    pub content: bool,
    /// Attributes for every span, unless the span has them itself. Default: none.
    pub span_attributes: Vec<(String, String)>,
}

/// What holds for all items of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Who sends: `service.name` and the like.
    pub resource: &'a Attributes,
    /// The W3C tracestate of the trace, `ot=th:…` included; empty if there is none.
    pub trace_state: &'a str,
    /// Whether the trace is sampled (W3C trace flags).
    pub sampled: bool,
    /// Version of the scope `flowmeter`.
    pub scope_version: &'a str,
}

/// Turns telemetry into export requests.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    config: EncoderConfig,
}

impl Encoder {
    /// An encoder that writes what `config` says.
    #[must_use]
    pub fn new(config: EncoderConfig) -> Self {
        Self { config }
    }

    /// What it writes.
    #[must_use]
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Encodes ended spans. A span without an end is written with its start as its end and
    /// `flowmeter.span.unfinished`.
    pub fn traces(&self, envelope: &Envelope<'_>, spans: &mut dyn Iterator<Item = &Span>) -> ExportRequest {
        let mut wire = Wire::with_capacity(spans.size_hint().0.min(4096) * 512);
        let mut ends = Vec::with_capacity(spans.size_hint().0.min(4096));
        for span in spans {
            self.write_span(&mut wire, envelope, span);
            ends.push(wire.len());
        }
        let scope = self.own_scope(envelope, wire, ends);
        self.request(Signal::Traces, envelope, vec![scope])
    }

    /// Encodes log lines, each with the trace it belongs to.
    ///
    /// A line's target becomes the name of its instrumentation scope: OpenTelemetry says that a bridge from a
    /// logging library uses the logger's name as scope name. Lines without a target stand under `flowmeter`.
    pub fn logs(
        &self,
        envelope: &Envelope<'_>,
        records: &mut dyn Iterator<Item = (TraceId, &LogRecord)>,
    ) -> ExportRequest {
        let scopes = self.write_logs(envelope, records);
        self.request(Signal::Logs, envelope, scopes)
    }

    /// Encodes metrics.
    #[must_use]
    pub fn metrics(&self, envelope: &Envelope<'_>, metrics: &[Metric]) -> ExportRequest {
        let mut wire = Wire::default();
        let mut ends = Vec::with_capacity(metrics.len());
        for metric in metrics {
            metrics::write_metric(&mut wire, metric);
            ends.push(wire.len());
        }
        let scope = self.own_scope(envelope, wire, ends);
        self.request(Signal::Metrics, envelope, vec![scope])
    }

    /// Spans and metrics follow the conventions' schema; what others log follows none that we know.
    fn own_scope(&self, envelope: &Envelope<'_>, items: Wire, ends: Vec<usize>) -> ScopeGroup {
        let schema_url = self.config.conventions.schema_url();
        scope_group(SCOPE_NAME, envelope.scope_version, schema_url, items, ends)
    }

    fn request(&self, signal: Signal, envelope: &Envelope<'_>, scopes: Vec<ScopeGroup>) -> ExportRequest {
        let mut resource = Wire::default();
        for (key, value) in envelope.resource.iter() {
            attributes::write(&mut resource, 1, key, value);
        }
        let group = ResourceGroup {
            resource: resource.into_bytes(),
            schema_url: String::new(),
            scopes,
        };
        ExportRequest::new(signal, vec![group])
    }
}

fn scope_group(name: &str, version: &str, schema_url: &str, items: Wire, ends: Vec<usize>) -> ScopeGroup {
    let mut scope = Wire::default();
    scope.bytes(1, name.as_bytes());
    scope.bytes(2, version.as_bytes());
    ScopeGroup {
        scope: scope.into_bytes(),
        schema_url: schema_url.to_owned(),
        items: items.into_bytes(),
        ends,
    }
}

#[cfg(test)]
mod tests;
