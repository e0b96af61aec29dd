//! What findings come to a month, and what failures and tokens cost.
//!
//! Never takes an unknown price for zero: where money is not known, time stands in.

use flowmeter_model::SpanKind;

use super::history::History;
use super::{Amount, DAY_NS, InsightQuery, Per, SECOND_NS, Size, robust, words};

/// Calls a month in a node, or runs a month.
pub(super) fn monthly(history: &History, runs: &[u32], node: Option<u32>, query: &InsightQuery) -> f64 {
    let Some(node) = node else {
        return history.runs_a_month(runs, query.now);
    };
    let begins = query.now.0.saturating_sub(30 * DAY_NS);
    let recent = runs.iter().filter(|run| history.run(**run).started >= begins);
    let calls = recent
        .flat_map(|run| history.spans_of(*run))
        .filter(|span| span.node == node && span.kind == SpanKind::LlmCall && !span.cache_hit);
    calls.count() as f64
}

/// What a token costs on average; `None` where prices are not known.
pub(super) fn price_of_a_token(history: &History, runs: &[u32], node: Option<u32>) -> Option<f64> {
    let (mut usd, mut tokens) = (0.0, 0.0);
    for span in runs.iter().flat_map(|run| history.spans_of(*run)) {
        if span.kind == SpanKind::LlmCall && node.is_none_or(|node| node == span.node) {
            usd += span.cost? as f64 / 1e9;
            tokens += f64::from(span.input) + f64::from(span.output);
        }
    }
    (usd > 0.0 && tokens > 0.0).then(|| usd / tokens)
}

/// What so many failed runs cost: money where it is known, else time.
pub(super) fn of_failures(history: &History, runs: &[u32], failures: f64, per: Per) -> Size {
    let failed = || {
        runs.iter()
            .map(|run| history.run(*run))
            .filter(|run| run.status == crate::RunStatus::Error)
    };
    let usd = robust::median_of(failed().filter_map(|run| run.cost).map(|cost| cost as f64 / 1e9));
    let seconds = robust::median_of(
        failed()
            .filter_map(|run| run.duration_ns)
            .map(|duration| duration as f64 / SECOND_NS),
    );
    let amount = match usd {
        Some(usd) if usd > 0.0 => Amount::Usd(words::usd_of(usd * failures)),
        _ => Amount::Seconds(seconds.unwrap_or(0.0) * failures),
    };
    Size { amount, per }
}
