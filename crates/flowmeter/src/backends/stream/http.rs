//! A server that lines are posted to, many at a time, as newline-delimited JSON.
//!
//! What the server cannot take now waits; what it refuses for good is left out and counted.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use tokio::runtime::{Builder, Runtime};

use super::waiting::WaitingLines;
use super::{Receiver, SendError, SendingTime};
use crate::backends::ExportError;

/// Lines of one request, in bytes.
const REQUEST_BYTES_MAX: usize = 512 * 1024;
/// How much of a refusal is told.
const ANSWER_CHARS_MAX: usize = 200;

/// A way to a server.
pub(super) struct HttpStream {
    url: Url,
    client: Client,
    runtime: Runtime,
}

impl HttpStream {
    pub(super) fn new(url: Url) -> Result<Self, ExportError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // It fails only when somebody else installed one in the meantime, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let mut client = Client::builder()
            .user_agent(concat!("flowmeter/", env!("CARGO_PKG_VERSION")))
            .tcp_nodelay(true);
        if url.scheme() == "http" {
            // Loading the system's certificates takes longer than many runs do.
            client = client.tls_certs_only([]);
        }
        let set_up = |what: &str| format!("the stream cannot be set up: {what}");
        let client = client
            .build()
            .map_err(|error| ExportError::new(set_up("no HTTP client")).with_source(error))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ExportError::new(set_up("no runtime")).with_source(error))?;
        Ok(Self { url, client, runtime })
    }

    async fn post(&self, lines: Vec<u8>) -> Result<(), Refusal> {
        let request = self.client.post(self.url.clone());
        let request = request.header(CONTENT_TYPE, "application/x-ndjson").body(lines);
        let response = request.send().await.map_err(|error| Refusal {
            message: with_causes(&error.without_url()),
            is_final: false,
            pause: None,
        })?;
        let status = response.status();
        if status.is_success() {
            // The answer is read so that the connection can be used again; what it says is of no interest.
            drop(response.bytes().await);
            return Ok(());
        }
        let pause = response.headers().get(RETRY_AFTER).and_then(|value| {
            let seconds: u64 = value.to_str().ok()?.trim().parse().ok()?;
            Some(Duration::from_secs(seconds))
        });
        let may_pass = status.is_server_error()
            || matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            );
        let answer = response.text().await.unwrap_or_default();
        let answer = crate::formats::wording::printable(answer.trim()).replace(['\n', '\t'], " ");
        let answer: String = answer.chars().take(ANSWER_CHARS_MAX).collect();
        let answer = if answer.is_empty() {
            answer
        } else {
            format!(": {answer}")
        };
        Err(Refusal {
            message: format!("it answered {status}{answer}"),
            is_final: !may_pass,
            pause,
        })
    }
}

/// Why a server did not take lines.
struct Refusal {
    message: String,
    /// Whether it would not take them another time either.
    is_final: bool,
    pause: Option<Duration>,
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text.push_str(&format!(": {message}"));
        }
        cause = error.source();
    }
    text
}

impl Receiver for HttpStream {
    fn send(&mut self, waiting: &mut WaitingLines, time: &SendingTime<'_>) -> Result<(), SendError> {
        let lines = waiting.some_lines(REQUEST_BYTES_MAX).to_vec();
        let count = lines.len();
        let outcome = self.runtime.block_on(async {
            tokio::select! {
                outcome = self.post(lines) => outcome,
                () = tokio::time::sleep(time.allowed()) => Err(Refusal::late()),
                // The run may end, and leave less time, while an answer is waited for.
                () = time.deadline.near(Duration::ZERO) => Err(Refusal::late()),
            }
        });
        match outcome {
            Ok(()) => {
                waiting.arrived(count);
                Ok(())
            }
            Err(refusal) => {
                if refusal.is_final {
                    waiting.refuse(count);
                }
                Err(SendError {
                    message: refusal.message,
                    pause: refusal.pause,
                })
            }
        }
    }
}

impl Refusal {
    fn late() -> Self {
        Self {
            message: "no answer came in time".to_owned(),
            is_final: false,
            pause: None,
        }
    }
}
