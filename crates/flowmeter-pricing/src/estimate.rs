//! Token counts guessed from a text's length, for calls whose provider gave no usage.
//!
//! Never passes for a count: every figure made here is marked [`FigureSource::Estimate`].
//!
//! [`FigureSource::Estimate`]: flowmeter_model::FigureSource::Estimate

use flowmeter_model::Figure;

/// One token per four UTF-8 bytes, rounded up.
///
/// Bytes and not characters: a Chinese character is three bytes and about one token, so counting
/// characters would miss most of such a text.
#[must_use]
pub fn estimate_tokens(text: &str) -> Figure {
    Figure::estimate(text.len().div_ceil(4) as u64)
}
