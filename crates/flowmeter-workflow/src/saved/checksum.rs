//! The checksum of a file: what `sha256sum` says of it.
//!
//! Never reads a file.

use std::fmt::Write;

use ring::digest::{SHA256, digest};

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a text cannot fail.
        let _cannot_fail = write!(text, "{byte:02x}");
    }
    text
}
