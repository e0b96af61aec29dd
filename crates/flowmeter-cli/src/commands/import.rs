//! `flowmeter import`: runs from files into the history.
//!
//! What a file is, is seen from what is in it. Never adds what is there already, and never stops at a line that cannot
//! be read.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowmeter::grouped;
use flowmeter_store::Store;
use tempfile::NamedTempFile;

use super::no_such_file;
use crate::args::ImportArgs;
use crate::exchange::import::{
    self, ImportWatch, Imported, Importer, Place, import_lines, import_otlp_document, import_otlp_lines,
    import_otlp_protobuf, import_trace,
};
use crate::exchange::kinds::{FileKind, WANTED, kind_of};
use crate::exchange::prices::CallPrices;
use crate::exit::{self, BadUsage, Exit};
use crate::history;
use crate::home::Home;
use crate::output::Output;
use crate::prices;
use crate::progress::BytesLine;

/// Problems of a file that are told one by one.
const PROBLEMS_SHOWN_MAX: u64 = 100;

/// Imports them.
///
/// # Errors
/// When a file is missing or of another kind, and when the history cannot be written.
pub(crate) fn run(args: &ImportArgs, home: &Home, output: &Output) -> Result<Exit> {
    let output = &Output::new(args.quiet || output.is_quiet());
    let store = history::open_or_create(home)?;
    let book = prices::told_book(home, output);
    import_files(&args.files, &store, CallPrices::new(book), output)
}

fn import_files(files: &[PathBuf], store: &dyn Store, prices: CallPrices, output: &Output) -> Result<Exit> {
    let mut importer = Importer::new(store, prices);
    let mut worst: Option<anyhow::Error> = None;
    for path in files {
        let Err(error) = import_file(path, &mut importer, output) else {
            continue;
        };
        if import::is_of_history(&error) {
            return Err(error);
        }
        // The other files are imported all the same.
        if files.len() > 1 {
            output.error(&super::told(&error));
        }
        let code = |error: &anyhow::Error| exit::of_error(error).0.code();
        if worst.as_ref().is_none_or(|worst| code(&error) > code(worst)) {
            worst = Some(error);
        }
    }
    importer.settle()?;
    tell(&importer.imported, &importer.prices, output);
    match worst {
        Some(error) if files.len() == 1 => Err(error),
        Some(error) => Ok(exit::of_error(&error).0),
        None if importer.imported.problems > 0 => Ok(Exit::Flawed),
        None => Ok(Exit::Success),
    }
}

fn import_file(path: &Path, importer: &mut Importer<'_>, output: &Output) -> Result<()> {
    let shown = path.display().to_string();
    let failed = || format!("{shown} cannot be imported");
    if path.as_os_str() == "-" {
        // Some kinds are read twice, and a pipe can be read once.
        let mut kept = NamedTempFile::new().context("no temporary file can be made")?;
        io::copy(&mut io::stdin().lock(), &mut kept).context("standard input cannot be read")?;
        return import_open(kept.reopen()?, kept.path(), "standard input", importer, output);
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::Error::new(no_such_file("file", path)),
        _ => anyhow::Error::new(error).context(failed()),
    })?;
    let found = file.metadata().with_context(failed)?;
    if found.is_dir() {
        return Err(BadUsage(format!("{shown} is a folder; name the files in it: {shown}/*")).into());
    }
    if !found.is_file() {
        let mut kept = NamedTempFile::new().context("no temporary file can be made")?;
        io::copy(&mut &file, &mut kept).with_context(failed)?;
        return import_open(kept.reopen()?, kept.path(), &shown, importer, output);
    }
    import_open(file, path, &shown, importer, output)
}

fn import_open(
    mut file: File,
    path: &Path,
    shown: &str,
    importer: &mut Importer<'_>,
    output: &Output,
) -> Result<()> {
    let failed = || format!("{shown} cannot be imported");
    let kind = kind_of(&mut file).with_context(failed)?;
    let kind = kind.map_err(|what| BadUsage(format!("{shown} cannot be imported: {what}")))?;
    let bytes = file.metadata().with_context(failed)?.len();
    file.rewind().with_context(failed)?;
    let is_shown = !output.is_quiet() && io::stderr().is_terminal();
    let mut watch = Watch {
        shown: shown.to_owned(),
        told: 0,
        output: *output,
        line: BytesLine::new(is_shown.then_some(bytes)),
    };
    let outcome = match kind {
        FileKind::Lines => import_lines(&mut file, importer, &mut watch),
        FileKind::OtlpLines => import_otlp_lines(&mut file, importer, &mut watch),
        FileKind::OtlpDocument => import_otlp_document(&mut file, importer, &mut watch),
        FileKind::OtlpProtobuf => import_otlp_protobuf(&mut file, false, importer, &mut watch),
        FileKind::OtlpFramed => import_otlp_protobuf(&mut file, true, importer, &mut watch),
        FileKind::Trace => import_trace(path, importer, &mut watch),
        FileKind::Empty => {
            output.note(&format!("note: {shown} is empty; {WANTED}"));
            Ok(())
        }
    };
    watch.line.clear();
    if watch.told > PROBLEMS_SHOWN_MAX {
        output.say(&format!(
            "{shown}: … and {} more",
            grouped(watch.told - PROBLEMS_SHOWN_MAX)
        ));
    }
    outcome.with_context(failed)
}

/// What was added, what was there, what calls cost.
fn tell(imported: &Imported, prices: &CallPrices, output: &Output) {
    let count = |number: u64, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{} {what}{plural}", grouped(number))
    };
    let mut text = format!(
        "{}, {} and {} added",
        count(imported.runs, "run"),
        count(imported.spans, "span"),
        count(imported.logs, "log line")
    );
    if imported.spans_known + imported.logs_known > 0 {
        text.push_str(&format!(
            "; {} and {} were in the history already",
            count(imported.spans_known, "span"),
            count(imported.logs_known, "log line")
        ));
    }
    output.note(&text);
    if prices.priced + prices.unpriced > 0 {
        let mut text = format!(
            "{} without a cost: {} priced",
            count(prices.priced + prices.unpriced, "LLM call"),
            grouped(prices.priced)
        );
        if prices.unpriced > 0 {
            text.push_str(&format!(
                ", {} without a known price or usage",
                grouped(prices.unpriced)
            ));
        }
        output.note(&text);
    }
    if imported.logs_astray > 0 {
        output.note(&format!(
            "{} left out: they belong to no run of these files or of the history",
            count(imported.logs_astray, "log line")
        ));
    }
    if imported.lines_passed > 0 {
        output.note(&format!(
            "{} left out: they say nothing of spans or logs",
            count(imported.lines_passed, "line")
        ));
    }
}

/// What is wrong, on its way to standard error.
struct Watch {
    shown: String,
    told: u64,
    output: Output,
    line: BytesLine,
}

impl ImportWatch for Watch {
    fn problem(&mut self, place: &Place, text: &str) {
        self.told += 1;
        if self.told > PROBLEMS_SHOWN_MAX {
            return;
        }
        let shown = &self.shown;
        let text = match place {
            Place::Line(number) => format!("{shown}:{number}: {text}"),
            Place::Message(number) => format!("{shown}: message {number}: {text}"),
            Place::File => format!("{shown}: {text}"),
        };
        self.line.beside(|| self.output.say(&text));
    }

    fn read(&mut self, bytes: u64) {
        self.line.update(bytes);
    }
}
