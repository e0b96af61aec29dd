//! Statistics as JSON, with everything that is known of each row.
//!
//! Never an amount without how it is known.

use flowmeter_model::{CostTotal, TimestampNs};
use flowmeter_store::{LatencySketch, StatsQuery, StatsRow, StatsSums};
use serde_json::{Map, Value, json};

use super::{Subject, name_of};
use crate::times::rfc3339;

/// The whole answer.
pub(crate) fn document(query: &StatsQuery, rows: &[StatsRow], total: &StatsSums) -> Value {
    let by = query.by.as_ref();
    let subject = Subject::of(query);
    let row_objects: Vec<Value> = rows.iter().map(|row| row_object(query, row, subject)).collect();
    let at = |time: Option<TimestampNs>| time.map(rfc3339);
    json!({
        "by": by.map(name_of),
        "since": at(query.filter.runs.since),
        "until": at(query.filter.runs.until),
        "latency_of": subject.as_str(),
        "rows": row_objects,
        "total": sums_object(total, subject),
    })
}

fn row_object(query: &StatsQuery, row: &StatsRow, subject: Subject) -> Value {
    let mut object = Map::new();
    if query.by.is_some() {
        object.insert("group".into(), row.group.as_str().into());
    }
    if let Some(begins) = row.begins {
        object.insert("begins".into(), rfc3339(begins).into());
    }
    object.extend(sums_object(&row.sums, subject));
    if !row.trend.is_empty() {
        let steps = row.trend.iter().map(|step| {
            json!({
                "runs": step.runs,
                "llm_calls": step.llm_calls,
                "tokens": step.tokens.total(),
                "cost_usd": step.cost.amount(),
            })
        });
        object.insert("trend".into(), steps.collect());
    }
    Value::Object(object)
}

fn sums_object(sums: &StatsSums, subject: Subject) -> Map<String, Value> {
    let tokens = &sums.tokens;
    let object = json!({
        "runs": sums.runs,
        "runs_failed": sums.runs_failed,
        "nodes": sums.nodes,
        "nodes_failed": sums.nodes_failed,
        "llm_calls": sums.llm_calls,
        "llm_calls_failed": sums.llm_calls_failed,
        "success_rate": subject.success_rate(sums),
        "cache_hits": sums.cache_hits,
        "tokens": {
            "input": tokens.input,
            "cache_read": tokens.cache_read,
            "cache_write": tokens.cache_write,
            "output": tokens.output,
            "reasoning": tokens.reasoning,
            "total": tokens.total(),
        },
        "cost": cost_object(&sums.cost),
        "saved": cost_object(&sums.saved),
        "provider_saved": {"usd": sums.provider_saved, "nanos": sums.provider_saved.0},
        "run_duration_ms": duration_object(&sums.run_duration),
        "node_duration_ms": duration_object(&sums.node_duration),
        "llm_call_duration_ms": duration_object(&sums.llm_duration),
    });
    match object {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// A sum of costs; `usd` is null when nothing in it could be priced.
fn cost_object(total: &CostTotal) -> Value {
    json!({
        "usd": total.amount(),
        "nanos": total.amount().map(|amount| amount.0),
        "status": total.status().as_str(),
        "calls": total.calls,
        "unpriced_calls": total.unpriced_calls,
        "partial_calls": total.partial_calls,
        "estimated_calls": total.estimated_calls,
        "reported_calls": total.reported_calls,
    })
}

/// Null where nothing was timed.
fn duration_object(sketch: &LatencySketch) -> Value {
    let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
    if sketch.count() == 0 {
        return Value::Null;
    }
    json!({
        "count": sketch.count(),
        "mean": sketch.sum_ns() as f64 / sketch.count() as f64 / 1e6,
        "min": ms(sketch.min_ns()),
        "p50": ms(sketch.quantile_ns(0.5)),
        "p90": ms(sketch.quantile_ns(0.9)),
        "p99": ms(sketch.quantile_ns(0.99)),
        "max": ms(sketch.max_ns()),
    })
}
