//! `flowmeter format`: event lines from a file or from another program, as a tree, as JSON, as OTLP or in figures.
//!
//! Never reads a line itself: the library does. Problems go to standard error while the rest is formatted.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use flowmeter::{
    Block, EventFormat, EventFormatter, EventFormatterConfig, EventProblem, FormatError, FormatStep,
    HumanStyle, LineBlocks,
};
use flowmeter_model::{Attributes, Clock, SystemClock};

use crate::args::{EventFormatArg, FormatArgs};
use crate::commands::no_such_file;
use crate::commands::show::local_offset_seconds;
use crate::exit::{BadUsage, Exit};
use crate::output::Output;
use crate::progress::BytesLine;
use crate::signals;

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
    let mut resource = Attributes::new();
    let service = std::env::var("OTEL_SERVICE_NAME")
        .ok()
        .filter(|name| !name.is_empty());
    resource.set("service.name", service.unwrap_or_else(|| "flowmeter".to_owned()));
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
        scratch: tempfile::tempfile,
        ..EventFormatterConfig::new(format)
    };
    let mut problems = Problems {
        file: args.file.display().to_string(),
        shown: 0,
        output,
        line: &line,
    };
    let mut work = Ok(Worked::default());
    output.write(|out| {
        work = format_all(config, source.reader, out, &mut problems, &line);
        match &mut work {
            Err(Failed::Output(error)) => Err(std::mem::replace(error, ErrorKind::Other.into())),
            _ => Ok(()),
        }
    })?;
    line.clear();
    match work {
        Ok(worked) => {
            problems.tell_rest(worked.problem_count);
            if worked.problem_count > 0 {
                return Ok(Exit::Flawed);
            }
            if worked.events == 0 {
                output.note(&format!("note: there are no events in {}", problems.file));
            }
            Ok(Exit::Success)
        }
        Err(Failed::IsTrace) => Err(BadUsage(format!(
            "{file} is a saved trace, not a file of event lines; `flowmeter show {file}` shows it",
            file = problems.file
        ))
        .into()),
        Err(Failed::Input(error)) => {
            Err(anyhow::Error::new(error).context(format!("{} cannot be read any further", problems.file)))
        }
        // The reader has gone away, which is no failure.
        Err(Failed::Output(_)) => Ok(Exit::Success),
    }
}

/// Where events come from.
struct Source {
    reader: Box<dyn Read>,
    /// How many there are to be read; `None` where nobody knows, as of a pipe.
    bytes: Option<u64>,
}

fn open(path: &Path) -> Result<Source> {
    if path.as_os_str() == "-" {
        let stdin = io::stdin();
        let bytes = size_of_stdin();
        return Ok(Source {
            reader: Box::new(stdin.lock()),
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

#[derive(Default)]
struct Worked {
    events: u64,
    problem_count: u64,
}

enum Failed {
    Input(io::Error),
    Output(io::Error),
    IsTrace,
}

impl From<FormatError> for Failed {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Output(error) => Self::Output(error),
            FormatError::IsTrace => Self::IsTrace,
        }
    }
}

fn format_all(
    config: EventFormatterConfig,
    reader: Box<dyn Read>,
    out: &mut dyn Write,
    problems: &mut Problems<'_>,
    line: &BytesLine,
) -> Result<Worked, Failed> {
    let mut formatter = EventFormatter::new(config, out);
    let mut blocks = LineBlocks::new(reader);
    let mut block = Block::default();
    while blocks.next_block(&mut block).map_err(Failed::Input)? {
        let step = formatter.take_block(&block)?;
        problems.tell(&formatter.take_problems());
        line.update(blocks.read_bytes());
        if step == FormatStep::Stop {
            break;
        }
    }
    let (outcome, _) = formatter.finish()?;
    problems.tell(&outcome.problems);
    Ok(Worked {
        events: outcome.events,
        problem_count: outcome.problem_count,
    })
}

/// What is wrong with the lines, on its way to standard error.
struct Problems<'a> {
    file: String,
    shown: u64,
    output: &'a Output,
    line: &'a BytesLine,
}

impl Problems<'_> {
    fn tell(&mut self, found: &[EventProblem]) {
        for problem in found {
            if self.shown < PROBLEMS_SHOWN_MAX {
                self.shown += 1;
                let text = format!("{}:{problem}", self.file);
                self.line.beside(|| self.output.say(&text));
            }
        }
    }

    fn tell_rest(&self, count: u64) {
        if count > self.shown {
            self.output.say(&format!("… and {} more", count - self.shown));
        }
    }
}
