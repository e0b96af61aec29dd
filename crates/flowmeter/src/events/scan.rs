//! The fast way through an event line: one pass over its bytes, nothing allocated.
//!
//! It takes what programs usually write and declines the rest, which `parse` reads with `serde_json`: that one
//! decides what is JSON and what is wrong with a line. Both say the same of every line that this one takes.

use super::fields::{Field, Fields, Place, Shape};

/// The line is none of the usual ones.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Declined;

/// How deep a value may be nested to be read here.
const DEPTH_MAX: u32 = 120;

/// Finds the fields of a line. `fields` were cleared; they hold anything if the line is declined.
pub(super) fn scan(line: &str, fields: &mut Fields) -> Result<(), Declined> {
    if u32::try_from(line.len()).is_err() {
        return Err(Declined);
    }
    let mut scanner = Scanner {
        line,
        bytes: line.as_bytes(),
        at: 0,
    };
    scanner.skip_space();
    scanner.members(fields, Level::Line)?;
    scanner.skip_space();
    if scanner.at == scanner.bytes.len() {
        Ok(())
    } else {
        Err(Declined)
    }
}

/// Which object's members are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Line,
    Node,
}

struct Scanner<'a> {
    line: &'a str,
    bytes: &'a [u8],
    at: usize,
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The high bit of each byte of `word` that is `byte`; above the lowest such byte there may be false ones.
const fn equal_to(word: u64, byte: u8) -> u64 {
    let difference = word ^ (ONES * byte as u64);
    difference.wrapping_sub(ONES) & !difference & HIGHS
}

impl Scanner<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Declined> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Declined)
        }
    }

    fn place(&self, start: usize, shape: Shape) -> Place {
        Place {
            start: start as u32,
            end: self.at as u32,
            shape,
        }
    }

    /// An object from its brace on.
    fn members(&mut self, fields: &mut Fields, level: Level) -> Result<(), Declined> {
        self.expect(b'{')?;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.expect(b'"')?;
            let name = self.text()?;
            if name.shape == Shape::Escaped {
                return Err(Declined);
            }
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            let text = name.text(self.line);
            match level {
                Level::Line => match Field::of_line(text) {
                    Some(Field::Node) if self.peek() == Some(b'{') => {
                        let start = self.at;
                        fields.forget_node();
                        self.members(fields, Level::Node)?;
                        fields.set(Field::Node, self.place(start, Shape::Object));
                    }
                    Some(field) => {
                        let value = self.value()?;
                        if field == Field::Node {
                            fields.forget_node();
                        }
                        fields.set(field, value);
                    }
                    None => {
                        let value = self.value()?;
                        fields.add_other(name, value);
                    }
                },
                Level::Node => {
                    let value = self.value()?;
                    if let Some(field) = Field::of_node(text) {
                        fields.set(field, value);
                    }
                }
            }
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Declined),
            }
        }
    }

    #[inline]
    fn value(&mut self) -> Result<Place, Declined> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.text()
            }
            Some(b'{') => self.nested().map(|()| self.place(start, Shape::Object)),
            Some(b'[') => self.nested().map(|()| self.place(start, Shape::Array)),
            Some(_) => self.scalar(),
            None => Err(Declined),
        }
    }

    fn scalar(&mut self) -> Result<Place, Declined> {
        let start = self.at;
        let shape = match self.peek() {
            Some(b't') => self.word(b"true", Shape::True)?,
            Some(b'f') => self.word(b"false", Shape::False)?,
            Some(b'n') => self.word(b"null", Shape::Null)?,
            _ => self.number()?,
        };
        Ok(self.place(start, shape))
    }

    fn word(&mut self, word: &[u8], shape: Shape) -> Result<Shape, Declined> {
        match self.bytes.get(self.at..self.at + word.len()) {
            Some(found) if found == word => {
                self.at += word.len();
                Ok(shape)
            }
            _ => Err(Declined),
        }
    }

    fn digits(&mut self) -> Result<(), Declined> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Declined) }
    }

    fn number(&mut self) -> Result<Shape, Declined> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        // A digit after a leading zero is left over for whoever expects a comma.
        Ok(Shape::Number)
    }

    /// A text from behind its first quote to behind its last one; the place is what is between.
    #[inline]
    fn text(&mut self) -> Result<Place, Declined> {
        let start = self.at;
        let mut shape = Shape::Plain;
        loop {
            // Eight bytes at a time up to the first that matters.
            while let Some(eight) = self.bytes.get(self.at..self.at + 8) {
                let word = u64::from_le_bytes(eight.try_into().map_err(|_| Declined)?);
                let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
                let special = equal_to(word, b'"')
                    | equal_to(word, b'\\')
                    | equal_to(word, 0x7f)
                    | control
                    | (word & HIGHS);
                if special == 0 {
                    self.at += 8;
                    continue;
                }
                self.at += special.trailing_zeros() as usize / 8;
                break;
            }
            match self.peek() {
                Some(b'"') => {
                    let place = self.place(start, shape);
                    self.at += 1;
                    return Ok(place);
                }
                Some(b'\\') => {
                    shape = Shape::Escaped;
                    self.escape()?;
                }
                Some(0..0x20) | None => return Err(Declined),
                Some(byte) => {
                    if byte >= 0x7f && shape == Shape::Plain {
                        shape = Shape::Unicode;
                    }
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<(), Declined> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.bytes.get(self.at + 2..self.at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                    self.at += 6;
                    Ok(())
                }
                _ => Err(Declined),
            },
            _ => Err(Declined),
        }
    }

    /// An object or a list, whatever is in it.
    fn nested(&mut self) -> Result<(), Declined> {
        // One bit for each level: set for an object.
        let mut levels: u128 = 0;
        let mut depth = 0_u32;
        loop {
            // Here a value begins.
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == DEPTH_MAX {
                        return Err(Declined);
                    }
                    depth += 1;
                    levels = (levels << 1) | u128::from(open == b'{');
                    self.at += 1;
                    self.skip_space();
                    match (open, self.peek()) {
                        (b'{', Some(b'}')) | (b'[', Some(b']')) => {}
                        (b'{', _) => {
                            self.name()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                Some(b'"') => {
                    self.at += 1;
                    self.text()?;
                }
                _ => {
                    self.scalar()?;
                }
            }
            // Here a value has ended, or an empty object or list is about to.
            loop {
                self.skip_space();
                let in_object = levels & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.skip_space();
                        if in_object {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if in_object => {}
                    Some(b']') if !in_object => {}
                    _ => return Err(Declined),
                }
                self.at += 1;
                levels >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Ok(());
                }
            }
        }
    }

    /// The name of a member, with its colon.
    fn name(&mut self) -> Result<(), Declined> {
        self.expect(b'"')?;
        self.text()?;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(())
    }
}
