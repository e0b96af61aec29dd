//! An answer as it lies on disk: a line with the version and a checksum, a line of JSON about it, and the text.
//!
//! Never holds the prompt, a header or a key of a provider. What is not whole, or of another version, is no entry.

use flowmeter_model::{Cost, CostStatus, TimestampNs, TokenUsage, UsdNanos};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::key::CacheKey;

/// How an entry begins: what it is, and its version.
const MAGIC: &str = "flowmeter-response/1 ";
/// The first line: magic, checksum in hex, line end.
const FIRST_LINE_BYTES: usize = MAGIC.len() + 64 + 1;

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedAnswer {
    /// All but the text.
    pub about: AboutAnswer,
    /// The answer, word for word.
    pub text: String,
}

/// What is known of an answer beside its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AboutAnswer {
    /// The key in hex: a file under another name is none of ours.
    pub(crate) key: String,
    /// When the call was made.
    pub(crate) stored_ns: TimestampNs,
    /// Who was asked.
    pub provider: SmolStr,
    /// The model that was asked.
    pub request_model: SmolStr,
    /// The model that says it answered.
    pub model: Option<SmolStr>,
    /// Why the answer ended.
    pub finish_reason: Option<SmolStr>,
    /// What the call used.
    pub usage: TokenUsage,
    /// How its cost is known.
    pub(crate) cost_status: CostStatus,
    /// What it cost, in nano-dollars.
    pub(crate) cost_nanos: Option<i64>,
}

impl AboutAnswer {
    /// What the call cost when it was made. Why is not kept.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match (self.cost_status, self.cost_nanos) {
            (CostStatus::Unpriced, _) | (_, None) => Cost::unpriced(),
            (status, Some(nanos)) => Cost::known(status, UsdNanos(nanos), None),
        }
    }

    /// When the call was made.
    #[must_use]
    pub fn stored(&self) -> TimestampNs {
        self.stored_ns
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl CachedAnswer {
    /// The entry's bytes.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let mut rest = serde_json::to_vec(&self.about)?;
        rest.push(b'\n');
        rest.extend_from_slice(self.text.as_bytes());
        let checksum = hex(digest(&SHA256, &rest).as_ref());
        let mut bytes = Vec::with_capacity(FIRST_LINE_BYTES + rest.len());
        bytes.extend_from_slice(MAGIC.as_bytes());
        bytes.extend_from_slice(checksum.as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(&rest);
        Ok(bytes)
    }

    /// The entry of this key; `None` where the bytes are not whole, of another version, or another entry's.
    pub(super) fn decode(bytes: &[u8], key: &CacheKey) -> Option<Self> {
        let (first, rest) = bytes.split_at_checked(FIRST_LINE_BYTES)?;
        let checksum = first.strip_prefix(MAGIC.as_bytes())?.strip_suffix(b"\n")?;
        if hex(digest(&SHA256, rest).as_ref()).as_bytes() != checksum {
            return None;
        }
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let about: AboutAnswer = serde_json::from_slice(&rest[..end]).ok()?;
        let text = std::str::from_utf8(&rest[end + 1..]).ok()?.to_owned();
        (about.key == key.hex()).then_some(Self { about, text })
    }
}

impl AboutAnswer {
    /// The same from the beginning of a file, unchecked: for figures, not for answers.
    pub(super) fn peek(head: &[u8]) -> Option<Self> {
        let rest = head.strip_prefix(MAGIC.as_bytes())?;
        let rest = rest.get(FIRST_LINE_BYTES - MAGIC.len()..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        serde_json::from_slice(&rest[..end]).ok()
    }
}

#[cfg(test)]
mod tests;
