//! Costs and their breakdown as JSON: the one shape of a cost that says why, wherever one is written.
//!
//! Never a float where somebody may add up: beside every amount in dollars stands the exact one, as a text of
//! dollars, and whole nano-dollars that add up to the cost with the line `rounding`.

use flowmeter_model::{Cost, CostExplanation, CostLine, CostTotal, UsdFemtos, UsdNanos};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;

use super::breakdown::{CallCost, CostBreakdown, CostLineSum, PriceUse};
use super::snapshot::add_cost;

/// What a cost is and why: `cost_usd`, `cost_nanos`, `cost_status`, and where known `matched`, `rule`, `source`,
/// `source_date`, `applies_since`, `terms`, `lines`, `sum`, `rounding`, `warnings`.
#[must_use]
pub fn cost_json(cost: &Cost) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("cost_usd".into(), json!(cost.amount));
    object.insert("cost_nanos".into(), json!(cost.amount.map(|amount| amount.0)));
    object.insert("cost_status".into(), cost.status.as_str().into());
    if let Some(why) = &cost.explanation {
        add_price(&mut object, why);
        if let Some(amount) = cost.amount.filter(|_| !why.lines.is_empty()) {
            object.insert("lines".into(), line_objects(why, amount));
            object.insert("sum".into(), json!(why.sum()));
            object.insert("rounding".into(), json!(why.rounding(amount)));
        }
        if !why.warnings.is_empty() {
            object.insert("warnings".into(), json!(why.warnings));
        }
    }
    object
}

/// The lines of one call; that of kind `rounding` makes them add up where the sum was no whole nano-dollar.
fn line_objects(why: &CostExplanation, amount: UsdNanos) -> Value {
    let lines = why.lines.iter().map(|line: &CostLine| CostLineSum {
        kind: line.kind.clone(),
        rate_nanos: Some(line.rate_nanos),
        per: line.per,
        quantity: line.quantity,
        amount: line.amount(),
    });
    with_rounding(&lines.collect::<Vec<_>>(), amount)
}

fn add_price(object: &mut Map<String, Value>, why: &CostExplanation) {
    object.insert("matched".into(), why.matched.as_str().into());
    object.insert("rule".into(), why.rule.as_str().into());
    object.insert("source".into(), why.source.as_str().into());
    let mut add = |name: &str, value: &Option<SmolStr>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value.as_str().into());
        }
    };
    add("source_date", &why.source_date);
    add("applies_since", &why.applies_since);
    add("terms", &why.terms);
}

fn line_object(line: &CostLineSum) -> Value {
    let mut object = Map::new();
    object.insert("kind".into(), line.kind.as_str().into());
    object.insert("quantity".into(), line.quantity.into());
    if let Some(rate) = line.rate_nanos {
        object.insert("rate_nanos".into(), rate.into());
        object.insert("rate_usd".into(), UsdNanos(rate).to_usd().into());
        object.insert("per".into(), line.per.into());
    }
    add_amount(&mut object, line.amount);
    object.into()
}

fn add_amount(object: &mut Map<String, Value>, amount: UsdFemtos) {
    object.insert("amount".into(), json!(amount));
    object.insert("amount_usd".into(), amount.to_usd().into());
    object.insert("amount_nanos".into(), amount.whole_nanos().0.into());
}

/// The lines, and one more for what makes them add up to `total`, exactly and in whole nano-dollars.
fn with_rounding(lines: &[CostLineSum], total: UsdNanos) -> Value {
    let mut objects: Vec<Value> = lines.iter().map(line_object).collect();
    let exact: UsdFemtos = UsdFemtos::from(total) - lines.iter().map(|line| line.amount).sum();
    let whole: UsdNanos = lines.iter().map(|line| line.amount.whole_nanos()).sum();
    let nanos = total.0.saturating_sub(whole.0);
    if exact != UsdFemtos::ZERO || nanos != 0 {
        objects.push(json!({
            "kind": "rounding",
            "amount": exact,
            "amount_usd": exact.to_usd(),
            "amount_nanos": nanos,
        }));
    }
    objects.into()
}

/// Lines of equal kind, whatever their rates.
fn by_kind<'a>(prices: impl Iterator<Item = &'a PriceUse>) -> Vec<CostLineSum> {
    let mut kinds: Vec<CostLineSum> = Vec::new();
    for line in prices.flat_map(|price| &price.lines) {
        match kinds.iter_mut().find(|known| known.kind == line.kind) {
            Some(known) => {
                known.quantity = known.quantity.saturating_add(line.quantity);
                known.amount += line.amount;
                if known.rate_nanos != line.rate_nanos || known.per != line.per {
                    known.rate_nanos = None;
                }
            }
            None => kinds.push(line.clone()),
        }
    }
    kinds
}

fn price_object(price: &PriceUse) -> Value {
    let mut object = Map::new();
    if !price.provider.is_empty() {
        object.insert("provider".into(), price.provider.as_str().into());
    }
    if let Some(why) = &price.price {
        add_price(&mut object, why);
    }
    object.insert("llm_calls".into(), price.cost.calls.into());
    add_cost(&mut object, &price.cost);
    object.insert("lines".into(), with_rounding(&price.lines, price.cost.known));
    if !price.warnings.is_empty() {
        object.insert("warnings".into(), json!(price.warnings));
    }
    object.into()
}

fn sum_of<'a>(prices: impl Iterator<Item = &'a PriceUse>) -> CostTotal {
    prices.fold(CostTotal::default(), |mut sum, price| {
        sum.merge(&price.cost);
        sum
    })
}

fn call_object(call: &CallCost) -> Value {
    let mut object = Map::new();
    object.insert("node".into(), call.node.as_str().into());
    if !call.provider.is_empty() {
        object.insert("provider".into(), call.provider.as_str().into());
    }
    object.insert("model".into(), call.model.as_str().into());
    object.extend(cost_json(&call.cost));
    object.into()
}

impl CostBreakdown {
    /// Cost, lines by kind of token, and both again by model, with every price that applied.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        let total = sum_of(self.all_prices());
        add_cost(&mut object, &total);
        object.insert(
            "lines".into(),
            with_rounding(&by_kind(self.all_prices()), total.known),
        );
        let mut models: Vec<&str> = Vec::new();
        for price in &self.prices {
            if !models.contains(&price.model.as_str()) {
                models.push(&price.model);
            }
        }
        let objects: Map<String, Value> = models
            .into_iter()
            .map(|model| {
                let prices = || self.prices.iter().filter(|price| price.model == model);
                (model.to_owned(), model_object(prices))
            })
            .collect();
        object.insert("by_model".into(), objects.into());
        if let Some(others) = self.other_prices.as_deref() {
            object.insert("other_models".into(), model_object(|| std::iter::once(others)));
        }
        object
    }

    /// The same with the calls one by one: `calls`, and `calls_omitted` where there were more.
    #[must_use]
    pub fn to_json_with_calls(&self) -> Map<String, Value> {
        let mut object = self.to_json();
        object.insert("calls".into(), self.calls.iter().map(call_object).collect());
        if self.calls_omitted > 0 {
            object.insert("calls_omitted".into(), self.calls_omitted.into());
        }
        object
    }
}

fn model_object<'a, I: Iterator<Item = &'a PriceUse>>(prices: impl Fn() -> I) -> Value {
    let total = sum_of(prices());
    let mut object = Map::new();
    object.insert("llm_calls".into(), total.calls.into());
    add_cost(&mut object, &total);
    object.insert("lines".into(), with_rounding(&by_kind(prices()), total.known));
    object.insert("prices".into(), prices().map(price_object).collect());
    object.into()
}
