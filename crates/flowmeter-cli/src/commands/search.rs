//! `flowmeter search`: where a text stands in prompts, answers, logs, errors, attributes and writes of all runs.
//!
//! Never looks into a run itself: the store finds, this shows.

use anyhow::Result;
use flowmeter_store::{RunOrder, SearchMode, SearchQuery, Store, StoreError};
use serde_json::Value;

use super::runs::{NOTHING_YET, nothing_yet};
use crate::args::SearchArgs;
use crate::exit::{BadUsage, Exit};
use crate::history;
use crate::history_view::hits::{HitLook, hit_json, hits_text};
use crate::home::Home;
use crate::output::Output;
use crate::times::TimeWords;

/// Searches and prints the hits.
pub(super) fn run(args: &SearchArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    if !home.has_history() {
        return nothing_yet(args.json, output);
    }
    let store = history::open(home)?;
    let is_damage_told = search(&store, args, &times, output)?;
    if !is_damage_told && store.lacks_parts() {
        output.warn("the history is damaged, and hits may be missing here; `flowmeter db check` says more");
    }
    Ok(Exit::Success)
}

/// Searches and prints; whether it was told that a part of the history is damaged.
fn search(store: &dyn Store, args: &SearchArgs, times: &TimeWords, output: &Output) -> Result<bool> {
    let limit = if args.limit == 0 {
        usize::MAX - 1
    } else {
        args.limit
    };
    let query = SearchQuery {
        text: args.text.join(" "),
        mode: if args.substring || !has_word(&args.text) {
            SearchMode::Substring
        } else {
            SearchMode::Words
        },
        runs: args.runs.filter(times),
        places: args.places.clone(),
        limit: limit + 1,
    };
    if query.text.trim().is_empty() {
        return Err(BadUsage("there is nothing to look for: give a word or a phrase".to_owned()).into());
    }
    let mut unreadable = Vec::new();
    let searched = store.search_noting(&query, &mut |what| unreadable.push(what));
    let mut hits = searched.map_err(|error| match error {
        StoreError::Invalid(message) => anyhow::Error::from(BadUsage(message)),
        other => other.into(),
    })?;
    if let Some(first) = unreadable.first() {
        output.warn(&format!(
            "{} parts of the history are damaged and were not searched, the first: {first}; `flowmeter db check` says more",
            unreadable.len()
        ));
    }
    let has_more = hits.len() > limit;
    hits.truncate(limit);
    if args.json {
        let hits: Vec<Value> = hits.iter().map(hit_json).collect();
        output.json(&hits.into())?;
    } else if !hits.is_empty() {
        let look = HitLook {
            colour: output.colour_out(),
            width: output.width_out(),
            times,
        };
        output.text(&hits_text(&hits, look))?;
    }
    if has_more {
        output.note(&format!(
            "the newest {} shown, there are more; `--limit 0` shows all, --in, -w and --since narrow it",
            if limit == 1 {
                "hit is".to_owned()
            } else {
                format!("{limit} hits are")
            }
        ));
    } else if hits.is_empty() {
        output.note(&hint(store, args, &query)?);
    }
    Ok(!unreadable.is_empty())
}

/// Whether there is anything that words are made of: of signs and emoji alone the row of characters is meant.
fn has_word(text: &[String]) -> bool {
    text.iter().any(|text| text.contains(char::is_alphanumeric))
}

/// What may help where nothing was found.
fn hint(store: &dyn Store, args: &SearchArgs, query: &SearchQuery) -> Result<String> {
    if store.runs(&query.runs, RunOrder::Started, 1, 0)?.is_empty() {
        return Ok(if args.runs.is_empty() {
            NOTHING_YET.to_owned()
        } else {
            "no run fits the conditions; `flowmeter runs` with the same flags shows which do".to_owned()
        });
    }
    let mut helps = Vec::new();
    let is_substring = query.mode == SearchMode::Substring;
    if !is_substring {
        helps.push("`--substring` also looks inside words");
    }
    if !is_substring && query.text.split_whitespace().count() > 1 {
        helps.push("fewer words find more: all of them must stand in the same place");
    }
    if !args.places.is_empty() {
        helps.push("without `--in` all places are searched");
    }
    if !args.runs.is_empty() {
        helps.push("without conditions all runs are searched");
    }
    let helps = if helps.is_empty() {
        String::new()
    } else {
        format!("; {}", helps.join("; "))
    };
    Ok(format!("`{}` was not found{helps}", query.text))
}
