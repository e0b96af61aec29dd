//! Unit tests of reading lines.

use super::*;

/// Hands out a few bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn lines(text: &str, at_once: usize) -> Vec<String> {
    let mut reader = BufReader::with_capacity(16, Slow(text.as_bytes(), at_once));
    let (mut line, mut found) = (Vec::new(), Vec::new());
    while read_line(&mut reader, &mut line, &mut io::sink()).unwrap() {
        found.push(String::from_utf8(std::mem::take(&mut line)).unwrap());
    }
    found
}

#[test]
fn lines_are_found_however_they_come() {
    for at_once in [1, 3, 16] {
        assert_eq!(lines("a\n\nbc\r\nd", at_once), ["a", "", "bc\r", "d"]);
        assert_eq!(lines("a\n", at_once), ["a"]);
        assert_eq!(lines("", at_once), [""; 0]);
        assert_eq!(lines("\n", at_once), [""]);
    }
}

#[test]
fn of_a_long_line_only_the_beginning_is_kept() {
    let text = format!("{}\nnext", "x".repeat(100_000));
    let found = lines(&text, 1000);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].len(), LINE_BYTES_MAX);
    assert_eq!(found[1], "next");
}
