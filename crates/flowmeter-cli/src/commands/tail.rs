//! `flowmeter tail`: a run while it goes on, as a live tree on a terminal and as lines elsewhere.
//!
//! Only looks: the run does not know that it is followed, and nothing that becomes of it makes this command fail.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use flowmeter::{
    Backend, Batch, ConsoleBackend, ConsoleConfig, HumanStyle, LiveTree, LiveView, RunIdentity,
    TraceDocument, write_event, write_human, write_summary,
};
use flowmeter_model::{Clock, SystemClock, TelemetryEvent};
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::args::TailArgs;
use crate::commands::show;
use crate::exit::Exit;
use crate::following::{FollowedRun, RunProgress};
use crate::home::Home;
use crate::output::Output;
use crate::screen::Screen;
use crate::signals::StopSignals;
use crate::traces;

/// How often the trace is looked at, and the tree drawn.
const TICK: Duration = Duration::from_millis(100);
/// How long the terminal has to take the last words.
const GRACE: Duration = Duration::from_secs(2);
/// How much is read between two looks for a signal.
const LOOKS_IN_A_ROW: usize = 8;

/// Follows a run.
pub(super) fn run(args: &TailArgs, home: &Home, output: &Output) -> Result<Exit> {
    let style = HumanStyle {
        colour: output.colour_out(),
        utc_offset_seconds: show::local_offset_seconds(),
    };
    let tail = Tail {
        args,
        home,
        output,
        style,
    };
    let signals = StopSignals::listen_briefly(GRACE).context("signals cannot be listened for")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the program's threads could not be started")?;
    runtime.block_on(tail.run(signals))
}

struct Tail<'a> {
    args: &'a TailArgs,
    home: &'a Home,
    output: &'a Output,
    style: HumanStyle,
}

impl Tail<'_> {
    async fn run(&self, mut signals: StopSignals) -> Result<Exit> {
        let path = match self.place()? {
            Some(path) => path,
            None => {
                self.output.note(
                    "no run is going on; waiting for one to begin (`flowmeter tail last` shows the newest trace)",
                );
                let known = traces::all(self.home);
                tokio::select! {
                    biased;
                    Some(_) = signals.first() => return Ok(Exit::Interrupted),
                    path = self.next_run(known) => path,
                }
            }
        };
        let Some(mut run) = FollowedRun::open(&path)? else {
            return self.print_finished(&path);
        };
        if self.args.no_follow {
            return self.print_so_far(&mut run);
        }
        let mut view = self.view(&run)?;
        let ended = self.follow(&mut run, &mut view, &mut signals).await;
        // Whatever happens next is said on a terminal that is as it was.
        view.leave()?;
        match ended? {
            Followed::Left => {
                let id = run.main().trace_id().to_string();
                self.output.note(&format!(
                    "the run goes on; `flowmeter tail {}` follows it again",
                    &id[..8]
                ));
                Ok(Exit::Interrupted)
            }
            Followed::ReaderGone => Ok(Exit::Success),
            Followed::Ended(progress) => self.print_end(&run, progress, &mut view),
        }
    }

    /// The file that is meant; `None`: none yet.
    fn place(&self) -> Result<Option<PathBuf>> {
        if let Some(wanted) = &self.args.run {
            // Of the runs of one trace the outermost began first.
            return Ok(traces::find(self.home, wanted)?.into_iter().next());
        }
        match traces::newest_going_on(self.home) {
            None if self.args.no_follow => Ok(traces::find(self.home, "last")?.into_iter().next()),
            found => Ok(found),
        }
    }

    /// Waits for a run to begin.
    async fn next_run(&self, known: BTreeSet<PathBuf>) -> PathBuf {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            let fresh = traces::all(self.home)
                .into_iter()
                .find(|path| !known.contains(path));
            // Its first line may not be there yet.
            if let Some(path) = fresh.filter(|path| FollowedRun::open(path).is_ok()) {
                return path;
            }
        }
    }

    fn view(&self, run: &FollowedRun) -> Result<View> {
        if self.args.events {
            return Ok(View::Events(Stdout::default(), run.identity()));
        }
        if Screen::is_there() {
            let tree = LiveTree::new(run.main().workflow(), run.main().started());
            return Ok(View::Live(Box::new(Live {
                screen: Screen::default(),
                tree,
                frame: 0,
                colour: self.style.colour,
            })));
        }
        let config = ConsoleConfig {
            colour: self.style.colour,
            width: None,
            utc_offset_seconds: self.style.utc_offset_seconds,
        };
        let stdout = Stdout::default();
        let console = ConsoleBackend::new(Box::new(stdout.clone()), config);
        Ok(View::Lines(Box::new(console), stdout, Arc::new(run.identity())))
    }

    /// Follows until the run has ended or a signal comes.
    async fn follow(
        &self,
        run: &mut FollowedRun,
        view: &mut View,
        signals: &mut StopSignals,
    ) -> Result<Followed> {
        let stop_key = Signal::TSTP.as_raw();
        // Only who has changed the terminal has to change it back before it is stopped.
        let mut stops = match view {
            View::Live(_) => Some(signal(SignalKind::from_raw(stop_key))?),
            View::Lines(..) | View::Events(..) => None,
        };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut events = Vec::new();
        loop {
            let stopped = async {
                match &mut stops {
                    Some(stops) => stops.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(_) = signals.first() => return Ok(Followed::Left),
                Some(()) = stopped => {
                    view.leave()?;
                    // The shell goes on here; this comes back when the shell says so.
                    kill_process(getpid(), Signal::STOP)?;
                    continue;
                }
                _ = tick.tick() => {}
            }
            let mut progress = RunProgress::Behind;
            for _ in 0..LOOKS_IN_A_ROW {
                events.clear();
                progress = run.look(&mut events)?;
                view.take(&events)?;
                if progress != RunProgress::Behind {
                    break;
                }
            }
            if view.reader_is_gone() {
                return Ok(Followed::ReaderGone);
            }
            match progress {
                RunProgress::Behind => tick.reset_immediately(),
                RunProgress::GoingOn => {}
                ended => return Ok(Followed::Ended(ended)),
            }
            view.draw()?;
        }
    }

    /// The trace of a run that has ended.
    fn print_finished(&self, path: &Path) -> Result<Exit> {
        let paths: Vec<PathBuf> = std::iter::once(path.to_owned())
            .chain(traces::other_parts(path))
            .collect();
        let (trace, _) = show::read(&paths, self.output)?;
        self.print(trace)
    }

    /// What there is by now.
    fn print_so_far(&self, run: &mut FollowedRun) -> Result<Exit> {
        let trace = run.whole()?;
        if !trace.is_finished() && traces::is_written(run.main()) {
            let pid = run.main().pid();
            self.output
                .note(&format!("note: the run is still going on, in process {pid}"));
        }
        self.print(trace)
    }

    fn print(&self, trace: TraceDocument) -> Result<Exit> {
        if self.args.events {
            let identity = identity_of(&trace);
            let events = trace.into_events();
            self.output.write(|out| {
                events
                    .iter()
                    .try_for_each(|event| write_event(out, &identity, event))
            })?;
        } else {
            self.output.write(|out| write_human(&trace, self.style, out))?;
        }
        Ok(Exit::Success)
    }

    /// What is to be seen when the run has ended: the whole tree where it was drawn live, the summary elsewhere.
    fn print_end(&self, run: &FollowedRun, progress: RunProgress, view: &mut View) -> Result<Exit> {
        if progress == RunProgress::Overwritten {
            self.output.note("note: another run writes to this file now");
            return Ok(Exit::Success);
        }
        let trace = run.whole()?;
        match view {
            View::Live(_) => self.output.write(|out| write_human(&trace, self.style, out))?,
            View::Lines(..) => self.output.write(|out| {
                writeln!(out)?;
                write_summary(&trace, self.style, out)
            })?,
            View::Events(..) => {}
        }
        match progress {
            RunProgress::Interrupted => self.output.note(&format!(
                "note: process {} is gone and has not said how the run ended",
                run.main().pid()
            )),
            RunProgress::Removed if trace.is_finished() => self.output.note(
                "note: the run ended well, and its trace is not kept; `flowmeter run --trace` keeps it",
            ),
            RunProgress::Removed => self
                .output
                .note("note: the trace file was removed while the run went on"),
            _ => {}
        }
        Ok(Exit::Success)
    }
}

fn identity_of(trace: &TraceDocument) -> RunIdentity {
    let known = trace.spans.first().map(|span| span.trace_id);
    RunIdentity {
        // An id of another form than ours has no place in an event; what the spans carry stands for it.
        trace_id: known
            .or_else(|| trace.trace_id.parse().ok())
            .unwrap_or_else(|| flowmeter_model::IdSource::from_seed(0).trace_id()),
        root_span_id: None,
        parent_span_id: None,
        workflow: trace.workflow.as_deref().unwrap_or_default().into(),
        started: trace.started.unwrap_or_default(),
        trace_state: String::new(),
        sampled: trace.sampled,
        resource: flowmeter_model::Attributes::new(),
    }
}

/// How following came to its end.
enum Followed {
    /// A signal came.
    Left,
    /// Nobody reads what is printed.
    ReaderGone,
    /// The run is over.
    Ended(RunProgress),
}

/// How the run is shown while it goes on.
enum View {
    Live(Box<Live>),
    Lines(Box<ConsoleBackend>, Stdout, Arc<RunIdentity>),
    Events(Stdout, RunIdentity),
}

struct Live {
    screen: Screen,
    tree: LiveTree,
    frame: usize,
    colour: bool,
}

impl View {
    fn take(&mut self, events: &[TelemetryEvent]) -> Result<()> {
        match self {
            Self::Live(live) => events.iter().for_each(|event| live.tree.apply(event)),
            Self::Lines(console, _, run) => {
                let batch = Batch {
                    run: Arc::clone(run),
                    events: events.to_vec(),
                };
                console
                    .export(&batch)
                    .context("standard output cannot be written")?;
            }
            Self::Events(stdout, identity) => {
                let mut lines = Vec::new();
                for event in events {
                    write_event(&mut lines, identity, event)?;
                }
                stdout.put(&lines).context("standard output cannot be written")?;
            }
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<()> {
        if let Self::Live(live) = self {
            let (columns, rows) = Screen::size();
            let view = LiveView {
                columns,
                rows,
                colour: live.colour,
                now: SystemClock.now(),
                frame: live.frame,
            };
            live.frame = live.frame.wrapping_add(1);
            live.screen
                .draw(&live.tree.lines(view), rows)
                .context("the terminal cannot be drawn on")?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        if let Self::Live(live) = self {
            live.screen.leave().context("the terminal cannot be drawn on")?;
        }
        Ok(())
    }

    fn reader_is_gone(&self) -> bool {
        match self {
            Self::Live(_) => false,
            Self::Lines(_, stdout, _) | Self::Events(stdout, _) => stdout.is_gone.load(Ordering::Relaxed),
        }
    }
}

/// Standard output that remembers when its reader has gone away.
#[derive(Clone, Default)]
struct Stdout {
    is_gone: Arc<AtomicBool>,
}

impl Stdout {
    /// Writes all of it; a reader that has gone away is no failure.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.write_all(bytes).and_then(|()| self.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    fn noting<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::BrokenPipe
        {
            self.is_gone.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.noting(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.noting(io::stdout().flush())
    }
}
