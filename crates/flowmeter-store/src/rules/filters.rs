//! Which filter holds for what.
//!
//! Never looks anything up: the row has everything that a condition is about.

use flowmeter_model::{LogRecord, TimestampNs};

use super::words::fold;
use crate::{LogFilter, RunFilter, RunRow, SpanFilter, SpanRow};

/// Whether a time lies in `since <= time < until`.
pub(crate) fn is_within(time: TimestampNs, since: Option<TimestampNs>, until: Option<TimestampNs>) -> bool {
    since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until)
}

/// Whether a list names a text; an empty list names all.
pub(crate) fn names(list: &[String], text: &str) -> bool {
    list.is_empty() || list.iter().any(|name| name == text)
}

/// Whether a filter holds for a run as it stands now.
pub(crate) fn holds_for_run(filter: &RunFilter, row: &RunRow) -> bool {
    let origin = &row.origin;
    let equals = |wanted: &Option<String>, present: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| present == Some(wanted))
    };
    names(&filter.workflows, &row.workflow)
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
        && is_within(row.started, filter.since, filter.until)
        && (filter.models.is_empty() || row.models.iter().any(|model| names(&filter.models, model)))
        && filter.cost_min.is_none_or(|least| row.cost.known >= least)
        && filter
            .slower_than_ns
            .is_none_or(|limit| row.duration_ns().is_some_and(|duration| duration > limit))
        && filter.tags.iter().all(|tag| origin.tags.contains(tag))
        && equals(&filter.session, origin.session.as_deref())
        && equals(&filter.user, origin.user.as_deref())
        && equals(&filter.workflow_version, origin.workflow_version.as_deref())
        && filter.git_commit.as_ref().is_none_or(|prefix| {
            origin
                .git_commit
                .as_ref()
                .is_some_and(|commit| commit.starts_with(prefix))
        })
        && filter
            .trace_prefix
            .as_ref()
            .is_none_or(|prefix| row.key.trace_id.to_string().starts_with(prefix))
}

/// Whether a filter on runs has no condition at all.
pub(crate) fn is_empty(filter: &RunFilter) -> bool {
    *filter == RunFilter::default()
}

/// Whether a filter holds for a span's row; its conditions on runs are another question.
pub(crate) fn holds_for_span(filter: &SpanFilter, row: &SpanRow) -> bool {
    is_within(row.start, filter.since, filter.until)
        && (filter.kinds.is_empty() || filter.kinds.contains(&row.kind))
        && names(&filter.nodes, &row.node)
        && names(&filter.models, &row.model)
        && names(&filter.providers, &row.provider)
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
        && filter.slower_than_ns.is_none_or(|limit| row.duration_ns > limit)
        && filter
            .cost_min
            .is_none_or(|least| row.cost.is_some_and(|cost| cost >= least))
        && names(&filter.error_types, &row.error_type)
}

/// Whether a filter holds for a log line; its conditions on runs are another question.
pub(crate) fn holds_for_log(filter: &LogFilter, record: &LogRecord) -> bool {
    is_within(record.time, filter.since, filter.until)
        && filter.level_min.is_none_or(|least| record.level >= least)
        && filter
            .contains
            .as_ref()
            .is_none_or(|text| fold(&record.message).contains(&fold(text)))
        && filter.target.as_ref().is_none_or(|target| {
            record
                .target
                .as_ref()
                .is_some_and(|present| present.starts_with(target.as_str()))
        })
}
