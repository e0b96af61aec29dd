//! Statistics in Prometheus' text exposition format, version 0.0.4.
//!
//! Seconds and dollars are the units, counters end in `_total`, percentiles are summaries. Kinds of tokens are metrics
//! of their own, for a cached token is an input token, too, and a sum over labels would count it twice. Never a time
//! stamp, and never a row of totals: a sum over the labels is one.
//!
//! Source: Prometheus documentation, "Exposition formats", "Metric and label naming".

use std::fmt::Write as _;

use flowmeter_model::UsdNanos;
use flowmeter_store::{GroupBy, LatencySketch, StatsQuery, StatsRow, StatsSums};

use super::Subject;
use crate::times::rfc3339;

/// One figure: its name, what it tells, and its value.
type Plain = (&'static str, &'static str, fn(&StatsSums) -> Option<String>);

const RUN_COUNTERS: [Plain; 2] = [
    ("flowmeter_runs_total", "Runs that ended.", |sums| {
        Some(sums.runs.to_string())
    }),
    (
        "flowmeter_runs_failed_total",
        "Runs that did not end well.",
        |sums| Some(sums.runs_failed.to_string()),
    ),
];

const NODE_COUNTERS: [Plain; 2] = [
    ("flowmeter_nodes_total", "Node executions.", |sums| {
        Some(sums.nodes.to_string())
    }),
    (
        "flowmeter_nodes_failed_total",
        "Node executions that did not end well.",
        |sums| Some(sums.nodes_failed.to_string()),
    ),
];

const LLM_COUNTERS: [Plain; 12] = [
    ("flowmeter_llm_calls_total", "LLM calls.", |sums| {
        Some(sums.llm_calls.to_string())
    }),
    (
        "flowmeter_llm_calls_failed_total",
        "LLM calls that did not end well.",
        |sums| Some(sums.llm_calls_failed.to_string()),
    ),
    (
        "flowmeter_llm_response_cache_hits_total",
        "Answers that came from the response cache.",
        |sums| Some(sums.cache_hits.to_string()),
    ),
    (
        "flowmeter_llm_input_tokens_total",
        "Input tokens of LLM calls, cached ones included.",
        |sums| Some(sums.tokens.input.to_string()),
    ),
    (
        "flowmeter_llm_cache_read_tokens_total",
        "Input tokens that were read from the provider's cache.",
        |sums| Some(sums.tokens.cache_read.to_string()),
    ),
    (
        "flowmeter_llm_cache_write_tokens_total",
        "Input tokens that were written to the provider's cache.",
        |sums| Some(sums.tokens.cache_write.to_string()),
    ),
    (
        "flowmeter_llm_output_tokens_total",
        "Output tokens of LLM calls, reasoning included.",
        |sums| Some(sums.tokens.output.to_string()),
    ),
    (
        "flowmeter_llm_reasoning_tokens_total",
        "Output tokens that were spent on reasoning.",
        |sums| Some(sums.tokens.reasoning.to_string()),
    ),
    (
        "flowmeter_llm_cost_usd_total",
        "Known cost of LLM calls in US dollars; calls without a price are in flowmeter_llm_unpriced_calls_total.",
        |sums| sums.cost.amount().map(|amount| usd(Some(amount))),
    ),
    (
        "flowmeter_llm_unpriced_calls_total",
        "LLM calls that no price is known for.",
        |sums| Some(sums.cost.unpriced_calls.to_string()),
    ),
    (
        "flowmeter_llm_estimated_calls_total",
        "LLM calls whose tokens were estimated.",
        |sums| Some(sums.cost.estimated_calls.to_string()),
    ),
    (
        "flowmeter_llm_saved_usd_total",
        "What answers from the response cache would have cost in US dollars.",
        |sums| sums.saved.amount().map(|amount| usd(Some(amount))),
    ),
];

/// Writing to a provider's cache may cost more than it saves: no counter.
const LLM_GAUGES: [Plain; 1] = [(
    "flowmeter_llm_provider_saved_usd",
    "What the providers' own caches saved in US dollars, less what writing to them cost.",
    |sums| Some(usd(Some(sums.provider_saved))),
)];

/// The whole text.
pub(crate) fn write(query: &StatsQuery, rows: &[StatsRow]) -> String {
    let by = query.by.as_ref();
    let subject = Subject::of(query);
    let labels: Vec<String> = rows.iter().map(|row| label(by, row)).collect();
    let mut text = String::new();
    if subject == Subject::Runs {
        plain(&mut text, "counter", &RUN_COUNTERS, rows, &labels);
    }
    if subject != Subject::LlmCalls {
        plain(&mut text, "counter", &NODE_COUNTERS, rows, &labels);
    }
    plain(&mut text, "counter", &LLM_COUNTERS, rows, &labels);
    plain(&mut text, "gauge", &LLM_GAUGES, rows, &labels);
    if subject == Subject::Runs {
        summary(
            &mut text,
            ("flowmeter_run_duration_seconds", "How long runs took."),
            rows,
            &labels,
            |sums| &sums.run_duration,
        );
    }
    if subject != Subject::LlmCalls {
        summary(
            &mut text,
            (
                "flowmeter_node_duration_seconds",
                "How long node executions took.",
            ),
            rows,
            &labels,
            |sums| &sums.node_duration,
        );
    }
    summary(
        &mut text,
        ("flowmeter_llm_call_duration_seconds", "How long LLM calls took."),
        rows,
        &labels,
        |sums| &sums.llm_duration,
    );
    text
}

fn plain(text: &mut String, kind: &str, metrics: &[Plain], rows: &[StatsRow], labels: &[String]) {
    for (name, help, value) in metrics {
        head(text, name, help, kind);
        for (row, label) in rows.iter().zip(labels) {
            if let Some(value) = value(&row.sums) {
                let braces = if label.is_empty() {
                    String::new()
                } else {
                    format!("{{{label}}}")
                };
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{name}{braces} {value}");
            }
        }
    }
}

fn summary(
    text: &mut String,
    (name, help): (&str, &str),
    rows: &[StatsRow],
    labels: &[String],
    sketch: impl Fn(&StatsSums) -> &LatencySketch,
) {
    head(text, name, help, "summary");
    for (row, label) in rows.iter().zip(labels) {
        let sketch = sketch(&row.sums);
        let comma = if label.is_empty() { "" } else { "," };
        for (fraction, shown) in [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")] {
            let value = sketch
                .quantile_ns(fraction)
                .map_or_else(|| "NaN".to_owned(), seconds);
            let _ = writeln!(text, "{name}{{{label}{comma}quantile=\"{shown}\"}} {value}");
        }
        let braces = if label.is_empty() {
            String::new()
        } else {
            format!("{{{label}}}")
        };
        let sum = sketch.sum_ns();
        let _ = writeln!(
            text,
            "{name}_sum{braces} {}.{:09}",
            sum / 1_000_000_000,
            sum % 1_000_000_000
        );
        let _ = writeln!(text, "{name}_count{braces} {}", sketch.count());
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// `model="gpt-4o"`; nothing where nothing is told apart.
fn label(by: Option<&GroupBy>, row: &StatsRow) -> String {
    let name = match by {
        None => return String::new(),
        Some(GroupBy::Tag(key)) if !key.is_empty() => label_name(key),
        Some(by) => super::name_of(by),
    };
    let value = row.begins.map_or_else(|| row.group.to_string(), rfc3339);
    format!("{name}=\"{}\"", escaped(&value))
}

/// A tag's key as the name of a label: letters, digits and `_`.
fn label_name(key: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    format!("tag_{}", key.chars().map(letter).collect::<String>())
}

/// Source: "Exposition formats", "Comments, help text, and type information".
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Dollars with all places that there are; nothing where the amount is not known.
pub(super) fn usd(amount: Option<UsdNanos>) -> String {
    amount.map_or_else(String::new, |amount| amount.to_string().replacen('$', "", 1))
}

/// Seconds with all places that there are.
pub(super) fn seconds(duration_ns: u64) -> String {
    let text = format!(
        "{}.{:09}",
        duration_ns / 1_000_000_000,
        duration_ns % 1_000_000_000
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
