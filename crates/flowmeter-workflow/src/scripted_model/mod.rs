//! A model server that answers from a script: for tests, for the demo, and for trying workflows without a key.
//!
//! It listens on 127.0.0.1 only and speaks OpenAI's chat completions, Anthropic's messages, Gemini's generateContent
//! and Ollama's chat, whole and streamed. It never computes anything like a language model: what it answers was written down, or is a
//! plain function of the prompt.

mod anthropic;
mod demo;
mod gemini;
mod ollama;
mod openai;
mod reply;
mod script;
mod server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use demo::DemoModel;
pub use reply::Reply;
pub use script::{Asked, Script};

/// A request that the server has seen.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// The path, such as `/v1/chat/completions`.
    pub path: String,
    /// The headers, names in small letters, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body; null where it was no JSON.
    pub body: Value,
}

impl RecordedRequest {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(present, _)| present.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Tokens that the server has told its clients of, in answers that were sent whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageGiven {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
}

/// One answer that was sent whole, with the usage that the server told; counts are inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerGiven {
    /// The model that was asked for.
    pub model: String,
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Of the input: read from the cache.
    pub cache_read: u64,
    /// Of the input: written to the cache for five minutes.
    pub cache_write_5m: u64,
    /// Of the input: written to the cache for an hour.
    pub cache_write_1h: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Of the output: reasoning.
    pub reasoning: u64,
}

/// What the server and its handle share.
#[derive(Default)]
struct Seen {
    requests: Vec<RecordedRequest>,
    calls: usize,
    answers: Vec<AnswerGiven>,
}

/// A running server. It stops when this is dropped.
pub struct ScriptedModel {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl ScriptedModel {
    /// Starts a server on a free port. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let stop = CancellationToken::new();
        let serving = server::serve(
            listener,
            Arc::new(Mutex::new(script)),
            Arc::clone(&seen),
            stop.clone(),
        );
        Ok(Self {
            address,
            seen,
            stop,
            task: Some(tokio::spawn(serving)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The value for `OPENAI_BASE_URL`.
    #[must_use]
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The value for `ANTHROPIC_BASE_URL`.
    #[must_use]
    pub fn anthropic_base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The value for `GOOGLE_GEMINI_BASE_URL`.
    #[must_use]
    pub fn gemini_base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The value for `OLLAMA_HOST`.
    #[must_use]
    pub fn ollama_host(&self) -> String {
        self.address.to_string()
    }

    /// All requests for an answer so far, the refused ones included.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.seen.lock().requests.clone()
    }

    /// How many requests for an answer came.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.seen.lock().calls
    }

    /// The sum of the usage in all answers that were sent whole.
    #[must_use]
    pub fn usage_given(&self) -> UsageGiven {
        let seen = self.seen.lock();
        seen.answers
            .iter()
            .fold(UsageGiven::default(), |sum, answer| UsageGiven {
                input: sum.input + answer.input,
                output: sum.output + answer.output,
            })
    }

    /// The answers that were sent whole and told their usage, in the order in which they were made.
    #[must_use]
    pub fn answers(&self) -> Vec<AnswerGiven> {
        self.seen.lock().answers.clone()
    }

    /// Stops listening, lets go of open connections, and waits until that is done.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // It fails only when the server panicked, which its connections have shown already.
            drop(task.await);
        }
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests;
