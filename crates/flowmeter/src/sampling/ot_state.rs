//! The member `ot` of a `tracestate`: OpenTelemetry's own, with the sampling threshold and the randomness in it.
//!
//! Source: OpenTelemetry, "TraceState Handling". Sub-keys that are not known here are carried on as they are.

use std::fmt;

use smol_str::SmolStr;

use super::{Randomness, Threshold};

/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 256;

/// What the member `ot` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtState {
    /// `th`: the threshold that the trace was kept with.
    pub threshold: Option<Threshold>,
    /// `rv`: the trace's randomness, where it is not in the trace id.
    pub randomness: Option<Randomness>,
    /// Everything else, as it was written.
    others: Vec<SmolStr>,
}

impl OtState {
    /// Reads the value of the member. What cannot be meant is left out: a threshold that is no number says nothing.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        let mut state = Self::default();
        if value.len() > VALUE_BYTES_MAX {
            return state;
        }
        for part in value.split(';').filter(|part| !part.is_empty()) {
            match part.split_once(':') {
                Some(("th", digits)) => state.threshold = Threshold::parse(digits),
                Some(("rv", digits)) => state.randomness = Randomness::parse(digits),
                _ => state.others.push(SmolStr::new(part)),
            }
        }
        state
    }

    /// Whether nothing is left to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.threshold.is_none() && self.randomness.is_none() && self.others.is_empty()
    }
}

/// At most 256 bytes; what does not fit is left out from the end.
impl fmt::Display for OtState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threshold = self.threshold.map(|threshold| format!("th:{threshold}"));
        let randomness = self.randomness.map(|randomness| format!("rv:{randomness}"));
        let own = [threshold, randomness];
        let own = own.iter().flatten().map(String::as_str);
        let mut length = 0;
        for part in own.chain(self.others.iter().map(SmolStr::as_str)) {
            let separator = if length == 0 { "" } else { ";" };
            length += separator.len() + part.len();
            if length > VALUE_BYTES_MAX {
                break;
            }
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
