//! What single words and numbers of a line mean.

use flowmeter_model::{LogLevel, SpanKind, SpanStatus};

/// Decimal digits and nothing else.
#[inline]
pub(super) fn whole_number(text: &str) -> Option<u64> {
    let digits = text.as_bytes();
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let mut number = 0_u64;
    for digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(value))?;
    }
    Some(number)
}

pub(super) fn level_named(given: &str) -> Option<LogLevel> {
    const NAMES: &[(&str, LogLevel)] = &[
        ("INFO", LogLevel::Info),
        ("DEBUG", LogLevel::Debug),
        ("WARN", LogLevel::Warn),
        ("WARNING", LogLevel::Warn),
        ("ERROR", LogLevel::Error),
        ("TRACE", LogLevel::Trace),
        // Other programs' words for the same.
        ("NOTICE", LogLevel::Info),
        ("CRITICAL", LogLevel::Error),
        ("FATAL", LogLevel::Error),
    ];
    let found = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(given));
    found.map(|(_, level)| *level)
}

/// How a node ended, by the word for it: what is not said to be a success is none.
pub(super) fn status_named(given: &str) -> SpanStatus {
    const OK: &[&str] = &[
        "success",
        "ok",
        "succeeded",
        "successful",
        "completed",
        "done",
        "passed",
        "pass",
    ];
    const CANCELLED: &[&str] = &["cancelled", "canceled", "aborted", "interrupted"];
    let is_among = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(given));
    if is_among(OK) {
        SpanStatus::Ok
    } else if is_among(CANCELLED) {
        SpanStatus::Cancelled
    } else {
        SpanStatus::Error
    }
}

pub(super) fn kind_named(given: &str) -> Option<SpanKind> {
    [
        SpanKind::Run,
        SpanKind::Node,
        SpanKind::Attempt,
        SpanKind::BatchItem,
        SpanKind::Iteration,
        SpanKind::Workflow,
        SpanKind::LlmCall,
        SpanKind::Custom,
    ]
    .into_iter()
    .find(|kind| kind.as_str() == given)
}
