//! Bytes of single values: MessagePack's forms, written by hand into a vector and read from a slice.
//!
//! Two additions that MessagePack leaves free: where a key is wanted, a small number stands for a known name
//! ([`super::known_keys`]); and its reserved marker says that a scalar is JSON rather than a typed attribute.
//! Never trusts what it reads: every length is checked against what is left.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use rmp::Marker;

use super::Damaged;

/// MessagePack's reserved marker: here, the scalar that follows is JSON.
pub(super) const JSON_SCALAR: u8 = 0xc1;
/// The extension that stands for a text kept elsewhere: 16 bytes of its hash.
pub(super) const TEXT_REFERENCE: i8 = 1;
/// The extension that stands for the first messages of a list, kept elsewhere: hash and how many.
pub(super) const MESSAGES_REFERENCE: i8 = 2;
/// What a reference to a text begins with.
const TEXT_REFERENCE_HEAD: [u8; 2] = [Marker::FixExt16.to_u8(), TEXT_REFERENCE as u8];
/// What a reference to messages begins with: 16 bytes of a hash and four of a number follow.
const MESSAGES_REFERENCE_HEAD: [u8; 3] = [Marker::Ext8.to_u8(), 20, MESSAGES_REFERENCE as u8];

pub(super) fn write_nil(out: &mut Vec<u8>) {
    out.push(Marker::Null.to_u8());
}

pub(super) fn write_bool(out: &mut Vec<u8>, flag: bool) {
    out.push(if flag { Marker::True } else { Marker::False }.to_u8());
}

pub(super) fn write_real(out: &mut Vec<u8>, number: f64) {
    out.push(Marker::F64.to_u8());
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn write_uint(out: &mut Vec<u8>, number: u64) {
    match number {
        0..=0x7f => out.push(number as u8),
        0x80..=0xff => out.extend_from_slice(&[Marker::U8.to_u8(), number as u8]),
        0x100..=0xffff => {
            out.push(Marker::U16.to_u8());
            out.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(Marker::U32.to_u8());
            out.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            out.push(Marker::U64.to_u8());
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

pub(super) fn write_int(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = u64::try_from(number) {
        return write_uint(out, number);
    }
    match number {
        -0x20..=-1 => out.push(number as i8 as u8),
        -0x80..=-0x21 => out.extend_from_slice(&[Marker::I8.to_u8(), number as i8 as u8]),
        -0x8000..=-0x81 => {
            out.push(Marker::I16.to_u8());
            out.extend_from_slice(&(number as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(Marker::I32.to_u8());
            out.extend_from_slice(&(number as i32).to_be_bytes());
        }
        _ => {
            out.push(Marker::I64.to_u8());
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_length(
        out,
        text.len(),
        0xa0,
        32,
        Some(Marker::Str8),
        Marker::Str16,
        Marker::Str32,
    );
    out.extend_from_slice(text.as_bytes());
}

/// Bytes before a text of so many.
pub(super) fn text_head_bytes(length: usize) -> usize {
    match length {
        0..32 => 1,
        32..0x100 => 2,
        0x100..0x1_0000 => 3,
        _ => 5,
    }
}

/// Bytes before the items of a list of so many.
pub(super) fn array_head_bytes(length: usize) -> usize {
    match length {
        0..16 => 1,
        16..0x1_0000 => 3,
        _ => 5,
    }
}

pub(super) fn write_array(out: &mut Vec<u8>, length: usize) {
    write_length(out, length, 0x90, 16, None, Marker::Array16, Marker::Array32);
}

pub(super) fn write_map(out: &mut Vec<u8>, length: usize) {
    write_length(out, length, 0x80, 16, None, Marker::Map16, Marker::Map32);
}

/// Lengths beyond 32 bits do not occur: such a text is refused long before.
fn write_length(
    out: &mut Vec<u8>,
    length: usize,
    fixed: u8,
    fixed_max: usize,
    short: Option<Marker>,
    middle: Marker,
    long: Marker,
) {
    if length < fixed_max {
        out.push(fixed | length as u8);
    } else if let (Some(short), Ok(length)) = (short, u8::try_from(length)) {
        out.extend_from_slice(&[short.to_u8(), length]);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(middle.to_u8());
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(long.to_u8());
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
}

pub(super) fn write_text_reference(out: &mut Vec<u8>, hash: u128) {
    out.extend_from_slice(&TEXT_REFERENCE_HEAD);
    out.extend_from_slice(&hash.to_be_bytes());
}

pub(super) fn write_messages_reference(out: &mut Vec<u8>, hash: u128, count: u32) {
    out.extend_from_slice(&MESSAGES_REFERENCE_HEAD);
    out.extend_from_slice(&hash.to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
}

/// Whether values in these bytes may refer to what stands elsewhere: where not, they need not be read to know.
pub(crate) fn may_refer(bytes: &[u8]) -> bool {
    static HEADS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| {
        [
            Finder::new(&TEXT_REFERENCE_HEAD),
            Finder::new(&MESSAGES_REFERENCE_HEAD),
        ]
    });
    HEADS.iter().any(|head| head.find(bytes).is_some())
}

/// One thing as it stands in the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    /// Below zero.
    Int(i64),
    Real(f64),
    Text(&'a str),
    Array(usize),
    Map(usize),
    TextReference(u128),
    MessagesReference(u128, u32),
    /// The next token is a JSON scalar.
    JsonScalar,
}

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Damaged("a payload ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (taken, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(Damaged("a payload ends too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damaged> {
        Ok(u8::from_be_bytes(self.fixed()?))
    }

    pub(super) fn hash(&mut self) -> Result<u128, Damaged> {
        Ok(u128::from_be_bytes(self.fixed()?))
    }

    pub(super) fn number_u64(&mut self) -> Result<u64, Damaged> {
        Ok(u64::from_be_bytes(self.fixed()?))
    }

    fn text_of(&mut self, length: usize) -> Result<Token<'a>, Damaged> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(Token::Text)
            .map_err(|_| Damaged("a text in a payload is no UTF-8"))
    }

    /// A list cannot have more items than there are bytes left.
    fn items(&self, length: usize) -> Result<usize, Damaged> {
        if length > self.rest.len() {
            return Err(Damaged("a list in a payload is longer than the payload"));
        }
        Ok(length)
    }

    pub(super) fn token(&mut self) -> Result<Token<'a>, Damaged> {
        let marker = self.byte()?;
        if marker == JSON_SCALAR {
            return Ok(Token::JsonScalar);
        }
        Ok(match Marker::from_u8(marker) {
            Marker::FixPos(number) => Token::Uint(u64::from(number)),
            Marker::FixNeg(number) => Token::Int(i64::from(number)),
            Marker::Null => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::U8 => Token::Uint(u64::from(self.byte()?)),
            Marker::U16 => Token::Uint(u64::from(u16::from_be_bytes(self.fixed()?))),
            Marker::U32 => Token::Uint(u64::from(u32::from_be_bytes(self.fixed()?))),
            Marker::U64 => Token::Uint(self.number_u64()?),
            Marker::I8 => Token::Int(i64::from(i8::from_be_bytes(self.fixed()?))),
            Marker::I16 => Token::Int(i64::from(i16::from_be_bytes(self.fixed()?))),
            Marker::I32 => Token::Int(i64::from(i32::from_be_bytes(self.fixed()?))),
            Marker::I64 => Token::Int(i64::from_be_bytes(self.fixed()?)),
            Marker::F64 => Token::Real(f64::from_be_bytes(self.fixed()?)),
            Marker::FixStr(length) => self.text_of(usize::from(length))?,
            Marker::Str8 => {
                let length = usize::from(self.byte()?);
                self.text_of(length)?
            }
            Marker::Str16 => {
                let length = usize::from(u16::from_be_bytes(self.fixed()?));
                self.text_of(length)?
            }
            Marker::Str32 => {
                let length = self.length_32()?;
                self.text_of(length)?
            }
            Marker::FixArray(length) => Token::Array(self.items(usize::from(length))?),
            Marker::Array16 => {
                let length = usize::from(u16::from_be_bytes(self.fixed()?));
                Token::Array(self.items(length)?)
            }
            Marker::Array32 => {
                let length = self.length_32()?;
                Token::Array(self.items(length)?)
            }
            Marker::FixMap(length) => Token::Map(self.items(usize::from(length))?),
            Marker::Map16 => {
                let length = usize::from(u16::from_be_bytes(self.fixed()?));
                Token::Map(self.items(length)?)
            }
            Marker::Map32 => {
                let length = self.length_32()?;
                Token::Map(self.items(length)?)
            }
            Marker::FixExt16 if self.byte()? as i8 == TEXT_REFERENCE => Token::TextReference(self.hash()?),
            Marker::Ext8 if self.fixed()? == [20, MESSAGES_REFERENCE as u8] => {
                Token::MessagesReference(self.hash()?, u32::from_be_bytes(self.fixed()?))
            }
            _ => return Err(Damaged("a payload holds an unknown kind of value")),
        })
    }

    fn length_32(&mut self) -> Result<usize, Damaged> {
        usize::try_from(u32::from_be_bytes(self.fixed()?)).map_err(|_| Damaged("a length does not fit"))
    }

    /// A whole number from zero up.
    pub(super) fn uint(&mut self) -> Result<u64, Damaged> {
        match self.token()? {
            Token::Uint(number) => Ok(number),
            _ => Err(Damaged("a payload holds something else where a number belongs")),
        }
    }

    /// A whole number.
    pub(super) fn int(&mut self) -> Result<i64, Damaged> {
        match self.token()? {
            Token::Int(number) => Ok(number),
            Token::Uint(number) => i64::try_from(number).map_err(|_| Damaged("a number is too large")),
            _ => Err(Damaged("a payload holds something else where a number belongs")),
        }
    }

    /// The length of a list.
    pub(super) fn array(&mut self) -> Result<usize, Damaged> {
        match self.token()? {
            Token::Array(length) => Ok(length),
            _ => Err(Damaged("a payload holds something else where a list belongs")),
        }
    }

    /// The length of a map.
    pub(super) fn map(&mut self) -> Result<usize, Damaged> {
        match self.token()? {
            Token::Map(length) => Ok(length),
            _ => Err(Damaged("a payload holds something else where a map belongs")),
        }
    }
}

#[cfg(test)]
mod tests;
