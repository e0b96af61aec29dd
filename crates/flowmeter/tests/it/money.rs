//! Tokens and money: counted once, whatever becomes of the node around the call, and told by their status.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arbtest::arbitrary::{Result as Drawn, Unstructured};
use flowmeter::{
    CaptureLevel, DurationSummary, LlmFailure, LlmResponse, LlmTimings, NodeDescription, Resources,
    RunMetrics, Throughput, Traced, current,
};
use flowmeter_engine::{
    Action, Batch, BatchErrorHandling, BatchPolicy, Flow, Node, NodeContext, NodeError, async_trait,
};
use flowmeter_model::{CostTotal, Figure, SpanKind, TokenUsage, UsdNanos};
use flowmeter_pricing::PriceBook;
use serde_json::{Value, json};

use crate::probes::{Items, Ran, call, exec, idle, quick, request, response, run, run_with, traced};

const MODELS: [&str; 4] = ["gpt-4o", "gpt-4o-mini", "nobody-knows-this-model", "o3"];

/// One call of a drawn node: which model, how it ends, how many tokens.
#[derive(Clone, Debug)]
struct Call {
    model: &'static str,
    ending: u8,
    tokens: u64,
}

fn make(cx: &NodeContext, call: &Call) {
    let mut begun = current(cx).llm_call(request(call.model));
    match call.ending {
        0 | 1 => drop(begun.succeed(response(call.tokens, call.tokens / 3))),
        2 => drop(begun.fail(LlmFailure::default())),
        3 => drop(begun.fail(LlmFailure {
            may_be_billed: true,
            partial_text: "half an answer".into(),
            ..LlmFailure::default()
        })),
        4 => {
            let mut answer = response(call.tokens, 1);
            answer.usage.reported_cost = Some(UsdNanos(i64::try_from(call.tokens).unwrap() * 7));
            drop(begun.succeed(answer));
        }
        _ => {
            begun.text("a piece of a stream");
            drop(begun);
        }
    }
}

/// A drawn node and how many calls it makes in all, over attempts and items.
struct Drawn1 {
    node: Box<dyn Node>,
    calls: u64,
}

fn draw_leaf(u: &mut Unstructured<'_>, id: &str) -> Drawn<Drawn1> {
    let calls = (0..u.int_in_range(0..=3)?)
        .map(|_| {
            Ok(Call {
                model: u.choose(&MODELS)?,
                ending: u.int_in_range(0..=5)?,
                tokens: u.int_in_range(0..=100_000)?,
            })
        })
        .collect::<Drawn<Vec<_>>>()?;
    let (attempts, failures) = (u.int_in_range(1..=3)?, u.int_in_range(0..=2)?);
    let made = calls.len() as u64 * u64::from(attempts.min(failures + 1));
    let gives_up = failures >= attempts;
    let node = quick(move |cx| {
        for call in &calls {
            make(cx, call);
        }
        if cx.attempt() <= failures {
            return Err(NodeError::failed("not yet"));
        }
        Ok(Action::default())
    });
    let node = traced(id, node.attempts(attempts));
    Ok(Drawn1 {
        node: if gives_up {
            Box::new(Forgiving(node))
        } else {
            Box::new(node)
        },
        calls: made,
    })
}

/// Goes on although the node inside failed, so that the rest of the tree runs.
struct Forgiving<N>(N);

#[async_trait]
impl<N: Node> Node for Forgiving<N> {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        Ok(self.0.run(cx).await.unwrap_or_default())
    }
}

/// Drops the node inside after it has made its calls.
struct Dropping<N>(N);

#[async_trait]
impl<N: Node> Node for Dropping<N> {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let stuck = async {
            let _action = self.0.run(cx).await;
            std::future::pending::<()>().await;
        };
        let mut stuck: Pin<Box<dyn Future<Output = ()> + Send + '_>> = Box::pin(stuck);
        tokio::select! {
            biased;
            () = &mut stuck => unreachable!("it never ends"),
            () = std::future::ready(()) => {}
        }
        Ok(Action::default())
    }
}

fn draw_node(u: &mut Unstructured<'_>, depth: u32, id: &str) -> Drawn<Drawn1> {
    if depth == 0 {
        return draw_leaf(u, id);
    }
    Ok(match u.int_in_range(0..=4)? {
        0 => draw_leaf(u, id)?,
        1 => {
            let (mut builder, mut calls) = (Flow::builder(id), 0);
            let count = u.int_in_range(1..=3)?;
            builder = builder.node("fork", quick(|_| Ok(Action::default())));
            for index in 0..count {
                let inner = draw_node(u, depth - 1, &format!("n{index}"))?;
                calls += inner.calls;
                builder = builder
                    .node(format!("n{index}"), inner.node)
                    .edge("fork", format!("n{index}"));
            }
            let description = NodeDescription {
                kind: SpanKind::Workflow,
                ..NodeDescription::node(id, "workflow")
            };
            let flow = Traced::new(builder.build().unwrap(), description);
            Drawn1 {
                node: Box::new(traced(id, flow)),
                calls,
            }
        }
        2 => {
            let inner = draw_node(u, depth - 1, "item")?;
            let count = u.int_in_range(0..=4)?;
            let policy = BatchPolicy {
                concurrent_max: u.int_in_range(1..=3)?,
                error_handling: BatchErrorHandling::Continue,
                ..BatchPolicy::default()
            };
            let batch = Batch::new(inner.node, Items(count), policy).unwrap();
            Drawn1 {
                node: Box::new(traced(id, batch)),
                calls: inner.calls * count as u64,
            }
        }
        3 => {
            let leaf = draw_leaf(u, id)?;
            Drawn1 {
                node: Box::new(Dropping(leaf.node)),
                calls: leaf.calls,
            }
        }
        _ => {
            let inner = draw_node(u, depth - 1, "inside")?;
            Drawn1 {
                node: Box::new(traced(id, inner.node)),
                calls: inner.calls,
            }
        }
    })
}

type Sums = (u64, u64, u64, CostTotal);

fn sum<'a>(totals: impl Iterator<Item = &'a flowmeter::LlmTotals>) -> Sums {
    let mut sums: Sums = (0, 0, 0, CostTotal::default());
    for total in totals {
        sums.0 += total.calls;
        sums.1 += total.input_tokens;
        sums.2 += total.output_tokens;
        sums.3.merge(&total.cost);
    }
    sums
}

fn sum_of_spans(ran: &Ran) -> Sums {
    let mut sums: Sums = (0, 0, 0, CostTotal::default());
    for span in ran.spans(SpanKind::LlmCall) {
        let (usage, cost) = (span.usage.as_ref().unwrap(), span.cost.as_ref().unwrap());
        sums.0 += 1;
        sums.1 += usage.input_tokens();
        sums.2 += usage.output_tokens();
        let model = span.attributes.get_str("gen_ai.request.model").unwrap();
        sums.3.add(model, cost);
    }
    sums
}

#[test]
fn the_total_is_the_sum_of_the_calls_of_the_models_and_of_the_nodes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let calls_seen = AtomicU64::new(0);
    arbtest::arbtest(|u| {
        let drawn = draw_node(u, 3, "top")?;
        let ran = runtime.block_on(run(drawn.node));
        let metrics = &ran.report.metrics;
        let total = sum(std::iter::once(&metrics.llm));
        assert_eq!(total.0, drawn.calls);
        assert_eq!(total, sum_of_spans(&ran));
        assert_eq!(total, sum(metrics.models.values()));
        assert_eq!(total, sum(metrics.nodes.iter().map(|(_, node)| &node.llm)));
        let nodes = ran.spans(SpanKind::Node);
        assert_eq!(metrics.nodes_executed, nodes.len() as u64);
        assert_eq!(ran.report.dropped.total(), 0);
        ran.tree();
        calls_seen.fetch_add(drawn.calls, Ordering::Relaxed);
        Ok(())
    })
    .budget_ms(3_000);
    assert!(
        calls_seen.load(Ordering::Relaxed) > 10,
        "the drawn trees make calls"
    );
}

#[tokio::test]
async fn the_metrics_have_the_agreed_shape() {
    let node = quick(|cx| {
        call(cx, "gpt-4o", 2100, 850);
        Ok(Action::default())
    });
    let ran = run(traced("llm_summarize", node)).await;
    let mut metrics = ran.report.metrics.clone();
    metrics.duration_ns = 8_300_000_000;
    metrics.nodes[0].1.duration_ns = 3_200_400_000;
    let shown = metrics.to_json();
    let workflow = &shown["workflow"];
    assert_eq!(workflow["duration_ms"], 8300);
    assert_eq!(workflow["nodes_executed"], 1);
    assert_eq!(workflow["llm_calls"], 1);
    assert_eq!(
        workflow["tokens"],
        json!({"input": 2100, "output": 850, "total": 2950})
    );
    assert_eq!(workflow["node_timings"], json!({"llm_summarize": 3200.4}));
    // 2.50 and 10 dollars for a million tokens.
    assert_eq!(workflow["cost_usd"], 0.01375);
    assert_eq!(workflow["cost_status"], "priced");
    let total = &shown["total"];
    for (key, value) in [
        ("duration_ms", json!(8300)),
        ("llm_calls", json!(1)),
        ("tokens_total", json!(2950)),
        ("cost_usd", json!(0.01375)),
        ("cost_nanos", json!(13_750_000)),
        ("cost_status", json!("priced")),
        ("unpriced_calls", json!(0)),
    ] {
        assert_eq!(total[key], value, "{key}");
    }
    assert_eq!(total["cost_breakdown"]["lines"][0]["amount_nanos"], 5_250_000);
    assert!(shown.get("planner").is_none());
    let document: Value = serde_json::from_str(&ran.text).unwrap();
    for key in ["total_duration_ms", "node_count", "success_rate"] {
        assert!(document["metrics"][key].is_number(), "{key}");
    }
}

#[tokio::test]
async fn the_statuses_of_costs_reach_the_metrics() {
    type Ending = fn(&NodeContext);
    let cases: [(&str, Ending, Value); 6] = [
        ("priced", |cx| call(cx, "gpt-4o", 1_000_000, 0), json!(2.5)),
        (
            "reported",
            |cx| {
                let mut answer = response(10, 10);
                answer.usage.reported_cost = Some(UsdNanos(123_000));
                drop(current(cx).llm_call(request("gpt-4o")).succeed(answer));
            },
            json!(0.000_123),
        ),
        (
            "estimated",
            |cx| {
                let answer = LlmResponse {
                    text: Arc::new(json!("four")),
                    ..LlmResponse::default()
                };
                drop(current(cx).llm_call(request("gpt-4o")).succeed(answer));
            },
            // Five bytes in are two tokens, four bytes out one.
            json!(0.000_015),
        ),
        (
            "unpriced",
            |cx| call(cx, "nobody-knows-this-model", 10, 10),
            Value::Null,
        ),
        (
            "partial",
            |cx| {
                call(cx, "nobody-knows-this-model", 10, 10);
                call(cx, "gpt-4o", 1_000_000, 0);
            },
            json!(2.5),
        ),
        (
            "priced",
            |cx| {
                let failure = LlmFailure {
                    error_type: "http_401".into(),
                    ..LlmFailure::default()
                };
                drop(current(cx).llm_call(request("gpt-4o")).fail(failure));
            },
            json!(0.0),
        ),
    ];
    for (status, ending, usd) in cases {
        let node = quick(move |cx| {
            ending(cx);
            Ok(Action::default())
        });
        let ran = run(traced("a", node)).await;
        let shown = ran.report.metrics.to_json();
        for part in [
            &shown["workflow"],
            &shown["total"],
            &shown["workflow"]["nodes"]["a"],
        ] {
            assert_eq!((&part["cost_usd"], &part["cost_status"]), (&usd, &json!(status)));
        }
        if ["unpriced", "partial"].contains(&status) {
            assert_eq!(
                shown["total"]["unpriced_models"],
                json!(["nobody-knows-this-model"])
            );
        }
        let span = ran.spans(SpanKind::LlmCall)[0];
        assert!(span.attributes.get("flowmeter.cost.status").is_some());
    }
}

#[tokio::test]
async fn the_tier_asked_for_sets_the_price_where_the_answer_names_none() {
    // gpt-5: 1.25 and 10 dollars per million tokens, at the flex tier half of that.
    for (asked, granted, nanos) in [
        (None, None, 2_250_000),
        (Some("flex"), None, 1_125_000),
        (Some("flex"), Some("default"), 2_250_000),
        (Some("auto"), None, 2_250_000),
        (None, Some("flex"), 1_125_000),
    ] {
        let node = quick(move |cx| {
            let mut sent = request("gpt-5");
            sent.service_tier = asked.map(Into::into);
            let mut answer = response(1_000, 100);
            answer.usage.service_tier = granted.map(str::to_owned);
            drop(current(cx).llm_call(sent).succeed(answer));
            Ok(Action::default())
        });
        let ran = run(traced("a", node)).await;
        assert_eq!(
            ran.report.metrics.to_json()["total"]["cost_nanos"],
            nanos,
            "{asked:?} {granted:?}"
        );
    }
}

#[tokio::test]
async fn a_failed_call_says_why_and_counts() {
    let node = quick(|cx| {
        let failure = LlmFailure {
            error_type: "http_429".into(),
            message: "slow down".into(),
            usage: TokenUsage {
                input: Some(Figure::provider(9)),
                ..TokenUsage::default()
            },
            ..LlmFailure::default()
        };
        drop(current(cx).llm_call(request("gpt-4o")).fail(failure));
        Ok(Action::default())
    });
    let ran = run(traced("a", node)).await;
    let totals = &ran.report.metrics.llm;
    assert_eq!(
        (totals.calls, totals.failed_calls, totals.input_tokens),
        (1, 1, 9)
    );
    let span = ran.spans(SpanKind::LlmCall)[0];
    assert_eq!(span.operation, "chat gpt-4o");
    assert_eq!(span.error.as_ref().unwrap().message, "slow down");
    assert_eq!(span.attributes.get_str("error.type"), Some("http_429"));
    assert_eq!(ran.report.metrics.to_json()["workflow"]["failed_llm_calls"], 1);
}

#[tokio::test]
async fn metrics_do_not_depend_on_what_the_trace_keeps() {
    let shown = async |level: CaptureLevel| {
        let item = quick(|cx| {
            call(cx, "gpt-4o", 10, 5);
            if cx.attempt() == 1 {
                Err(NodeError::failed("not yet"))
            } else {
                Ok(Action::default())
            }
        });
        let batch = Batch::new(item.attempts(2), Items(3), BatchPolicy::default()).unwrap();
        let flow = Flow::builder("f")
            .node("batch", traced("batch", batch))
            .node(
                "last",
                traced("last", exec(|_| Box::pin(async { Ok(Action::error()) }))),
            )
            .edge("batch", "last")
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let meter = flowmeter::RunMeter::builder("f")
            .capture(level)
            .trace_file(folder.path().join("run.json"))
            .start()
            .unwrap();
        let cx = meter.context(flowmeter_engine::SharedStore::new().root());
        flow.run(&cx).await.unwrap();
        let report = meter.finish(Ok(&()));
        assert_eq!(report.trace_file.is_some(), level != CaptureLevel::Off);
        let mut metrics = report.metrics;
        for (_, node) in &mut metrics.nodes {
            (node.duration_ns, node.durations) = (0, DurationSummary::default());
            node.resources = Resources::default();
        }
        for (_, node_type) in &mut metrics.types {
            node_type.durations = DurationSummary::default();
            node_type.resources = Resources::default();
        }
        let metrics = RunMetrics {
            duration_ns: 0,
            llm_timings: LlmTimings::default(),
            model_timings: BTreeMap::default(),
            resources: Resources::default(),
            memory: None,
            throughput: Throughput::default(),
            ..metrics
        };
        metrics.to_json()
    };
    let full = shown(CaptureLevel::Full).await;
    assert_eq!(full["workflow"]["nodes"]["batch"]["attempts"], 6);
    assert_eq!(full["workflow"]["llm_calls"], 6);
    for level in [CaptureLevel::Limited, CaptureLevel::Metadata, CaptureLevel::Off] {
        assert_eq!(shown(level).await, full, "{level:?}");
    }
}

#[tokio::test]
async fn the_price_book_is_decoded_by_the_first_llm_call_and_not_before() {
    let book = Arc::new(PriceBook::bundled());
    let without = Arc::clone(&book);
    run_with(traced("quiet", idle()), |builder| builder.prices(without)).await;
    assert!(
        !book.is_decoded(),
        "a run without an LLM call must not pay for the prices"
    );

    let with = Arc::clone(&book);
    let asks = quick(|cx| {
        current(cx).llm_call(request("gpt-4o")).succeed(response(10, 3));
        Ok(Action::default())
    });
    let ran = run_with(traced("asks", asks), |builder| builder.prices(with)).await;
    assert!(book.is_decoded());
    assert!(ran.report.metrics.llm.cost.known > UsdNanos::ZERO);
}

#[tokio::test]
async fn failed_items_and_versions_of_a_model_do_not_split_the_figures() {
    let item = quick(|cx| {
        let begun = current(cx).llm_call(request("gpt-4o-mini"));
        if cx.variables().get("item").and_then(|item| item.as_u64()) == Some(1) {
            drop(begun.fail(LlmFailure::default()));
            return Err(NodeError::failed("refused"));
        }
        let mut answer = response(10, 5);
        answer.model = Some("gpt-4o-mini-2024-07-18".into());
        drop(begun.succeed(answer));
        Ok(Action::default())
    });
    let policy = BatchPolicy {
        error_handling: BatchErrorHandling::Continue,
        ..BatchPolicy::default()
    };
    let ran = run(traced("batch", Batch::new(item, Items(3), policy).unwrap())).await;
    let metrics = ran.report.metrics.to_json();
    assert_eq!(metrics["workflow"]["nodes"]["batch"]["items"], 3);
    assert_eq!(metrics["workflow"]["nodes"]["batch"]["failed_items"], 1);
    let models = metrics["workflow"]["by_model"].as_object().unwrap();
    assert_eq!(models.keys().collect::<Vec<_>>(), ["gpt-4o-mini"]);
    assert_eq!(models["gpt-4o-mini"]["llm_calls"], 3);
    let mut tree = Vec::new();
    flowmeter::write_human(&ran.trace, flowmeter::HumanStyle::default(), &mut tree).unwrap();
    let tree = String::from_utf8(tree).unwrap();
    assert!(tree.contains(") ✓ 2 of 3 items did well"), "{tree}");
}
