//! What an OTLP backend is told: where each signal goes, how it is packed, how hard it is tried.
//!
//! Plain values with documented defaults. Never reads the environment (`environment` does, through a lookup) and
//! never shows a header's value.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use flowmeter_model::Attributes;
use flowmeter_otlp::{EncoderConfig, Signal, Temporality};
use reqwest::Url;
use thiserror::Error;

use super::headers::OtlpHeaders;
use super::presets::Dialect;
use super::retry::OtlpRetryPolicy;
use super::spool::Spool;

/// The signal of this name.
pub(super) fn signal_named(name: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| signal.as_str() == name)
}

/// What a signal consists of, for messages.
pub(super) fn items_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Logs => "log records",
        Signal::Metrics => "metrics",
    }
}

/// How a request travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OtlpProtocol {
    /// Protobuf in HTTP requests. The default of the specification.
    #[default]
    HttpProtobuf,
    /// JSON in HTTP requests.
    HttpJson,
    /// gRPC.
    Grpc,
}

impl OtlpProtocol {
    pub(super) const ALL: [Self; 3] = [Self::HttpProtobuf, Self::HttpJson, Self::Grpc];

    /// The name, as OTEL_EXPORTER_OTLP_PROTOCOL has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
            Self::Grpc => "grpc",
        }
    }

    /// The protocol of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text)
    }

    /// Where a receiver listens if nobody says otherwise.
    #[must_use]
    pub fn default_endpoint(self) -> &'static str {
        match self {
            Self::HttpProtobuf | Self::HttpJson => "http://localhost:4318",
            Self::Grpc => "http://localhost:4317",
        }
    }
}

/// How a request's content is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OtlpCompression {
    /// Not at all. The default.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// Where a receiver is: `http` or `https`, a host, a port, and for HTTP a path.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OtlpEndpoint(Url);

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}; an address such as `{example}` is wanted")]
pub struct InvalidOtlpEndpoint {
    problem: String,
    example: &'static str,
}

impl OtlpEndpoint {
    /// Reads an address.
    ///
    /// For gRPC it may be without scheme, such as `localhost:4317`; `insecure` then says whether it is without
    /// TLS, and a path is of no account.
    ///
    /// # Errors
    /// [`InvalidOtlpEndpoint`] for anything that is no address with `http` or `https`.
    pub fn parse(text: &str, protocol: OtlpProtocol, insecure: bool) -> Result<Self, InvalidOtlpEndpoint> {
        let invalid = |problem: String| InvalidOtlpEndpoint {
            problem,
            example: protocol.default_endpoint(),
        };
        let text = text.trim();
        let with_scheme = match (text.contains("://"), protocol) {
            (true, _) => text.to_owned(),
            (false, OtlpProtocol::Grpc) if insecure => format!("http://{text}"),
            (false, OtlpProtocol::Grpc) => format!("https://{text}"),
            (false, _) => return Err(invalid("it does not begin with http:// or https://".to_owned())),
        };
        let mut url = Url::parse(&with_scheme).map_err(|error| invalid(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("`{}` is no scheme of OTLP", url.scheme())));
        }
        if !url.has_host() {
            return Err(invalid("it names no host".to_owned()));
        }
        url.set_fragment(None);
        if protocol == OtlpProtocol::Grpc {
            url.set_path("");
            url.set_query(None);
        }
        Ok(Self(url))
    }

    /// This base with the path of a signal appended, where the protocol has paths.
    #[must_use]
    pub fn for_signal(&self, signal: Signal, protocol: OtlpProtocol) -> Self {
        let mut url = self.0.clone();
        if protocol != OtlpProtocol::Grpc {
            let base = url.path().trim_end_matches('/');
            let path = format!("{base}/v1/{}", signal.as_str());
            url.set_path(&path);
        }
        Self(url)
    }

    /// The base, where this is the address of one signal: many copy that one.
    fn without_signal(&self) -> Self {
        let mut url = self.0.clone();
        let path = url.path().trim_end_matches('/');
        let base = Signal::ALL
            .iter()
            .find_map(|signal| path.strip_suffix(&format!("/v1/{}", signal.as_str())));
        if let Some(base) = base.map(str::to_owned) {
            url.set_path(&base);
        }
        Self(url)
    }

    /// The same host where it takes gRPC, if this is where it takes HTTP.
    fn on_grpc_port(&self, ports: Ports) -> Self {
        let mut url = self.0.clone();
        if url.port() == Some(ports.http) {
            // This fails only for addresses without host, of which there are none here.
            let _has_host = url.set_port(Some(ports.grpc));
        }
        Self(url)
    }

    /// The address itself, with whatever secrets stand in it.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The address without what may be secret: user, password and query. By it a destination is known again.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        // These fail only for addresses without host, of which there are none here.
        let _has_host = url.set_username("").and_then(|()| url.set_password(None));
        url.to_string()
    }
}

impl fmt::Debug for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

/// Where one signal goes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpDestination {
    /// The complete address.
    pub endpoint: OtlpEndpoint,
    /// Default: http/protobuf.
    pub protocol: OtlpProtocol,
    /// Default: none beyond those of the protocol.
    pub headers: OtlpHeaders,
    /// How long one attempt may take. Default: 10 s.
    pub timeout: Duration,
    /// Default: none.
    pub compression: OtlpCompression,
    /// A file of the certificates (PEM) that the receiver's is checked against, in place of the system's.
    pub certificate: Option<PathBuf>,
    /// A file of the certificate chain (PEM) that is shown to the receiver.
    pub client_certificate: Option<PathBuf>,
    /// A file of that certificate's private key (PEM).
    pub client_key: Option<PathBuf>,
}

/// How long one attempt may take if nobody says otherwise. Source: OTLP exporter specification.
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl OtlpDestination {
    /// A destination with defaults for everything else.
    #[must_use]
    pub fn new(endpoint: OtlpEndpoint, protocol: OtlpProtocol) -> Self {
        Self {
            endpoint,
            protocol,
            headers: OtlpHeaders::default(),
            timeout: DEFAULT_TIMEOUT,
            compression: OtlpCompression::default(),
            certificate: None,
            client_certificate: None,
            client_key: None,
        }
    }
}

/// Where a receiver takes what, if not all on one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) grpc: u16,
}

/// An OTLP backend's settings.
#[derive(Clone, Debug)]
pub struct OtlpConfig {
    /// What it is called in messages and in the spool: `otlp`, or the name of a preset.
    pub name: String,
    /// Where spans go; `None`: nowhere. Default: `http://localhost:4318/v1/traces`.
    pub traces: Option<OtlpDestination>,
    /// Where metrics go. Default: `http://localhost:4318/v1/metrics`.
    pub metrics: Option<OtlpDestination>,
    /// Where log records go. Default: `http://localhost:4318/v1/logs`.
    pub logs: Option<OtlpDestination>,
    /// What is set in the resource of each run, in place of what is there. Default: nothing.
    pub resource: Attributes,
    /// What spans, logs and metrics are written with. Default: the newest names, no content.
    pub encoder: EncoderConfig,
    /// Since when the numbers of metrics count. A run reports once, at its end, so that they are the same either
    /// way; receivers differ in which they take. Default: cumulative.
    pub temporality: Temporality,
    /// Attributes of the vendor's own for each span.
    pub(super) dialect: Dialect,
    /// The ports of a receiver that takes HTTP on one and gRPC on another, where they are known.
    pub(super) ports: Option<Ports>,
    /// So many spans or log records go into one request. Default: 512.
    /// Source: OpenTelemetry SDK specification, batch span processor.
    pub batch_items_max: usize,
    /// So long the first of them waits for others. Default: 1 s.
    /// Source: OpenTelemetry SDK specification, batch log record processor.
    pub batch_delay: Duration,
    /// So large a request may become before it is split. Default: 4 MB, just below what gRPC receivers take.
    pub request_bytes_max: usize,
    /// So much may wait to be sent, all signals together; the rest goes to the spool. Default: 16 MiB.
    pub queue_bytes_max: usize,
    /// How often and when a request is tried again.
    pub retry: OtlpRetryPolicy,
    /// Where requests are kept that could not be sent before the end. Default: nowhere, they are dropped.
    pub spool: Option<Spool>,
    /// What looked wrong where the settings come from, for whoever tells the user.
    pub warnings: Vec<String>,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        let protocol = OtlpProtocol::default();
        // The constant is an address; the tests would notice if it were none.
        let base = OtlpEndpoint::parse(protocol.default_endpoint(), protocol, false).ok();
        let destination = |signal| {
            let endpoint = base.as_ref()?.for_signal(signal, protocol);
            Some(OtlpDestination::new(endpoint, protocol))
        };
        Self {
            name: "otlp".to_owned(),
            traces: destination(Signal::Traces),
            metrics: destination(Signal::Metrics),
            logs: destination(Signal::Logs),
            resource: Attributes::new(),
            encoder: EncoderConfig::default(),
            temporality: Temporality::default(),
            dialect: Dialect::default(),
            ports: None,
            batch_items_max: 512,
            batch_delay: Duration::from_secs(1),
            request_bytes_max: 4_000_000,
            queue_bytes_max: 16 << 20,
            retry: OtlpRetryPolicy::default(),
            spool: None,
            warnings: Vec::new(),
        }
    }
}

impl OtlpConfig {
    /// Where a signal goes.
    #[must_use]
    pub fn destination(&self, signal: Signal) -> Option<&OtlpDestination> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Logs => self.logs.as_ref(),
        }
    }

    pub(super) fn destination_mut(&mut self, signal: Signal) -> &mut Option<OtlpDestination> {
        match signal {
            Signal::Traces => &mut self.traces,
            Signal::Metrics => &mut self.metrics,
            Signal::Logs => &mut self.logs,
        }
    }

    /// Sends all signals that go anywhere to the receiver at `base` in place of where they went.
    ///
    /// The address of one signal is taken as well, and so is the address of the receiver's pages where that is
    /// known to take HTTP only: gRPC then goes to its own port.
    ///
    /// # Errors
    /// [`InvalidOtlpEndpoint`] when it is no address.
    pub fn with_endpoint(mut self, base: &str) -> Result<Self, InvalidOtlpEndpoint> {
        let ports = self.ports;
        for signal in Signal::ALL {
            if let Some(destination) = self.destination_mut(signal) {
                let protocol = destination.protocol;
                let base = OtlpEndpoint::parse(base, protocol, false)?.without_signal();
                let base = match ports {
                    Some(ports) if protocol == OtlpProtocol::Grpc => base.on_grpc_port(ports),
                    _ => base,
                };
                destination.endpoint = base.for_signal(signal, protocol);
            }
        }
        Ok(self)
    }

    /// Keeps what could not be sent in this spool.
    #[must_use]
    pub fn with_spool(mut self, spool: Spool) -> Self {
        self.spool = Some(spool);
        self
    }
}
