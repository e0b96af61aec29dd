//! Statistics as CSV: one row a group, for spreadsheets.
//!
//! Source: RFC 4180. Never a row of totals: who reads it adds up by itself.

use flowmeter_store::{GroupBy, LatencySketch, StatsRow};

use super::name_of;
use crate::times::rfc3339;

/// The columns behind the group's.
const COLUMNS: &str = "runs,runs_failed,nodes,nodes_failed,llm_calls,llm_calls_failed,cache_hits,input_tokens,\
                       cache_read_tokens,cache_write_tokens,output_tokens,reasoning_tokens,cost_usd,cost_status,\
                       unpriced_calls,partial_calls,estimated_calls,saved_usd,provider_saved_usd,run_p50_s,run_p90_s,run_p99_s,\
                       node_p50_s,node_p90_s,node_p99_s,llm_p50_s,llm_p90_s,llm_p99_s";

/// The whole text, its heading first.
pub(crate) fn write(by: Option<&GroupBy>, rows: &[StatsRow]) -> String {
    let mut text = String::new();
    if let Some(by) = by {
        text.push_str(&field(&name_of(by)));
        text.push(',');
    }
    text.push_str(COLUMNS);
    text.push_str("\r\n");
    for row in rows {
        if by.is_some() {
            let group = row.begins.map_or_else(|| row.group.to_string(), rfc3339);
            text.push_str(&field(&group));
            text.push(',');
        }
        let sums = &row.sums;
        let tokens = &sums.tokens;
        let numbers = [
            sums.runs,
            sums.runs_failed,
            sums.nodes,
            sums.nodes_failed,
            sums.llm_calls,
            sums.llm_calls_failed,
            sums.cache_hits,
            tokens.input,
            tokens.cache_read,
            tokens.cache_write,
            tokens.output,
            tokens.reasoning,
        ];
        let mut cells: Vec<String> = numbers.iter().map(u64::to_string).collect();
        // An unknown cost is an empty cell, never 0.
        cells.push(super::prometheus::usd(sums.cost.amount()));
        cells.push(sums.cost.status().as_str().to_owned());
        cells.push(sums.cost.unpriced_calls.to_string());
        cells.push(sums.cost.partial_calls.to_string());
        cells.push(sums.cost.estimated_calls.to_string());
        cells.push(super::prometheus::usd(sums.saved.amount()));
        cells.push(super::prometheus::usd(Some(sums.provider_saved)));
        for sketch in [&sums.run_duration, &sums.node_duration, &sums.llm_duration] {
            cells.extend(seconds(sketch));
        }
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn seconds(sketch: &LatencySketch) -> [String; 3] {
    [0.5, 0.9, 0.99].map(|fraction| {
        let ns = sketch.quantile_ns(fraction);
        ns.map_or_else(String::new, super::prometheus::seconds)
    })
}

/// A field, in quotes where it needs them.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
