//! One file of the spool: a line of JSON that says what it is, then the request's content as protobuf.
//!
//! Never written in place: the spool renames whole files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flowmeter_model::TimestampNs;
use flowmeter_otlp::Signal;
use serde::{Deserialize, Serialize};

use super::Unsent;
use crate::backends::otlp::config::{OtlpProtocol, items_of, signal_named};

/// The version of the format.
const VERSION: u32 = 1;
/// No first line is longer.
const HEADER_BYTES_MAX: u64 = 16 << 10;

/// A request that waits in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpooledRequest {
    /// The backend that it was for: `otlp`, or a preset's name.
    pub name: String,
    /// Where it was to go, without user, password and query.
    pub endpoint: String,
    /// How.
    pub protocol: OtlpProtocol,
    /// What it carries.
    pub signal: Signal,
    /// Spans, log records or data points in it.
    pub items: u64,
    /// The size of its content.
    pub bytes: u64,
    /// When it was put here.
    pub created: TimestampNs,
    pub(super) path: PathBuf,
}

impl SpooledRequest {
    /// What its items are called.
    #[must_use]
    pub fn items_name(&self) -> &'static str {
        items_of(self.signal)
    }
}

/// Why a file gives no request.
#[derive(Debug)]
pub(in crate::backends::otlp) enum Unreadable {
    /// The system could not read it.
    System(io::Error),
    /// It is half-written, of another version, or none of the spool's.
    Content,
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    flowmeter_spool: u32,
    name: String,
    endpoint: String,
    protocol: String,
    signal: String,
    items: u64,
    bytes: u64,
    created_ns: u64,
}

/// The first line of a file, with its end.
pub(super) fn header_line(unsent: &Unsent<'_>, created: TimestampNs) -> Vec<u8> {
    let line = HeaderLine {
        flowmeter_spool: VERSION,
        name: unsent.name.to_owned(),
        endpoint: unsent.endpoint.to_owned(),
        protocol: unsent.protocol.as_str().to_owned(),
        signal: unsent.signal.as_str().to_owned(),
        items: unsent.items,
        bytes: unsent.content.len() as u64,
        created_ns: created.0,
    };
    let mut text = serde_json::to_vec(&line).unwrap_or_default();
    text.push(b'\n');
    text
}

/// What a file says that it holds, if it is whole.
pub(in crate::backends::otlp) fn read_header(
    file: &mut File,
    path: &Path,
) -> Result<SpooledRequest, Unreadable> {
    let length = file.metadata().map_err(Unreadable::System)?.len();
    let mut line = Vec::new();
    let mut reader = BufReader::with_capacity(1024, file).take(HEADER_BYTES_MAX);
    reader.read_until(b'\n', &mut line).map_err(Unreadable::System)?;
    let header: HeaderLine = serde_json::from_slice(&line).map_err(|_| Unreadable::Content)?;
    let protocol = OtlpProtocol::parse(&header.protocol).ok_or(Unreadable::Content)?;
    let signal = signal_named(&header.signal).ok_or(Unreadable::Content)?;
    if header.flowmeter_spool != VERSION || length != line.len() as u64 + header.bytes {
        return Err(Unreadable::Content);
    }
    Ok(SpooledRequest {
        name: header.name,
        endpoint: header.endpoint,
        protocol,
        signal,
        items: header.items,
        bytes: header.bytes,
        created: TimestampNs(header.created_ns),
        path: path.to_owned(),
    })
}

/// A file with its content.
pub(in crate::backends::otlp) fn read_entry(
    file: &mut File,
    path: &Path,
) -> Result<(SpooledRequest, Bytes), Unreadable> {
    let request = read_header(file, path)?;
    let mut whole = Vec::new();
    io::Seek::rewind(file).map_err(Unreadable::System)?;
    file.read_to_end(&mut whole).map_err(Unreadable::System)?;
    let bytes = usize::try_from(request.bytes).map_err(|_| Unreadable::Content)?;
    let begin = whole.len().checked_sub(bytes).ok_or(Unreadable::Content)?;
    Ok((request, Bytes::from(whole).slice(begin..)))
}
