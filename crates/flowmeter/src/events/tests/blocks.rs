//! Lines in blocks, whatever pieces they come in.

use std::io::{self, Read};

use crate::events::{Block, LineBlocks};

/// A source that gives what it has in pieces of these sizes, over and over.
struct Pieces<'a> {
    rest: &'a [u8],
    sizes: &'a [usize],
    next: usize,
    interruptions: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interruptions > 0 {
            self.interruptions -= 1;
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = self.sizes[self.next % self.sizes.len()].max(1);
        self.next += 1;
        let count = size.min(buffer.len()).min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest = &self.rest[count..];
        Ok(count)
    }
}

fn pieces<'a>(text: &'a [u8], sizes: &'a [usize]) -> Pieces<'a> {
    Pieces {
        rest: text,
        sizes,
        next: 0,
        interruptions: 2,
    }
}

fn all_blocks(mut blocks: LineBlocks<Pieces<'_>>) -> Vec<(String, bool)> {
    let mut block = Block::default();
    let mut found = Vec::new();
    while blocks.next_block(&mut block).unwrap() {
        let lines = String::from_utf8(block.lines.clone()).unwrap();
        found.push((lines, block.then_too_long));
    }
    assert!(!blocks.next_block(&mut block).unwrap(), "the end stays the end");
    found
}

#[test]
fn what_has_come_is_handed_out_at_once() {
    let found = all_blocks(LineBlocks::new(pieces(b"a\nb\ncd\ne", &[4, 1])));
    let texts: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["a\nb\n", "cd\n", "e"]);
}

#[test]
fn a_block_has_ten_thousand_lines_at_most() {
    let text = "\n".repeat(25_000);
    let found = all_blocks(LineBlocks::new(pieces(text.as_bytes(), &[1 << 20])));
    let counts: Vec<usize> = found.iter().map(|(text, _)| text.len()).collect();
    assert_eq!(counts, [10_000, 10_000, 5_000]);
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_told() {
    let long = "x".repeat(2_000_000);
    let text = format!("a\n{long}\nb\n{long}");
    for size in [1 << 20, 1000] {
        let sizes = [size];
        let found = all_blocks(LineBlocks::with_limit(pieces(text.as_bytes(), &sizes), 1_000_000));
        let told = found.iter().filter(|(_, too_long)| *too_long).count();
        let kept: String = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!((told, kept.as_str()), (2, "a\nb\n"), "in pieces of {size}");
    }
}

#[test]
fn nothing_is_lost_whatever_the_pieces() {
    arbtest::arbtest(|u| {
        let text: Vec<u8> = u
            .arbitrary::<Vec<bool>>()?
            .iter()
            .map(|line| if *line { b'\n' } else { b'x' })
            .collect();
        let sizes: Vec<usize> = vec![u.int_in_range(1..=9)?, u.int_in_range(1..=9)?];
        let found = all_blocks(LineBlocks::new(pieces(&text, &sizes)));
        let kept: String = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(kept.as_bytes(), text);
        for (lines, _) in found.iter().rev().skip(1) {
            assert!(lines.ends_with('\n'), "only the last line may lack its newline");
        }
        Ok(())
    });
}
