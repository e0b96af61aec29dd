//! OTLP over gRPC: the content is sent as it is, in a codec that knows bytes only.
//!
//! Never names a message of the protocol: `flowmeter-otlp` makes and reads them.

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes};
use flowmeter_otlp::{ExportResponse, Status as RpcStatus};
use http::uri::PathAndQuery;
use thiserror::Error;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::USER_AGENT;
use super::config::{OtlpCompression, OtlpDestination};
use super::delivery::{Accepted, Failure, FailureKind, Payload, Transport, one_line, with_causes};
use super::tls::{TlsError, TlsFiles};

/// No larger answer is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Sends requests to one gRPC receiver over one connection, which is made when it is needed.
pub(super) struct GrpcTransport {
    channel: Channel,
    metadata: MetadataMap,
    compression: OtlpCompression,
    timeout: Duration,
}

/// Why there is no gRPC transport.
#[derive(Debug, Error)]
pub(super) enum GrpcSetupError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the gRPC client cannot be set up")]
    Channel(#[from] tonic::transport::Error),
    #[error("`{0}` is no name of gRPC metadata")]
    Metadata(String),
}

impl GrpcTransport {
    /// Call it inside a runtime.
    pub(super) fn new(destination: &OtlpDestination) -> Result<Self, GrpcSetupError> {
        let files = TlsFiles::read(destination)?;
        let mut endpoint = Endpoint::from_shared(destination.endpoint.url().to_string())?
            .user_agent(USER_AGENT)?
            .tcp_nodelay(true)
            .connect_timeout(destination.timeout);
        if destination.endpoint.is_secure() {
            let mut tls = ClientTlsConfig::new();
            tls = match files.authorities {
                Some(authorities) => tls.ca_certificate(Certificate::from_pem(authorities)),
                None => tls.with_native_roots(),
            };
            if let Some(identity) = files.identity {
                tls = tls.identity(Identity::from_pem(identity.certificate, identity.key));
            }
            endpoint = endpoint.tls_config(tls)?;
        }
        let mut metadata = MetadataMap::new();
        for (name, value) in destination.headers.iter() {
            let name = name.as_str();
            let key = MetadataKey::from_bytes(name.as_bytes())
                .map_err(|_| GrpcSetupError::Metadata(name.to_owned()))?;
            let mut value = MetadataValue::try_from(value.as_bytes())
                .map_err(|_| GrpcSetupError::Metadata(name.to_owned()))?;
            value.set_sensitive(true);
            metadata.insert(key, value);
        }
        Ok(Self {
            channel: endpoint.connect_lazy(),
            metadata,
            compression: destination.compression,
            timeout: destination.timeout,
        })
    }
}

#[async_trait]
impl Transport for GrpcTransport {
    async fn send(&self, payload: &Payload) -> Result<Accepted, Failure> {
        let mut client = tonic::client::Grpc::new(self.channel.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(ANSWER_BYTES_MAX);
        if self.compression == OtlpCompression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client
            .ready()
            .await
            .map_err(|error| Failure::retryable(one_line(&with_causes(&error))))?;
        let mut request = Request::new(payload.content.clone());
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.timeout);
        let path = PathAndQuery::from_static(payload.signal.grpc_path());
        let response = client.unary(request, path, BytesCodec).await;
        let answer = response.map_err(|status| refused(&status))?.into_inner();
        let response = ExportResponse::from_protobuf(payload.signal, &answer);
        Ok(Accepted::from(response.unwrap_or_default()))
    }
}

/// What a call that did not go well means. Source: OTLP specification, OTLP/gRPC response and throttling.
fn refused(status: &Status) -> Failure {
    let retry_after = RpcStatus::from_protobuf(status.details())
        .ok()
        .and_then(|details| details.retry_delay);
    let kind = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => FailureKind::Retryable,
        Code::ResourceExhausted if retry_after.is_some() => FailureKind::Retryable,
        // The client's own word for a connection that broke off, which no receiver said.
        Code::Unknown | Code::Internal if broke_off(status) => FailureKind::Retryable,
        Code::Unauthenticated | Code::PermissionDenied => FailureKind::Unauthorized,
        _ => FailureKind::Permanent,
    };
    let mut said = one_line(status.message());
    if let Some(source) = std::error::Error::source(status) {
        let cause = one_line(&with_causes(source));
        if !cause.is_empty() && !said.contains(&cause) {
            said = if said.is_empty() {
                cause
            } else {
                format!("{said}: {cause}")
            };
        }
    }
    let code = code_name(status.code());
    let message = if said.is_empty() {
        format!("the receiver answered {code}")
    } else {
        format!("the receiver answered {code}: {said}")
    };
    Failure {
        kind,
        message,
        retry_after,
    }
}

/// Whether a call failed because its connection did.
fn broke_off(status: &Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::transport::Error>() || error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The name as the specification has it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Messages are bytes already.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.len());
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
