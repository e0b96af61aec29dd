//! The line that says where a run is: on a terminal, while it goes on.
//!
//! Never appears for a run that is over at once, and leaves the terminal as it found it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use flowmeter::{Progress, ProgressHandle, format_duration, grouped};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config::{Config, ProgressSetting};
use crate::output::Output;

/// How often the line changes.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// How long a run is left alone: a line that flashes helps nobody.
const PATIENCE: Duration = Duration::from_millis(300);
/// How many running nodes are named.
const NAMED_MAX: usize = 3;

/// The progress of one run.
pub(crate) struct ProgressLine {
    bar: Option<ProgressBar>,
    shown: bool,
    began: Instant,
}

impl ProgressLine {
    /// Whether progress is to be shown: only then is it worth following.
    pub(crate) fn is_wanted(config: &Config, output: &Output) -> bool {
        config.progress == ProgressSetting::Auto && !output.is_quiet() && io::stderr().is_terminal()
    }

    /// A line that is not there until the run has taken a while.
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            bar: wanted.then(ProgressBar::hidden),
            shown: false,
            began: Instant::now(),
        }
    }

    /// Whether there is anything to update.
    pub(crate) fn is_active(&self) -> bool {
        self.bar.is_some()
    }

    /// Brings the line up to date.
    pub(crate) fn update(&mut self, run: &ProgressHandle) {
        let elapsed = self.began.elapsed();
        let Some(bar) = self.bar.as_ref().filter(|_| elapsed >= PATIENCE) else {
            return;
        };
        if !self.shown {
            self.shown = true;
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_message(line(&run.progress(), elapsed));
        bar.tick();
    }

    /// Standard error beside the line: what is flushed there leaves the line whole, from any thread.
    pub(crate) fn stderr(&self) -> Box<dyn Write + Send> {
        Box::new(BesideLine {
            bar: self.bar.clone(),
            text: Vec::new(),
        })
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Whole lines on their way to standard error.
struct BesideLine {
    bar: Option<ProgressBar>,
    text: Vec<u8>,
}

impl Write for BesideLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        let write = || {
            let mut err = io::stderr().lock();
            err.write_all(&text).and_then(|()| err.flush())
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How much of a file was read: a bar by bytes, with rate and remaining time.
#[derive(Clone)]
pub(crate) struct BytesLine {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl BytesLine {
    /// A bar over this many bytes that is not there until it has taken a while; none without a number.
    pub(crate) fn new(bytes: Option<u64>) -> Self {
        let bar = bytes.map(|bytes| {
            let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden());
            let template = "{wide_bar} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            began: Instant::now(),
        }
    }

    /// Up to here it was read.
    pub(crate) fn update(&self, read_bytes: u64) {
        if let Some(bar) = &self.bar {
            if bar.is_hidden() && self.began.elapsed() >= PATIENCE {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_position(read_bytes);
        }
    }

    /// Writes to standard error beside the bar.
    pub(crate) fn beside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.remover()();
    }

    /// Something that takes the bar away, from any thread.
    pub(crate) fn remover(&self) -> impl Fn() + Send + 'static {
        let bar = self.bar.clone();
        move || {
            if let Some(bar) = &bar {
                bar.finish_and_clear();
            }
        }
    }
}

/// Work that takes its time outside a run: a bar over a known number of steps, or a line that turns.
pub(crate) struct TaskLine {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl TaskLine {
    /// A line on a terminal that is not there until the work has taken a while.
    pub(crate) fn new(output: &Output, steps: Option<u64>, what: &'static str) -> Self {
        let wanted = !output.is_quiet() && io::stderr().is_terminal();
        let bar = wanted.then(|| {
            let bar = ProgressBar::with_draw_target(steps, ProgressDrawTarget::hidden());
            let template = match steps {
                Some(_) => "{wide_bar} {percent:>3}%  {human_pos}/{human_len} {msg}  {eta} left",
                None => "{spinner} {msg} ({elapsed})",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar
        });
        Self {
            bar,
            began: Instant::now(),
        }
    }

    /// So many steps are done.
    pub(crate) fn reach(&self, done: u64) {
        if let Some(bar) = &self.bar {
            if bar.is_hidden() && self.began.elapsed() >= PATIENCE {
                bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            bar.set_position(done);
        }
    }

    /// Has the line turn by itself, for work that says nothing of how far it is.
    pub(crate) fn turn(&self) {
        if let Some(bar) = &self.bar {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What the line says.
fn line(progress: &Progress, elapsed: Duration) -> String {
    let mut parts = vec![running_nodes(progress)];
    if let Some(batch) = progress.batch {
        let failed = if batch.failed > 0 {
            format!(" ({} failed)", batch.failed)
        } else {
            String::new()
        };
        parts.push(format!("batch {}/{}{failed}", batch.done, batch.count));
    }
    parts.push(format_duration(
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX),
    ));
    if progress.llm.calls > 0 {
        parts.push(if progress.llm.are_tokens_unknown() {
            "tokens unknown".to_owned()
        } else {
            format!(
                "{}{} tokens",
                progress.llm.tokens_mark(),
                grouped(progress.llm.total_tokens())
            )
        });
        parts.push(progress.llm.cost.display());
    }
    parts.join(" · ")
}

/// The innermost running nodes: what runs inside a nested workflow says more than its host.
fn running_nodes(progress: &Progress) -> String {
    let running = &progress.running;
    let hosts = |path: &str| {
        running
            .iter()
            .any(|other| other.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    };
    let mut innermost: Vec<&str> = running
        .iter()
        .map(smol_str::SmolStr::as_str)
        .filter(|path| !hosts(path))
        .collect();
    innermost.dedup();
    if innermost.is_empty() {
        return format!("{} nodes done", progress.nodes_executed);
    }
    let more = innermost.len().saturating_sub(NAMED_MAX);
    let mut named = innermost
        .into_iter()
        .take(NAMED_MAX)
        .collect::<Vec<_>>()
        .join(", ");
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    named
}

#[cfg(test)]
mod tests;
