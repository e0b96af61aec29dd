//! OTLP over HTTP, as protobuf or as JSON.
//!
//! Never follows a redirect: headers with keys would go to whoever it names.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use flowmeter_model::Clock;
use flowmeter_otlp::{ExportRequest, ExportResponse, Status};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::redirect::Policy;

use super::USER_AGENT;
use super::config::{OtlpCompression, OtlpDestination, OtlpProtocol};
use super::delivery::{Accepted, Failure, FailureKind, Payload, Transport, one_line, with_causes};
use super::retry::retry_after;
use super::tls::{TlsError, TlsFiles, install_ring};

/// No more of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Sends requests to one HTTP receiver; connections are kept.
pub(super) struct HttpTransport {
    client: reqwest::Client,
    destination: OtlpDestination,
    clock: Arc<dyn Clock>,
}

/// Why there is no HTTP transport.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpSetupError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    #[error("the file {} is no {role} in PEM", path.display())]
    Pem {
        path: std::path::PathBuf,
        role: &'static str,
        #[source]
        source: reqwest::Error,
    },
}

impl HttpTransport {
    pub(super) fn new(destination: OtlpDestination, clock: Arc<dyn Clock>) -> Result<Self, HttpSetupError> {
        let files = TlsFiles::read(&destination)?;
        install_ring();
        let pem = |path: &Option<std::path::PathBuf>, role, source| HttpSetupError::Pem {
            path: path.clone().unwrap_or_default(),
            role,
            source,
        };
        let mut client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(destination.timeout);
        if let Some(authorities) = &files.authorities {
            let authorities = reqwest::Certificate::from_pem_bundle(authorities)
                .map_err(|source| pem(&destination.certificate, "certificate", source))?;
            client = client.tls_certs_only(authorities);
        } else if !destination.endpoint.is_secure() {
            // Loading the system's certificates takes longer than many runs do.
            client = client.tls_certs_only([]);
        }
        if let Some(identity) = files.identity {
            let mut both = identity.certificate;
            both.push(b'\n');
            both.extend_from_slice(&identity.key);
            let identity = reqwest::Identity::from_pem(&both)
                .map_err(|source| pem(&destination.client_key, "client certificate with its key", source))?;
            client = client.identity(identity);
        }
        let client = client.build().map_err(HttpSetupError::Client)?;
        Ok(Self {
            client,
            destination,
            clock,
        })
    }

    /// The body in the encoding that the receiver takes.
    fn body(&self, payload: &Payload) -> Result<(Bytes, HeaderValue), Failure> {
        let (plain, content_type) = if self.destination.protocol == OtlpProtocol::HttpJson {
            let request = ExportRequest::from_protobuf(payload.signal, &payload.content)
                .map_err(|error| Failure::permanent(with_causes(&error)))?;
            (Bytes::from(request.to_json()), JSON)
        } else {
            (payload.content.clone(), PROTOBUF)
        };
        match self.destination.compression {
            OtlpCompression::None => Ok((plain, content_type)),
            OtlpCompression::Gzip => Ok((gzip(&plain), content_type)),
        }
    }

    async fn exchange(&self, payload: &Payload) -> Result<Accepted, Failure> {
        let (body, content_type) = self.body(payload)?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.destination.headers.iter() {
            headers.insert(name, value.clone());
        }
        headers.insert(CONTENT_TYPE, content_type);
        if self.destination.compression == OtlpCompression::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let request = self.client.post(self.destination.endpoint.url().clone());
        let mut response = request.headers(headers).body(body).send().await.map_err(failed)?;
        let status = response.status();
        let answer_type = response.headers().get(CONTENT_TYPE).cloned();
        let wait = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry_after(value, UNIX_EPOCH + self.since_epoch()));
        let location = response.headers().get(LOCATION).cloned();
        let mut answer = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = ANSWER_BYTES_MAX - answer.len();
                    answer.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        break;
                    }
                }
                Ok(None) => break,
                // What the status says holds, also where the rest of the answer is missing: sending it again
                // would only double what was taken.
                Err(_) => break,
            }
        }
        let is_json = answer_type
            .as_ref()
            .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        if status.is_success() {
            return Ok(accepted(payload, is_json, &answer));
        }
        let mut failure = refused(status, is_json, &answer);
        if let Some(location) = location.filter(|_| status.is_redirection()) {
            let location = one_line(&String::from_utf8_lossy(location.as_bytes()));
            failure
                .message
                .push_str(&format!("; it says to go to {location}: set that endpoint"));
        }
        failure.retry_after = wait;
        Err(failure)
    }

    fn since_epoch(&self) -> Duration {
        Duration::from_nanos(self.clock.now().0)
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, payload: &Payload) -> Result<Accepted, Failure> {
        self.exchange(payload).await
    }
}

fn gzip(plain: &[u8]) -> Bytes {
    // The fastest level: text shrinks well with it already, and the run goes on beside it.
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    let written = encoder.write_all(plain);
    debug_assert!(written.is_ok(), "memory takes what it is given");
    encoder.finish().map(Bytes::from).unwrap_or_default()
}

/// Why there is no answer. The address is left out: it may hold a key, and who reports it knows it.
fn failed(error: reqwest::Error) -> Failure {
    let retryable = !error.is_builder();
    let message = one_line(&with_causes(&error.without_url()));
    if retryable {
        Failure::retryable(message)
    } else {
        Failure::permanent(message)
    }
}

/// What stands in the answer of a receiver that took the request. An answer that cannot be read says nothing.
fn accepted(payload: &Payload, is_json: bool, answer: &[u8]) -> Accepted {
    let response = if is_json {
        ExportResponse::from_json(payload.signal, answer)
    } else {
        ExportResponse::from_protobuf(payload.signal, answer)
    };
    Accepted::from(response.unwrap_or_default())
}

/// What a receiver that did not take the request says.
/// Source: OTLP specification, OTLP/HTTP response, retryable response codes.
fn refused(status: StatusCode, is_json: bool, answer: &[u8]) -> Failure {
    let kind = match status.as_u16() {
        429 | 502 | 503 | 504 => FailureKind::Retryable,
        401 | 403 => FailureKind::Unauthorized,
        _ => FailureKind::Permanent,
    };
    let said = if is_json {
        Status::from_json(answer)
    } else {
        Status::from_protobuf(answer)
    };
    let said = said.map(|status| status.message).unwrap_or_default();
    let said = if said.trim().is_empty() {
        readable(answer).unwrap_or_default()
    } else {
        said
    };
    let said = one_line(&said);
    let message = if said.is_empty() {
        format!("the receiver answered {status}")
    } else {
        format!("the receiver answered {status}: {said}")
    };
    Failure::new(kind, message)
}

/// An answer that is a text.
fn readable(answer: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(answer).ok()?;
    let is_text = |character: char| !character.is_control() || character.is_whitespace();
    text.chars().all(is_text).then(|| text.to_owned())
}
