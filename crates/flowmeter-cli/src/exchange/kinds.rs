//! Which kind of file this is, by what is in it.
//!
//! Never goes by a file's name: names lie.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// A kind of file that runs can be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Lines of JSON: of `flowmeter export`, or event lines.
    Lines,
    /// Lines of OTLP/JSON.
    OtlpLines,
    /// One document of OTLP/JSON over many lines.
    OtlpDocument,
    /// OTLP as protobuf: requests one after another.
    OtlpProtobuf,
    /// The same, each with its length in four bytes in front, as OpenTelemetry's collector writes files.
    OtlpFramed,
    /// A trace file.
    Trace,
    /// Nothing at all.
    Empty,
}

/// What a person is told that may be imported.
pub(crate) const WANTED: &str = "import takes lines of `flowmeter export --to jsonl` and event lines (`--stream`, \
                                 `--export jsonl=FILE`), OTLP as JSON or protobuf, and trace files";

/// The beginning of a file that is looked at where its lines say nothing.
const HEAD_BYTES: usize = 64 * 1024;
/// Lines that are looked at: the first ones may be broken.
const LINES_MAX: usize = 50;
/// The longest line that is looked at.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// What tells the kinds of lines apart.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type", default)]
    line_type: Option<IgnoredAny>,
    #[serde(default)]
    format: Option<String>,
    #[serde(rename = "resourceSpans", alias = "resource_spans", default)]
    spans: Option<IgnoredAny>,
    #[serde(rename = "resourceLogs", alias = "resource_logs", default)]
    logs: Option<IgnoredAny>,
    #[serde(rename = "resourceMetrics", alias = "resource_metrics", default)]
    metrics: Option<IgnoredAny>,
}

/// The kind of a file, which stands at its beginning afterwards.
///
/// # Errors
/// Whatever it cannot be read with; and, as text, what it is instead.
pub(crate) fn kind_of<F: Read + Seek>(file: &mut F) -> io::Result<Result<FileKind, String>> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let kind = match of_head(&head) {
        Some(kind) => kind,
        None => of_lines(file, &head)?,
    };
    file.seek(SeekFrom::Start(0))?;
    Ok(kind)
}

/// What the first bytes say by themselves; `None` for text.
fn of_head(head: &[u8]) -> Option<Result<FileKind, String>> {
    let is = |what: &str, instead: &str| Some(Err(format!("it is {what}; {instead}")));
    match head {
        _ if head.iter().all(u8::is_ascii_whitespace) => Some(Ok(FileKind::Empty)),
        [b'P', b'A', b'R', b'1', ..] => is(
            "a Parquet table, which is for other programs to read",
            "`flowmeter export --to jsonl` writes what can be imported",
        ),
        [b'S', b'Q', b'L', b'i', b't', b'e', b' ', ..] => is(
            "a database; if it is a history, FLOWMETER_HOME can name its folder",
            "`flowmeter export --to jsonl` writes what can be imported",
        ),
        [0x1f, 0x8b, ..] => is("compressed with gzip", "`gunzip` it first"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => is("compressed with zstd", "`zstd -d` it first"),
        [b'P', b'K', 3, 4, ..] => is("a zip file", "unpack it first"),
        // A message of less than 16 MiB has a 0 first in its length, and then begins with its first field.
        [0, _, _, _, 0x0a, ..] => Some(Ok(FileKind::OtlpFramed)),
        [0x0a, rest @ ..] if !looks_like_text(rest) => Some(Ok(FileKind::OtlpProtobuf)),
        _ => None,
    }
}

/// Protobuf begins with a line feed by chance: its first field is the first of a request. So may a text.
fn looks_like_text(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    rest.first() == Some(&b'{')
        && rest
            .get(1)
            .is_some_and(|byte| matches!(byte, b'"' | b'}' | b' ' | b'\n' | b'\r'))
}

fn of_lines<F: Read>(file: &mut F, head: &[u8]) -> io::Result<Result<FileKind, String>> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for _ in 0..LINES_MAX {
        line.clear();
        reader
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        if let Some(kind) = serde_json::from_slice(line.trim_ascii())
            .ok()
            .and_then(|told| of_line(&told))
        {
            return Ok(Ok(kind));
        }
    }
    let text = String::from_utf8_lossy(head);
    let names = |name: &str| text.contains(&format!("\"{name}\""));
    Ok(
        if names("resourceSpans") || names("resourceLogs") || names("resource_spans") {
            Ok(FileKind::OtlpDocument)
        } else if names(flowmeter::FORMAT) {
            Ok(FileKind::Trace)
        } else if text.trim_start().starts_with('{') && names("type") {
            Ok(FileKind::Lines)
        } else {
            Err(format!("it is none of the kinds that are known: {WANTED}"))
        },
    )
}

fn of_line(told: &Told) -> Option<FileKind> {
    if told.spans.is_some() || told.logs.is_some() || told.metrics.is_some() {
        Some(FileKind::OtlpLines)
    } else if told.line_type.is_some() && told.format.as_deref() != Some(flowmeter::FORMAT) {
        Some(FileKind::Lines)
    } else if told.format.as_deref() == Some(flowmeter::FORMAT) {
        Some(FileKind::Trace)
    } else {
        None
    }
}
