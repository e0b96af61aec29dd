//! A column of numbers: the distance from the smallest in as many bytes as the largest distance needs.
//!
//! Where most are zero, only the others stand there behind a row of bits; where equal ones follow each other, each row
//! of them stands once. Never allocates for more numbers than it is asked for.

use super::super::Damaged;
use super::super::checked::{add_checksum, checked};
use super::super::sketch::{read_varint, write_varint};
use super::SPANS_MAX;

/// All equal.
const SAME: u8 = 0;
// 1 to 8: so many bytes a number.
/// Rows of equal numbers.
const RUNS: u8 = 9;
/// A row of bits that tells which are not zero, then a column of these.
const SPARSE: u8 = 10;

/// Packs numbers.
pub(crate) fn encode(numbers: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_to(numbers, &mut out);
    add_checksum(&mut out);
    out
}

/// Packs numbers behind what `out` holds.
pub(super) fn encode_to(numbers: &[u64], out: &mut Vec<u8>) {
    let (mut least, mut most, mut zeros, mut changes) = (u64::MAX, 0, 0_usize, 0_usize);
    let mut last = numbers.first().copied().unwrap_or(0);
    for number in numbers {
        least = least.min(*number);
        most = most.max(*number);
        zeros += usize::from(*number == 0);
        changes += usize::from(*number != last);
        last = *number;
    }
    if least >= most {
        out.push(SAME);
        return write_varint(out, most);
    }
    let width = width_of(most - least);
    let packed_bytes = numbers.len() * width;
    let present = numbers.len() - zeros;
    // At most ten bytes for the difference and three for the length.
    if changes.saturating_mul(13) < packed_bytes {
        return encode_runs(numbers, out);
    }
    if zeros > 0 && numbers.len().div_ceil(8) + present * width + 16 < packed_bytes {
        return encode_sparse(numbers, out);
    }
    out.push(width as u8);
    out.extend_from_slice(&least.to_le_bytes());
    for number in numbers {
        out.extend_from_slice(&(number - least).to_le_bytes()[..width]);
    }
}

fn width_of(distance: u64) -> usize {
    (64 - distance.leading_zeros() as usize).div_ceil(8).max(1)
}

fn encode_runs(numbers: &[u64], out: &mut Vec<u8>) {
    out.push(RUNS);
    for run in numbers.chunk_by(|a, b| a == b) {
        write_varint(out, run.first().copied().unwrap_or(0));
        write_varint(out, run.len() as u64);
    }
}

fn encode_sparse(numbers: &[u64], out: &mut Vec<u8>) {
    out.push(SPARSE);
    for eight in numbers.chunks(8) {
        let bits = eight
            .iter()
            .enumerate()
            .map(|(bit, number)| u8::from(*number != 0) << bit);
        out.push(bits.fold(0, |byte, bit| byte | bit));
    }
    let present: Vec<u64> = numbers.iter().copied().filter(|number| *number != 0).collect();
    encode_to(&present, out);
}

/// Unpacks `count` numbers of a column; what `numbers` held is gone.
///
/// # Errors
/// When the column is damaged.
pub(crate) fn decode_into(bytes: &[u8], count: usize, numbers: &mut Vec<u64>) -> Result<(), Damaged> {
    decode_part(checked(bytes)?, count, numbers)
}

/// The same of a part of a column, as [`encode_to`] wrote it: the column's checksum was looked at.
pub(super) fn decode_part(bytes: &[u8], count: usize, numbers: &mut Vec<u64>) -> Result<(), Damaged> {
    numbers.clear();
    if count > SPANS_MAX {
        return Err(Damaged("a column is too long"));
    }
    numbers.reserve(count);
    decode_some(bytes, count, numbers, true)
}

fn decode_some(
    bytes: &[u8],
    count: usize,
    numbers: &mut Vec<u64>,
    may_be_sparse: bool,
) -> Result<(), Damaged> {
    let damaged = Damaged("a column is damaged");
    let (form, mut rest) = bytes.split_first().ok_or(damaged)?;
    match *form {
        SAME => {
            let number = read_varint(&mut rest).ok_or(damaged)?;
            numbers.resize(count, number);
        }
        1..=8 => {
            let (least, packed) = rest.split_first_chunk::<8>().ok_or(damaged)?;
            let least = u64::from_le_bytes(*least);
            let width = usize::from(*form);
            rest = packed.get(count * width..).ok_or(damaged)?;
            let packed = &packed[..count * width];
            match width {
                1 => unpack::<1>(packed, least, numbers),
                2 => unpack::<2>(packed, least, numbers),
                3 => unpack::<3>(packed, least, numbers),
                4 => unpack::<4>(packed, least, numbers),
                5 => unpack::<5>(packed, least, numbers),
                6 => unpack::<6>(packed, least, numbers),
                7 => unpack::<7>(packed, least, numbers),
                _ => unpack::<8>(packed, least, numbers),
            }
        }
        RUNS => {
            while numbers.len() < count {
                let number = read_varint(&mut rest).ok_or(damaged)?;
                let length = read_varint(&mut rest).and_then(|length| usize::try_from(length).ok());
                let left = count - numbers.len();
                let length = length
                    .filter(|length| (1..=left).contains(length))
                    .ok_or(damaged)?;
                numbers.resize(numbers.len() + length, number);
            }
        }
        SPARSE if may_be_sparse => {
            let (bits, packed) = rest.split_at_checked(count.div_ceil(8)).ok_or(damaged)?;
            let is_present = |place: usize| bits[place / 8] >> (place % 8) & 1 == 1;
            let present_count = (0..count).filter(|place| is_present(*place)).count();
            let mut present = Vec::with_capacity(present_count);
            decode_some(packed, present_count, &mut present, false)?;
            let mut present = present.into_iter();
            numbers.extend((0..count).map(|place| {
                if is_present(place) {
                    present.next().unwrap_or(0)
                } else {
                    0
                }
            }));
            rest = &[];
        }
        _ => return Err(Damaged("a column has a form that this program does not know")),
    }
    if rest.is_empty() && numbers.len() == count {
        Ok(())
    } else {
        Err(damaged)
    }
}

fn unpack<const WIDTH: usize>(packed: &[u8], least: u64, numbers: &mut Vec<u64>) {
    // What a register holds is added to several at once.
    if matches!(WIDTH, 1 | 2 | 4 | 8) {
        let (chunks, _) = packed.as_chunks::<WIDTH>();
        return numbers.extend(chunks.iter().map(|chunk| {
            let mut bytes = [0_u8; 8];
            bytes[..WIDTH].copy_from_slice(chunk);
            least.wrapping_add(u64::from_le_bytes(bytes))
        }));
    }
    // Eight bytes are read at once and those of the next number cut off, as long as there are eight.
    let mask = (1_u64 << (8 * WIDTH)) - 1;
    let wide = packed.len().saturating_sub(8 - WIDTH) / WIDTH;
    let windows = packed.windows(8).step_by(WIDTH).take(wide);
    numbers.extend(windows.map(|window| {
        let bytes = window.first_chunk::<8>().copied().unwrap_or_default();
        least.wrapping_add(u64::from_le_bytes(bytes) & mask)
    }));
    let (last, _) = packed
        .get(wide * WIDTH..)
        .unwrap_or_default()
        .as_chunks::<WIDTH>();
    numbers.extend(last.iter().map(|chunk| {
        let mut bytes = [0_u8; 8];
        bytes[..WIDTH].copy_from_slice(chunk);
        least.wrapping_add(u64::from_le_bytes(bytes))
    }));
}
