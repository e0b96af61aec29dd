//! How a process is marked in the history, and whether the process behind a mark still lives.
//!
//! Never takes a process for another one that was given the same number later, and never judges processes of other
//! machines.

use std::fs;

use flowmeter_store::ProcessMark;
use smol_str::{SmolStr, format_smolstr};

/// The mark of this process.
pub(super) fn own_mark() -> ProcessMark {
    let pid = std::process::id();
    ProcessMark {
        host: Host::own().mark(),
        pid,
        started: process_state(pid).map_or(0, |state| state.started),
    }
}

/// Whether the process still lives; `None` where that cannot be known.
pub(super) fn is_alive(mark: &ProcessMark) -> Option<bool> {
    let (own, theirs) = (Host::own(), Host::parse(&mark.host)?);
    if own.machine != theirs.machine {
        return None;
    }
    if own.boot != theirs.boot {
        // The machine was started anew since: nothing of then lives.
        return Some(false);
    }
    if own.namespace != theirs.namespace {
        return None;
    }
    Some(match process_state(mark.pid) {
        Some(state) => !state.is_dead && state.started == mark.started,
        // The table may be hidden, and on other systems there is none.
        None => crate::traces::runs(mark.pid),
    })
}

/// Where process numbers mean the same.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    machine: String,
    /// Empty where the system does not tell.
    boot: String,
    /// The space of process numbers: a container has its own. Empty where the system has one.
    namespace: String,
}

impl Host {
    fn own() -> Self {
        let machine = line_of("/etc/machine-id").unwrap_or_else(|| {
            let names = rustix::system::uname();
            names.nodename().to_string_lossy().into_owned()
        });
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        let namespace = namespace.map(|link| link.to_string_lossy().into_owned());
        Self {
            machine: plain(&machine),
            boot: plain(&line_of("/proc/sys/kernel/random/boot_id").unwrap_or_default()),
            namespace: plain(&namespace.unwrap_or_default()),
        }
    }

    fn mark(&self) -> SmolStr {
        format_smolstr!("{}/{}/{}", self.machine, self.boot, self.namespace)
    }

    fn parse(mark: &str) -> Option<Self> {
        let mut parts = mark.split('/').map(str::to_owned);
        let host = Self {
            machine: parts.next()?,
            boot: parts.next()?,
            namespace: parts.next()?,
        };
        parts.next().is_none().then_some(host)
    }
}

/// The text without what divides a mark.
fn plain(text: &str) -> String {
    text.replace('/', "-")
}

fn line_of(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

/// What the process table says.
#[derive(Debug, PartialEq, Eq)]
struct ProcessState {
    /// It has ended, and nobody has asked how.
    is_dead: bool,
    /// When it began, in ticks since the machine did.
    started: u64,
}

fn process_state(pid: u32) -> Option<ProcessState> {
    state_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Source: proc_pid_stat(5): state is field 3, starttime field 22; the name in field 2 may hold anything, also
/// parentheses.
fn state_in(stat: &str) -> Option<ProcessState> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X" | "x");
    let started = fields.nth(18)?.parse().ok()?;
    Some(ProcessState { is_dead, started })
}

#[cfg(test)]
mod tests;
