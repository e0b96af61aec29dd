//! Usage counted exactly once: random workflow files of retries, fallbacks, batches, loops, forks and nested
//! workflows, run against a server that keeps its own books; also with answers used again, and under budgets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arbtest::arbitrary::{Result as Drawn, Unstructured};
use flowmeter::{Budget, BudgetError, LlmTotals, RunMeter, RunMetrics, TraceDocument, read_trace};
use flowmeter_engine::SharedStore;
use flowmeter_model::{CostStatus, CostTotal, SpanKind, UsdNanos};
use flowmeter_pricing::{Overrides, PriceBook};
use flowmeter_workflow::response_cache::{Caching, ResponseCache, ResponseCacheConfig};
use flowmeter_workflow::scripted_model::{AnswerGiven, Asked, Reply, Script, ScriptedModel};
use flowmeter_workflow::{LoadOptions, Workflow};
use serde_json::{Map, Value, json};

/// Each model with its rates in nano-dollars for a million tokens: input, read, written for five minutes, for an
/// hour, output, reasoning. They are odd on purpose: every call has something to round.
const MODELS: [(&str, [i128; 6]); 4] = [
    (
        "gpt-drawn",
        [2_500_000_033, 1_250_000_017, 0, 0, 10_000_000_007, 10_000_000_007],
    ),
    (
        "claude-drawn",
        [
            3_000_000_001,
            300_000_007,
            3_750_000_003,
            6_000_000_009,
            15_000_000_011,
            0,
        ],
    ),
    (
        "gemini-drawn",
        [1_250_000_019, 0, 0, 0, 10_000_000_013, 12_000_000_017],
    ),
    ("ollama::drawn", [0; 6]),
];

/// The same rates as a user writes them.
fn prices() -> PriceBook {
    let dollars = |nanos: i128| -> Value {
        let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        serde_json::from_str(&text).unwrap()
    };
    let entries = MODELS.iter().filter(|(model, _)| !model.contains("::"));
    let entries: Map<String, Value> = entries
        .map(|(model, [input, read, short, hour, output, reasoning])| {
            let mut entry =
                json!({"unit": "1M", "input": dollars(*input), "output": dollars(*output), "cache_read": dollars(*read)});
            for (key, rate) in [("cache_write", short), ("cache_write_1h", hour), ("reasoning", reasoning)] {
                if *rate > 0 {
                    entry[key] = dollars(*rate);
                }
            }
            ((*model).to_owned(), entry)
        })
        .collect();
    let text = Value::Object(entries).to_string();
    PriceBook::with_overrides(Overrides::parse(&text).unwrap().0)
}

/// What an answer costs, worked out apart from the program: one rounding, half away from zero.
fn cost_of(answer: &AnswerGiven) -> i64 {
    let (_, rates) = MODELS
        .iter()
        .find(|(model, _)| model.trim_start_matches("ollama::") == answer.model)
        .unwrap();
    let plain = answer.input - answer.cache_read - answer.cache_write_5m - answer.cache_write_1h;
    let parts = [
        plain,
        answer.cache_read,
        answer.cache_write_5m,
        answer.cache_write_1h,
        answer.output - answer.reasoning,
        answer.reasoning,
    ];
    let millionths: i128 = parts
        .iter()
        .zip(rates)
        .map(|(part, rate)| i128::from(*part) * rate)
        .sum();
    i64::try_from((millionths + 500_000) / 1_000_000).unwrap()
}

/// A number that follows from the seed and the request's own, and looks like chance.
fn chance(seed: u64, number: usize, salt: u64) -> u64 {
    let mut mixed = seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (salt << 56);
    for factor in [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb] {
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(factor);
    }
    mixed ^ (mixed >> 32)
}

/// What the server answers: texts, objects, refusals, and where `breaks` half answers.
fn answer(seed: u64, breaks: bool, asked: &Asked) -> Reply {
    let draw = |salt, below| chance(seed, asked.number, salt) % below;
    match draw(1, 10) {
        0 => return Reply::status(500, "the server is out of order"),
        1 => return Reply::status(429, "slow down"),
        _ => {}
    }
    let text = if draw(2, 2) == 0 {
        json!({"n": draw(3, 9)}).to_string()
    } else {
        "so it is said ".repeat(usize::try_from(draw(3, 9)).unwrap() + 1)
    };
    let (input, output) = (draw(4, 200_000) + 4, draw(5, 9_000) + 2);
    let reply = Reply::text(text).usage(input, output);
    let reply = match asked.model.as_str() {
        "gpt-drawn" => reply.cached(draw(6, input)).reasoning(draw(7, output)),
        "claude-drawn" => reply
            .cached(draw(6, input / 2))
            .cache_written(draw(7, input / 4), draw(8, input / 4)),
        "gemini-drawn" => reply.reasoning(draw(7, output)),
        _ => reply,
    };
    if breaks && draw(9, 4) == 0 {
        reply.cut_after(1)
    } else {
        reply
    }
}

/// A drawn workflow file, and the files that it runs.
struct Drawing<'a> {
    folder: &'a Path,
    files: usize,
    /// Whether answers are short and nodes may have budgets.
    limited: bool,
}

impl<'a> Drawing<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            files: 0,
            limited: false,
        }
    }
}

impl Drawing<'_> {
    fn llm(&self, u: &mut Unstructured<'_>, id: &str) -> Drawn<Value> {
        let mut params = json!({
            "model": u.choose(&MODELS)?.0,
            "prompt": format!("question of {id}"),
            "stream": u.arbitrary::<bool>()?,
        });
        if u.ratio(1, 4)? {
            params["output_schema"] =
                json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
        }
        if u.ratio(1, 4)? {
            params["system"] = json!("be brief");
        }
        if self.limited {
            params["max_tokens"] = json!(u.int_in_range(16..=300)?);
        }
        let retry = json!({"max": u.int_in_range(1..=3)?, "wait": 0});
        Ok(json!({"id": id, "type": "llm", "params": params, "retry": retry}))
    }

    fn node(&mut self, u: &mut Unstructured<'_>, depth: u32, id: &str) -> Drawn<Value> {
        let mut node = if depth > 0 && u.ratio(1, 3)? {
            self.files += 1;
            let name = format!("nested-{}.json", self.files);
            let inner = self.document(u, depth - 1)?;
            std::fs::write(self.folder.join(&name), inner.to_string()).unwrap();
            json!({"id": id, "type": "workflow", "params": {"workflow_path": name},
                "retry": {"max": u.int_in_range(1..=2)?, "wait": 0}})
        } else {
            self.llm(u, id)?
        };
        if self.limited && u.ratio(1, 4)? {
            node["budget"] = json!({"max_cost": f64::from(u.int_in_range(0..=80)?) / 10_000.0});
            if u.ratio(1, 3)? {
                node["budget"]["max_llm_calls"] = json!(u.int_in_range(1..=4)?);
            }
        }
        match u.int_in_range(0..=4)? {
            0 => {
                node["batch"] = json!({
                    "items": vec![1; u.int_in_range(1..=4)?],
                    "error_handling": "continue",
                    "parallel": u.arbitrary::<bool>()?,
                    "max_retries": u.int_in_range(1..=2)?,
                });
                if node["type"] == "llm" {
                    node["params"]["prompt"] = json!("item ${item}");
                }
            }
            1 => {
                node["loop"] = json!({
                    "until": "${self.never ?? false}",
                    "max_iterations": u.int_in_range(1..=3)?,
                });
            }
            _ => {}
        }
        Ok(node)
    }

    /// A chain or a fork of nodes, each with a fallback that is asked where it failed.
    fn document(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Drawn<Value> {
        let mut nodes = vec![json!({"id": "begin", "type": "echo", "params": {"message": "x"}})];
        let mut edges = Vec::new();
        let forks = u.arbitrary::<bool>()?;
        let mut before = "begin".to_owned();
        for index in 0..u.int_in_range(1..=3)? {
            let id = format!("n{index}");
            nodes.push(self.node(u, depth, &id)?);
            edges.push(json!({"from": before, "to": id}));
            let fallback = format!("fallback{index}");
            nodes.push(self.llm(u, &fallback)?);
            edges.push(json!({"from": id, "action": "error", "to": fallback}));
            edges.push(json!({"from": fallback, "action": "error", "to": "end"}));
            if !forks {
                before = id;
            }
        }
        Ok(json!({"nodes": nodes, "edges": edges}))
    }
}

/// Calls, input, output, and what they cost.
#[derive(Debug, PartialEq, Eq)]
struct Sums {
    calls: u64,
    input: u64,
    output: u64,
    cost: CostTotal,
}

impl Sums {
    fn of<'a>(totals: impl Iterator<Item = &'a LlmTotals>) -> Self {
        let mut sums = Self {
            calls: 0,
            input: 0,
            output: 0,
            cost: CostTotal::default(),
        };
        for total in totals {
            sums.calls += total.calls;
            sums.input += total.input_tokens;
            sums.output += total.output_tokens;
            sums.cost.merge(&total.cost);
        }
        sums
    }

    fn of_spans(trace: &TraceDocument) -> Self {
        let mut sums = Self::of(std::iter::empty());
        for span in trace.spans.iter().filter(|span| span.kind == SpanKind::LlmCall) {
            let (usage, cost) = (span.usage.as_ref().unwrap(), span.cost.as_ref().unwrap());
            let model = span.attributes.get_str("gen_ai.request.model").unwrap();
            sums.calls += 1;
            sums.input += usage.input_tokens();
            sums.output += usage.output_tokens();
            sums.cost.add(model, cost);
        }
        sums
    }
}

struct Ran {
    metrics: RunMetrics,
    trace: TraceDocument,
    server: ScriptedModel,
    /// Whether the run failed, and whether because of a budget.
    failed: Option<bool>,
}

/// How a workflow is run.
#[derive(Default)]
struct Manner {
    budget: Option<Budget>,
    caching: Caching,
}

async fn run(document: &Value, folder: &Path, script: Script, manner: Manner) -> Ran {
    let server = ScriptedModel::start(script).await.unwrap();
    let services = crate::nodes::services(Some(crate::chat::client(&server)), None);
    let mut services = Arc::into_inner(services).unwrap();
    services.caching = manner.caching;
    let options = LoadOptions {
        services: Arc::new(services),
        saved_workflows: None,
    };
    let workflow = Workflow::parse("drawn", &document.to_string(), folder, &options);
    let workflow = workflow.unwrap_or_else(|error| panic!("{error}\n{document:#}"));
    let trace = folder.join("trace.json");
    let meter = RunMeter::builder("drawn")
        .prices(Arc::new(prices()))
        .trace_file(&trace);
    let meter = match manner.budget {
        Some(budget) => meter.budget(budget),
        None => meter,
    };
    let meter = meter.start().unwrap();
    let cx = meter.context(SharedStore::new().root());
    let outcome = workflow.run(&cx, Map::new()).await;
    drop(cx);
    let report = meter.finish(outcome.as_ref());
    assert_eq!(report.dropped.total(), 0);
    let failed = outcome.err().map(|error| BudgetError::find(&error).is_some());
    Ran {
        failed,
        metrics: report.metrics,
        trace: read_trace(&trace).unwrap(),
        server,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn check_books(breaks: bool) {
    let runtime = runtime();
    let (mut calls, mut told) = (0, 0);
    arbtest::arbtest(|u| {
        let folder = tempfile::tempdir().unwrap();
        let mut drawing = Drawing::new(folder.path());
        let document = drawing.document(u, 2)?;
        let seed = u.arbitrary::<u64>()?;
        let script = Script::new().otherwise(move |asked| answer(seed, breaks, asked));
        let ran = runtime.block_on(run(&document, folder.path(), script, Manner::default()));
        let metrics = &ran.metrics;
        let total = Sums::of(std::iter::once(&metrics.llm));
        assert_eq!(total, Sums::of_spans(&ran.trace), "spans of {document:#}");
        assert_eq!(total, Sums::of(metrics.models.values()), "models of {document:#}");
        let nodes = metrics.nodes.iter().map(|(_, node)| &node.llm);
        assert_eq!(total, Sums::of(nodes), "nodes of {document:#}");
        assert_eq!(total.calls, ran.server.calls() as u64, "calls of {document:#}");
        let answers = ran.server.answers();
        if !breaks {
            let given = ran.server.usage_given();
            assert_eq!(
                (total.input, total.output),
                (given.input, given.output),
                "{document:#}"
            );
            let cost: i64 = answers.iter().map(cost_of).sum();
            assert_eq!(total.cost.known, UsdNanos(cost), "{document:#}");
            assert_eq!(total.cost.status(), CostStatus::Priced);
        }
        let shown = metrics.to_json();
        assert_eq!(shown["total"]["llm_calls"], json!(total.calls));
        assert_eq!(shown["total"]["tokens_total"], json!(total.input + total.output));
        calls += total.calls;
        told += answers.len();
        Ok(())
    })
    .budget_ms(6_000);
    assert!(
        calls > 20 && told > 10,
        "{calls} calls, {told} answers: too few to prove anything"
    );
}

#[test]
fn every_call_is_counted_once_and_the_server_agrees() {
    check_books(false);
}

#[test]
fn broken_answers_are_counted_once_too() {
    check_books(true);
}

#[test]
fn answers_used_again_are_no_calls_and_cost_nothing() {
    let runtime = runtime();
    let mut hits = 0;
    arbtest::arbtest(|u| {
        let folder = tempfile::tempdir().unwrap();
        let document = Drawing::new(folder.path()).document(u, 2)?;
        let seed = u.arbitrary::<u64>()?;
        let mut misses_before = None;
        // The second time what was answered is there already.
        for _ in 0..2 {
            let config = ResponseCacheConfig::in_folder(folder.path().join("responses"));
            let manner = Manner {
                caching: Caching {
                    responses: Some(Arc::new(ResponseCache::new(config))),
                    all: true,
                },
                ..Manner::default()
            };
            let script = Script::new().otherwise(move |asked| answer(seed, false, asked));
            let ran = runtime.block_on(run(&document, folder.path(), script, manner));
            let (llm, cache) = (&ran.metrics.llm, &ran.metrics.llm.cache);
            assert_eq!(llm.calls, ran.server.calls() as u64, "calls of {document:#}");
            assert_eq!(
                cache.misses, llm.calls,
                "each call was looked up in vain: {document:#}"
            );
            let given = ran.server.usage_given();
            assert_eq!(
                (llm.input_tokens, llm.output_tokens),
                (given.input, given.output),
                "{document:#}"
            );
            let cost: i64 = ran.server.answers().iter().map(cost_of).sum();
            assert_eq!(llm.cost.known, UsdNanos(cost), "{document:#}");
            let nodes = ran.metrics.nodes.iter().map(|(_, node)| node.llm.cache.hits);
            assert_eq!(cache.hits, nodes.sum::<u64>(), "{document:#}");
            let models = ran.metrics.models.values().map(|model| model.cache.hits);
            assert_eq!(cache.hits, models.sum::<u64>(), "{document:#}");
            if let Some(before) = misses_before.replace(cache.misses) {
                // Which server is asked is part of the key, and this is another one.
                assert!(before > 0 || cache.misses == 0, "{document:#}");
            }
            hits += cache.hits;
        }
        Ok(())
    })
    .budget_ms(4_000);
    assert!(hits > 10, "{hits} hits: too few to prove anything");
}

/// What a provider gives that keeps to what it was told: no more tokens than `max_tokens`, no token shorter than a
/// byte. Whatever becomes of the answer on its way, it is charged.
fn charged_answer(seed: u64, breaks: bool, asked: &Asked, charged: &AtomicI64) -> Reply {
    let draw = |salt, below: u64| chance(seed, asked.number, salt) % below.max(1);
    if draw(1, 8) == 0 {
        return Reply::status(500, "the server is out of order");
    }
    let limits = [
        "/max_tokens",
        "/max_completion_tokens",
        "/options/num_predict",
        "/generationConfig/maxOutputTokens",
    ];
    let most = limits
        .iter()
        .find_map(|limit| asked.body.pointer(limit)?.as_u64());
    let most = most.unwrap_or_else(|| panic!("no limit in {}", asked.body));
    let bytes = (asked.prompt.len() + asked.system.len()) as u64;
    let input = if draw(2, 2) == 0 {
        bytes
    } else {
        1 + draw(3, bytes)
    };
    let output = if draw(4, 2) == 0 { most } else { 1 + draw(5, most) };
    let reasoning = if asked.model == "gemini-drawn" {
        draw(6, output)
    } else {
        0
    };
    let given = AnswerGiven {
        model: asked.model.clone(),
        input,
        output,
        reasoning,
        cache_read: 0,
        cache_write_5m: 0,
        cache_write_1h: 0,
    };
    charged.fetch_add(cost_of(&given), Ordering::Relaxed);
    let text = if draw(7, 2) == 0 {
        r#"{"n": 1}"#
    } else {
        "so it is said"
    };
    let reply = Reply::text(text).usage(input, output);
    let reply = if reasoning > 0 {
        reply.reasoning(reasoning)
    } else {
        reply
    };
    if breaks && draw(8, 3) == 0 {
        reply.cut_after(1)
    } else {
        reply
    }
}

fn check_limits(breaks: bool) {
    let runtime = runtime();
    let (mut refused, mut within) = (0, 0);
    arbtest::arbtest(|u| {
        let folder = tempfile::tempdir().unwrap();
        let mut drawing = Drawing::new(folder.path());
        drawing.limited = true;
        let document = drawing.document(u, 2)?;
        let seed = u.arbitrary::<u64>()?;
        let limit = UsdNanos(u.int_in_range(0..=20_000_000)?);
        let max_llm_calls = if u.ratio(1, 4)? {
            Some(u.int_in_range(1..=12)?)
        } else {
            None
        };
        let charged = Arc::new(AtomicI64::new(0));
        let books = Arc::clone(&charged);
        let script = Script::new().otherwise(move |asked| charged_answer(seed, breaks, asked, &books));
        let budget = Budget {
            max_cost: Some(limit),
            max_llm_calls,
            ..Budget::default()
        };
        let manner = Manner {
            budget: Some(budget),
            ..Manner::default()
        };
        let ran = runtime.block_on(run(&document, folder.path(), script, manner));
        let charged = UsdNanos(charged.load(Ordering::Relaxed));
        assert!(
            charged <= limit,
            "the provider charges {charged} of {limit}: {document:#}"
        );
        let llm = &ran.metrics.llm;
        assert_eq!(
            llm.calls,
            ran.server.calls() as u64,
            "a refused call is none: {document:#}"
        );
        assert!(max_llm_calls.is_none_or(|most| llm.calls <= most), "{document:#}");
        let report = ran.metrics.budget.as_ref().unwrap();
        assert_eq!(report.spent, llm.cost.known, "{document:#}");
        assert_eq!(report.spent_llm_calls, llm.calls, "{document:#}");
        assert!(
            report.spent + report.withheld <= limit,
            "{report:?}: {document:#}"
        );
        if breaks {
            assert!(charged <= report.spent + report.withheld, "{document:#}");
        } else {
            assert_eq!(
                (charged, report.withheld),
                (report.spent, UsdNanos(0)),
                "{document:#}"
            );
        }
        for (path, node) in &report.nodes {
            let most = node.totals.budget.max_cost.unwrap().0 * i64::try_from(node.runs).unwrap();
            let totals = &node.totals;
            assert!(
                (totals.spent + totals.withheld).0 <= most,
                "{path} {totals:?}: {document:#}"
            );
        }
        if report.refused_calls > 0 {
            assert_eq!(ran.failed, Some(true), "{document:#}");
            refused += 1;
        } else {
            within += 1;
        }
        Ok(())
    })
    .budget_ms(6_000);
    assert!(
        refused > 5 && within > 5,
        "{refused} runs refused, {within} not: too few to prove anything"
    );
}

#[test]
fn no_provider_charges_more_than_a_limit_allows() {
    check_limits(false);
}

#[test]
fn nor_do_answers_that_break_off_and_are_charged_all_the_same() {
    check_limits(true);
}
