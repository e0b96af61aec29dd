//! What a provider's prompt cache saved at one call: cheaper reads, less what writing cost above plain input.
//!
//! Never guesses a rate: where the price of plain input is not known, neither is the saving.

use flowmeter_model::{Cost, CostLine, TokenUsage, UsdNanos};
use flowmeter_pricing::{PriceBook, PricedCall};

/// The kind of a cost line for plain input.
const PLAIN_INPUT: &str = "input";
/// The kinds that were written or read instead.
const CACHED_INPUT: [&str; 3] = ["cache_read", "cache_write_5m", "cache_write_1h"];

/// What the prompt cache saved, net, so below zero where writing cost more than reading saved; `None` where the
/// call used none or its rates are not known.
pub(super) fn of_call(book: &PriceBook, call: &PricedCall<'_>, cost: &Cost) -> Option<UsdNanos> {
    let usage = call.usage;
    let parts = [usage.cache_read, usage.cache_write_5m, usage.cache_write_1h];
    if parts.iter().flatten().all(|figure| figure.tokens == 0) {
        return None;
    }
    let lines = &cost.explanation.as_ref()?.lines;
    let plain = rate_of_input(lines).or_else(|| {
        // All input was cached: the same call without a cache has a line for plain input, at the same tier.
        let uncached = TokenUsage {
            cache_read: None,
            cache_write_5m: None,
            cache_write_1h: None,
            ..usage.clone()
        };
        let without = book.price(&PricedCall {
            usage: &uncached,
            ..*call
        });
        rate_of_input(&without.explanation?.lines)
    })?;
    of_lines(lines, plain)
}

/// The rate of plain input among the lines of a bill.
pub(super) fn rate_of_input(lines: &[CostLine]) -> Option<i64> {
    lines
        .iter()
        .find(|line| line.kind == PLAIN_INPUT)
        .map(|line| line.rate_nanos)
}

/// The saving that lines of a bill tell, against this rate of plain input in nano-dollars per million tokens.
/// Rounded once, half away from zero.
pub(super) fn of_lines(lines: &[CostLine], plain_rate_nanos: i64) -> Option<UsdNanos> {
    let mut millionths: i128 = 0;
    let mut found = false;
    for line in lines
        .iter()
        .filter(|line| CACHED_INPUT.contains(&line.kind.as_str()))
    {
        found = true;
        let difference = i128::from(plain_rate_nanos) - i128::from(line.rate_nanos);
        millionths = millionths.saturating_add(i128::from(line.quantity).saturating_mul(difference));
    }
    let half = if millionths < 0 { -500_000 } else { 500_000 };
    let nanos = millionths.saturating_add(half) / 1_000_000;
    let limit = if nanos < 0 { i64::MIN } else { i64::MAX };
    found.then(|| UsdNanos(i64::try_from(nanos).unwrap_or(limit)))
}

#[cfg(test)]
mod tests;
