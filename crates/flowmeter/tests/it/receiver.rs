//! An OTLP receiver for tests: it remembers what came and answers as it was told, over HTTP or gRPC, with TLS or
//! without.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answers over HTTP.
    Http(u16, &'static [(&'static str, &'static str)], Vec<u8>),
    /// Answers over gRPC: code, message, details, and the content where the code is 0.
    Grpc(i32, &'static str, Vec<u8>, Vec<u8>),
    /// Never answers.
    Hang,
    /// Ends the connection without an answer.
    Close,
}

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The content, unpacked.
    pub(crate) content: Vec<u8>,
    /// Whether it was packed.
    pub(crate) was_packed: bool,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// How it talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talks {
    Http,
    Grpc,
}

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

/// A receiver that works while this lives.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _runtime: Runtime,
}

/// A file beside the tests.
pub(crate) fn pem(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls")).join(name)
}

/// A TLS server that shows its certificate and, if wanted, asks for one that the same authority has signed.
fn acceptor(talks: Talks, asks_for_certificate: bool) -> TlsAcceptor {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut authorities = RootCertStore::empty();
    authorities
        .add(CertificateDer::from_pem_file(pem("authority.pem")).unwrap())
        .unwrap();
    let builder = ServerConfig::builder_with_provider(ring.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if asks_for_certificate {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), ring);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_file(pem("receiver.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(pem("receiver.key.pem")).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    let protocol = if talks == Talks::Grpc { "h2" } else { "http/1.1" };
    config.alpn_protocols = vec![protocol.into()];
    TlsAcceptor::from(Arc::new(config))
}

impl Receiver {
    /// A receiver that gives these answers, and then takes everything.
    pub(crate) fn start(talks: Talks, replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::serve(talks, replies, None)
    }

    /// The same with TLS.
    pub(crate) fn start_with_tls(talks: Talks, asks_for_certificate: bool) -> Self {
        Self::serve(talks, [], Some(acceptor(talks, asks_for_certificate)))
    }

    fn serve(talks: Talks, replies: impl IntoIterator<Item = Reply>, tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            replies: Mutex::new(replies.into_iter().collect()),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, shared) = (tls.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    match tls {
                        None => converse(talks, stream, shared).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(talks, stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            state,
            _runtime: runtime,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    pub(crate) fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.replies.lock().extend(replies);
    }
}

async fn converse(
    talks: Talks,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    state: Arc<State>,
) {
    let service = service_fn(move |request| answer(talks, request, Arc::clone(&state)));
    let stream = TokioIo::new(stream);
    // How a connection ends is what some tests are about.
    match talks {
        Talks::Http => {
            let connection = hyper::server::conn::http1::Builder::new();
            drop(connection.serve_connection(stream, service).await);
        }
        Talks::Grpc => {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(connection.serve_connection(stream, service).await);
        }
    }
}

async fn answer(
    talks: Talks,
    request: Request<Incoming>,
    state: Arc<State>,
) -> Result<Response<Frames>, &'static str> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|_| "the request broke off")?
        .to_bytes();
    let (packed, content) = match talks {
        Talks::Http => (
            head.headers
                .get("content-encoding")
                .is_some_and(|value| value == "gzip"),
            &body[..],
        ),
        Talks::Grpc => (body[0] == 1, &body[5..]),
    };
    let content = if packed {
        let mut plain = Vec::new();
        GzDecoder::new(content).read_to_end(&mut plain).unwrap();
        plain
    } else {
        content.to_vec()
    };
    let reply = state.replies.lock().pop_front();
    state.seen.lock().push(Seen {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        content,
        was_packed: packed,
    });
    let all_is_well = match talks {
        Talks::Http => Reply::Http(200, &[("content-type", "application/x-protobuf")], Vec::new()),
        Talks::Grpc => Reply::Grpc(0, "", Vec::new(), Vec::new()),
    };
    match reply.unwrap_or(all_is_well) {
        Reply::Http(status, headers, content) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            Ok(response
                .body(Frames(VecDeque::from([Frame::data(content.into())])))
                .unwrap())
        }
        Reply::Grpc(code, message, details, content) => {
            let mut trailers = HeaderMap::new();
            let mut set = |name: &'static str, value: String| {
                trailers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_str(&value).unwrap(),
                );
            };
            set("grpc-status", code.to_string());
            if !message.is_empty() {
                set("grpc-message", message.to_owned());
            }
            if !details.is_empty() {
                use base64::Engine;
                set(
                    "grpc-status-details-bin",
                    base64::engine::general_purpose::STANDARD_NO_PAD.encode(details),
                );
            }
            let mut frames = VecDeque::new();
            if code == 0 {
                let mut message = vec![0];
                message.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
                message.extend(content);
                frames.push_back(Frame::data(message.into()));
            }
            frames.push_back(Frame::trailers(trailers));
            let response = Response::builder().header("content-type", "application/grpc");
            Ok(response.body(Frames(frames)).unwrap())
        }
        Reply::Hang => std::future::pending().await,
        Reply::Close => Err("told to close"),
    }
}

/// A body of these frames.
struct Frames(VecDeque<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}
