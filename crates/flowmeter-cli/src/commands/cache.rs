//! `flowmeter cache`: what the response cache holds and saved, and how to empty it.
//!
//! Never shows an answer, and removes none without being asked to.

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use flowmeter_model::{Clock, SystemClock, TimestampNs, UsdNanos};
use flowmeter_workflow::response_cache::{CacheStats, ClearWish, Cleared, LookupCounts, ResponseCache};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::amounts::shown_size;
use crate::args::{CacheAction, CacheArgs, CacheClearArgs, ViewFormat};
use crate::caching::responses;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use flowmeter::grouped;

/// Does what `flowmeter cache` was asked for.
pub(super) fn run(args: &CacheArgs, home: &Home, output: &Output) -> Result<Exit> {
    let config = super::settings(home)?;
    let cache = responses(&config, home);
    match &args.action {
        CacheAction::Stats(args) if args.json || args.format == ViewFormat::Json => {
            output.json(&stats_json(&cache, &cache.stats()))?;
            Ok(Exit::Success)
        }
        CacheAction::Stats(_) => {
            output.text(&stats_text(&cache, &cache.stats(), SystemClock.now()))?;
            Ok(Exit::Success)
        }
        CacheAction::Clear(args) => clear(args, &cache, output),
    }
}

fn clear(args: &CacheClearArgs, cache: &ResponseCache, output: &Output) -> Result<Exit> {
    let wish = ClearWish {
        older_than: args.older_than,
        model: args.model.clone(),
    };
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if can_ask && !args.yes && !is_confirmed(cache.count_to_clear(&wish))? {
        output.say("nothing was removed");
        return Ok(Exit::Success);
    }
    let cleared = cache.clear(&wish).with_context(|| {
        let folder = cache.folder().display();
        format!("the answers in {folder} could not all be removed; check who owns it and try again")
    })?;
    if args.json {
        output.json(&json!({ "removed": cleared.entries, "bytes": cleared.bytes }))?;
    } else {
        output.text(&format!("removed {}", answers(cleared)))?;
    }
    Ok(Exit::Success)
}

/// Asks on the terminal; only a yes is one.
fn is_confirmed(wanted: Cleared) -> Result<bool> {
    if wanted.entries == 0 {
        return Ok(true);
    }
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "Remove {}? [y/N] ", answers(wanted))?;
    terminal.flush()?;
    let mut said = String::new();
    std::io::stdin().lock().read_line(&mut said)?;
    Ok(matches!(said.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn answers(cleared: Cleared) -> String {
    let plural = if cleared.entries == 1 { "" } else { "s" };
    format!(
        "{} answer{plural} ({})",
        grouped(cleared.entries),
        shown_size(cleared.bytes)
    )
}

fn age(age: Duration) -> String {
    const UNITS: [(&str, u64); 3] = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let seconds = age.as_secs();
    match UNITS.iter().find(|(_, unit)| seconds >= *unit) {
        Some((name, unit)) => format!("{}{name} ago", seconds / unit),
        None => format!("{seconds}s ago"),
    }
}

fn timestamp(at: Option<TimestampNs>) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at?.0)).ok()?;
    time.format(&Rfc3339).ok()
}

/// What was saved: `12,345 tokens, ≥ $0.0031 (3 without a price)`.
fn saved(counts: &LookupCounts) -> String {
    let tokens = counts
        .saved_input_tokens
        .saturating_add(counts.saved_output_tokens);
    let amount = UsdNanos(counts.saved_nanos);
    let cost = match (counts.saved_without_price, counts.saved_estimated) {
        (0, 0) => amount.to_string(),
        (0, _) => format!("~{amount}"),
        (unpriced, _) if unpriced == counts.hits && amount == UsdNanos::ZERO => "unpriced".to_owned(),
        (unpriced, _) => format!("≥ {amount} ({} without a whole price)", grouped(unpriced)),
    };
    format!("{} tokens, {cost}", grouped(tokens))
}

fn found(counts: &LookupCounts) -> String {
    let lookups = counts.hits.saturating_add(counts.misses);
    match counts.hit_rate() {
        None => "none".to_owned(),
        Some(rate) => format!(
            "{} of {} look-ups ({:.1}%)",
            grouped(counts.hits),
            grouped(lookups),
            rate * 100.0
        ),
    }
}

fn stats_text(cache: &ResponseCache, stats: &CacheStats, now: TimestampNs) -> String {
    let mut lines = vec![
        format!("Response cache: {}", cache.folder().display()),
        format!(
            "- Answers: {} ({} of {})",
            grouped(stats.entries),
            shown_size(stats.bytes),
            shown_size(stats.bytes_max)
        ),
    ];
    let since = |at: TimestampNs| age(Duration::from_nanos(now.since(at)));
    if let (Some(oldest), Some(newest)) = (stats.oldest, stats.newest) {
        lines.push(format!("- Oldest: {}, newest: {}", since(oldest), since(newest)));
    }
    if stats.expired_entries > 0 {
        lines.push(format!(
            "- Too old to be used: {}",
            grouped(stats.expired_entries)
        ));
    }
    let tally = &stats.tally;
    lines.push(format!("- Hits: {}", found(&tally.lookups)));
    lines.push(format!("- Saved: {}", saved(&tally.lookups)));
    for (name, count) in [
        ("Made way for newer ones", tally.evicted),
        ("Broken and removed", tally.broken),
        ("Too large to keep", tally.too_large),
        (
            "Not fit to keep (cut off, filtered, not as their schema wants)",
            tally.unfit,
        ),
        ("Could not be written", tally.write_failures),
    ] {
        if count > 0 {
            lines.push(format!("- {name}: {}", grouped(count)));
        }
    }
    if !stats.models.is_empty() {
        lines.push("By model:".to_owned());
    }
    for (name, model) in &stats.models {
        lines.push(format!(
            "- {name}: {} kept ({}), hits: {}, saved {}",
            grouped(model.entries),
            shown_size(model.bytes),
            found(&model.lookups),
            saved(&model.lookups)
        ));
    }
    lines.join("\n")
}

/// What look-ups came to, into `object`.
fn add_lookups(object: &mut Map<String, Value>, counts: &LookupCounts) {
    object.insert("hits".to_owned(), counts.hits.into());
    object.insert("misses".to_owned(), counts.misses.into());
    object.insert("hit_rate".to_owned(), counts.hit_rate().into());
    object.insert(
        "saved_tokens".to_owned(),
        json!({
            "input": counts.saved_input_tokens,
            "output": counts.saved_output_tokens,
            "total": counts.saved_input_tokens.saturating_add(counts.saved_output_tokens),
        }),
    );
    let amount = UsdNanos(counts.saved_nanos);
    let (amount, status) = match (counts.saved_without_price, counts.saved_estimated) {
        (0, 0) => (Some(amount), "priced"),
        (0, _) => (Some(amount), "estimated"),
        (unpriced, _) if unpriced == counts.hits && amount == UsdNanos::ZERO => (None, "unpriced"),
        _ => (Some(amount), "partial"),
    };
    object.insert("saved_cost_usd".to_owned(), json!(amount));
    object.insert("saved_cost_status".to_owned(), status.into());
}

fn stats_json(cache: &ResponseCache, stats: &CacheStats) -> Value {
    let tally = &stats.tally;
    let mut object = Map::new();
    let folder = cache.folder().display().to_string();
    object.insert("folder".to_owned(), folder.into());
    object.insert("entries".to_owned(), stats.entries.into());
    object.insert("bytes".to_owned(), stats.bytes.into());
    object.insert("bytes_max".to_owned(), stats.bytes_max.into());
    object.insert("expired_entries".to_owned(), stats.expired_entries.into());
    object.insert("oldest".to_owned(), timestamp(stats.oldest).into());
    object.insert("newest".to_owned(), timestamp(stats.newest).into());
    object.insert("since".to_owned(), timestamp(tally.since).into());
    add_lookups(&mut object, &tally.lookups);
    for (name, count) in [
        ("stored", tally.stored),
        ("expired", tally.expired),
        ("evicted", tally.evicted),
        ("broken", tally.broken),
        ("too_large", tally.too_large),
        ("unfit", tally.unfit),
        ("write_failures", tally.write_failures),
    ] {
        object.insert(name.to_owned(), count.into());
    }
    let models: Map<String, Value> = stats
        .models
        .iter()
        .map(|(name, model)| {
            let mut shown = Map::new();
            shown.insert("entries".to_owned(), model.entries.into());
            shown.insert("bytes".to_owned(), model.bytes.into());
            add_lookups(&mut shown, &model.lookups);
            (name.to_string(), shown.into())
        })
        .collect();
    object.insert("by_model".to_owned(), models.into());
    object.into()
}
