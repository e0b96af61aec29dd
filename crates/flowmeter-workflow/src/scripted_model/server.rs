//! The HTTP side of the scripted model: connections, paths, streams that break off.
//!
//! Never listens anywhere but where it was bound, and holds no connection longer than its handle lives.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::reply::{Counts, Reply, ReplyKind, StatusBody, TextReply};
use super::script::{Asked, Script};
use super::{AnswerGiven, RecordedRequest, Seen, anthropic, gemini, ollama, openai};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    OpenAi,
    Anthropic,
    Ollama,
    Gemini,
}

impl Protocol {
    fn of(path: &str) -> Option<Self> {
        match path.trim_end_matches('/') {
            "/v1/chat/completions" | "/chat/completions" => Some(Self::OpenAi),
            "/v1/messages" => Some(Self::Anthropic),
            "/api/chat" => Some(Self::Ollama),
            path => gemini::place(path).map(|_| Self::Gemini),
        }
    }

    fn asked(self, number: usize, path: &str, body: Value) -> Asked {
        match self {
            Self::OpenAi => openai::asked(number, body),
            Self::Anthropic => anthropic::asked(number, body),
            Self::Ollama => ollama::asked(number, body),
            Self::Gemini => gemini::asked(number, path, body),
        }
    }

    fn streams(self, path: &str, body: &Value) -> bool {
        if self == Self::Gemini {
            return gemini::place(path).is_some_and(|(_, streams)| streams);
        }
        body.get("stream")
            .and_then(Value::as_bool)
            .unwrap_or(self == Self::Ollama)
    }

    fn whole(self, asked: &Asked, reply: &TextReply, counts: &Counts) -> Value {
        match self {
            Self::OpenAi => openai::whole(asked, reply, counts),
            Self::Anthropic => anthropic::whole(asked, reply, counts),
            Self::Ollama => ollama::whole(asked, reply, counts),
            Self::Gemini => gemini::whole(asked, reply, counts),
        }
    }

    fn frames(self, asked: &Asked, reply: &TextReply, counts: &Counts) -> Vec<String> {
        match self {
            Self::OpenAi => openai::frames(asked, reply, counts),
            Self::Anthropic => anthropic::frames(asked, reply, counts),
            Self::Ollama => ollama::frames(asked, reply, counts),
            Self::Gemini => gemini::frames(asked, reply, counts),
        }
    }

    fn error(self, code: u16, message: &str) -> Value {
        match self {
            Self::OpenAi => openai::error(code, message),
            Self::Anthropic => anthropic::error(code, message),
            Self::Ollama => ollama::error(code, message),
            Self::Gemini => gemini::error(code, message),
        }
    }

    /// Frames of a stream that stand before those with text.
    fn frames_before_text(self) -> usize {
        if self == Self::Anthropic { 3 } else { 0 }
    }

    fn stream_type(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Anthropic | Self::Gemini => "text/event-stream",
            Self::Ollama => "application/x-ndjson",
        }
    }
}

/// Serves until `stop`; connections that are open then are let go.
pub(super) async fn serve(
    listener: TcpListener,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // A connection that fails while it comes about concerns only its client.
        let Ok((connection, _)) = accepted else { continue };
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                async move { Ok::<_, Infallible>(respond(request, &script, &seen).await) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service);
            // Broken connections are part of the script.
            drop(served.await);
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    script: &Mutex<Script>,
    seen: &Arc<Mutex<Seen>>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET && matches!(path.as_str(), "/v1/models" | "/models") {
        return plain(200, "application/json", openai::models().to_string());
    }
    let Some(protocol) = Protocol::of(&path).filter(|_| request.method() == Method::POST) else {
        let message = format!("the scripted model knows no {} {path}", request.method());
        return plain(
            404,
            "application/json",
            json!({"error": {"message": message}}).to_string(),
        );
    };
    let headers = request.headers().iter();
    let headers = headers
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let Ok(body) = request.into_body().collect().await else {
        return plain(400, "text/plain", "the body broke off".to_owned());
    };
    let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let number = {
        let mut seen = seen.lock();
        seen.calls += 1;
        seen.requests.push(RecordedRequest {
            path: path.clone(),
            headers,
            body: body.clone(),
        });
        seen.calls
    };
    let streams = protocol.streams(&path, &body);
    let asked = protocol.asked(number, &path, body);
    let reply = script.lock().answer(&asked);
    let Reply { kind, delay, pace } = reply;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match kind {
        ReplyKind::Hang => std::future::pending().await,
        ReplyKind::Garbage { content_type, body } => plain(200, &content_type, body),
        ReplyKind::Status { code, body } => {
            let body = match body {
                StatusBody::Message(message) => protocol.error(code, &message).to_string(),
                StatusBody::Whole(body) => body,
            };
            plain(code, "application/json", body)
        }
        ReplyKind::Text(text) => {
            let counts = text.counts(asked.input_bytes());
            let endless = text.endless && streams;
            if text.cut_after.is_none() && text.with_usage && !endless {
                seen.lock().answers.push(AnswerGiven {
                    model: asked.model.clone(),
                    input: counts.input,
                    cache_read: counts.cache_read,
                    cache_write_5m: counts.cache_write_5m,
                    cache_write_1h: counts.cache_write_1h,
                    output: counts.output,
                    reasoning: counts.reasoning,
                });
            }
            if streams {
                if endless {
                    // The last piece of an answer may say that it is the last.
                    let (before, pieces) = (protocol.frames_before_text(), text.pieces().len());
                    let twice = text.twice();
                    let frames = protocol.frames(&asked, &twice, &counts);
                    let again = frames[before..before + pieces].to_vec();
                    let frames = frames.into_iter().take(before).chain(again.into_iter().cycle());
                    return streamed(protocol.stream_type(), frames.map(Some), pace);
                }
                let frames = protocol.frames(&asked, &text, &counts);
                return streamed(protocol.stream_type(), kept(protocol, frames, &text), pace);
            }
            let body = protocol.whole(&asked, &text, &counts).to_string();
            if text.cut_after.is_some() {
                let half = body.chars().take(body.chars().count() / 2).collect();
                return streamed("application/json", [Some(half), None], pace);
            }
            plain(200, "application/json", body)
        }
    }
}

/// The frames up to the one at which the stream breaks off, which is `None`.
fn kept(protocol: Protocol, frames: Vec<String>, reply: &TextReply) -> Vec<Option<String>> {
    let Some(pieces) = reply.cut_after else {
        return frames.into_iter().map(Some).collect();
    };
    let kept = frames
        .into_iter()
        .take(protocol.frames_before_text() + pieces)
        .map(Some);
    kept.chain([None]).collect()
}

fn plain(code: u16, content_type: &str, body: String) -> Response<Body> {
    let body = Full::new(Bytes::from(body))
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    response(code, content_type, body)
}

fn streamed<F>(content_type: &str, frames: F, pace: Duration) -> Response<Body>
where
    F: IntoIterator<Item = Option<String>>,
    F::IntoIter: Send + 'static,
{
    let frames = stream::unfold(
        (frames.into_iter(), true),
        move |(mut frames, first)| async move {
            let frame = frames.next()?;
            if !first && !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            let sent = match frame {
                Some(text) => Ok(Frame::data(Bytes::from(text))),
                None => {
                    // What was sent before must have left, or the client sees nothing of it.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the script breaks off here",
                    ))
                }
            };
            Some((sent, (frames, false)))
        },
    );
    response(200, content_type, StreamBody::new(frames).boxed_unsync())
}

fn response(code: u16, content_type: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(content_type) = content_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}
