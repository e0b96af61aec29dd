//! The `http` type: one HTTP request.
//!
//! Never shows a token or a query in a message or a log line.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowmeter_engine::{NodeContext, NodeError, RetryPolicy};
use flowmeter_model::LogLevel;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value};

use super::carriers::{self, PROPAGATE_BAGGAGE, PROPAGATE_TO_SERVER};
use super::leaf::{self, Leaf, Outputs};
use super::params::{Params, text_of};
use super::{ERROR, ERROR_TYPE, NodeType, ValueType, defaulting, optional, output, required};
use crate::chat::{provider_message, root_cause, status_is_passing};
use crate::http_client::HttpClient;
use flowmeter::current;

pub(super) const TYPE: NodeType = NodeType {
    name: "http",
    summary: "Sends an HTTP request.",
    params: &[
        required("url", ValueType::String, "the address, with http:// or https://"),
        optional(
            "method",
            ValueType::String,
            "GET where there is no body, else POST",
        ),
        optional("headers", ValueType::Object, "headers of the request"),
        optional(
            "params",
            ValueType::Object,
            "the query; a list repeats its name, null is left out",
        ),
        optional(
            "body",
            ValueType::Any,
            "an object or list is sent as JSON, anything else as text",
        ),
        optional(
            "auth_token",
            ValueType::String,
            "sent as `Authorization: Bearer …`",
        ),
        optional(
            "api_key",
            ValueType::String,
            "sent in the header that `api_key_header` names",
        ),
        defaulting(
            "api_key_header",
            ValueType::String,
            "X-API-Key",
            "the header for `api_key`",
        ),
        defaulting(
            "timeout",
            ValueType::Number,
            "30",
            "the longest it may take, in seconds",
        ),
        PROPAGATE_TO_SERVER,
        PROPAGATE_BAGGAGE,
    ],
    free_params: false,
    outputs: &[
        output(
            "response",
            ValueType::Any,
            "JSON parsed where it says that it is JSON, else text, else base64",
        ),
        output(
            "response_is_binary",
            ValueType::Boolean,
            "whether `response` is base64",
        ),
        output("status_code", ValueType::Integer, "the HTTP status"),
        output(
            "response_headers",
            ValueType::Object,
            "the headers of the answer, names in small letters",
        ),
        output(
            "response_time",
            ValueType::Number,
            "seconds from sending to the last byte",
        ),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: RetryPolicy::once,
    make: |setting| {
        leaf::node(
            Http {
                client: setting.services.http.clone(),
            },
            setting,
        )
    },
};

/// How long a request may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer, in bytes.
const RESPONSE_MAX: usize = 100 * 1024 * 1024;

struct Http {
    client: HttpClient,
}

#[async_trait]
impl Leaf for Http {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let params = Params::of(cx);
        let limit = params.timeout(TIMEOUT)?;
        let client = self
            .client
            .get()
            .map_err(|error| NodeError::permanent(error.to_string()))?;
        let mut request = request(params, client)?;
        carriers::into_headers(request.headers_mut(), cx)?;
        let shown = format!("{} {}", request.method(), without_query(request.url()));
        let span = current(cx);
        span.log(LogLevel::Info, format!("Sending request: {shown}"));

        let started = Instant::now();
        let exchanged = async {
            let mut response = client
                .execute(request)
                .await
                .map_err(|error| unreachable(&shown, error))?;
            let mut body = Vec::new();
            while let Some(piece) = response
                .chunk()
                .await
                .map_err(|error| unreachable(&shown, error))?
            {
                if body.len() + piece.len() > RESPONSE_MAX {
                    let message = format!("the answer to {shown} is larger than 100 MiB");
                    return Err(NodeError::permanent(message).with_type("too_large"));
                }
                body.extend_from_slice(&piece);
            }
            Ok((response, body))
        };
        let (response, body) = tokio::time::timeout(limit, exchanged)
            .await
            .map_err(|_| NodeError::timed_out(&shown, limit))??;
        let elapsed = started.elapsed();

        let status = response.status();
        span.set("http.response.status_code", u32::from(status.as_u16()));
        span.log(
            LogLevel::Debug,
            format!("Answer: HTTP {}, {} bytes", status.as_u16(), body.len()),
        );
        let complaint = if status.is_success() {
            String::new()
        } else {
            complaint(&body)
        };
        let (answer, binary) = read_body(response.headers(), body);
        let mut outputs = Outputs::new();
        outputs.insert("response".to_owned(), answer);
        outputs.insert("response_is_binary".to_owned(), Value::Bool(binary));
        outputs.insert("status_code".to_owned(), Value::from(status.as_u16()));
        outputs.insert(
            "response_headers".to_owned(),
            headers_as_object(response.headers()),
        );
        outputs.insert("response_time".to_owned(), Value::from(elapsed.as_secs_f64()));
        if status.is_success() {
            return Ok(outputs);
        }
        let reason = status.canonical_reason().unwrap_or("no success");
        let message = format!("{shown} was answered with HTTP {} ({reason})", status.as_u16());
        let message = if complaint.is_empty() {
            message
        } else {
            format!("{message}: {complaint}")
        };
        let error = if status_is_passing(status.as_u16()) {
            NodeError::failed(message)
        } else {
            NodeError::permanent(message)
        };
        let error = error.with_type(format!("http_{}", status.as_u16()));
        Err(leaf::with_outputs(error, reason, outputs))
    }
}

fn request(params: Params<'_>, client: &reqwest::Client) -> Result<reqwest::Request, NodeError> {
    let address = params.required_text("url")?;
    let mut url = Url::parse(address.trim())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| {
            let shown = address.split('?').next().unwrap_or_default();
            NodeError::permanent(format!(
                "`{shown}` is no address: it must begin with http:// or https://"
            ))
        })?;
    for (name, value) in params.object("params")?.into_iter().flatten() {
        let values = match value {
            Value::Null => &[],
            Value::Array(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for value in values {
            let text = match value {
                // Web servers write booleans small.
                Value::Bool(flag) => flag.to_string().into(),
                value => text_of(value),
            };
            url.query_pairs_mut().append_pair(name, &text);
        }
    }
    let body = params.get("body");
    let method = params.text("method").filter(|method| !method.trim().is_empty());
    let method = match method {
        None if body.is_some() => Method::POST,
        None => Method::GET,
        Some(name) => Method::from_bytes(name.trim().to_ascii_uppercase().as_bytes())
            .map_err(|_| NodeError::permanent(format!("`{name}` is no HTTP method")))?,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in params.object("headers")?.into_iter().flatten() {
        headers.insert(header_name(name)?, header_value(name, &text_of(value))?);
    }
    match (params.text("auth_token"), params.text("api_key")) {
        (Some(_), Some(_)) => {
            return Err(NodeError::permanent(
                "`auth_token` and `api_key` exclude each other",
            ));
        }
        (Some(token), None) => {
            headers.insert(
                AUTHORIZATION,
                header_value("auth_token", &format!("Bearer {token}"))?,
            );
        }
        (None, Some(key)) => {
            let name = params.text("api_key_header").unwrap_or("X-API-Key".into());
            headers.insert(header_name(&name)?, header_value("api_key", &key)?);
        }
        (None, None) => {}
    }
    let mut request = client.request(method, url);
    if let Some(body) = body {
        let (text, kind) = match body {
            Value::Object(_) | Value::Array(_) => (body.to_string(), "application/json"),
            // Many write JSON as text by hand; it is told as what it is.
            Value::String(text) if looks_like_json(text) => (text.clone(), "application/json"),
            other => (text_of(other).into_owned(), "text/plain; charset=utf-8"),
        };
        if !headers.contains_key(CONTENT_TYPE) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        request = request.body(text);
    }
    request
        .headers(headers)
        .build()
        .map_err(|error| NodeError::permanent(format!("the request cannot be made: {}", error.without_url())))
}

fn looks_like_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn header_name(name: &str) -> Result<HeaderName, NodeError> {
    HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| NodeError::permanent(format!("`{name}` is no header name")))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, NodeError> {
    // The value may be a secret: the message names only the header.
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| NodeError::permanent(format!("the value of `{name}` cannot stand in a header")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn without_query(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // These fail only for addresses that have no host.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

fn unreachable(shown: &str, error: reqwest::Error) -> NodeError {
    let (error_type, passing) = if error.is_connect() {
        ("connect", true)
    } else if error.is_timeout() {
        ("timeout", true)
    } else if error.is_redirect() || error.is_builder() {
        ("request", false)
    } else {
        ("transport", true)
    };
    let message = format!("{shown} failed: {}", root_cause(&error.without_url()));
    let error = if passing {
        NodeError::failed(message)
    } else {
        NodeError::permanent(message)
    };
    error.with_type(error_type)
}

fn complaint(body: &[u8]) -> String {
    std::str::from_utf8(body)
        .map(provider_message)
        .unwrap_or_default()
}

fn headers_as_object(headers: &HeaderMap) -> Value {
    let mut object = Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        object.insert(name.as_str().to_owned(), Value::from(values.join(", ")));
    }
    Value::Object(object)
}

/// JSON where the answer says so, text where it is text, else base64.
fn read_body(headers: &HeaderMap, body: Vec<u8>) -> (Value, bool) {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if (kind.ends_with("/json") || kind.ends_with("+json"))
        && let Ok(parsed) = serde_json::from_slice(&body)
    {
        return (parsed, false);
    }
    const BINARY: [&str; 8] = [
        "image/",
        "audio/",
        "video/",
        "font/",
        "application/octet-stream",
        "application/pdf",
        "application/zip",
        "application/gzip",
    ];
    let binary = BINARY.iter().any(|prefix| kind.starts_with(prefix)) && kind != "image/svg+xml";
    if binary {
        return (Value::String(STANDARD.encode(body)), true);
    }
    match String::from_utf8(body) {
        Ok(text) => (Value::String(text), false),
        Err(error) => (Value::String(STANDARD.encode(error.into_bytes())), true),
    }
}
