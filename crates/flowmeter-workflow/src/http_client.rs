//! The HTTP client that `http` nodes and chat models share, made when the first of them needs it.
//!
//! TLS is rustls with ring. Never makes a client for a run that sends nothing: loading the system's
//! certificates takes longer than many workflows do.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use thiserror::Error;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Clone, Debug, Error)]
#[error("the HTTP client cannot be set up: {0}")]
pub struct HttpClientError(String);

/// A lazily made client. Clones share it, its connections included.
#[derive(Clone, Debug, Default)]
pub struct HttpClient {
    client: Arc<OnceLock<Result<reqwest::Client, HttpClientError>>>,
}

impl HttpClient {
    /// Nothing is set up yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The client, made on the first call.
    ///
    /// # Errors
    /// [`HttpClientError`] when TLS cannot be set up.
    pub fn get(&self) -> Result<&reqwest::Client, HttpClientError> {
        self.client.get_or_init(build).as_ref().map_err(Clone::clone)
    }
}

fn build() -> Result<reqwest::Client, HttpClientError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails only when somebody else installed one in the meantime, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("flowmeter/", env!("CARGO_PKG_VERSION")))
        .tcp_nodelay(true)
        .build()
        .map_err(|error| HttpClientError(error.to_string()))
}
