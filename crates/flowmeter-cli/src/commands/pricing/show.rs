//! `flowmeter pricing show`: all that is known of one model's price.
//!
//! Never hides a price behind another one: where pricing.json goes before a price book, both are shown.

use anyhow::{Result, bail};
use flowmeter_model::{Clock, SystemClock, TimestampNs};
use flowmeter_pricing::{DatedRates, DayWindow, Rate, Shown, ShownModel};
use serde_json::{Map, Value, json};

use super::call::{advice, time_text};
use super::rates;
use crate::args::ShowPriceArgs;
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::prices;
use flowmeter::grouped;

/// Shows one model.
pub(super) fn run(args: &ShowPriceArgs, home: &Home, output: &Output) -> Result<Exit> {
    if args.model.trim().is_empty() {
        bail!(BadUsage(
            "no model is named; `flowmeter pricing list` lists them".to_owned()
        ));
    }
    let book = prices::told_book(home, output);
    let at = args.at.unwrap_or_else(|| SystemClock.now());
    let shown = book.show(args.provider.as_deref(), &args.model, at);
    if args.view.is_json() {
        output.json(&as_json(&args.model, at, &shown))?;
    } else {
        output.text(&as_text(&args.model, at, &shown))?;
    }
    Ok(match shown {
        Shown::Priced(_) | Shown::Local => Exit::Success,
        Shown::Unpriced { .. } => Exit::Flawed,
    })
}

fn as_text(model: &str, at: TimestampNs, shown: &Shown) -> String {
    let mut text = format!("{model}, at {}\n", time_text(at));
    match shown {
        Shown::Priced(shown) => text.push_str(&model_text(shown, at)),
        Shown::Local => {
            text.push_str("  a model on your own machine costs nothing: it is priced, at $0.00\n");
        }
        Shown::Unpriced { nearest } => {
            text.push_str("  unpriced: neither pricing.json nor a price book knows it\n");
            let nearest: Vec<String> = nearest.iter().map(ToString::to_string).collect();
            text.push_str(&advice(model, &nearest, "  "));
        }
    }
    text
}

fn model_text(shown: &ShownModel, at: TimestampNs) -> String {
    let mut text = String::new();
    let mut property = |name: &str, value: &str| text.push_str(&format!("  {name:9} {value}\n"));
    property("matched", &format!("{} ({})", shown.matched, shown.rule));
    property("source", &shown.source);
    if let Some(since) = since(&shown.history, at) {
        property("since", &since);
    }
    if let Some(window) = shown.context_window {
        property("context", &format!("{} tokens", grouped(window)));
    }
    if let Some(limit) = rates::limit_text(shown.output_limit) {
        property("output", &format!("at most {limit}"));
    }
    for warning in &shown.warnings {
        property("warning", warning);
    }
    let mut section = |title: &str, of: &[Rate]| {
        text.push_str(&format!("\n{title}\n{}", rates::table(of, "  ")));
    };
    section("Rates:", &shown.rates);
    for tier in &shown.size_tiers {
        let title = format!("With more than {} input tokens:", grouped(tier.above_tokens));
        section(&title, &tier.rates);
    }
    for tier in &shown.service_tiers {
        section(&format!("Service tier {}:", tier.name), &tier.rates);
    }
    for window in &shown.day_windows {
        section(&format!("{} UTC:", hours(window)), &window.rates);
    }
    if shown.history.len() > 1 {
        text.push_str("\nBy date:\n");
        for dated in &shown.history {
            let from = dated.from.map_or_else(|| "at first".to_owned(), date);
            text.push_str(&format!("  {from:10}  {}\n", rates::line(&dated.rates)));
        }
    }
    if let Some(hidden) = &shown.hidden {
        text.push_str(&format!(
            "\n{} goes before {}, which says of {}:\n{}",
            shown.source,
            hidden.source,
            hidden.matched,
            rates::table(&hidden.rates, "  ")
        ));
    }
    text
}

/// The day of a time.
pub(super) fn date(at: TimestampNs) -> String {
    time_text(at).split('T').next().unwrap_or_default().to_owned()
}

/// Since when the price of this time applies; `None` where no change before it is known.
pub(super) fn since(history: &[DatedRates], at: TimestampNs) -> Option<String> {
    let begun = history.iter().filter_map(|dated| dated.from);
    begun.filter(|from| *from <= at).max().map(date)
}

/// `16:30-00:30`.
fn hours(window: &DayWindow) -> String {
    let clock = |second: u32| format!("{:02}:{:02}", second / 3_600, second % 3_600 / 60);
    format!("{}-{}", clock(window.from_s), clock(window.until_s))
}

fn as_json(model: &str, at: TimestampNs, shown: &Shown) -> Value {
    let mut object = Map::new();
    object.insert("model".into(), model.into());
    object.insert("at".into(), time_text(at).into());
    match shown {
        Shown::Priced(shown) => {
            object.insert("status".into(), "priced".into());
            object.extend(model_json(shown));
        }
        Shown::Local => {
            object.insert("status".into(), "priced".into());
            object.insert("source".into(), "local".into());
            object.insert("rates".into(), json!([]));
        }
        Shown::Unpriced { nearest } => {
            object.insert("status".into(), "unpriced".into());
            let nearest: Vec<&str> = nearest.iter().map(smol_str::SmolStr::as_str).collect();
            object.insert("nearest_models".into(), json!(nearest));
        }
    }
    object.into()
}

fn model_json(shown: &ShownModel) -> Map<String, Value> {
    let sizes = shown
        .size_tiers
        .iter()
        .map(|tier| json!({"above_input_tokens": tier.above_tokens, "rates": rates::json(&tier.rates)}));
    let services = shown
        .service_tiers
        .iter()
        .map(|tier| json!({"service_tier": tier.name, "rates": rates::json(&tier.rates)}));
    let windows = shown
        .day_windows
        .iter()
        .map(|window| json!({"utc": hours(window), "rates": rates::json(&window.rates)}));
    let history = shown
        .history
        .iter()
        .map(|dated| json!({"from": dated.from.map(date), "rates": rates::json(&dated.rates)}));
    let (sizes, services): (Vec<Value>, Vec<Value>) = (sizes.collect(), services.collect());
    let (windows, history): (Vec<Value>, Vec<Value>) = (windows.collect(), history.collect());
    let mut object = Map::new();
    object.insert("matched".into(), shown.matched.as_str().into());
    object.insert("rule".into(), shown.rule.as_str().into());
    object.insert("source".into(), shown.source.as_str().into());
    object.insert("warnings".into(), json!(shown.warnings));
    object.insert("rates".into(), rates::json(&shown.rates));
    object.insert("size_tiers".into(), sizes.into());
    object.insert("service_tiers".into(), services.into());
    object.insert("day_windows".into(), windows.into());
    object.insert("history".into(), history.into());
    object.insert("context_window".into(), shown.context_window.into());
    object.insert("max_output".into(), rates::limit_json(shown.output_limit));
    let hidden = shown.hidden.as_deref().map(model_json);
    object.insert("goes_before".into(), hidden.map_or(Value::Null, Value::from));
    object
}
