//! `flowmeter insights`: what stands out in the history, how much it is about, and what to do.
//!
//! Never finds anything itself: the store's analysis does, and this asks, prices and prints.

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

use crate::args::InsightsArgs;
use crate::exit::{BadUsage, Exit};
use crate::history;
use crate::home::Home;
use crate::insights_view::{self, View};
use crate::output::Output;
use crate::prices;
use crate::run_selector;
use crate::times::{TimeWords, rfc3339};

/// More findings than a screen holds are told by number.
const FINDINGS_SHOWN: usize = 20;
/// So many runs are looked through for the names of workflows, where one is named that nobody ran.
const RUNS_ASKED_FOR_NAMES: usize = 2_000;

/// Prints them.
pub(super) fn run(args: &InsightsArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    let store = history::open(home)?;
    let prices = BookPrices(prices::told_book(home, output));
    show(args, &store, &prices, &times, output)
}

/// The price book as the analysis asks it.
struct BookPrices(Arc<PriceBook>);

impl PriceLookup for BookPrices {
    fn rates(&self, provider: &str, model: &str, at: TimestampNs) -> Option<ModelRates> {
        let provider = Some(provider).filter(|provider| !provider.is_empty());
        let Shown::Priced(shown) = self.0.show(provider, model, at) else {
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
    let filter = RunFilter {
        workflows: vec![workflow.clone()],
        ..RunFilter::default()
    };
    if store.runs(&filter, RunOrder::Started, 1, 0)?.is_empty() {
        return Err(BadUsage(unknown_workflow(workflow, store)?).into());
    }
    Ok(InsightScope::Workflow(workflow.clone()))
}

fn unknown_workflow(workflow: &str, store: &dyn Store) -> Result<String> {
    let rows = store.runs(&RunFilter::default(), RunOrder::Started, RUNS_ASKED_FOR_NAMES, 0)?;
    let mut names: Vec<&str> = rows.iter().map(|row| row.workflow.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(12);
    let known = if names.is_empty() {
        "the history has no run yet".to_owned()
    } else {
        format!("the history has {}", names.join(", "))
    };
    Ok(format!(
        "no run of a workflow `{workflow}` is in the history: {known}"
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
