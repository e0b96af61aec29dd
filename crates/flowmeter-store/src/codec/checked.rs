//! A checksum behind bytes that are not compressed: a damaged page is told, and never taken for other figures.
//!
//! Never mends anything.

use xxhash_rust::xxh3::xxh3_64;

use super::Damaged;

/// Adds the checksum of all that `bytes` hold.
pub(crate) fn add_checksum(bytes: &mut Vec<u8>) {
    let checksum = xxh3_64(bytes) as u32;
    bytes.extend_from_slice(&checksum.to_le_bytes());
}

/// What stands before the checksum.
///
/// # Errors
/// When it does not hold.
pub(crate) fn checked(bytes: &[u8]) -> Result<&[u8], Damaged> {
    let (held, checksum) = bytes
        .split_last_chunk::<4>()
        .ok_or(Damaged("a column is cut off"))?;
    if xxh3_64(held) as u32 != u32::from_le_bytes(*checksum) {
        return Err(Damaged("a column's checksum does not hold"));
    }
    Ok(held)
}
