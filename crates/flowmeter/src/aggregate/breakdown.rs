//! Why it all cost what it cost: the lines behind every call's cost, summed by model, price and rate.
//!
//! Amounts stay exact, and what each call's one rounding changed is kept beside them, so the parts always add up to
//! the sum. Memory is bounded: beyond the bounds sums go on without names.

use flowmeter_model::{Cost, CostExplanation, CostStatus, CostTotal, UsdFemtos};
use smol_str::SmolStr;

use super::llm::LlmSample;

/// Prices that are told apart: a model, the key that it matched, and where the price is from.
const PRICES_MAX: usize = 256;
/// Rates of one price that are told apart: kinds of tokens times tiers.
const LINES_MAX: usize = 64;
/// Calls that are kept one by one: the first ones.
const CALLS_MAX: usize = 100;
/// Different warnings that one price keeps.
const WARNINGS_MAX: usize = 8;
/// The longest name that is kept, in bytes.
const NAME_BYTES_MAX: usize = 300;
/// The longest warning that is kept, in bytes.
const WARNING_BYTES_MAX: usize = 600;

/// The kind of a sum that the provider reported.
const REPORTED: &str = "reported";
/// The kind of an amount of which no lines are known.
const UNEXPLAINED: &str = "unexplained";
/// The kind of what one line stands for when a price has too many rates.
const FURTHER_RATES: &str = "further_rates";

/// Equal kinds at equal rates, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostLineSum {
    /// Kind of token or unit, as in [`flowmeter_model::CostLine`]; `reported` for what the provider said in one sum,
    /// `unexplained` where no lines are known.
    pub kind: SmolStr,
    /// Nano-dollars for every `per` units; `None` where there is no rate.
    pub rate_nanos: Option<i64>,
    /// What the rate is for.
    pub per: u32,
    /// How many units; calls where there is no rate.
    pub quantity: u64,
    /// The exact amount.
    pub amount: UsdFemtos,
}

/// All calls to one model that were priced alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceUse {
    /// The model that was asked for.
    pub model: SmolStr,
    /// Who served it; empty where unknown.
    pub provider: SmolStr,
    /// The explanation that its calls share, without lines and warnings; `None` where none was given.
    pub price: Option<CostExplanation>,
    /// What the calls cost.
    pub cost: CostTotal,
    /// The arithmetic, summed.
    pub lines: Vec<CostLineSum>,
    /// Warnings about this price, each once.
    pub warnings: Vec<String>,
}

impl PriceUse {
    /// All lines together, exactly.
    #[must_use]
    pub fn sum(&self) -> UsdFemtos {
        self.lines.iter().map(|line| line.amount).sum()
    }

    /// What the calls' roundings changed in all.
    #[must_use]
    pub fn rounding(&self) -> UsdFemtos {
        UsdFemtos::from(self.cost.known) - self.sum()
    }

    fn is_of(&self, call: &LlmSample<'_>) -> bool {
        self.model == call.model
            && self.provider == call.provider
            && match (&self.price, call.cost.explanation.as_deref()) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => is_same_price(ours, theirs),
                _ => false,
            }
    }

    fn add(&mut self, call: &LlmSample<'_>) {
        self.cost.add(call.model, call.cost);
        let Some(amount) = call.cost.amount else {
            return;
        };
        let lines = call.cost.explanation.as_deref().map_or(&[][..], |why| &why.lines);
        for line in lines {
            self.add_line(&CostLineSum {
                kind: line.kind.clone(),
                rate_nanos: Some(line.rate_nanos),
                per: line.per,
                quantity: line.quantity,
                amount: line.amount(),
            });
        }
        if lines.is_empty() && amount.0 != 0 {
            let kind = if call.cost.status == CostStatus::Reported {
                REPORTED
            } else {
                UNEXPLAINED
            };
            self.add_line(&CostLineSum {
                kind: SmolStr::new_static(kind),
                rate_nanos: None,
                per: 1,
                quantity: 1,
                amount: amount.into(),
            });
        }
        if let Some(why) = &call.cost.explanation {
            self.add_warnings(&why.warnings);
        }
    }

    fn add_line(&mut self, line: &CostLineSum) {
        let is_same = |known: &CostLineSum| {
            known.kind == line.kind && known.rate_nanos == line.rate_nanos && known.per == line.per
        };
        let is_full = self.lines.len() >= LINES_MAX;
        let place = self.lines.iter().position(is_same).or_else(|| {
            let mut known = self.lines.iter();
            known.position(|known| is_full && known.kind == FURTHER_RATES)
        });
        match place.and_then(|place| self.lines.get_mut(place)) {
            Some(known) => {
                known.quantity = known.quantity.saturating_add(line.quantity);
                known.amount += line.amount;
            }
            None if is_full => self.lines.push(CostLineSum {
                kind: SmolStr::new_static(FURTHER_RATES),
                rate_nanos: None,
                per: 1,
                ..line.clone()
            }),
            None => self.lines.push(line.clone()),
        }
    }

    fn add_warnings(&mut self, warnings: &[String]) {
        for warning in warnings {
            if self.warnings.len() < WARNINGS_MAX
                && warning.len() <= WARNING_BYTES_MAX
                && !self.warnings.contains(warning)
            {
                self.warnings.push(warning.clone());
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.cost.merge(&other.cost);
        for line in &other.lines {
            self.add_line(line);
        }
        self.add_warnings(&other.warnings);
    }
}

fn is_same_price(one: &CostExplanation, other: &CostExplanation) -> bool {
    one.matched == other.matched
        && one.source == other.source
        && one.rule == other.rule
        && one.terms == other.terms
        && one.source_date == other.source_date
        && one.applies_since == other.applies_since
}

/// One call and its cost.
#[derive(Clone, Debug, PartialEq)]
pub struct CallCost {
    /// The node that made it, `outer/inner` in a nested workflow; empty outside any node.
    pub node: SmolStr,
    /// Who served it; empty where unknown.
    pub provider: SmolStr,
    /// The model that was asked for.
    pub model: SmolStr,
    /// What it cost, and why.
    pub cost: Cost,
}

/// Why a run cost what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CostBreakdown {
    /// Calls priced alike, in the order in which they first ended; 256 at most.
    pub prices: Vec<PriceUse>,
    /// All that came beyond that, without names.
    pub other_prices: Option<Box<PriceUse>>,
    /// The first 100 calls, in the order in which they ended.
    pub calls: Vec<CallCost>,
    /// Calls beyond those.
    pub calls_omitted: u64,
}

impl CostBreakdown {
    pub(crate) fn add(&mut self, node: &str, call: &LlmSample<'_>) {
        if self.calls.len() < CALLS_MAX && node.len() <= NAME_BYTES_MAX && call.model.len() <= NAME_BYTES_MAX
        {
            self.calls.push(CallCost {
                node: SmolStr::new(node),
                provider: SmolStr::new(call.provider),
                model: SmolStr::new(call.model),
                cost: call.cost.clone(),
            });
        } else {
            self.calls_omitted += 1;
        }
        if let Some(known) = self.prices.iter_mut().find(|known| known.is_of(call)) {
            known.add(call);
        } else if self.prices.len() < PRICES_MAX && has_short_names(call) {
            let price = call.cost.explanation.as_deref().map(|why| CostExplanation {
                lines: Vec::new(),
                warnings: Vec::new(),
                ..why.clone()
            });
            let mut first = PriceUse {
                model: SmolStr::new(call.model),
                provider: SmolStr::new(call.provider),
                price,
                ..PriceUse::default()
            };
            first.add(call);
            self.prices.push(first);
        } else {
            // Its models have no names here, those without a price neither.
            let nameless = LlmSample {
                model: "(further models)",
                ..call.clone()
            };
            self.other_prices.get_or_insert_default().add(&nameless);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for theirs in &other.prices {
            let is_same = |ours: &&mut PriceUse| {
                ours.model == theirs.model && ours.provider == theirs.provider && ours.price == theirs.price
            };
            if let Some(ours) = self.prices.iter_mut().find(is_same) {
                ours.merge(theirs);
            } else if self.prices.len() < PRICES_MAX {
                self.prices.push(theirs.clone());
            } else {
                self.other_prices.get_or_insert_default().merge(theirs);
            }
        }
        if let Some(theirs) = &other.other_prices {
            self.other_prices.get_or_insert_default().merge(theirs);
        }
        let room = CALLS_MAX.saturating_sub(self.calls.len());
        self.calls.extend(other.calls.iter().take(room).cloned());
        let over = other.calls.len().saturating_sub(room) as u64;
        self.calls_omitted += other.calls_omitted + over;
    }

    /// All prices, the nameless rest included.
    pub fn all_prices(&self) -> impl Iterator<Item = &PriceUse> {
        self.prices.iter().chain(self.other_prices.as_deref())
    }
}

fn has_short_names(call: &LlmSample<'_>) -> bool {
    let why = call.cost.explanation.as_deref();
    let matched = why.map_or("", |why| why.matched.as_str());
    [call.model, call.provider, matched]
        .iter()
        .all(|name| name.len() <= NAME_BYTES_MAX)
}

#[cfg(test)]
mod tests;
