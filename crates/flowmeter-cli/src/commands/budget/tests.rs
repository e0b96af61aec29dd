//! Which budgets are meant, and what the history knows.

use std::sync::Arc;

use flowmeter_model::{
    Attributes, Cost, CostStatus, Span, SpanId, SpanKind, SpanStatus, TelemetryEvent, TraceId,
};
use flowmeter_store::{Append, BudgetId, MemoryConfig, MemoryStore, Origin, RunKey, RunStart};

use super::*;
use crate::args::budget_rules::ScopeArgs;

fn rule(id: i64, period: BudgetPeriod, scope: BudgetScope) -> BudgetRule {
    BudgetRule {
        id: BudgetId(id),
        limit: UsdNanos(1),
        period,
        scope,
        hard: false,
        utc_offset_seconds: 0,
    }
}

fn ids(which: Option<&str>, scope: ScopeArgs) -> Result<Vec<i64>> {
    let report = || BudgetScope::Workflow("report".into());
    let rules = [
        rule(1, BudgetPeriod::Day, BudgetScope::All),
        rule(2, BudgetPeriod::Week, report()),
        rule(3, BudgetPeriod::Day, report()),
    ];
    let args = RemoveBudgetArgs {
        which: which.map(str::to_owned),
        scope,
        json: false,
    };
    Ok(meant(&args, &rules)?.iter().map(|rule| rule.id.0).collect())
}

#[test]
fn a_budget_is_meant_by_number_period_or_scope() {
    let report = || ScopeArgs {
        workflow: Some("report".to_owned()),
        ..ScopeArgs::default()
    };
    assert_eq!(ids(Some("2"), ScopeArgs::default()).unwrap(), [2]);
    assert_eq!(ids(Some("day"), ScopeArgs::default()).unwrap(), [1]);
    assert_eq!(ids(Some("DAY"), report()).unwrap(), [3]);
    assert_eq!(ids(None, report()).unwrap(), [2, 3]);
    assert_eq!(ids(Some("9"), ScopeArgs::default()).unwrap(), Vec::<i64>::new());
    assert!(ids(Some("2"), report()).is_err());
    assert!(ids(Some("fortnight"), ScopeArgs::default()).is_err());
}

/// A run of `workflow` with one call, in a history in memory.
fn record(store: &MemoryStore, number: u64, workflow: &str, model: &str, nanos: i64) {
    let key = RunKey {
        trace_id: TraceId::parse(&format!("{number:032x}")).unwrap(),
        root_span_id: SpanId::parse(&format!("{:016x}", number * 2)).unwrap(),
    };
    let started = TimestampNs(number * 1_000);
    let start = RunStart {
        key,
        parent_span_id: None,
        workflow: workflow.into(),
        started,
        sampled: true,
        origin: Origin {
            tags: vec![("team".to_owned(), workflow.to_owned())],
            ..Origin::default()
        },
        resource: Attributes::default(),
        process: None,
    };
    let call_id = SpanId::parse(&format!("{:016x}", number * 2 + 1)).unwrap();
    let root = key.root_span_id;
    let mut call = Span::begin(
        key.trace_id,
        call_id,
        Some(root),
        SpanKind::LlmCall,
        "chat",
        started,
    );
    call.end = Some(TimestampNs(started.0 + 1));
    call.status = Some(SpanStatus::Ok);
    call.attributes.set("gen_ai.request.model", model);
    call.attributes.set("gen_ai.provider.name", "openai");
    call.cost = Some(Cost::known(CostStatus::Priced, UsdNanos(nanos), None));
    store.append(Append::Began(Box::new(start))).unwrap();
    let events = vec![TelemetryEvent::SpanEnded(Box::new(call))];
    store.append(Append::Events(key, events)).unwrap();
}

#[test]
fn what_was_spent_before_is_what_the_history_knows() {
    let store = MemoryStore::new(MemoryConfig {
        clock: Arc::new(SystemClock),
        is_alive: Arc::new(|_| None),
    });
    record(&store, 1, "early", "gpt", 1);
    record(&store, 5, "report", "gpt", 20);
    record(&store, 6, "report", "other", 300);
    record(&store, 7, "triage", "gpt", 4_000);
    for (scope, nanos) in [
        (BudgetScope::All, 4_320),
        (BudgetScope::Workflow("report".into()), 320),
        (BudgetScope::Model("gpt".into()), 4_020),
        (BudgetScope::Model("openai/gpt".into()), 4_020),
        (BudgetScope::Model("anthropic/gpt".into()), 0),
        (BudgetScope::Tag("team".to_owned(), "triage".to_owned()), 4_000),
        (BudgetScope::Tag("team".to_owned(), "nobody".to_owned()), 0),
    ] {
        let spent = spent_since(&store, &scope, TimestampNs(2_000)).unwrap();
        assert_eq!(spent, UsdNanos(nanos), "{scope}");
    }
}
