//! Reading counts out of a provider's usage block.
//!
//! Never turns what is absent, null, negative, broken or no number into a count.

use flowmeter_model::{Figure, UsdNanos};

use super::node::{Block, Node};

/// No call uses more of anything; a larger number is an error of who wrote it.
const COUNT_MAX: u64 = 1_000_000_000_000_000;

/// Names of tiers and places are short.
const NAME_BYTES_MAX: usize = 64;

/// A number from 0 on; HTTP headers are text.
fn real(node: &Node<'_>) -> Option<f64> {
    let value = match node {
        #[expect(clippy::cast_precision_loss, reason = "compared with a limit far below")]
        Node::Whole(value) => *value as f64,
        Node::Real(value) => *value,
        Node::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// A whole number of tokens; some providers write `10.0`.
fn number(node: &Node<'_>) -> Option<u64> {
    let count = match node {
        Node::Whole(count) => *count,
        Node::Text(text) => text.trim().parse().ok()?,
        Node::Real(_) => whole(real(node)?)?,
        _ => return None,
    };
    (count <= COUNT_MAX).then_some(count)
}

fn whole(value: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the range is checked"
    )]
    (value.fract() == 0.0 && (0.0..=COUNT_MAX as f64).contains(&value)).then_some(value as u64)
}

/// The count under `key`.
pub(super) fn count(block: &Block<'_>, key: &str) -> Option<u64> {
    number(block.get(key)?)
}

/// The count under the first of these keys that has one.
pub(super) fn any_count(block: &Block<'_>, keys: &[&str]) -> Option<u64> {
    keys.iter().find_map(|key| count(block, key))
}

/// The object under `key`.
pub(super) fn object<'b, 'a>(block: &'b Block<'a>, key: &str) -> Option<&'b Block<'a>> {
    block.get(key)?.as_object()
}

/// The object under the first of these keys that has one.
pub(super) fn any_object<'b, 'a>(block: &'b Block<'a>, keys: &[&str]) -> Option<&'b Block<'a>> {
    keys.iter().find_map(|key| object(block, key))
}

/// The count under `outer.inner`.
pub(super) fn nested(block: &Block<'_>, outer: &str, inner: &str) -> Option<u64> {
    count(object(block, outer)?, inner)
}

/// The name under `key`, unless empty.
pub(super) fn text<'b>(block: &'b Block<'_>, key: &str) -> Option<&'b str> {
    let text = block.get(key)?.as_text()?.trim();
    (!text.is_empty() && text.len() <= NAME_BYTES_MAX).then_some(text)
}

/// Seconds under `key`, in milliseconds.
pub(super) fn seconds_as_ms(block: &Block<'_>, key: &str) -> Option<u64> {
    whole((real(block.get(key)?)? * 1_000.0).round())
}

/// Dollars under `key`; a negative amount is no cost.
pub(super) fn dollars(block: &Block<'_>, key: &str) -> Option<UsdNanos> {
    UsdNanos::from_usd(real(block.get(key)?)?)
        .ok()
        .filter(|cost| cost.0 >= 0)
}

/// Whether the block has any of these keys, null included: the key itself tells the shape.
pub(super) fn has_any(block: &Block<'_>, keys: &[&str]) -> bool {
    block.entries().any(|(name, _)| keys.contains(&name))
}

/// The sum of what is known; unknown only where no part is known.
pub(super) fn sum<const N: usize>(parts: [Option<u64>; N]) -> Option<u64> {
    parts.into_iter().flatten().reduce(u64::saturating_add)
}

/// `base` plus `parts`; unknown where the base is unknown, however many parts are known.
pub(super) fn plus<const N: usize>(base: Option<u64>, parts: [Option<u64>; N]) -> Option<u64> {
    Some(parts.into_iter().flatten().fold(base?, u64::saturating_add))
}

/// A figure the provider gave.
pub(super) fn figure(tokens: Option<u64>) -> Option<Figure> {
    tokens.map(Figure::provider)
}
