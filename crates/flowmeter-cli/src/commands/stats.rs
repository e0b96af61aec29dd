//! `flowmeter stats`: what many runs came to, told apart by model, workflow, node, time or tag.
//!
//! Never computes a sum that the store has: it asks, orders, and hands on to who writes.

mod over_time;

use std::collections::BTreeSet;
use std::env;

use anyhow::Result;
use flowmeter::grouped;
use flowmeter_store::{GroupBy, RunFilter, RunOrder, StatsFilter, StatsQuery, StatsRow, StatsSums, Store};

use super::runs::NOTHING_YET;
use crate::args::{StatsArgs, StatsFormat};
use crate::exit::{BadUsage, Exit};
use crate::history;
use crate::home::Home;
use crate::output::Output;
use crate::sparkline::Glyphs;
use crate::stats_view::table::{self, View};
use crate::stats_view::{self, Subject, csv, json, prometheus};
use crate::table::TableStyle;
use crate::times::TimeWords;

/// Steps of a row's trend.
const TREND_STEPS: usize = 16;
/// Rows of a table on a terminal.
const ROWS_ON_TERMINAL: usize = 50;
/// So many runs are asked which tags there are.
const RUNS_ASKED_FOR_TAGS: usize = 500;
/// So many keys of tags are asked for at once.
const TAGS_ASKED_MAX: usize = 50;
/// Tags that are named.
const TAGS_NAMED_MAX: usize = 12;

/// Shows them.
///
/// # Errors
/// When what is asked for makes no sense, and when the history cannot be read.
pub(crate) fn run(args: &StatsArgs, home: &Home, output: &Output) -> Result<Exit> {
    let wish = Grouping::parse(&args.by, args.tag_key.as_deref()).map_err(BadUsage)?;
    let times = TimeWords::here();
    let store = history::open_or_empty(home)?;
    show(args, wish, &*store, &times, output)
}

fn show(
    args: &StatsArgs,
    wish: Grouping,
    store: &dyn Store,
    times: &TimeWords,
    output: &Output,
) -> Result<Exit> {
    let by = match wish {
        Grouping::None => None,
        Grouping::By(by) => Some(by),
        Grouping::EveryTag => Some(every_tag(store, args.chart.is_some())?),
    };
    let format = if args.json {
        StatsFormat::Json
    } else {
        args.format.unwrap_or_default()
    };
    let has_trend = matches!(format, StatsFormat::Table | StatsFormat::Json);
    let query = StatsQuery {
        filter: filter_of(args, times),
        trend_steps: if has_trend && !stats_view::is_time(by.as_ref()) {
            TREND_STEPS
        } else {
            0
        },
        utc_offset_seconds: times.offset_seconds(),
        by,
    };
    let by = query.by.as_ref();
    let (mut rows, total) = asked(store, &query)?;
    stats_view::sort(&mut rows, &query, args.sort);
    match format {
        StatsFormat::Table => print_table(args, &query, &rows, store, times, output)?,
        StatsFormat::Json => output.json(&json::document(&query, &rows, &total))?,
        StatsFormat::Csv => output.text(&csv::write(by, &rows))?,
        StatsFormat::Prometheus => output.text(&prometheus::write(&query, &rows))?,
    }
    if let Some(path) = &args.chart {
        let metric = args.metric.unwrap_or_else(|| stats_view::telling_metric(&total));
        over_time::write_chart(path, &query, metric, &rows, store, times)?;
        output.note(&format!("the chart is in {}", path.display()));
    }
    Ok(Exit::Success)
}

/// The rows of a query, and what they come to together.
fn asked(store: &dyn Store, query: &StatsQuery) -> Result<(Vec<StatsRow>, StatsSums)> {
    if !stats_view::is_every_tag(query.by.as_ref()) {
        let rows = store.stats(query)?;
        let total = stats_view::total_of(&rows);
        return Ok((rows, total));
    }
    let mut rows = Vec::new();
    for key in tag_keys(store)?.into_iter().take(TAGS_ASKED_MAX) {
        let of_key = StatsQuery {
            by: Some(GroupBy::Tag(key.clone())),
            ..query.clone()
        };
        rows.extend(store.stats(&of_key)?.into_iter().filter_map(|mut row| {
            let has_tag = !row.group.is_empty();
            row.group = format!("{key}={}", row.group).into();
            has_tag.then_some(row)
        }));
    }
    // A run with two tags is in two rows: they do not add up.
    let of_all = StatsQuery {
        by: None,
        trend_steps: 0,
        ..query.clone()
    };
    let total = stats_view::total_of(&store.stats(&of_all)?);
    Ok((rows, total))
}

fn filter_of(args: &StatsArgs, times: &TimeWords) -> StatsFilter {
    let mut runs = args.runs.filter(times);
    // Of a run that asked several models, the calls to the others are not meant.
    let models = std::mem::take(&mut runs.models);
    StatsFilter {
        runs,
        models,
        providers: args.provider.clone(),
        nodes: args.node.clone(),
    }
}

/// Why there is nothing to sum where nobody set a condition.
fn nothing_summed(store: &dyn Store, query: &StatsQuery) -> Result<&'static str> {
    let any = store.runs(&RunFilter::default(), RunOrder::Started, 1, 0)?;
    if any.is_empty() {
        return Ok(NOTHING_YET);
    }
    let of_all = StatsQuery {
        by: None,
        trend_steps: 0,
        ..query.clone()
    };
    let has_ended = stats_view::total_of(&store.stats(&of_all)?) != StatsSums::default();
    Ok(match &query.by {
        Some(GroupBy::Model | GroupBy::Provider) if has_ended => "no run of the history has called a model",
        Some(_) if has_ended => "no run of the history has any of these",
        _ => "no run of the history has ended yet; `flowmeter runs` lists those that go on",
    })
}

fn print_table(
    args: &StatsArgs,
    query: &StatsQuery,
    rows: &[StatsRow],
    store: &dyn Store,
    times: &TimeWords,
    output: &Output,
) -> Result<()> {
    let subject = Subject::of(query);
    let total = stats_view::total_of(rows);
    if total == StatsSums::default() {
        output.note(
            if args.runs.is_empty() && args.provider.is_empty() && args.node.is_empty() {
                nothing_summed(store, query)?
            } else {
                "nothing in the history fits these conditions"
            },
        );
        return Ok(());
    }
    let width = output.width_out();
    let glyphs = Glyphs::of_locale(|name| env::var(name).ok());
    let limit = args
        .limit
        .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let view = View {
        by: query.by.as_ref(),
        subject,
        times,
        glyphs,
        style: TableStyle {
            width,
            colour: output.colour_out(),
            indent: 0,
        },
        metric: args.sort.unwrap_or_else(|| stats_view::telling_metric(&total)),
        rows_max: limit.unwrap_or(if width.is_some() {
            ROWS_ON_TERMINAL
        } else {
            usize::MAX
        }),
    };
    output.text(&table::render(&view, rows))?;
    output.note(&format!("p50, p90 and p99 are those of {}", subject.words()));
    if stats_view::is_every_tag(query.by.as_ref()) {
        output.note("a run with several tags is in several rows: these do not add up");
    }
    let unpriced = total.cost.unpriced_calls;
    if unpriced > 0 {
        output.note(&format!(
            "{} without a price are not in the cost; `flowmeter pricing check` says which models have one",
            counted(unpriced, "LLM call")
        ));
    }
    Ok(())
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

/// What is to be told apart, as far as the command line says.
#[derive(Debug, PartialEq)]
enum Grouping {
    None,
    By(GroupBy),
    /// By all tags that there are.
    EveryTag,
}

impl Grouping {
    fn parse(words: &[String], tag_key: Option<&str>) -> Result<Self, String> {
        let wanted = "`--by` is one of model, workflow, node, provider, day, hour, tag, tag=KEY";
        let (first, second) = match words {
            [] => return Ok(tag_key.map_or(Self::None, |key| Self::By(GroupBy::Tag(key.to_owned())))),
            [first] => (first.trim(), None),
            [first, second] => (first.trim(), Some(second.trim())),
            [..] => return Err(format!("{wanted}: one at a time")),
        };
        let named = first.split_once(['=', ':']);
        if first.eq_ignore_ascii_case("tag")
            || named.is_some_and(|(name, _)| name.eq_ignore_ascii_case("tag"))
        {
            let keys: BTreeSet<&str> = [named.map(|(_, key)| key.trim()), second, tag_key]
                .into_iter()
                .flatten()
                .filter(|key| !key.is_empty())
                .collect();
            let mut keys = keys.into_iter();
            return match (keys.next(), keys.next()) {
                (Some(key), None) => Ok(Self::By(GroupBy::Tag(key.to_owned()))),
                (None, _) => Ok(Self::EveryTag),
                (Some(_), Some(_)) => Err("`--by tag` takes one key".to_owned()),
            };
        }
        if second.is_some() {
            return Err(format!("{wanted}: one at a time"));
        }
        if tag_key.is_some() {
            return Err(format!(
                "`--tag-key` goes with `--by tag`, not with `--by {first}`"
            ));
        }
        let by = match first.to_ascii_lowercase().as_str() {
            "model" | "models" => GroupBy::Model,
            "provider" | "providers" => GroupBy::Provider,
            "workflow" | "workflows" => GroupBy::Workflow,
            "node" | "nodes" => GroupBy::Node,
            "hour" | "hours" => GroupBy::Hour,
            "day" | "days" => GroupBy::Day,
            other => return Err(format!("{wanted}, not `{other}`")),
        };
        Ok(Self::By(by))
    }
}

/// The keys of the tags that newer runs have.
fn tag_keys(store: &dyn Store) -> Result<BTreeSet<String>> {
    let newest = store.runs(&RunFilter::default(), RunOrder::Started, RUNS_ASKED_FOR_TAGS, 0)?;
    let tags = newest.into_iter().flat_map(|run| run.origin.tags);
    Ok(tags.map(|(key, _)| key).collect())
}

/// The grouping by all tags that there are.
///
/// # Errors
/// Where no run has one; and for a chart, whose series must not overlap.
fn every_tag(store: &dyn Store, has_chart: bool) -> Result<GroupBy> {
    let keys = tag_keys(store)?;
    let wanted = match keys.first() {
        None => {
            "by which tag? no newer run has one: `flowmeter run --tag team=search …` gives one".to_owned()
        }
        Some(first) if has_chart => {
            let named: Vec<&str> = keys.iter().map(String::as_str).take(TAGS_NAMED_MAX).collect();
            let more = if keys.len() > TAGS_NAMED_MAX { ", …" } else { "" };
            format!(
                "a chart is about one tag: `--by tag={first}`; tags of newer runs: {}{more}",
                named.join(", ")
            )
        }
        Some(_) => return Ok(GroupBy::Tag(String::new())),
    };
    Err(BadUsage(wanted).into())
}

#[cfg(test)]
mod tests;
