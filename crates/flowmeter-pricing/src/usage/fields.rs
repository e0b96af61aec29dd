//! Reading counts out of a provider's usage block.
//!
//! Never turns what is absent, null, negative or no number into a count.

use flowmeter_model::{Figure, UsdNanos};
use serde_json::{Map, Value};

/// A JSON object, as every usage block is one.
pub(crate) type Block = Map<String, Value>;

/// A whole number of tokens; some providers write `10.0`, and HTTP headers are text.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked"
            )]
            (float.is_finite() && (0.0..1e18).contains(&float)).then(|| float.round() as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The count under `key`.
pub(super) fn count(block: &Block, key: &str) -> Option<u64> {
    number(block.get(key)?)
}

/// The object under `key`.
pub(super) fn object<'a>(block: &'a Block, key: &str) -> Option<&'a Block> {
    block.get(key)?.as_object()
}

/// The count under `outer.inner`.
pub(super) fn nested(block: &Block, outer: &str, inner: &str) -> Option<u64> {
    count(object(block, outer)?, inner)
}

/// The text under `key`, unless empty.
pub(super) fn text(block: &Block, key: &str) -> Option<String> {
    block
        .get(key)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// Dollars under `key`; a negative amount is no cost.
pub(super) fn dollars(block: &Block, key: &str) -> Option<UsdNanos> {
    UsdNanos::from_usd(block.get(key)?.as_f64()?)
        .ok()
        .filter(|cost| cost.0 >= 0)
}

/// Whether the block has any of these keys, null included: the key itself tells the shape.
pub(super) fn has_any(block: &Block, keys: &[&str]) -> bool {
    keys.iter().any(|key| block.contains_key(*key))
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
