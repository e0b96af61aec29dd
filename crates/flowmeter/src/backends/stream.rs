//! The live stream: event lines sent as things happen, to a file, a writer, a local socket or a server.
//!
//! What cannot be sent yet waits in bounded memory; what finds no room there is left out, counted and told. Never opens
//! standard output: whoever owns it hands it in.

mod http;
#[cfg(unix)]
mod socket;
mod target;
mod waiting;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::http::HttpStream;
#[cfg(unix)]
use self::socket::SocketStream;
pub use self::target::{InvalidStreamTarget, StreamTarget};
use self::waiting::WaitingLines;
use super::{
    Backend, Batch, Deadline, ExportError, FileBackend, FileConfig, FileFormat, ReaderFacing, RunEnding,
    RunIdentity,
};
use crate::events::write_event;

/// How a stream is sent.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Bytes of lines that may wait for a receiver. Default: 8 MB.
    pub waiting_bytes_max: usize,
    /// The first pause before a receiver that failed is tried again; each further one is twice as long. Default:
    /// 100 ms.
    pub pause_min: Duration,
    /// The longest pause. Default: 5 s.
    pub pause_max: Duration,
    /// How long a receiver may take to read or to answer. Default: 10 s.
    pub timeout: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            waiting_bytes_max: 8 << 20,
            pause_min: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Sends event lines as things happen.
pub struct StreamBackend {
    name: String,
    way: Way,
    deadline: Deadline,
}

enum Way {
    Writer(ReaderFacing),
    File(Box<FileBackend>),
    #[cfg(unix)]
    Socket(Sending<SocketStream>),
    Http(Box<Sending<HttpStream>>),
}

/// A receiver of lines that may be slow, or away for a while.
trait Receiver {
    /// Sends some of the lines that wait, and takes away those that arrived.
    fn send(&mut self, waiting: &mut WaitingLines, time: &SendingTime<'_>) -> Result<(), SendError>;
}

/// How long a receiver may take.
struct SendingTime<'a> {
    timeout: Duration,
    deadline: &'a Deadline,
}

impl SendingTime<'_> {
    /// The time for one attempt: up to the deadline, once there is one.
    fn allowed(&self) -> Duration {
        self.deadline
            .time_left()
            .map_or(self.timeout, |left| left.min(self.timeout))
    }
}

/// Why lines did not arrive.
struct SendError {
    message: String,
    /// What the receiver asked for.
    pause: Option<Duration>,
}

/// Lines on their way to a receiver.
struct Sending<R> {
    receiver: R,
    waiting: WaitingLines,
    config: StreamConfig,
    pause: Duration,
    next_attempt: Option<Instant>,
}

impl StreamBackend {
    /// A stream to `target`; `standard_output` is what `-` stands for.
    ///
    /// # Errors
    /// What is wrong with the file, or with the way to the server.
    pub fn new(
        target: &StreamTarget,
        config: StreamConfig,
        standard_output: impl FnOnce() -> Box<dyn Write + Send>,
    ) -> Result<Self, ExportError> {
        let way = match target {
            StreamTarget::StandardOutput => Way::Writer(ReaderFacing::new(standard_output())),
            StreamTarget::File(path) => {
                let config = FileConfig::new(path, FileFormat::JsonLines);
                Way::File(Box::new(FileBackend::new(config).map_err(ExportError::of)?))
            }
            #[cfg(unix)]
            StreamTarget::Unix(path) => Way::Socket(Sending::new(SocketStream::new(path.clone()), config)),
            #[cfg(not(unix))]
            StreamTarget::Unix(_) => {
                return Err(ExportError::new(
                    "there are no unix sockets on this system; stream to a file",
                ));
            }
            StreamTarget::Http(url) => {
                Way::Http(Box::new(Sending::new(HttpStream::new(url.clone())?, config)))
            }
        };
        Ok(Self {
            name: format!("stream {target}"),
            way,
            deadline: Deadline::default(),
        })
    }
}

impl Backend for StreamBackend {
    fn name(&self) -> &str {
        &self.name
    }

    fn begin(&mut self, run: &Arc<RunIdentity>, deadline: &Deadline) -> Result<(), ExportError> {
        self.deadline = deadline.clone();
        match &mut self.way {
            Way::File(file) => file.begin(run, deadline),
            _ => Ok(()),
        }
    }

    fn export(&mut self, batch: &Batch) -> Result<(), ExportError> {
        match &mut self.way {
            Way::Writer(output) => write_batch(output, batch),
            Way::File(file) => file.export(batch),
            #[cfg(unix)]
            Way::Socket(socket) => {
                socket.take(batch)?;
                socket.send(&self.deadline)
            }
            Way::Http(http) => {
                http.take(batch)?;
                http.send(&self.deadline)
            }
        }
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        match &mut self.way {
            Way::Writer(_) => Ok(()),
            Way::File(file) => file.flush(),
            #[cfg(unix)]
            Way::Socket(socket) => socket.send(&self.deadline),
            Way::Http(http) => http.send(&self.deadline),
        }
    }

    fn finish(&mut self, ending: &RunEnding) -> Result<(), ExportError> {
        match &mut self.way {
            Way::Writer(_) => Ok(()),
            Way::File(file) => file.finish(ending),
            #[cfg(unix)]
            Way::Socket(socket) => socket.send_rest(&self.deadline),
            Way::Http(http) => http.send_rest(&self.deadline),
        }
    }
}

/// Writes a batch and hands it on at once.
fn write_batch(output: &mut ReaderFacing, batch: &Batch) -> Result<(), ExportError> {
    let mut lines = Vec::new();
    for event in &batch.events {
        write_event(&mut lines, &batch.run, event).map_err(ExportError::of)?;
    }
    output.hand_on(&mut lines).map_err(|error| {
        ExportError::new("the stream cannot be written to standard output").with_source(error)
    })
}

impl<R: Receiver> Sending<R> {
    fn new(receiver: R, config: StreamConfig) -> Self {
        Self {
            receiver,
            waiting: WaitingLines::new(config.waiting_bytes_max),
            pause: config.pause_min,
            config,
            next_attempt: None,
        }
    }

    fn take(&mut self, batch: &Batch) -> Result<(), ExportError> {
        for event in &batch.events {
            self.waiting
                .push(|line| write_event(line, &batch.run, event))
                .map_err(ExportError::of)?;
        }
        Ok(())
    }

    /// Sends what waits, unless the receiver is to be left alone for a while.
    fn send(&mut self, deadline: &Deadline) -> Result<(), ExportError> {
        let is_left_alone = self.next_attempt.is_some_and(|at| Instant::now() < at);
        if self.waiting.is_empty() || is_left_alone {
            return Ok(());
        }
        let time = SendingTime {
            timeout: self.config.timeout,
            deadline,
        };
        while !self.waiting.is_empty() {
            if let Err(error) = self.receiver.send(&mut self.waiting, &time) {
                let pause = error
                    .pause
                    .map_or(self.pause, |asked| asked.clamp(self.pause, self.config.pause_max));
                self.next_attempt = Some(Instant::now() + pause);
                self.pause = (self.pause * 2).min(self.config.pause_max);
                return Err(ExportError::new(error.message));
            }
            self.pause = self.config.pause_min;
            self.next_attempt = None;
        }
        Ok(())
    }

    /// Sends what is left, as long as there is time; says what could not be sent.
    fn send_rest(&mut self, deadline: &Deadline) -> Result<(), ExportError> {
        let mut failure = None;
        while !self.waiting.is_empty() {
            let now = Instant::now();
            let pause = self
                .next_attempt
                .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
            let left = deadline.time_left().unwrap_or(Duration::ZERO);
            if pause >= left {
                break;
            }
            std::thread::sleep(pause);
            self.next_attempt = None;
            failure = self.send(deadline).err();
        }
        let (unsent, dropped) = (self.waiting.line_count(), self.waiting.dropped());
        if unsent + dropped == 0 {
            return Ok(());
        }
        let why = failure.map_or_else(String::new, |failure| format!(": {failure}"));
        Err(ExportError::new(match (unsent, dropped) {
            (0, dropped) => format!("{dropped} events found no room to wait and are missing in the stream"),
            (unsent, 0) => format!("{unsent} events could not be streamed in time{why}"),
            (unsent, dropped) => format!(
                "{unsent} events could not be streamed in time, and {dropped} found no room to wait{why}"
            ),
        }))
    }
}

#[cfg(test)]
mod tests;
