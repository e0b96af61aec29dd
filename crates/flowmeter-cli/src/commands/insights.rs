//! `flowmeter insights`: what stands out in the history, how much it is about, and what to do.
//!
//! Never finds anything itself: the store's analysis does, and this asks, prices and prints.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use flowmeter::grouped;
use flowmeter_model::TimestampNs;
use flowmeter_pricing::{PriceBook, RateKind, Shown};
use flowmeter_store::insights::{
    FALSE_FINDINGS_MAX, InsightQuery, InsightReport, InsightScope, ModelRates, PriceLookup, insights,
};
use flowmeter_store::{RunFilter, RunOrder, Store};
use serde_json::{Value, json};

use super::runs::NOTHING_YET;
use crate::args::InsightsArgs;
use crate::exit::Exit;
use crate::history;
use crate::home::Home;
use crate::insights_view::{self, View};
use crate::output::Output;
use crate::prices;
use crate::run_selector;
use crate::times::{TimeWords, rfc3339};

/// More findings than a screen holds are told by number.
const FINDINGS_SHOWN: usize = 20;
/// Answers of the price book that are remembered.
const ANSWERS_MAX: usize = 4_096;
/// So many runs are looked through for the names of workflows, where one is named that nobody ran.
const RUNS_ASKED_FOR_NAMES: usize = 2_000;

/// Prints them.
pub(super) fn run(args: &InsightsArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    let store = history::open_or_empty(home)?;
    let prices = BookPrices::new(prices::told_book(home, output));
    show(args, &*store, &prices, &times, output)
}

/// What the book is asked for: provider, model and time.
type Asked = (String, String, TimestampNs);

/// The price book as the analysis asks it: for the same few models at the same time, of each workflow again.
struct BookPrices {
    book: Arc<PriceBook>,
    answers: RefCell<HashMap<Asked, Option<ModelRates>>>,
}

impl BookPrices {
    fn new(book: Arc<PriceBook>) -> Self {
        Self {
            book,
            answers: RefCell::default(),
        }
    }

    fn look_up(&self, provider: &str, model: &str, at: TimestampNs) -> Option<ModelRates> {
        let provider = Some(provider).filter(|provider| !provider.is_empty());
        let Shown::Priced(shown) = self.book.show(provider, model, at) else {
            return None;
        };
        let rate = |kind: RateKind| {
            shown
                .rates
                .iter()
                .find(|rate| rate.kind == kind)
                .map(|rate| rate.nanos)
        };
        Some(ModelRates {
            input: rate(RateKind::Input)?,
            output: rate(RateKind::Output)?,
            cache_read: rate(RateKind::CacheRead),
            cache_write: rate(RateKind::CacheWrite5m),
        })
    }
}

impl PriceLookup for BookPrices {
    fn rates(&self, provider: &str, model: &str, at: TimestampNs) -> Option<ModelRates> {
        let asked = (provider.to_owned(), model.to_owned(), at);
        if let Some(answer) = self.answers.borrow().get(&asked) {
            return *answer;
        }
        let answer = self.look_up(provider, model, at);
        let mut answers = self.answers.borrow_mut();
        if answers.len() < ANSWERS_MAX {
            answers.insert(asked, answer);
        }
        answer
    }
}

fn show(
    args: &InsightsArgs,
    store: &dyn Store,
    prices: &dyn PriceLookup,
    times: &TimeWords,
    output: &Output,
) -> Result<Exit> {
    let scope = scope_of(args, store, times)?;
    let query = InsightQuery {
        since: args.since.as_ref().map(|since| since.resolve(times)),
        ..InsightQuery::new(scope, times.now(), times.offset_seconds())
    };
    let mut progress = Progress {
        is_shown: output.width_err().is_some() && !args.json,
        output,
        is_dirty: false,
    };
    let report = insights(store, &query, prices, &mut |what, count| {
        progress.tell(what, count);
    })?;
    progress.clear();
    let limit = args
        .limit
        .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if args.json {
        let limit = limit.unwrap_or(usize::MAX);
        output.json(&document(&report, &query, limit))?;
    }
    if report.looked_at.runs == 0 {
        output.note(&nothing(args, &query.scope, store)?);
    }
    if args.json || report.looked_at.runs == 0 {
        return Ok(Exit::Success);
    }
    let view = View {
        report: &report,
        scope: &query.scope,
        times,
        colour: output.colour_out(),
        width: output.width_out().unwrap_or(100),
        limit: limit.unwrap_or(FINDINGS_SHOWN),
    };
    output.write(|out| out.write_all(insights_view::render(&view).as_bytes()))?;
    Ok(Exit::Success)
}

fn scope_of(args: &InsightsArgs, store: &dyn Store, times: &TimeWords) -> Result<InsightScope> {
    if let Some(text) = &args.run {
        return Ok(InsightScope::Run(
            run_selector::select(store, text, times)?.row.key,
        ));
    }
    let Some(workflow) = &args.workflow else {
        return Ok(InsightScope::All);
    };
    Ok(InsightScope::Workflow(workflow.clone()))
}

/// Why no run was looked at.
fn nothing(args: &InsightsArgs, scope: &InsightScope, store: &dyn Store) -> Result<String> {
    let rows = store.runs(&RunFilter::default(), RunOrder::Started, RUNS_ASKED_FOR_NAMES, 0)?;
    if rows.is_empty() {
        return Ok(NOTHING_YET.to_owned());
    }
    let InsightScope::Workflow(workflow) = scope else {
        return Ok("no run of the history fits these conditions".to_owned());
    };
    let filter = RunFilter {
        workflows: vec![workflow.clone()],
        ..RunFilter::default()
    };
    if args.since.is_some() && !store.runs(&filter, RunOrder::Started, 1, 0)?.is_empty() {
        return Ok(format!("no run of `{workflow}` fits these conditions"));
    }
    let mut names: Vec<&str> = rows.iter().map(|row| row.workflow.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(12);
    Ok(format!(
        "no run of a workflow `{workflow}` is in the history: it has {}",
        names.join(", ")
    ))
}

/// A line on the terminal that says what goes on, and goes when it is over.
struct Progress<'a> {
    output: &'a Output,
    is_shown: bool,
    is_dirty: bool,
}

impl Progress<'_> {
    fn tell(&mut self, what: &str, count: u64) {
        if self.is_shown {
            let count = if count > 0 {
                format!(" {}", grouped(count))
            } else {
                String::new()
            };
            self.output.ask(&format!("\r\x1b[2K{what}{count} …"));
            self.is_dirty = true;
        }
    }

    fn clear(&mut self) {
        if self.is_dirty {
            self.output.ask("\r\x1b[2K");
        }
    }
}

/// Everything, for programs.
fn document(report: &InsightReport, query: &InsightQuery, limit: usize) -> Value {
    let scope = match &query.scope {
        InsightScope::All => json!({ "all": true }),
        InsightScope::Workflow(workflow) => json!({ "workflow": workflow }),
        InsightScope::Run(key) => json!({ "run": key.to_string() }),
    };
    let time = |at: Option<TimestampNs>| at.map(rfc3339);
    let insights = report.insights.iter().take(limit).map(|insight| {
        let mut value = insight.to_json();
        value["at"] = json!(time(insight.at));
        value
    });
    let looked_at = &report.looked_at;
    json!({
        "scope": scope,
        "insights": insights.collect::<Vec<_>>(),
        "time": report.time.iter().map(|share| json!({
            "node": share.node,
            "share": share.share,
            "seconds": share.seconds,
            "llm_seconds": share.llm_seconds,
            "runs": share.runs,
        })).collect::<Vec<_>>(),
        "paths": report.paths.iter().map(|path| json!({
            "nodes": path.nodes,
            "runs": path.runs,
            "share": path.share,
            "failed_share": path.failed_share,
            "p50_seconds": path.p50_seconds,
        })).collect::<Vec<_>>(),
        "shortages": report.shortages.iter().map(|shortage| json!({
            "workflow": shortage.workflow,
            "what": shortage.what,
            "has": shortage.has,
            "needs": shortage.needs,
        })).collect::<Vec<_>>(),
        "looked_at": {
            "runs": looked_at.runs,
            "spans": looked_at.spans,
            "oldest": time(looked_at.oldest),
            "newest": time(looked_at.newest),
            "older_left_out": looked_at.is_cut,
        },
        "tests": report.tests,
        "false_findings_max": FALSE_FINDINGS_MAX,
    })
}
