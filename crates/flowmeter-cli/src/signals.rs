//! Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop, the second ends the process at once, whatever
//! the other threads are waiting for.
//!
//! Never ends the process on the first one: what was recorded is still to be written.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::exit::Exit;
use crate::output::Output;

/// Tells of the first signal that asks the program to stop.
pub(crate) struct StopSignals {
    first: Receiver<&'static str>,
}

impl StopSignals {
    /// Listens from now on and until the process ends, in a thread of its own. Call it outside any runtime.
    ///
    /// # Errors
    /// When the system has no place for a handler or a thread.
    pub(crate) fn listen(output: Output) -> io::Result<Self> {
        Self::watched_by(move |runtime, signals, sender| watch(&runtime, signals, &sender, output))
    }

    /// The same where nothing is to be written up: a process that is still there `grace` after the first signal,
    /// because its terminal takes nothing any more, is ended then.
    ///
    /// # Errors
    /// When the system has no place for a handler or a thread.
    pub(crate) fn listen_briefly(grace: Duration) -> io::Result<Self> {
        Self::watched_by(move |runtime, mut signals, sender| {
            let first = runtime.block_on(signals.next());
            // Nobody listens when the process is ending already.
            let _ending_already = sender.try_send(first);
            std::thread::sleep(grace);
            std::process::exit(Exit::Interrupted.code().into());
        })
    }

    fn watched_by(
        watch: impl FnOnce(Runtime, Signals, Sender<&'static str>) + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let signals = {
            let _in_runtime = runtime.enter();
            Signals::listen()?
        };
        let (sender, first) = channel(1);
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watch(runtime, signals, sender))?;
        Ok(Self { first })
    }

    /// Waits for the first of them and says its name; `None` when nobody listens any more.
    pub(crate) async fn first(&mut self) -> Option<&'static str> {
        self.first.recv().await
    }
}

/// Ends the process at the first signal, for work that leaves nothing half done: `before` leaves the terminal as it
/// was. Call it outside any runtime.
///
/// # Errors
/// When the system has no place for a handler or a thread.
pub(crate) fn leave_on_signal(before: impl Fn() + Send + 'static) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _in_runtime = runtime.enter();
        Signals::listen()?
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(signals.next());
            before();
            std::process::exit(Exit::Interrupted.code().into());
        })
        .map(drop)
}

fn watch(runtime: &Runtime, mut signals: Signals, run: &Sender<&'static str>, output: Output) {
    let first = runtime.block_on(signals.next());
    if run.try_send(first).is_err() {
        // Standard error may take its time, and the second signal must not wait for it.
        std::thread::spawn(move || {
            output.note(&format!(
                "{first}: the run is over and being written up; once more to stop at once"
            ));
        });
    }
    runtime.block_on(signals.next());
    // Nothing is said: a stream that holds the program up would hold this up, too.
    std::process::exit(Exit::Interrupted.code().into());
}

/// The signals that ask the program to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Call it inside a runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}
