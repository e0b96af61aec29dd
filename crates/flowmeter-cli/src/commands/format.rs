//! `flowmeter format`: event lines from a file or from another program, as a tree, as JSON, as OTLP or in figures.
//!
//! Never reads a line itself: the library does. Problems go to standard error while the rest is formatted.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flowmeter::{
    EncoderConfig, EventFormat, EventFormatterConfig, EventProblem, FormatError, FormatEventsError,
    FormatWatch, HumanStyle, format_events,
};
use flowmeter_model::{Clock, SystemClock};

use crate::args::{EventFormatArg, FormatArgs};
use crate::commands::no_such_file;
use crate::commands::show::local_offset_seconds;
use crate::exit::{BadUsage, Exit};
use crate::output::Output;
use crate::progress::BytesLine;
use crate::signals;
use crate::telemetry::{exports, variable};

/// Problems that are printed; the rest is counted.
const PROBLEMS_SHOWN_MAX: u64 = 100;

/// Formats the events.
pub(super) fn run(args: &FormatArgs, output: &Output) -> Result<Exit> {
    // Local time is asked for while there is one thread only.
    let utc_offset_seconds = local_offset_seconds();
    let source = open(&args.file)?;
    let line = BytesLine::new(source.bytes.filter(|_| {
        // Where the formatted lines scroll by, they are progress enough.
        !output.is_quiet() && io::stderr().is_terminal() && !io::stdout().is_terminal()
    }));
    signals::leave_on_signal(line.remover()).context("signals cannot be listened for")?;
    let (resource, warnings) = exports::service(&variable);
    for warning in warnings {
        output.warn(&warning);
    }
    let format = match args.format {
        EventFormatArg::Human => EventFormat::Human(HumanStyle {
            colour: output.colour_out(),
            utc_offset_seconds,
        }),
        EventFormatArg::Json => EventFormat::Json,
        EventFormatArg::Otlp => EventFormat::Otlp,
        EventFormatArg::Metrics => EventFormat::Metrics,
    };
    let config = EventFormatterConfig {
        id_seed: args
            .id_seed
            .unwrap_or_else(|| RandomState::new().hash_one(std::process::id())),
        strict: args.strict,
        live: source.bytes.is_none(),
        now: SystemClock.now(),
        resource,
        encoder: EncoderConfig {
            conventions: args.semconv.unwrap_or_default().into(),
            content: true,
            ..EncoderConfig::default()
        },
        scratch: tempfile::tempfile,
        ..EventFormatterConfig::new(format)
    };
    let file = args.file.display().to_string();
    let watch = Watch {
        file: file.clone(),
        shown: 0,
        output: *output,
        line: line.clone(),
    };
    let formatted = format_events(config, source.reader, Box::new(io::stdout()), Box::new(watch));
    line.clear();
    match formatted {
        Ok(outcome) if outcome.problem_count > 0 => {
            if outcome.problem_count > PROBLEMS_SHOWN_MAX {
                output.say(&format!(
                    "… and {} more",
                    outcome.problem_count - PROBLEMS_SHOWN_MAX
                ));
            }
            Ok(Exit::Flawed)
        }
        Ok(outcome) => {
            if outcome.events == 0 {
                output.note(&format!("note: there are no events in {file}"));
            }
            Ok(Exit::Success)
        }
        Err(FormatEventsError::Format(FormatError::IsTrace)) => Err(BadUsage(format!(
            "{file} is a saved trace, not a file of event lines; `flowmeter show {file}` shows it"
        ))
        .into()),
        // The reader has gone away, which is no failure.
        Err(FormatEventsError::Format(FormatError::Output(error)))
            if error.kind() == ErrorKind::BrokenPipe =>
        {
            Ok(Exit::Success)
        }
        Err(FormatEventsError::Format(FormatError::Output(error))) => {
            Err(anyhow::Error::new(error).context("standard output cannot be written"))
        }
        Err(FormatEventsError::Input(error)) => {
            Err(anyhow::Error::new(error).context(format!("{file} cannot be read any further")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Where events come from.
struct Source {
    reader: Box<dyn Read + Send>,
    /// How many there are to be read; `None` where nobody knows, as of a pipe.
    bytes: Option<u64>,
}

fn open(path: &Path) -> Result<Source> {
    if path.as_os_str() == "-" {
        let stdin = io::stdin();
        let bytes = size_of_stdin();
        return Ok(Source {
            reader: Box::new(stdin),
            bytes,
        });
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::Error::new(no_such_file("event file", path)),
        _ => anyhow::Error::new(error).context(format!("{} cannot be read", path.display())),
    })?;
    let found = file
        .metadata()
        .with_context(|| format!("{} cannot be read", path.display()))?;
    if found.is_dir() {
        let text = format!(
            "{} is a folder; name a file of event lines, or `-`",
            path.display()
        );
        return Err(BadUsage(text).into());
    }
    Ok(Source {
        reader: Box::new(file),
        bytes: found.is_file().then_some(found.len()),
    })
}

/// How much there is on standard input, if it is a file.
fn size_of_stdin() -> Option<u64> {
    use std::os::fd::AsFd;
    let stdin = io::stdin().as_fd().try_clone_to_owned().ok()?;
    let found = File::from(stdin).metadata().ok()?;
    found.is_file().then_some(found.len())
}

/// What is wrong with the lines, on its way to standard error.
struct Watch {
    file: String,
    shown: u64,
    output: Output,
    line: BytesLine,
}

impl FormatWatch for Watch {
    fn problems(&mut self, found: &[EventProblem]) {
        for problem in found {
            if self.shown < PROBLEMS_SHOWN_MAX {
                self.shown += 1;
                let text = format!("{}:{problem}", self.file);
                self.line.beside(|| self.output.say(&text));
            }
        }
    }

    fn read(&mut self, bytes: u64) {
        self.line.update(bytes);
    }
}
