//! A local socket that somebody listens on. A listener that goes away and comes back gets what waited in between.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::waiting::WaitingLines;
use super::{Receiver, SendError, SendingTime};

/// How long a listener may keep the stream waiting before something else is looked at.
const PATIENCE: Duration = Duration::from_millis(250);

/// A way to a local socket.
pub(super) struct SocketStream {
    path: PathBuf,
    connection: Option<UnixStream>,
    /// How much of the first waiting line the connection has taken already.
    begun: usize,
}

impl SocketStream {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: None,
            begun: 0,
        }
    }

    fn connected(&mut self, patience: Duration) -> std::io::Result<&mut UnixStream> {
        if self.connection.is_none() {
            let connection = UnixStream::connect(&self.path)?;
            self.begun = 0;
            self.connection = Some(connection);
        }
        let connection = self.connection.as_mut().ok_or(ErrorKind::NotConnected)?;
        connection.set_write_timeout(Some(patience))?;
        Ok(connection)
    }
}

impl Receiver for SocketStream {
    fn send(&mut self, waiting: &mut WaitingLines, time: &SendingTime<'_>) -> Result<(), SendError> {
        let patience = time.allowed().clamp(Duration::from_millis(1), PATIENCE);
        let begun = if self.connection.is_some() { self.begun } else { 0 };
        let written = self.connected(patience).and_then(|connection| {
            loop {
                match connection.write(&waiting.bytes()[begun..]) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    other => return other,
                }
            }
        });
        match written {
            Ok(count) => {
                self.begun = waiting.arrived(begun + count);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(SendError {
                    message: format!("whoever listens on {} does not read", self.path.display()),
                    pause: None,
                })
            }
            Err(error) => {
                self.connection = None;
                self.begun = 0;
                Err(SendError {
                    message: format!("the socket {} cannot be written to: {error}", self.path.display()),
                    pause: None,
                })
            }
        }
    }
}
