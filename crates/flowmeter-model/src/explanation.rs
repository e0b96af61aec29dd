//! Why a call cost what it cost: quantity × rate = amount, line by line, and where the rates are from.
//!
//! Never looks up a rate. Amounts follow from quantity and rate, so a line cannot contradict itself.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::{UsdFemtos, UsdNanos};

/// Tokens that a rate is for.
pub const PER_MILLION: u32 = 1_000_000;
/// Searches and requests that a rate is for.
pub const PER_THOUSAND: u32 = 1_000;

/// One line of the arithmetic behind a cost: quantity × rate = amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LineWire", into = "LineWire")]
pub struct CostLine {
    /// Kind of token or unit: `input`, `cache_read`, `cache_write_5m`, `cache_write_1h`, `output`,
    /// `web_search`, ….
    pub kind: SmolStr,
    /// How many tokens or units.
    pub quantity: u64,
    /// Nano-dollars for every `per` of them.
    pub rate_nanos: i64,
    /// What the rate is for: [`PER_MILLION`] tokens, [`PER_THOUSAND`] searches or requests. Divides a million.
    pub per: u32,
}

impl CostLine {
    /// Tokens at a rate in nano-dollars per million.
    #[must_use]
    pub fn tokens(kind: impl Into<SmolStr>, quantity: u64, rate_nanos: i64) -> Self {
        Self {
            kind: kind.into(),
            quantity,
            rate_nanos,
            per: PER_MILLION,
        }
    }

    /// Searches or requests at a rate in nano-dollars per thousand.
    #[must_use]
    pub fn units(kind: impl Into<SmolStr>, quantity: u64, rate_nanos: i64) -> Self {
        Self {
            per: PER_THOUSAND,
            ..Self::tokens(kind, quantity, rate_nanos)
        }
    }

    /// The exact amount, before the call's one rounding.
    #[must_use]
    pub fn amount(&self) -> UsdFemtos {
        UsdFemtos::of(self.quantity, self.rate_nanos, self.per)
    }
}

/// A line as JSON: with the amount, exact and for the eye.
#[derive(Serialize, Deserialize)]
struct LineWire {
    kind: SmolStr,
    quantity: u64,
    rate_nanos: i64,
    /// Older files do not have it.
    #[serde(default)]
    per: Option<u32>,
    #[serde(default, skip_deserializing)]
    rate_usd: f64,
    #[serde(default, skip_deserializing)]
    amount: UsdFemtos,
    #[serde(default, skip_deserializing)]
    amount_usd: f64,
}

impl From<LineWire> for CostLine {
    fn from(wire: LineWire) -> Self {
        let is_unit = matches!(wire.kind.as_str(), "web_search" | "request");
        let usual = if is_unit { PER_THOUSAND } else { PER_MILLION };
        Self {
            per: wire.per.filter(|per| *per > 0).unwrap_or(usual),
            kind: wire.kind,
            quantity: wire.quantity,
            rate_nanos: wire.rate_nanos,
        }
    }
}

impl From<CostLine> for LineWire {
    fn from(line: CostLine) -> Self {
        let amount = line.amount();
        Self {
            kind: line.kind,
            quantity: line.quantity,
            rate_nanos: line.rate_nanos,
            per: Some(line.per),
            rate_usd: UsdNanos(line.rate_nanos).to_usd(),
            amount,
            amount_usd: amount.to_usd(),
        }
    }
}

/// Why a price is what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostExplanation {
    /// The key of the price book that matched, such as `anthropic/claude-sonnet-4-5`.
    pub matched: SmolStr,
    /// `provider`, `pricing.json` or `genai-prices 0.2.1`.
    pub source: SmolStr,
    /// The date of the source: of its release, or of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date: Option<SmolStr>,
    /// Since when this price applies, where the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies_since: Option<SmolStr>,
    /// What besides the model decided the rates: a tier of size, a service tier, a time of day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<SmolStr>,
    /// Which matching rule led to the key.
    pub rule: SmolStr,
    /// The arithmetic, line by line; empty where the source gives only a total.
    pub lines: Vec<CostLine>,
    /// Warnings about this price, such as an override 100 times off the bundled one.
    pub warnings: Vec<String>,
}

impl CostExplanation {
    /// All lines together, exactly.
    #[must_use]
    pub fn sum(&self) -> UsdFemtos {
        self.lines.iter().map(CostLine::amount).sum()
    }

    /// What the one rounding added to the lines' sum, or took from it; `None` where there are no lines.
    #[must_use]
    pub fn rounding(&self, amount: UsdNanos) -> Option<UsdFemtos> {
        (!self.lines.is_empty()).then(|| UsdFemtos::from(amount) - self.sum())
    }
}
