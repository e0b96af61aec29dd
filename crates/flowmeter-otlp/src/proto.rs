//! The generated OTLP messages under short names, and their way into an [`ExportRequest`].
//!
//! The only file, with the JSON and decoding modules behind it, that knows `opentelemetry-proto`.

pub(crate) use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
pub(crate) use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
pub(crate) use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
pub(crate) use opentelemetry_proto::tonic::{
    common::v1 as common, logs::v1 as logs, metrics::v1 as metrics, resource::v1 as resource,
    trace::v1 as trace,
};
use prost::Message;

use crate::request::{ExportRequest, InvalidOtlp, ResourceGroup, ScopeGroup, Signal};

/// Reads one message.
pub(crate) fn decode_message<M: Message + Default>(bytes: &[u8]) -> Result<M, InvalidOtlp> {
    M::decode(bytes).map_err(|error| InvalidOtlp::Protobuf(error.into()))
}

fn scope_group<M: Message>(
    scope: Option<common::InstrumentationScope>,
    schema_url: String,
    messages: &[M],
) -> ScopeGroup {
    let mut group = ScopeGroup {
        scope: scope.unwrap_or_default().encode_to_vec(),
        schema_url,
        ..ScopeGroup::default()
    };
    for message in messages {
        group.items.push(2 << 3 | 2);
        crate::wire::put_varint(&mut group.items, message.encoded_len() as u64);
        group.items.extend_from_slice(&message.encode_to_vec());
        group.ends.push(group.items.len());
    }
    group
}

fn resource_group(
    resource: Option<resource::Resource>,
    schema_url: String,
    scopes: impl Iterator<Item = ScopeGroup>,
) -> ResourceGroup {
    ResourceGroup {
        resource: resource.unwrap_or_default().encode_to_vec(),
        schema_url,
        scopes: scopes.collect(),
    }
}

pub(crate) fn group_traces(request: ExportTraceServiceRequest) -> ExportRequest {
    let resources = request.resource_spans.into_iter().map(|group| {
        let scopes = group.scope_spans.into_iter();
        let scopes = scopes.map(|scope| scope_group(scope.scope, scope.schema_url, &scope.spans));
        resource_group(group.resource, group.schema_url, scopes)
    });
    ExportRequest::new(Signal::Traces, resources.collect())
}

pub(crate) fn group_logs(request: ExportLogsServiceRequest) -> ExportRequest {
    let resources = request.resource_logs.into_iter().map(|group| {
        let scopes = group.scope_logs.into_iter();
        let scopes = scopes.map(|scope| scope_group(scope.scope, scope.schema_url, &scope.log_records));
        resource_group(group.resource, group.schema_url, scopes)
    });
    ExportRequest::new(Signal::Logs, resources.collect())
}

pub(crate) fn group_metrics(request: ExportMetricsServiceRequest) -> ExportRequest {
    let resources = request.resource_metrics.into_iter().map(|group| {
        let scopes = group.scope_metrics.into_iter();
        let scopes = scopes.map(|scope| scope_group(scope.scope, scope.schema_url, &scope.metrics));
        resource_group(group.resource, group.schema_url, scopes)
    });
    ExportRequest::new(Signal::Metrics, resources.collect())
}
