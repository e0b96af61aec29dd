//! The arithmetic behind a cost as aligned columns: kind, quantity × rate = amount, then sum and rounding.
//!
//! Never rounds and never uses a float: every number is exact, so a calculator gives the same.

use flowmeter_model::{Cost, CostExplanation, CostLine, CostStatus, UsdFemtos, UsdNanos};

use flowmeter::grouped;

/// Where the names of properties end.
const NAME_WIDTH: usize = 9;

/// One row: texts that stand in columns.
struct Row {
    kind: String,
    quantity: String,
    rate: String,
    per: &'static str,
    amount: String,
}

impl Row {
    fn of(line: &CostLine) -> Self {
        Self {
            kind: line.kind.to_string(),
            quantity: grouped(line.quantity),
            rate: UsdFemtos::from(UsdNanos(line.rate_nanos)).to_string(),
            per: per_text(line.per),
            amount: line.amount().to_string(),
        }
    }

    /// A row with nothing but a name and an amount.
    fn sum(name: &str, amount: String) -> Self {
        Self {
            kind: name.to_owned(),
            quantity: String::new(),
            rate: String::new(),
            per: "",
            amount,
        }
    }
}

/// What a rate is for.
pub(super) fn per_text(per: u32) -> &'static str {
    match per {
        1_000_000 => "per 1M",
        1_000 => "per 1K",
        1 => "each",
        3_600_000 => "per hour",
        _ => "per unit",
    }
}

/// A number split at its point, so that points can stand below each other.
fn halves(number: &str) -> (&str, &str) {
    number.split_at(number.find('.').unwrap_or(number.len()))
}

/// Pads numbers so that their points stand below each other.
pub(super) fn aligned(numbers: &[&str]) -> Vec<String> {
    let width = |part: fn((&str, &str)) -> usize| {
        numbers
            .iter()
            .map(|number| part(halves(number)))
            .max()
            .unwrap_or(0)
    };
    let (before, behind) = (width(|(whole, _)| whole.len()), width(|(_, rest)| rest.len()));
    numbers
        .iter()
        .map(|number| {
            let (whole, rest) = halves(number);
            format!("{whole:>before$}{rest:<behind$}")
        })
        .collect()
}

/// The rows as lines of columns, each indented by this much.
fn table(rows: &[Row], indent: &str) -> String {
    let width = |part: fn(&Row) -> usize| rows.iter().map(part).max().unwrap_or(0);
    let kinds = width(|row| row.kind.len());
    let quantities = width(|row| row.quantity.len());
    let units = width(|row| row.per.len());
    let rates = aligned(&rows.iter().map(|row| row.rate.as_str()).collect::<Vec<_>>());
    let amounts = aligned(&rows.iter().map(|row| row.amount.as_str()).collect::<Vec<_>>());
    let mut text = String::new();
    for ((row, rate), amount) in rows.iter().zip(&rates).zip(&amounts) {
        let (times, equals) = if row.rate.is_empty() {
            (" ", " ")
        } else {
            ("×", "=")
        };
        let line = format!(
            "{indent}{:kinds$}  {:>quantities$} {times} {rate} {:units$} {equals} {amount}",
            row.kind, row.quantity, row.per
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The whole explanation of one cost, each line indented by this much.
pub(crate) fn explained(cost: &Cost, indent: &str) -> String {
    let mut text = String::new();
    if let (Some(amount), Some(why)) = (cost.amount, cost.explanation.as_deref()) {
        text.push_str(&lines_of(why, amount, indent));
    }
    let status = match (cost.status, cost.amount) {
        (CostStatus::Unpriced, _) | (_, None) => "unpriced: no price is known".to_owned(),
        (CostStatus::Reported, Some(amount)) => format!("{amount}  reported: the provider said so"),
        (CostStatus::Priced, Some(amount)) => format!("{amount}  priced"),
        (CostStatus::Estimated, Some(amount)) => format!("~{amount}  estimated: tokens were not counted"),
        (CostStatus::Partial, Some(amount)) => format!("≥ {amount}  partial: some of it has no price"),
    };
    let mut property = |name: &str, value: &str| {
        text.push_str(&format!("{indent}{name:NAME_WIDTH$} {value}\n"));
    };
    property("cost", &status);
    if let Some(why) = cost.explanation.as_deref() {
        if !why.matched.is_empty() {
            property("matched", &format!("{} ({})", why.matched, why.rule));
        }
        property("source", &source_text(why));
        if let Some(terms) = &why.terms {
            property("terms", terms);
        }
        for warning in &why.warnings {
            property("warning", warning);
        }
    } else if cost.amount == Some(UsdNanos::ZERO) {
        property("source", "nothing was billed");
    } else if cost.amount.is_some() {
        property("source", "not recorded");
    }
    text
}

fn lines_of(why: &CostExplanation, amount: UsdNanos, indent: &str) -> String {
    if why.lines.is_empty() {
        return String::new();
    }
    let mut rows: Vec<Row> = why.lines.iter().map(Row::of).collect();
    rows.push(Row::sum("sum", why.sum().to_string()));
    let rounding = why.rounding(amount).unwrap_or_default();
    if rounding != UsdFemtos::ZERO {
        let sign = if rounding.0 > 0 { "+" } else { "" };
        rows.push(Row::sum("rounding", format!("{sign}{rounding}")));
        rows.push(Row::sum("rounded", amount.to_string()));
    }
    table(&rows, indent)
}

/// Where a price is from, and of which day it is.
fn source_text(why: &CostExplanation) -> String {
    let mut text = match why.source.as_str() {
        "provider" => "the provider's own report".to_owned(),
        source => source.to_owned(),
    };
    if let Some(date) = &why.source_date {
        text.push_str(&format!(", of {date}"));
    }
    if let Some(since) = &why.applies_since {
        text.push_str(&format!("; applies since {since}"));
    }
    text
}

#[cfg(test)]
mod tests;
