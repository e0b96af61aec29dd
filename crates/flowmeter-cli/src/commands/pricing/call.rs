//! A call that was perhaps never made: what flags say of its usage, and its price.
//!
//! Never guesses silently how counts were meant: what is read as standing beside the whole is said.

use std::sync::Arc;

use anyhow::{Result, bail};
use flowmeter::cost_json;
use flowmeter_model::{Clock, Cost, Figure, SystemClock, TimestampNs, TokenUsage, UsdNanos};
use flowmeter_pricing::{PricedCall, Shown};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::arithmetic::explained;
use super::show::since;
use crate::args::{CallArgs, PricingViewArgs};
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::prices;

/// Usage as flags give it, and how they were read.
struct GivenUsage {
    usage: TokenUsage,
    notes: Vec<String>,
}

/// A whole, with parts that may stand beside it instead of in it.
fn whole(name: &str, given: Option<u64>, parts: u64, notes: &mut Vec<String>) -> Option<u64> {
    match given {
        None => (parts > 0).then_some(parts),
        Some(whole) if whole >= parts => Some(whole),
        Some(rest) => {
            notes.push(format!(
                "the parts of the {name} come to {parts} tokens, more than --{name} {rest}: that is read as what \
                 stands beside them"
            ));
            rest.checked_add(parts)
        }
    }
}

fn given_usage(call: &CallArgs) -> Result<GivenUsage> {
    let mut notes = Vec::new();
    let sum = |counts: &[Option<u64>]| {
        let mut counts = counts.iter().flatten();
        counts.try_fold(0_u64, |sum, count| sum.checked_add(*count))
    };
    let cached = sum(&[call.cache_read, call.cache_write, call.cache_write_1h]);
    // Audio and images may be among what was cached.
    let other_input = sum(&[call.input_audio, call.input_image]);
    let of_output = sum(&[call.reasoning, call.output_audio]);
    let (Some(cached), Some(other_input), Some(of_output)) = (cached, other_input, of_output) else {
        bail!(BadUsage("there are too many tokens to count".to_owned()));
    };
    let input = match call.uncached_input {
        Some(rest) => rest.checked_add(cached),
        None => whole("input", call.input, cached.max(other_input), &mut notes),
    };
    let output = whole("output", call.output, of_output, &mut notes);
    let is_empty = input.is_none() && output.is_none() && call.web_searches.is_none();
    if is_empty && call.reported_cost.is_none() {
        bail!(BadUsage(
            "nothing was used: give --input N, --output N, … or --web-searches N".to_owned()
        ));
    }
    let figure = |tokens: Option<u64>| tokens.map(Figure::provider);
    let usage = TokenUsage {
        // Nothing said of one side means that there was none of it.
        input: figure(input.or(Some(0))),
        output: figure(output.or(Some(0))),
        cache_read: figure(call.cache_read),
        cache_write_5m: figure(call.cache_write),
        cache_write_1h: figure(call.cache_write_1h),
        reasoning: figure(call.reasoning),
        input_audio: figure(call.input_audio),
        input_image: figure(call.input_image),
        output_audio: figure(call.output_audio),
        web_searches: call.web_searches,
        reported_cost: call.reported_cost,
        ..TokenUsage::default()
    };
    Ok(GivenUsage { usage, notes })
}

/// Explains the price of a call with these counts.
pub(super) fn run(
    model: &str,
    call: &CallArgs,
    view: PricingViewArgs,
    home: &Home,
    output: &Output,
) -> Result<Exit> {
    if model.trim().is_empty() {
        bail!(BadUsage("no model is named: give --model NAME".to_owned()));
    }
    let GivenUsage { usage, notes } = given_usage(call)?;
    let book = prices::told_book(home, output);
    let start = call.at.unwrap_or_else(|| SystemClock.now());
    let mut cost = book.price(&PricedCall {
        provider: call.provider.as_deref(),
        request_model: model,
        response_model: None,
        usage: &usage,
        start,
        service_tier: call.service_tier.as_deref(),
    });
    add_since(
        &mut cost,
        &book.show(call.provider.as_deref(), model, start),
        start,
    );
    let near = if cost.amount.is_none() {
        prices::nearest_models(&book, model)
    } else {
        Vec::new()
    };
    let told = Told {
        model,
        call,
        usage: &usage,
        start,
        cost: &cost,
        notes: &notes,
        near: &near,
    };
    if view.is_json() {
        output.json(&told.json())?;
    } else {
        output.text(&told.text())?;
    }
    Ok(if cost.amount.is_none() {
        Exit::Flawed
    } else {
        Exit::Success
    })
}

/// Says since when the price applies, where the book knows of a change before that time.
fn add_since(cost: &mut Cost, shown: &Shown, at: TimestampNs) {
    if let (Some(why), Shown::Priced(shown)) = (&mut cost.explanation, shown)
        && why.matched == shown.matched
        && why.source == shown.source
    {
        Arc::make_mut(why).applies_since = since(&shown.history, at).map(Into::into);
    }
}

/// All that is to be said of one call.
struct Told<'a> {
    model: &'a str,
    call: &'a CallArgs,
    usage: &'a TokenUsage,
    start: TimestampNs,
    cost: &'a Cost,
    notes: &'a [String],
    near: &'a [String],
}

impl Told<'_> {
    /// What all the calls cost together; `None` where no price is known or it is more than there is money.
    fn total(&self) -> Option<UsdNanos> {
        let nanos = self.cost.amount?.0.checked_mul(i64::from(self.call.requests))?;
        Some(UsdNanos(nanos))
    }

    fn text(&self) -> String {
        let provider = self.call.provider.as_ref();
        let provider = provider.map_or_else(String::new, |provider| format!(", served by {provider}"));
        let tier = self.call.service_tier.as_ref();
        let tier = tier.map_or_else(String::new, |tier| format!(", service tier {tier}"));
        let mut text = format!("{}{provider}{tier}, at {}\n", self.model, time_text(self.start));
        text.push_str(&explained(self.cost, "  "));
        for note in self.notes {
            text.push_str(&format!("  note      {note}\n"));
        }
        if self.call.requests > 1
            && let Some(total) = self.total()
        {
            text.push_str(&format!("  {} such calls cost {total}\n", self.call.requests));
        }
        if self.cost.amount.is_none() {
            text.push_str(&advice(self.model, self.near, "  "));
        }
        text
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("model".into(), self.model.into());
        object.insert("provider".into(), self.call.provider.as_deref().into());
        object.insert("service_tier".into(), self.call.service_tier.as_deref().into());
        object.insert("start_time".into(), time_text(self.start).into());
        object.insert("usage".into(), json!(self.usage));
        object.extend(cost_json(self.cost));
        object.insert("requests".into(), self.call.requests.into());
        let total = self.total();
        object.insert("total_cost_usd".into(), json!(total));
        object.insert("total_cost_nanos".into(), json!(total.map(|total| total.0)));
        if !self.notes.is_empty() {
            object.insert("notes".into(), json!(self.notes));
        }
        if self.cost.amount.is_none() {
            object.insert("nearest_models".into(), json!(self.near));
        }
        object.into()
    }
}

/// What to do about a model without a price.
pub(super) fn advice(model: &str, near: &[String], indent: &str) -> String {
    let mut text = String::new();
    if !near.is_empty() {
        text.push_str(&format!("{indent}near      {}\n", near.join(", ")));
    }
    text.push_str(&format!(
        "{indent}to do     flowmeter pricing set {model} --input USD --output USD --per 1M\n"
    ));
    text
}

/// A time as RFC 3339 has it, in whole seconds.
pub(super) fn time_text(at: TimestampNs) -> String {
    let second = i128::from(at.0 / 1_000_000_000) * 1_000_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(second)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "an unknown time".to_owned())
}

#[cfg(test)]
mod tests;
