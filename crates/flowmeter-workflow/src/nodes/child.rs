//! One child process: started as the leader of a process group, waited for, its resources read when it ends.
//!
//! The wait is ours and not the runtime's, which collects a child without asking what it used. Whoever drops a
//! child that is still running kills it with its whole group; nobody stays behind, not even as a zombie.

use std::fmt::Display;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use flowmeter::{ChildMemory, ChildUsage};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use wait4::{ResUse, Wait4};

/// How long a killed process may take to be gone before its resources stay unknown.
const DEATH_WAIT: Duration = Duration::from_millis(200);
/// The first look at a child's memory, and the longest time between two.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_LONGEST: Duration = Duration::from_millis(100);
/// By how much the system's count of our own memory may be late.
const FLOOR_BLUR_BYTES: u64 = 1 << 20;

/// A process that was started.
pub(super) struct Child {
    process: std::process::Child,
    /// Its group, which has its own number.
    group: Option<Pid>,
    /// Our own size when it was started.
    memory_floor: u64,
    /// The most that it was seen to hold while it ran.
    memory_seen: Option<u64>,
    ended: Option<(ExitStatus, ChildUsage)>,
    spares_family: bool,
}

impl Child {
    /// Starts `command` in a process group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let process = command.process_group(0).spawn()?;
        let group = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        Ok(Self {
            process,
            group,
            memory_floor: memory_max_bytes("self").unwrap_or(0),
            memory_seen: None,
            ended: None,
            spares_family: false,
        })
    }

    /// Its standard streams, where they are pipes.
    #[allow(clippy::type_complexity, reason = "three streams in the usual order")]
    pub(super) fn pipes(
        &mut self,
    ) -> io::Result<(Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>)> {
        let stdin = self.process.stdin.take().map(ChildStdin::from_std);
        let stdout = self.process.stdout.take().map(ChildStdout::from_std);
        let stderr = self.process.stderr.take().map(ChildStderr::from_std);
        Ok((stdin.transpose()?, stdout.transpose()?, stderr.transpose()?))
    }

    /// Waits until it has ended. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> io::Result<(ExitStatus, ChildUsage)> {
        let signs = self.signs_of_its_end()?;
        self.wait_for(signs).await
    }

    async fn wait_for(&mut self, mut signs: Signs) -> io::Result<(ExitStatus, ChildUsage)> {
        let mut until_look = LOOK_FIRST;
        loop {
            if let Some(ended) = self.try_wait()? {
                return Ok(ended);
            }
            match tokio::time::timeout(until_look, signs.next()).await {
                Ok(sign) => sign?,
                Err(_) => {
                    self.memory_seen = memory_max_bytes(self.process.id()).or(self.memory_seen);
                    until_look = (until_look * 2).min(LOOK_LONGEST);
                }
            }
        }
    }

    /// How it ended, if it has.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<(ExitStatus, ChildUsage)>> {
        // A process is collected once: its number may belong to another one afterwards.
        if self.ended.is_none() {
            self.ended = self
                .process
                .try_wait4()?
                .map(|end| (end.status, self.usage(&end)));
        }
        Ok(self.ended)
    }

    fn usage(&self, end: &ResUse) -> ChildUsage {
        let bytes = end.rusage.maxrss;
        let is_its_own = bytes > self.memory_floor.saturating_add(FLOOR_BLUR_BYTES);
        ChildUsage {
            cpu_user: end.rusage.utime,
            cpu_system: end.rusage.stime,
            memory_max: match self.memory_seen {
                _ if is_its_own => ChildMemory::Bytes(bytes),
                Some(seen) => ChildMemory::Bytes(seen.min(bytes)),
                None => ChildMemory::AtMost(bytes),
            },
        }
    }

    /// Lets the rest of its group live on when this is dropped.
    pub(super) fn spare_family(&mut self) {
        self.spares_family = true;
    }

    /// Kills it with its whole group, and says what it had used if it is gone in a moment.
    pub(super) async fn kill(&mut self) -> Option<ChildUsage> {
        self.send_kill();
        let gone = tokio::time::timeout(DEATH_WAIT, self.wait()).await;
        Some(gone.ok()?.ok()?.1)
    }

    fn send_kill(&mut self) {
        if let Some(group) = self.group {
            // It fails only when nobody of the group is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if self.ended.is_none() {
            // It may have left its group.
            let _ = self.process.kill();
        }
    }

    #[cfg(target_os = "linux")]
    #[allow(
        deprecated,
        reason = "what is called unsound are types that change their descriptor; an OwnedFd does not"
    )]
    fn signs_of_its_end(&self) -> io::Result<Signs> {
        use rustix::process::{PidfdFlags, pidfd_open};
        use tokio::io::Interest;
        use tokio::io::unix::AsyncFd;

        let opened = self.group.map(|process| pidfd_open(process, PidfdFlags::empty()));
        match opened {
            Some(Ok(process)) => Ok(Signs::Process(AsyncFd::with_interest(
                process,
                Interest::READABLE,
            )?)),
            // A system before Linux 5.3, or one that forbids it.
            _ => Signs::of_any_child(),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn signs_of_its_end(&self) -> io::Result<Signs> {
        Signs::of_any_child()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.spares_family {
            self.send_kill();
        }
        if !matches!(self.try_wait(), Ok(None)) {
            return;
        }
        // It is dying: somebody must collect it. A thread does not keep this program from its own end.
        let Some(process) = self.group else { return };
        let _ = std::thread::Builder::new()
            .name("flowmeter-reaper".to_owned())
            .spawn(move || waitpid(Some(process), WaitOptions::empty()));
    }
}

/// What tells that the child may have ended.
enum Signs {
    /// The process itself.
    #[cfg(target_os = "linux")]
    Process(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    /// Any child of this program: the one in question must be asked.
    AnyChild(tokio::signal::unix::Signal),
}

impl Signs {
    fn of_any_child() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self::AnyChild(signal(SignalKind::child())?))
    }

    async fn next(&mut self) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Process(process) => {
                process.readable().await?.clear_ready();
            }
            Self::AnyChild(signal) => {
                signal.recv().await;
            }
        }
        Ok(())
    }
}

/// The most memory that a process held so far; `None` where the system does not say. For a child that has ended the
/// system has a figure too, but that begins with our own: a new process counts as large as the one that started it
/// until it runs its own program (Linux takes the old size over as the first maximum when it does).
fn memory_max_bytes(process: impl Display) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests;
