//! Event lines through the pipeline: whatever goes wrong is told by what it is, not by where in the flow it was.

use std::io::{self, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{FormatEventsError, FormatWatch, format_events};
use crate::events::{EventFormat, EventFormatterConfig, EventProblem};
use crate::formats::HumanStyle;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Default)]
struct Watched(Arc<Mutex<(Vec<String>, u64)>>);

impl FormatWatch for Watched {
    fn problems(&mut self, found: &[EventProblem]) {
        self.0.lock().0.extend(found.iter().map(ToString::to_string));
    }
    fn read(&mut self, bytes: u64) {
        self.0.lock().1 = bytes;
    }
}

fn config() -> EventFormatterConfig {
    EventFormatterConfig::new(EventFormat::Human(HumanStyle::default()))
}

#[test]
fn many_blocks_go_round_and_problems_are_told() {
    let mut lines = String::from("{\"type\":\"workflow_start\",\"workflow_id\":\"w\"}\n");
    for number in 0..30_000 {
        lines.push_str(&format!(
            "{{\"type\":\"log\",\"level\":\"INFO\",\"message\":\"{number}\"}}\n"
        ));
    }
    lines.push_str("nonsense\n{\"type\":\"workflow_end\"}\n");
    let (kept, watched) = (Kept::default(), Watched::default());
    let length = lines.len() as u64;
    let outcome = format_events(
        config(),
        Box::new(io::Cursor::new(lines)),
        Box::new(kept.clone()),
        Box::new(watched.clone()),
    )
    .unwrap();
    assert_eq!((outcome.lines, outcome.problem_count), (30_003, 1));
    let text = String::from_utf8(kept.0.lock().clone()).unwrap();
    assert!(text.contains("[INFO] 29999\n"));
    let watched = watched.0.lock();
    assert_eq!(watched.1, length);
    assert_eq!(watched.0.len(), 1);
    assert!(watched.0[0].starts_with("30002: "), "{}", watched.0[0]);
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the cable is out"))
    }
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_input_that_breaks_off_is_told() {
    let failed = format_events(
        config(),
        Box::new(Broken),
        Box::new(io::sink()),
        Box::new(Watched::default()),
    );
    assert!(matches!(failed, Err(FormatEventsError::Input(_))), "{failed:?}");
}

#[test]
fn an_output_that_is_full_is_told() {
    let line = "{\"type\":\"workflow_start\",\"workflow_id\":\"w\"}\n";
    let failed = format_events(
        config(),
        Box::new(line.as_bytes()),
        Box::new(Full),
        Box::new(Watched::default()),
    );
    assert!(matches!(failed, Err(FormatEventsError::Format(_))), "{failed:?}");
}
