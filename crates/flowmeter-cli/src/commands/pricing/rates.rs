//! Rates as people and programs read them.
//!
//! Never rounds a rate.

use flowmeter_model::{UsdFemtos, UsdNanos};
use flowmeter_pricing::{OutputLimit, Rate, RateKind};
use serde_json::{Value, json};

use super::arithmetic::{aligned, per_text};
use flowmeter::grouped;

/// A rate in dollars: `$3.00`.
pub(super) fn dollars(rate: &Rate) -> String {
    UsdFemtos::from(UsdNanos(rate.nanos)).to_string()
}

/// The rate of this kind: `3.00`, or a dash.
pub(super) fn cell(rates: &[Rate], kind: RateKind) -> String {
    let found = rates.iter().find(|rate| rate.kind == kind);
    found.map_or_else(
        || "-".to_owned(),
        |rate| dollars(rate).trim_start_matches('$').to_owned(),
    )
}

/// One line a rate, points below each other.
pub(super) fn table(rates: &[Rate], indent: &str) -> String {
    if rates.is_empty() {
        return format!("{indent}no rate is known\n");
    }
    let kinds = rates
        .iter()
        .map(|rate| rate.kind.as_str().len())
        .max()
        .unwrap_or(0);
    let numbers: Vec<String> = rates.iter().map(dollars).collect();
    let numbers = aligned(&numbers.iter().map(String::as_str).collect::<Vec<_>>());
    let lines = rates.iter().zip(&numbers).map(|(rate, number)| {
        let per = per_text(rate.kind.unit().per());
        format!("{indent}{:kinds$}  {number} {per}\n", rate.kind.as_str())
    });
    lines.collect()
}

/// The rates in one line: `input $3.00, output $15.00`.
pub(super) fn line(rates: &[Rate]) -> String {
    let told = rates
        .iter()
        .map(|rate| format!("{} {}", rate.kind.as_str(), dollars(rate)));
    told.collect::<Vec<_>>().join(", ")
}

/// The rates for programs.
pub(super) fn json(rates: &[Rate]) -> Value {
    rates
        .iter()
        .map(|rate| {
            json!({
                "kind": rate.kind.as_str(),
                "rate_usd": UsdNanos(rate.nanos).to_usd(),
                "rate_nanos": rate.nanos,
                "per": rate.kind.unit().per(),
            })
        })
        .collect()
}

/// How many tokens an answer can have, and who says so.
pub(super) fn limit_text(limit: Option<OutputLimit>) -> Option<String> {
    limit.map(|limit| format!("{} tokens ({})", grouped(limit.tokens), limit.source.as_str()))
}

/// The same for programs.
pub(super) fn limit_json(limit: Option<OutputLimit>) -> Value {
    limit.map_or(
        Value::Null,
        |limit| json!({"tokens": limit.tokens, "source": limit.source.as_str()}),
    )
}
