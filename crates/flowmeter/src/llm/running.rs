//! How long an answer is so far, in tokens, while it comes in pieces.
//!
//! Only a guess until the provider has counted: never used where its count is there.

/// How many bytes a token has in the answers that providers count lowest. An answer with more bytes than this for
/// each token that was agreed is longer than agreed, and not only guessed to be.
const BYTES_PER_TOKEN_MAX: u64 = 6;

/// An answer so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    bytes: u64,
    /// No token comes in two pieces.
    pieces: u64,
    /// What the provider itself counts.
    counted: u64,
}

impl Running {
    /// The same with one piece more, or with a newer count.
    pub(super) fn with(mut self, bytes: u64, counted: Option<u64>) -> Self {
        self.bytes += bytes;
        self.pieces += u64::from(bytes > 0);
        self.counted = self.counted.max(counted.unwrap_or(0));
        self
    }

    /// Its tokens by the best guess.
    pub(super) fn tokens(&self) -> u64 {
        self.bytes.div_ceil(4).max(self.certain_tokens())
    }

    /// The tokens that it has in any case.
    pub(super) fn certain_tokens(&self) -> u64 {
        (self.bytes / BYTES_PER_TOKEN_MAX)
            .max(self.pieces)
            .max(self.counted)
    }
}

#[cfg(test)]
mod tests;
