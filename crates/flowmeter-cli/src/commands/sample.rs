//! `flowmeter sample`: what a sampling rate decides about trace ids.
//!
//! Works line by line, in constant memory. Never stops at a line that is no trace id: it is reported, and the rest
//! is done.

use std::io::{self, BufRead, BufReader, Write};

use anyhow::Result;
use flowmeter::{Sampler, SamplingRate};
use flowmeter_model::TraceId;

use crate::args::SampleArgs;
use crate::exit::Exit;
use crate::output::Output;

/// Where the ids come from instead of the command line.
const STDIN: &str = "-";
/// The longest line that is looked at, in bytes: an id has 32.
const LINE_BYTES_MAX: usize = 256;
/// The most ids that are reported one by one.
const REPORTED_MAX: usize = 1_000;
/// How much is read at once, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// Decides about each id.
pub(super) fn run(args: &SampleArgs, output: &Output) -> Result<Exit> {
    if args.trace_ids.is_empty() {
        output.note(&meaning(args.rate));
        return Ok(Exit::Success);
    }
    let mut decisions = Decisions {
        sampler: Sampler::TraceIdRatio(args.rate),
        kept_state: args
            .rate
            .threshold()
            .map(|threshold| format!("ot=th:{threshold}")),
        output,
        bad: 0,
    };
    output.write(|out| {
        for (index, trace_id) in args.trace_ids.iter().enumerate() {
            if trace_id == STDIN {
                decisions.take_lines(io::stdin().lock(), out)?;
            } else {
                decisions.take(trace_id.as_bytes(), "argument", index + 1, out)?;
            }
        }
        Ok(())
    })?;
    Ok(decisions.end())
}

/// What the rate comes to.
fn meaning(rate: SamplingRate) -> String {
    match rate.threshold() {
        Some(threshold) => format!(
            "rate {rate}: a trace that is kept carries ot=th:{threshold} and stands for {}; \
             give trace ids, or `-` to read them from standard input",
            threshold.adjusted_count()
        ),
        None => {
            format!("rate {rate}: no trace is kept; give trace ids, or `-` to read them from standard input")
        }
    }
}

struct Decisions<'a> {
    sampler: Sampler,
    /// The same for every trace that is kept.
    kept_state: Option<String>,
    output: &'a Output,
    /// How many were no trace ids.
    bad: usize,
}

impl Decisions<'_> {
    fn take(&mut self, id: &[u8], place: &str, number: usize, out: &mut dyn Write) -> io::Result<()> {
        let id = id.trim_ascii();
        if id.is_empty() && place == "line" {
            return Ok(());
        }
        let text = String::from_utf8_lossy(id);
        let Ok(trace_id) = TraceId::parse(&text) else {
            self.bad += 1;
            if self.bad <= REPORTED_MAX {
                let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
                self.output.error(&format!(
                    "{place} {number}: `{shown}` is no trace id: 32 small hex digits, not all zero, are wanted"
                ));
            }
            return Ok(());
        };
        let kept = self.sampler.keeps(trace_id);
        out.write_all(id)?;
        match self.kept_state.as_deref().filter(|_| kept) {
            Some(state) => {
                out.write_all(b"\tkeep\t")?;
                out.write_all(state.as_bytes())?;
                out.write_all(b"\n")
            }
            None => out.write_all(b"\tdrop\t\n"),
        }
    }

    fn take_lines(&mut self, input: impl io::Read, out: &mut dyn Write) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut line = Vec::with_capacity(LINE_BYTES_MAX);
        for number in 1.. {
            line.clear();
            if !read_line(&mut reader, &mut line, out)? {
                break;
            }
            self.take(&line, "line", number, out)?;
        }
        Ok(())
    }

    fn end(self) -> Exit {
        if self.bad == 0 {
            return Exit::Success;
        }
        if self.bad > REPORTED_MAX {
            let more = self.bad - REPORTED_MAX;
            self.output.error(&format!("{more} more were no trace ids"));
        }
        Exit::Invalid
    }
}

/// Reads a line without its end, and of a long one only the beginning; `false` when there is none left. Whoever
/// waits for the input is shown first what came of the lines before.
fn read_line(
    reader: &mut BufReader<impl io::Read>,
    line: &mut Vec<u8>,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let mut any = false;
    loop {
        if reader.buffer().is_empty() {
            out.flush()?;
        }
        let available = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            available => available.map_err(|error| {
                io::Error::new(error.kind(), format!("standard input cannot be read: {error}"))
            })?,
        };
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = &available[..end.unwrap_or(available.len())];
        let room = LINE_BYTES_MAX - line.len();
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        let consumed = end.map_or(available.len(), |end| end + 1);
        reader.consume(consumed);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests;
