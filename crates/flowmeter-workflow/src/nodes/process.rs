//! Runs a child process: feeds it, reads both its outputs at once, and leaves nobody behind.
//!
//! The child leads a process group of its own. On a timeout, or when the run is cancelled, the whole group is
//! killed. Never reads without a bound: what goes beyond it is thrown away, so that the child does not stall.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use flowmeter_engine::NodeError;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// The most that is kept of each output, in bytes.
const OUTPUT_MAX: usize = 100 * 1024 * 1024;

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

/// Kills the group when it is dropped, unless the process came to its own end.
struct Group(Option<Pid>);

impl Group {
    fn spare(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It fails only when nobody of the group is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Starts `command`, writes `stdin` to it, and waits until it has ended and both its outputs are closed.
pub(super) async fn run(
    mut command: Command,
    stdin: &[u8],
    limit: Duration,
) -> Result<Finished, ProcessProblem> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(ProcessProblem::Start)?;
    let leader = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let mut group = Group(leader);

    let feed = feed(child.stdin.take(), stdin);
    let stdout = capture(child.stdout.take());
    let stderr = capture(child.stderr.take());
    let work = async { tokio::try_join!(feed, stdout, stderr, child.wait()) };
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(((), stdout, stderr, status))) => {
            // What the command put into the background on purpose, with its outputs elsewhere, may live on.
            group.spare();
            Ok(Finished {
                status,
                stdout,
                stderr,
            })
        }
        Ok(Err(error)) => Err(ProcessProblem::Pipes(error)),
        Err(_) if matches!(child.try_wait(), Ok(Some(_))) => Err(ProcessProblem::LeftOpen),
        Err(_) => Err(ProcessProblem::TimedOut),
    }
}

/// A child that does not read its input is no failure.
async fn feed(pipe: Option<tokio::process::ChildStdin>, stdin: &[u8]) -> io::Result<()> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    match pipe.write_all(stdin).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

async fn capture(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Captured> {
    let mut captured = Captured::default();
    let Some(mut pipe) = pipe else { return Ok(captured) };
    (&mut pipe)
        .take(OUTPUT_MAX as u64)
        .read_to_end(&mut captured.bytes)
        .await?;
    if captured.bytes.len() == OUTPUT_MAX {
        captured.truncated = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await? > 0;
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
