//! `flowmeter export`: runs of the history as lines, OTLP or Parquet.
//!
//! A file is there whole or not at all. Never writes binary data to a terminal.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowmeter::{SemanticConventions, grouped};
use flowmeter_model::TimestampNs;
use flowmeter_store::{RunKey, RunOrder, Store};
use tempfile::NamedTempFile;

use super::runs::NOTHING_YET;
use crate::args::{ExchangeFormat, ExportRunsArgs};
use crate::exchange::{self, LinesWriter, OtlpForm, OtlpWriter, ParquetWriter, RunWriter, Written};
use crate::exit::{BadUsage, Exit};
use crate::history;
use crate::home::Home;
use crate::output::Output;
use crate::progress::TaskLine;
use crate::run_selector::select;
use crate::times::TimeWords;

/// Runs that are asked for at a time.
const PAGE: usize = 5_000;

/// Exports them.
///
/// # Errors
/// When no run is meant, when the history cannot be read, and when the output cannot be written.
pub(crate) fn run(args: &ExportRunsArgs, home: &Home, output: &Output) -> Result<Exit> {
    if args.names.is_empty() && args.runs.is_empty() && !args.all {
        let text = "which runs? Name them (`flowmeter export last`), give a condition (`--since 7d`), or say `--all`";
        return Err(BadUsage(text.to_owned()).into());
    }
    let format = format_of(args)?;
    let times = TimeWords::here();
    let store = history::open_for(&args.names, home)?;
    let store = &*store;
    let keys = chosen(store, args, &times)?;
    if keys.is_empty() {
        output.note(if args.runs.is_empty() {
            NOTHING_YET
        } else {
            "no run of the history fits these conditions"
        });
    }
    let written = match &args.output {
        Some(path) if !is_stream(path) => into_file(store, &keys, format, path, args, output)?,
        Some(path) => {
            let mut stream = File::options()
                .write(true)
                .open(path)
                .with_context(|| format!("{} cannot be written", path.display()))?;
            to_stream(store, &keys, format, args, output, &mut stream)?
        }
        None => to_stdout(store, &keys, format, args, output)?,
    };
    if !args.quiet && (args.output.is_some() || io::stderr().is_terminal()) {
        output.note(&told(&written, args.output.as_deref()));
    }
    Ok(Exit::Success)
}

fn told(written: &Written, path: Option<&Path>) -> String {
    let count = |number: u64, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{} {what}{plural}", grouped(number))
    };
    let mut text = format!("{}, {}", count(written.runs, "run"), count(written.spans, "span"));
    if written.logs > 0 {
        text.push_str(&format!(", {}", count(written.logs, "log line")));
    }
    match path {
        Some(path) => format!("{text} written to {}", path.display()),
        None => format!("{text} written"),
    }
}

/// What is written, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    OtlpJson,
    OtlpProtobuf,
    Parquet,
}

fn format_of(args: &ExportRunsArgs) -> Result<Form> {
    let extension = args.output.as_deref().and_then(Path::extension);
    let extension = extension
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let is_protobuf = ["binpb", "pb", "otlp", "proto"].contains(&extension);
    let format = args.to.unwrap_or(match extension {
        "parquet" => ExchangeFormat::Parquet,
        _ if is_protobuf => ExchangeFormat::Otlp,
        _ => ExchangeFormat::Jsonl,
    });
    let form = match format {
        ExchangeFormat::Jsonl => Form::Lines,
        ExchangeFormat::Otlp if is_protobuf => Form::OtlpProtobuf,
        ExchangeFormat::Otlp => Form::OtlpJson,
        ExchangeFormat::Parquet => Form::Parquet,
    };
    if args.semconv.is_some() && format != ExchangeFormat::Otlp {
        return Err(BadUsage("`--semconv` goes with `--to otlp`".to_owned()).into());
    }
    if form == Form::Parquet && args.output.is_none() && io::stdout().is_terminal() {
        let text = "a Parquet table is nothing for a terminal: name a file with `-o spans.parquet`";
        return Err(BadUsage(text.to_owned()).into());
    }
    Ok(form)
}

/// The runs that are meant, oldest first, each once.
fn chosen(store: &dyn Store, args: &ExportRunsArgs, times: &TimeWords) -> Result<Vec<RunKey>> {
    let mut found: Vec<(TimestampNs, RunKey)> = Vec::new();
    for name in &args.names {
        let selected = select(store, name, times)?;
        found.extend(selected.trace.iter().map(|row| (row.started, row.key)));
    }
    if args.all || !args.runs.is_empty() {
        let filter = args.runs.filter(times);
        let mut asked = 0;
        loop {
            // Runs that begin in the meantime push the others on: some come twice, none is missed.
            let page = store.runs(&filter, RunOrder::Started, PAGE, asked)?;
            asked += page.len();
            found.extend(page.iter().map(|row| (row.started, row.key)));
            if page.len() < PAGE {
                break;
            }
        }
    }
    found.sort_unstable();
    let mut seen = HashSet::new();
    found.retain(|(_, key)| seen.insert(*key));
    Ok(found.into_iter().map(|(_, key)| key).collect())
}

/// Whether it is a pipe or a device: nothing to be replaced by a new file.
fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device() || kind.is_socket()
    })
}

fn conventions(args: &ExportRunsArgs) -> SemanticConventions {
    args.semconv.map(Into::into).unwrap_or_default()
}

/// Writes with a line of progress on a terminal.
fn write(
    store: &dyn Store,
    keys: &[RunKey],
    writer: &mut dyn RunWriter,
    args: &ExportRunsArgs,
    output: &Output,
) -> Result<Written> {
    let line = (!args.quiet).then(|| TaskLine::new(output, Some(keys.len() as u64), "runs"));
    let written = exchange::write_runs(store, keys, writer, |written| {
        if let Some(line) = &line {
            line.reach(written.runs);
        }
    });
    if let Some(line) = line {
        line.clear();
    }
    written
}

/// Writes beside the file, and puts it in its place when it is whole.
fn into_file(
    store: &dyn Store,
    keys: &[RunKey],
    form: Form,
    path: &Path,
    args: &ExportRunsArgs,
    output: &Output,
) -> Result<Written> {
    let failed = || format!("{} cannot be written", path.display());
    let mut file = beside(path).with_context(failed)?;
    let written = match form {
        Form::Parquet => {
            let mut writer = ParquetWriter::new(store, BufWriter::new(file.as_file().try_clone()?))?;
            write(store, keys, &mut writer, args, output).with_context(failed)?
        }
        Form::OtlpProtobuf => {
            let logs_path = logs_path(path);
            let mut logs = beside(&logs_path).with_context(failed)?;
            let written = {
                let (mut spans_out, mut logs_out) = (BufWriter::new(&mut file), BufWriter::new(&mut logs));
                let form = OtlpForm::Protobuf {
                    spans: &mut spans_out,
                    logs: &mut logs_out,
                };
                let mut writer = OtlpWriter::new(form, conventions(args));
                write(store, keys, &mut writer, args, output).with_context(failed)?
            };
            if written.logs > 0 {
                put_in_place(logs, &logs_path)?;
                output.note(&format!("log lines are in {}", logs_path.display()));
            }
            written
        }
        Form::Lines | Form::OtlpJson => {
            let mut out = BufWriter::with_capacity(1 << 16, &mut file);
            to_writer(store, keys, form, args, output, &mut out).with_context(failed)?
        }
    };
    put_in_place(file, path)?;
    Ok(written)
}

/// `run.binpb` stands for `run.logs.binpb`, too.
fn logs_path(path: &Path) -> PathBuf {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("binpb");
    path.with_extension(format!("logs.{extension}"))
}

fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".exporting-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))
}

fn put_in_place(file: NamedTempFile, path: &Path) -> Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    // Prompts and answers are in it: it is readable as the history is, by its owner only, unless it was there before.
    if let Ok(found) = fs::metadata(path) {
        let mode = found.permissions().mode();
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(mode & 0o777))
            .with_context(failed)?;
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    file.persist(&target)
        .map_err(|error| error.error)
        .with_context(failed)?;
    Ok(())
}

fn to_writer(
    store: &dyn Store,
    keys: &[RunKey],
    form: Form,
    args: &ExportRunsArgs,
    output: &Output,
    out: &mut dyn Write,
) -> Result<Written> {
    match form {
        Form::OtlpJson => {
            let mut writer = OtlpWriter::new(OtlpForm::Json(out), conventions(args));
            write(store, keys, &mut writer, args, output)
        }
        _ => write(store, keys, &mut LinesWriter::new(out), args, output),
    }
}

/// What is no line of text is made in a temporary file first: its writer has to know where it stands.
fn to_stream(
    store: &dyn Store,
    keys: &[RunKey],
    form: Form,
    args: &ExportRunsArgs,
    output: &Output,
    stream: &mut dyn Write,
) -> Result<Written> {
    match form {
        Form::Parquet => {
            let mut file = tempfile::tempfile().context("no temporary file can be made")?;
            let mut writer = ParquetWriter::new(store, BufWriter::new(file.try_clone()?))?;
            let written = write(store, keys, &mut writer, args, output)?;
            drop(writer);
            file.seek(SeekFrom::Start(0))?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                let count = file.read(&mut buffer)?;
                if count == 0 {
                    return Ok(written);
                }
                stream.write_all(&buffer[..count])?;
            }
        }
        Form::OtlpProtobuf => {
            let mut nowhere = io::sink();
            let form = OtlpForm::Protobuf {
                spans: stream,
                logs: &mut nowhere,
            };
            let mut writer = OtlpWriter::new(form, conventions(args));
            write(store, keys, &mut writer, args, output)
        }
        Form::Lines | Form::OtlpJson => to_writer(store, keys, form, args, output, stream),
    }
}

fn to_stdout(
    store: &dyn Store,
    keys: &[RunKey],
    form: Form,
    args: &ExportRunsArgs,
    output: &Output,
) -> Result<Written> {
    let mut outcome = Ok(Written::default());
    output.write(|out| {
        outcome = to_stream(store, keys, form, args, output, out);
        match &outcome {
            // A reader that has gone away is for whoever owns standard output to judge.
            Err(error) => match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) {
                Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
                    outcome = Ok(Written::default());
                    Err(io::ErrorKind::BrokenPipe.into())
                }
                _ => Ok(()),
            },
            Ok(_) => Ok(()),
        }
    })?;
    outcome
}
