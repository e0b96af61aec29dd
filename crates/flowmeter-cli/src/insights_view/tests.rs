//! What people see of findings.

use expect_test::expect;
use flowmeter_model::{SpanId, TimestampNs, TraceId, UsdNanos};
use flowmeter_store::RunKey;
use flowmeter_store::insights::{InsightKind, LookedAt, PathShare, TimeShare};

use super::*;
use crate::times::LocalZone;

fn insight() -> Insight {
    Insight {
        kind: InsightKind::LatencyChange,
        workflow: "digest".into(),
        node: Some("summarize".into()),
        title:
            "p50 of node `summarize` rose from 2.1 s to 4.8 s since Tuesday 14:00, with model gpt-4o → gpt-5"
                .to_owned(),
        size: Some(Size {
            amount: Amount::Seconds(2.7),
            per: Per::Run,
        }),
        at: Some(TimestampNs(1_770_000_000_000_000_000)),
        evidence: vec!["1998 runs before, 903 since; medians of both".to_owned()],
        figures: Vec::new(),
        runs: vec![RunKey {
            trace_id: TraceId::from_bytes([0xab; 16]).unwrap(),
            root_span_id: SpanId::from_u64(1).unwrap(),
        }],
        suggestion: "look at what came with it (model gpt-4o → gpt-5)".to_owned(),
        p_value: Some(1e-12),
    }
}

fn rendered(report: &InsightReport, scope: &InsightScope) -> String {
    let times = TimeWords::new(TimestampNs(1_772_323_200_000_000_000), LocalZone::fixed(0));
    render(&View {
        report,
        scope,
        times: &times,
        colour: false,
        width: 80,
        limit: 1,
    })
}

#[test]
fn findings_have_size_evidence_and_advice() {
    let mut saving = insight();
    saving.size = Some(Size {
        amount: Amount::Usd(UsdNanos(4_200_000_000)),
        per: Per::Month,
    });
    let report = InsightReport {
        insights: vec![insight(), saving],
        time: vec![
            TimeShare {
                node: "summarize".into(),
                share: 0.84,
                seconds: 4.8,
                llm_seconds: 4.7,
                runs: 20,
            },
            TimeShare {
                node: "".into(),
                share: 0.15,
                seconds: 0.9,
                llm_seconds: 0.0,
                runs: 20,
            },
            TimeShare {
                node: "publish".into(),
                share: 0.01,
                seconds: 0.1,
                llm_seconds: 0.0,
                runs: 20,
            },
        ],
        paths: vec![PathShare {
            nodes: vec!["fetch".into(), "summarize".into()],
            runs: 2_800,
            share: 0.97,
            failed_share: 0.02,
            p50_seconds: Some(5.7),
        }],
        shortages: vec![Shortage {
            workflow: "new".into(),
            what: "changes of cost, time, tokens and failures",
            has: "12 runs".to_owned(),
            needs: "40 runs".to_owned(),
        }],
        looked_at: LookedAt {
            runs: 2_901,
            spans: 20_000,
            oldest: Some(TimestampNs(1_740_787_200_000_000_000)),
            newest: Some(TimestampNs(1_772_323_200_000_000_000)),
            is_cut: false,
        },
        tests: 40,
    };
    expect![[r#"
        2 findings (2,901 runs since 2025-03-01 of digest)

         1. p50 of node `summarize` rose from 2.1 s to 4.8 s since Tuesday 14:00, with
            model gpt-4o → gpt-5
            digest · 2.7 s a run · latency change
              1998 runs before, 903 since; medians of both
            → look at what came with it (model gpt-4o → gpt-5)

        … and 1 smaller ones; --limit 2 shows them

        where the time goes (critical paths of the newest 20 good runs)
           84 %  summarize  4.8 s, 4.7 s of it in LLM calls
           15 %  between nodes  900 ms
            1 %  1 others

        the ways that runs take
           97 %  fetch → summarize (2,800 runs, p50 5.7 s, 2 % failed)

        not enough data to look for
          changes of cost, time, tokens and failures: `new` has 12 runs, it takes 40
            runs
    "#]]
    .assert_eq(&rendered(&report, &InsightScope::Workflow("digest".to_owned())));
}

#[test]
fn silence_is_told() {
    let report = InsightReport::default();
    expect![[r#"
        the history has no runs to look at
    "#]]
    .assert_eq(&rendered(&report, &InsightScope::All));
}
