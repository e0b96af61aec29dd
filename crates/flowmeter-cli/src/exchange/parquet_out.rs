//! Spans as one flat Parquet table, for pandas, DuckDB, Spark and their like.
//!
//! Times are TIMESTAMP(NANOS, UTC), money is whole nano-dollars, what is nested is JSON in a text. Logs are not in it.
//! Never holds more than one row group.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use flowmeter_model::{AttributeValue, Attributes, LogRecord, Span, SpanId, SpanKind};
use flowmeter_store::{RunDetail, SpanRow, Store};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::Serialize;

use super::RunWriter;

/// The format, as the file's metadata says it.
const FORMAT: &str = "flowmeter.spans/1";
/// Rows of a group.
const ROWS_MAX: usize = 50_000;
/// Bytes of texts in a group, uncompressed.
const BYTES_MAX: usize = 64 << 20;

/// The columns, in the order in which [`Rows::add`] fills them.
const SCHEMA: &str = "
message flowmeter_spans {
  REQUIRED BYTE_ARRAY trace_id (STRING);
  REQUIRED BYTE_ARRAY span_id (STRING);
  OPTIONAL BYTE_ARRAY parent_span_id (STRING);
  REQUIRED BYTE_ARRAY root_span_id (STRING);
  REQUIRED BYTE_ARRAY workflow (STRING);
  OPTIONAL BYTE_ARRAY workflow_version (STRING);
  REQUIRED BYTE_ARRAY run_status (STRING);
  OPTIONAL BYTE_ARRAY session (STRING);
  OPTIONAL BYTE_ARRAY user_name (STRING);
  OPTIONAL BYTE_ARRAY git_commit (STRING);
  OPTIONAL BYTE_ARRAY tags (JSON);
  REQUIRED BYTE_ARRAY kind (STRING);
  REQUIRED BYTE_ARRAY operation (STRING);
  OPTIONAL BYTE_ARRAY node (STRING);
  OPTIONAL BYTE_ARRAY model (STRING);
  OPTIONAL BYTE_ARRAY provider (STRING);
  REQUIRED INT64 start_time (TIMESTAMP(NANOS,true));
  OPTIONAL INT64 end_time (TIMESTAMP(NANOS,true));
  OPTIONAL INT64 duration_ns;
  OPTIONAL BYTE_ARRAY status (STRING);
  OPTIONAL BYTE_ARRAY error_type (STRING);
  OPTIONAL BYTE_ARRAY error_message (STRING);
  OPTIONAL INT64 input_tokens;
  OPTIONAL INT64 cache_read_tokens;
  OPTIONAL INT64 cache_write_tokens;
  OPTIONAL INT64 output_tokens;
  OPTIONAL INT64 reasoning_tokens;
  OPTIONAL INT64 cost_nanos;
  OPTIONAL BYTE_ARRAY cost_status (STRING);
  REQUIRED BOOLEAN cache_hit;
  OPTIONAL BYTE_ARRAY prompt (JSON);
  OPTIONAL BYTE_ARRAY system_instructions (JSON);
  OPTIONAL BYTE_ARRAY response (JSON);
  OPTIONAL BYTE_ARRAY params (JSON);
  OPTIONAL BYTE_ARRAY mutations (JSON);
  OPTIONAL BYTE_ARRAY events (JSON);
  OPTIONAL BYTE_ARRAY attributes (JSON);
}";

const PROMPT: &str = "gen_ai.input.messages";
const SYSTEM: &str = "gen_ai.system_instructions";
const RESPONSE: &str = "gen_ai.output.messages";

/// The values of one column, and which rows have one.
enum Column {
    Texts(Vec<ByteArray>, Vec<i16>),
    Numbers(Vec<i64>, Vec<i16>),
    Flags(Vec<bool>),
}

/// What a row has in a column.
enum Cell {
    Text(Option<Vec<u8>>),
    Number(Option<i64>),
    Flag(bool),
}

/// Rows that wait to be written as a group.
#[derive(Default)]
struct Rows {
    columns: Vec<Column>,
    count: usize,
    bytes: usize,
}

impl Rows {
    fn add(&mut self, cells: impl IntoIterator<Item = Cell>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if self.columns.len() <= index {
                self.columns.push(match cell {
                    Cell::Text(_) => Column::Texts(Vec::new(), Vec::new()),
                    Cell::Number(_) => Column::Numbers(Vec::new(), Vec::new()),
                    Cell::Flag(_) => Column::Flags(Vec::new()),
                });
            }
            match (&mut self.columns[index], cell) {
                (Column::Texts(values, present), Cell::Text(text)) => {
                    present.push(i16::from(text.is_some()));
                    self.bytes += text.as_ref().map_or(0, Vec::len);
                    values.extend(text.map(ByteArray::from));
                }
                (Column::Numbers(values, present), Cell::Number(number)) => {
                    present.push(i16::from(number.is_some()));
                    values.extend(number);
                }
                (Column::Flags(values), Cell::Flag(flag)) => values.push(flag),
                // A column has cells of one kind: they are made in one place.
                _ => {}
            }
        }
        self.count += 1;
    }
}

/// Writes the table.
pub(crate) struct ParquetWriter<'s, W: Write + Send> {
    store: &'s dyn Store,
    file: Option<SerializedFileWriter<W>>,
    rows: Rows,
    /// The rows of the run that is being written: they know its nodes and models.
    of_run: HashMap<SpanId, SpanRow>,
}

impl<'s, W: Write + Send> ParquetWriter<'s, W> {
    /// A table in `output`, of runs of `store`.
    ///
    /// # Errors
    /// Whatever the output fails with.
    pub(crate) fn new(store: &'s dyn Store, output: W) -> io::Result<Self> {
        let schema = parse_message_type(SCHEMA).map_err(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(format!("flowmeter {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(vec![KeyValue::new(
                "flowmeter.format".to_owned(),
                FORMAT.to_owned(),
            )]))
            .build();
        let file =
            SerializedFileWriter::new(output, Arc::new(schema), Arc::new(properties)).map_err(failed)?;
        Ok(Self {
            store,
            file: Some(file),
            rows: Rows::default(),
            of_run: HashMap::new(),
        })
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let Some(file) = self.file.as_mut().filter(|_| rows.count > 0) else {
            return Ok(());
        };
        let mut group = file.next_row_group().map_err(failed)?;
        for column in &rows.columns {
            let Some(mut writer) = group.next_column().map_err(failed)? else {
                break;
            };
            // The writer ignores who is present where the schema says that all are.
            let written = match column {
                Column::Texts(values, present) => {
                    let writer = writer.typed::<ByteArrayType>();
                    writer.write_batch(values, Some(present), None)
                }
                Column::Numbers(values, present) => {
                    let writer = writer.typed::<Int64Type>();
                    writer.write_batch(values, Some(present), None)
                }
                Column::Flags(values) => writer.typed::<BoolType>().write_batch(values, None, None),
            };
            written.map_err(failed)?;
            writer.close().map_err(failed)?;
        }
        group.close().map_err(failed)?;
        Ok(())
    }
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}

impl<W: Write + Send> RunWriter for ParquetWriter<'_, W> {
    fn begin(&mut self, run: &RunDetail) -> io::Result<()> {
        let rows = self.store.span_rows(&run.row.key).map_err(io::Error::other)?;
        self.of_run = rows.into_iter().map(|row| (row.span_id, row)).collect();
        Ok(())
    }

    fn span(&mut self, run: &RunDetail, span: Span) -> io::Result<()> {
        let row = self.of_run.remove(&span.span_id);
        self.rows.add(cells(run, &span, row.as_ref()));
        if self.rows.count >= ROWS_MAX || self.rows.bytes >= BYTES_MAX {
            self.hand_on()?;
        }
        Ok(())
    }

    fn log(&mut self, _run: &RunDetail, _log: LogRecord) -> io::Result<()> {
        Ok(())
    }

    fn takes_logs(&self) -> bool {
        false
    }

    fn end(&mut self, run: &RunDetail) -> io::Result<()> {
        self.of_run.clear();
        for span in &run.open {
            self.rows.add(cells(run, span, None));
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.hand_on()?;
        match self.file.take() {
            Some(file) => file.close().map(|_| ()).map_err(failed),
            None => Ok(()),
        }
    }
}

fn cells(run: &RunDetail, span: &Span, row: Option<&SpanRow>) -> Vec<Cell> {
    let origin = &run.row.origin;
    let tags: serde_json::Map<String, serde_json::Value> = origin
        .tags
        .iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    let nanos = |at: flowmeter_model::TimestampNs| i64::try_from(at.0).unwrap_or(i64::MAX);
    let is_call = span.kind == SpanKind::LlmCall;
    let tokens = |figure: Option<flowmeter_model::Figure>| {
        Cell::Number(figure.map(|figure| i64::try_from(figure.tokens).unwrap_or(i64::MAX)))
    };
    let usage = span.usage.clone().filter(|_| is_call).unwrap_or_default();
    let written = match (usage.cache_write_5m, usage.cache_write_1h) {
        (None, None) => None,
        (short, long) => {
            let tokens = |figure: Option<flowmeter_model::Figure>| figure.map_or(0, |figure| figure.tokens);
            i64::try_from(tokens(short).saturating_add(tokens(long))).ok()
        }
    };
    let node_id = span.attributes.get_str("node.id");
    let node = row
        .map(|row| row.node.as_str())
        .filter(|node| !node.is_empty())
        .or(node_id);
    let model = row
        .map(|row| row.model.as_str())
        .or_else(|| span.attributes.get_str("gen_ai.request.model"));
    let provider = row
        .map(|row| row.provider.as_str())
        .or_else(|| span.attributes.get_str("gen_ai.provider.name"));
    let cost = span.cost.as_ref();
    vec![
        text(&span.trace_id.to_string()),
        text(&span.span_id.to_string()),
        Cell::Text(span.parent_span_id.map(|id| id.to_string().into_bytes())),
        text(&run.row.key.root_span_id.to_string()),
        text(&run.row.workflow),
        some_text(origin.workflow_version.as_deref()),
        text(run.row.status.as_str()),
        some_text(origin.session.as_deref()),
        some_text(origin.user.as_deref()),
        some_text(origin.git_commit.as_deref()),
        Cell::Text((!tags.is_empty()).then(|| json(&tags)).flatten()),
        text(span.kind.as_str()),
        text(&span.operation),
        some_text(node),
        some_text(model),
        some_text(provider),
        Cell::Number(Some(nanos(span.start))),
        Cell::Number(span.end.map(nanos)),
        Cell::Number(span.duration_ns().map(|ns| i64::try_from(ns).unwrap_or(i64::MAX))),
        some_text(span.status.map(flowmeter_model::SpanStatus::as_str)),
        some_text(span.error.as_ref().map(|error| error.error_type.as_str())),
        some_text(span.error.as_ref().map(|error| error.message.as_str())),
        tokens(usage.input),
        tokens(usage.cache_read),
        Cell::Number(written),
        tokens(usage.output),
        tokens(usage.reasoning),
        // Unknown is null, and never 0.
        Cell::Number(cost.and_then(|cost| cost.amount).map(|amount| amount.0)),
        some_text(cost.map(|cost| cost.status.as_str())),
        Cell::Flag(row.is_some_and(|row| row.cache_hit)),
        attribute(&span.attributes, PROMPT),
        attribute(&span.attributes, SYSTEM),
        attribute(&span.attributes, RESPONSE),
        Cell::Text(span.params.as_ref().and_then(json)),
        Cell::Text(
            (!span.mutations.is_empty())
                .then(|| json(&span.mutations))
                .flatten(),
        ),
        Cell::Text((!span.events.is_empty()).then(|| json(&span.events)).flatten()),
        other_attributes(&span.attributes),
    ]
}

fn text(text: &str) -> Cell {
    Cell::Text(Some(text.as_bytes().to_vec()))
}

/// A text; none where it is empty.
fn some_text(text: Option<&str>) -> Cell {
    Cell::Text(
        text.filter(|text| !text.is_empty())
            .map(|text| text.as_bytes().to_vec()),
    )
}

fn json(value: &(impl Serialize + ?Sized)) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

fn attribute(attributes: &Attributes, key: &str) -> Cell {
    Cell::Text(attributes.get(key).and_then(|value| match value {
        AttributeValue::Json(value) => json(value),
        other => json(other),
    }))
}

fn other_attributes(attributes: &Attributes) -> Cell {
    let others: Attributes = attributes
        .iter()
        .filter(|(key, _)| ![PROMPT, SYSTEM, RESPONSE].contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Cell::Text((!others.is_empty()).then(|| json(&others)).flatten())
}
