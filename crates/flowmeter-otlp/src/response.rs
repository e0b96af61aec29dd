//! What receivers answer: export responses with their partial success, and `google.rpc.Status` for errors.
//!
//! Never decides whether to retry: the transport does, from what is read here.

use std::time::Duration;

use prost::Message;

use crate::json;
use crate::proto::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse, ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse, ExportTracePartialSuccess, ExportTraceServiceResponse, decode_message,
};
use crate::request::{InvalidOtlp, Signal};

/// How much of a request was refused. Nothing, by default: the request was taken as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Spans, log records or data points that were refused. They must not be sent again.
    pub rejected: i64,
    /// Why; or, where nothing was refused, a warning.
    pub message: String,
}

impl PartialSuccess {
    /// Whether all was taken and there is nothing to say.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.rejected == 0 && self.message.is_empty()
    }
}

/// Reads and writes the answers to export requests.
#[derive(Clone, Copy, Debug)]
pub struct ExportResponse;

impl ExportResponse {
    /// Reads an answer in protobuf. An empty body says that all was taken.
    ///
    /// # Errors
    /// [`InvalidOtlp::Protobuf`] for anything but such an answer.
    pub fn from_protobuf(signal: Signal, bytes: &[u8]) -> Result<PartialSuccess, InvalidOtlp> {
        let (rejected, message) = match signal {
            Signal::Traces => {
                let partial = decode_message::<ExportTraceServiceResponse>(bytes)?.partial_success;
                let partial = partial.unwrap_or_default();
                (partial.rejected_spans, partial.error_message)
            }
            Signal::Logs => {
                let partial = decode_message::<ExportLogsServiceResponse>(bytes)?.partial_success;
                let partial = partial.unwrap_or_default();
                (partial.rejected_log_records, partial.error_message)
            }
            Signal::Metrics => {
                let partial = decode_message::<ExportMetricsServiceResponse>(bytes)?.partial_success;
                let partial = partial.unwrap_or_default();
                (partial.rejected_data_points, partial.error_message)
            }
        };
        Ok(PartialSuccess { rejected, message })
    }

    /// Reads an answer in JSON. An empty body says that all was taken.
    ///
    /// # Errors
    /// [`InvalidOtlp::Json`] or [`InvalidOtlp::Shape`] for anything but such an answer.
    pub fn from_json(signal: Signal, text: &[u8]) -> Result<PartialSuccess, InvalidOtlp> {
        if text.trim_ascii().is_empty() {
            return Ok(PartialSuccess::default());
        }
        let (rejected, message) = json::read_partial_success(signal, text)?;
        Ok(PartialSuccess { rejected, message })
    }

    /// The answer in protobuf; empty when all was taken.
    #[must_use]
    pub fn to_protobuf(signal: Signal, partial: &PartialSuccess) -> Vec<u8> {
        if partial.is_complete() {
            return Vec::new();
        }
        let (rejected, error_message) = (partial.rejected, partial.message.clone());
        match signal {
            Signal::Traces => ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: rejected,
                    error_message,
                }),
            }
            .encode_to_vec(),
            Signal::Logs => ExportLogsServiceResponse {
                partial_success: Some(ExportLogsPartialSuccess {
                    rejected_log_records: rejected,
                    error_message,
                }),
            }
            .encode_to_vec(),
            Signal::Metrics => ExportMetricsServiceResponse {
                partial_success: Some(ExportMetricsPartialSuccess {
                    rejected_data_points: rejected,
                    error_message,
                }),
            }
            .encode_to_vec(),
        }
    }

    /// The answer in JSON; `{}` when all was taken.
    #[must_use]
    pub fn to_json(signal: Signal, partial: &PartialSuccess) -> Vec<u8> {
        json::write_partial_success(signal, partial)
    }
}

/// A `google.rpc.Status`: what an error's body, or gRPC's `grpc-status-details-bin`, holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// A gRPC status code.
    pub code: i32,
    /// What happened.
    pub message: String,
    /// How long to wait, from a `RetryInfo` among the details. `RESOURCE_EXHAUSTED` may be retried only with it.
    pub retry_delay: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<RpcAny>,
}

#[derive(Clone, PartialEq, Message)]
struct RpcAny {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct RpcRetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<RpcDuration>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct RpcDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

const RETRY_INFO: &str = "google.rpc.RetryInfo";

impl Status {
    /// Reads a status in protobuf.
    ///
    /// # Errors
    /// [`InvalidOtlp::Protobuf`] for anything else.
    pub fn from_protobuf(bytes: &[u8]) -> Result<Self, InvalidOtlp> {
        let status: RpcStatus = decode_message(bytes)?;
        let retry = status
            .details
            .iter()
            .filter(|detail| detail.type_url.ends_with(RETRY_INFO));
        let retry_delay = retry.filter_map(|detail| {
            let info: RpcRetryInfo = decode_message(&detail.value).ok()?;
            let delay = info.retry_delay.unwrap_or_default();
            // A negative delay is no delay.
            let seconds = u64::try_from(delay.seconds).unwrap_or(0);
            let nanos = u32::try_from(delay.nanos).unwrap_or(0);
            Some(Duration::new(seconds, nanos.min(999_999_999)))
        });
        Ok(Self {
            retry_delay: retry_delay.into_iter().next(),
            code: status.code,
            message: status.message,
        })
    }

    /// Reads a status in JSON.
    ///
    /// # Errors
    /// [`InvalidOtlp::Json`] or [`InvalidOtlp::Shape`] for anything else.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidOtlp> {
        let (code, message, delay) = json::read_status(text)?;
        let retry_delay = delay.and_then(|delay| {
            let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
            Duration::try_from_secs_f64(seconds.max(0.0)).ok()
        });
        Ok(Self {
            code,
            message,
            retry_delay,
        })
    }

    /// The status in protobuf.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let details = self.retry_delay.map(|delay| RpcAny {
            type_url: format!("type.googleapis.com/{RETRY_INFO}"),
            value: RpcRetryInfo {
                retry_delay: Some(RpcDuration {
                    seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                    nanos: delay.subsec_nanos().cast_signed(),
                }),
            }
            .encode_to_vec(),
        });
        RpcStatus {
            code: self.code,
            message: self.message.clone(),
            details: details.into_iter().collect(),
        }
        .encode_to_vec()
    }

    /// The status in JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        json::write_status(self, RETRY_INFO)
    }
}

#[cfg(test)]
mod tests;
