//! Runs a child process: feeds it, reads both its outputs at once, and leaves nobody behind.
//!
//! The child leads a process group of its own. On a timeout, or when the run is cancelled, the whole group is
//! killed. Never reads without a bound: what goes beyond it is thrown away, so that the child does not stall.
//! How it is started and waited for stands in [`super::child`].

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use flowmeter::CurrentSpan;
use flowmeter_engine::NodeError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;

use super::child::Child;
use super::stderr_lines::StderrLines;

/// The most that is kept of each output, in bytes.
const OUTPUT_MAX: usize = 100 * 1024 * 1024;

/// How much is read at a time, at least.
const READ_BYTES_MIN: usize = 8 * 1024;

/// What a finished process left.
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    pub(super) stdout: Captured,
    pub(super) stderr: Captured,
}

/// One output.
#[derive(Default)]
pub(super) struct Captured {
    pub(super) bytes: Vec<u8>,
    /// Whether there was more than is kept.
    pub(super) truncated: bool,
}

/// Why a process could not be seen to its end.
pub(super) enum ProcessProblem {
    /// It did not start.
    Start(io::Error),
    /// It ran out of time and was killed.
    TimedOut,
    /// It came to its end, but something that it left behind kept its outputs open until the time was over.
    LeftOpen,
    /// Its pipes failed.
    Pipes(io::Error),
}

impl ProcessProblem {
    /// The node's failure; `what` ran.
    pub(super) fn into_error(self, what: &str, limit: Duration) -> NodeError {
        match self {
            Self::Start(error) if error.kind() == io::ErrorKind::NotFound => {
                let message =
                    format!("{what} cannot start: the program or the working directory does not exist");
                NodeError::permanent(message).with_type("not_found")
            }
            Self::Start(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
                let message =
                    format!("{what} cannot start: its text or environment is too large; use `stdin` for it");
                NodeError::permanent(message).with_type("too_large")
            }
            Self::Start(error) => {
                NodeError::permanent(format!("{what} cannot start: {error}")).with_source(error)
            }
            Self::TimedOut => NodeError::timed_out(what, limit),
            Self::LeftOpen => NodeError::failed(format!(
                "{what} ended, but what it left in the background held its output open for the limit of {} s; \
                 give that outputs of its own: `… >/dev/null 2>&1 &`",
                limit.as_secs_f64()
            ))
            .with_type("timeout"),
            Self::Pipes(error) => {
                NodeError::failed(format!("{what} could not be followed: {error}")).with_source(error)
            }
        }
    }
}

/// Starts `command`, writes `stdin` to it, and waits until it has ended and both its outputs are closed. `span`
/// learns what it used, and gets the lines of its standard error as logs, as they come.
pub(super) async fn run(
    span: CurrentSpan<'_>,
    mut command: Command,
    stdin: &[u8],
    limit: Duration,
) -> Result<Finished, ProcessProblem> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Child::start(&mut command).map_err(ProcessProblem::Start)?;
    let (input, stdout, stderr) = child.pipes().map_err(ProcessProblem::Pipes)?;

    let lines = StderrLines::new(span);
    let (feed, stdout) = (feed(input, stdin), capture(stdout, None));
    let stderr = capture(stderr, Some(lines));
    let work = async { tokio::try_join!(feed, stdout, stderr, child.wait()) };
    let worked = tokio::time::timeout(limit, work).await;
    match worked {
        Ok(Ok(((), stdout, stderr, (status, usage)))) => {
            span.child_ended(&usage);
            // What the command put into the background on purpose, with its outputs elsewhere, may live on.
            child.spare_family();
            Ok(Finished {
                status,
                stdout,
                stderr,
            })
        }
        Ok(Err(error)) => Err(ProcessProblem::Pipes(error)),
        Err(_) => {
            let (problem, usage) = match child.try_wait() {
                Ok(Some((_, usage))) => (ProcessProblem::LeftOpen, Some(usage)),
                // What it had used is known if it dies at once.
                _ => (ProcessProblem::TimedOut, child.kill().await),
            };
            if let Some(usage) = usage {
                span.child_ended(&usage);
            }
            Err(problem)
        }
    }
}

/// A child that does not read its input is no failure.
async fn feed(pipe: Option<ChildStdin>, stdin: &[u8]) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    match pipe.write_all(stdin).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Reads an output to its end; `lines` sees all of it as it comes.
async fn capture(
    pipe: Option<impl AsyncRead + Unpin>,
    mut lines: Option<StderrLines<'_>>,
) -> io::Result<Captured> {
    let mut captured = Captured::default();
    let Some(mut pipe) = pipe else { return Ok(captured) };
    loop {
        let read = captured.bytes.len();
        if read < OUTPUT_MAX {
            captured.bytes.reserve(READ_BYTES_MIN);
            let room = (OUTPUT_MAX - read) as u64;
            if (&mut pipe).take(room).read_buf(&mut captured.bytes).await? == 0 {
                break;
            }
            if let Some(lines) = &mut lines {
                lines.take(&captured.bytes[read..]);
            }
        } else {
            let mut beyond = vec![0; READ_BYTES_MIN];
            let read = pipe.read(&mut beyond).await?;
            if read == 0 {
                break;
            }
            captured.truncated = true;
            if let Some(lines) = &mut lines {
                lines.take(&beyond[..read]);
            }
        }
    }
    if let Some(lines) = lines {
        lines.end();
    }
    Ok(captured)
}

/// The exit code; a process that a signal ended has 128 and the signal's number, as in a shell.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The last lines of a text, for a message.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let from = lines.len().saturating_sub(count);
    let kept = lines[from..].join("\n");
    match kept.char_indices().rev().nth(999) {
        Some((start, _)) if start > 0 => format!("…{}", &kept[start..]),
        _ => kept,
    }
}
