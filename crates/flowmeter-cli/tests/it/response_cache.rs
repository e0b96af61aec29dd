//! The response cache, end to end: what is asked once is not asked again, costs nothing, and is told.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use flowmeter_workflow::scripted_model::{Reply, Script};
use serde_json::{Value, json};

use crate::support::{Ended, Model, Sandbox};

const MODEL: &str = "openai/gpt-4o-mini";
/// 1,000 input tokens at $0.15 and 500 output tokens at $0.60 per million.
const COST: f64 = 0.00045;

fn model() -> Model {
    Model::new(
        Script::new().otherwise(|asked| Reply::text(format!("answer to {}", asked.prompt)).usage(1_000, 500)),
    )
}

fn asking(prompt: &str, cache: Option<Value>) -> Value {
    let mut node = json!({"id": "ask", "type": "llm", "params": {"model": MODEL, "prompt": prompt}});
    if let Some(cache) = cache {
        node["cache"] = cache;
    }
    json!({"nodes": [node]})
}

fn run(sandbox: &Sandbox, file: &str, flags: &[&str]) -> Ended {
    let mut args = vec!["run", file, "--output-format", "json"];
    args.extend(flags);
    let ended = sandbox.run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended
}

fn workflow_metrics(ended: &Ended) -> Value {
    ended.json()["metrics"]["workflow"].clone()
}

fn folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.home().join("cache").join("responses")
}

/// The files of the answers.
fn answers(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut found = sandbox.all_files();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "answer"));
    found
}

fn stats(sandbox: &Sandbox) -> Value {
    let ended = sandbox.run(&["cache", "stats", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.json()
}

#[test]
fn the_second_run_asks_nobody_costs_nothing_and_says_what_it_saved() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let file = sandbox.workflow("ask.json", &asking("hi", Some(json!(true))));
    let first = run(&sandbox, &file, &[]);
    assert_eq!(model.server.calls(), 1);
    let metrics = workflow_metrics(&first);
    assert_eq!(
        (&metrics["llm_calls"], &metrics["cost_usd"]),
        (&json!(1), &json!(COST))
    );
    let cache = json!({
        "hits": 0, "misses": 1, "hit_rate": 0.0,
        "saved_tokens": {"input": 0, "output": 0, "total": 0},
        "saved_cost_usd": 0.0, "saved_cost_status": "priced",
        "provider_cached_tokens": 0, "provider_saved_cost_usd": 0.0, "provider_saved_cost_status": "priced",
    });
    assert_eq!(metrics["cache"], cache);

    let second = run(&sandbox, &file, &["--trace"]);
    assert_eq!(model.server.calls(), 1);
    assert_eq!(second.json()["result"], first.json()["result"]);
    let metrics = workflow_metrics(&second);
    assert_eq!(
        (
            &metrics["llm_calls"],
            &metrics["cost_usd"],
            &metrics["tokens"]["total"]
        ),
        (&json!(0), &json!(0.0), &json!(0))
    );
    let cache = json!({
        "hits": 1, "misses": 0, "hit_rate": 1.0,
        "saved_tokens": {"input": 1_000, "output": 500, "total": 1_500},
        "saved_cost_usd": COST, "saved_cost_status": "priced",
        "provider_cached_tokens": 0, "provider_saved_cost_usd": 0.0, "provider_saved_cost_status": "priced",
    });
    assert_eq!(metrics["cache"], cache);
    assert_eq!(metrics["nodes"]["ask"]["cache"], cache);
    assert_eq!(metrics["by_model"]["gpt-4o-mini"]["cache"], cache);
    assert_eq!(second.json()["metrics"]["total"]["cost_usd"], json!(0.0));
    // The tree says it.
    assert!(
        second.err.contains("✓ cached (saved 1,500 tokens, $0.00045)"),
        "{}",
        second.err
    );
    assert!(
        second
            .err
            .contains("- Response Cache: 1 of 1 found, saved 1,500 tokens, $0.00045"),
        "{}",
        second.err
    );
    let text = sandbox.run(&["run", &file]);
    assert!(
        text.err
            .contains("cache: 1 of 1 found, saved 1,500 tokens, $0.00045"),
        "{}",
        text.err
    );
}

#[test]
fn the_trace_has_a_span_that_cost_nothing() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let document = json!({
        "nodes": [
            {"id": "ask", "type": "llm", "cache": true, "params": {"model": MODEL, "prompt": "hi"}},
            {"id": "tell", "type": "echo", "params": {"message": "${ask.llm_usage}"}}
        ],
        "edges": [{"from": "ask", "to": "tell"}],
        "outputs": {"usage": {"source": "${tell.echo}"}}
    });
    let file = sandbox.workflow("ask.json", &document);
    run(&sandbox, &file, &[]);
    let trace = sandbox.path("trace.json").display().to_string();
    let ended = run(&sandbox, &file, &["--trace-file", &trace]);
    let usage = &ended.json()["result"];
    let usage = usage.get("usage").unwrap_or(usage);
    assert_eq!(
        (
            &usage["input_tokens"],
            &usage["output_tokens"],
            &usage["cost_usd"],
            &usage["cached"]
        ),
        (&json!(1_000), &json!(500), &json!(0), &json!(true)),
        "{usage}"
    );
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
    let spans = trace["spans"].as_array().unwrap();
    let span = spans
        .iter()
        .find(|span| span["operation"] == "chat gpt-4o-mini")
        .unwrap();
    let attributes = &span["attributes"];
    assert_eq!(attributes["flowmeter.cache.hit"], json!(true));
    assert_eq!(attributes["flowmeter.cache.saved_input_tokens"], json!(1_000));
    assert_eq!(attributes["flowmeter.cache.saved_output_tokens"], json!(500));
    assert_eq!(attributes["flowmeter.cache.saved_nanos"], json!(450_000));
    assert_eq!(attributes["flowmeter.cache.saved_usd"], json!(COST));
    assert_eq!(attributes["flowmeter.cost.usd"], json!(0.0));
    assert_eq!(
        attributes["flowmeter.cost.rule"],
        json!("answered from the response cache")
    );
    assert!(
        attributes["flowmeter.cache.age_s"].as_f64().is_some(),
        "{attributes}"
    );
    let has_usage = attributes
        .as_object()
        .unwrap()
        .keys()
        .any(|key| key.starts_with("gen_ai.usage."));
    assert!(!has_usage, "{attributes}");
    assert_eq!(trace["metrics"]["llm_calls"], json!(0));
    assert_eq!(trace["metrics"]["cache"]["hits"], json!(1));
}

#[test]
fn events_that_are_formatted_elsewhere_come_to_the_same_figures() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let file = sandbox.workflow("ask.json", &asking("hi", Some(json!(true))));
    for (hits, misses) in [(0, 1), (1, 0)] {
        let events = sandbox.path("events.jsonl").display().to_string();
        let _ = std::fs::remove_file(&events);
        let live = workflow_metrics(&run(&sandbox, &file, &["--stream", &events]));
        let ended = sandbox.run(&["format", &events, "--format", "metrics"]);
        let metrics = ended.json();
        assert_eq!(metrics["cache"], live["cache"], "{ended:?}");
        assert_eq!(metrics["cache"]["hits"], json!(hits));
        assert_eq!(metrics["cache"]["misses"], json!(misses));
        assert_eq!(metrics["llm_calls"], json!(misses));
        assert_eq!(metrics["nodes"]["ask"]["cache"], live["cache"]);
    }
}

#[test]
fn flags_settings_and_nodes_say_who_uses_it() {
    type Case<'a> = (Option<Value>, &'a [&'a str], &'a [(&'a str, &'a str)], bool);
    let cases: &[Case<'_>] = &[
        (None, &[], &[], false),
        (Some(json!(true)), &[], &[], true),
        (Some(json!({"ttl": "1h"})), &[], &[], true),
        (Some(json!({"ttl": 60})), &[], &[], true),
        (Some(json!(false)), &["--cache"], &[], false),
        (None, &["--cache"], &[], true),
        (None, &[], &[("FLOWMETER_CACHE_ENABLED", "true")], true),
        (Some(json!(true)), &["--no-cache"], &[], false),
        (
            None,
            &["--cache", "--no-cache"],
            &[("FLOWMETER_CACHE_ENABLED", "true")],
            false,
        ),
    ];
    for (cache, flags, variables, is_used) in cases {
        let model = model();
        let mut sandbox = Sandbox::asking(&model);
        for (name, value) in *variables {
            sandbox = sandbox.with(name, value);
        }
        let file = sandbox.workflow("ask.json", &asking("hi", cache.clone()));
        run(&sandbox, &file, flags);
        let second = workflow_metrics(&run(&sandbox, &file, flags));
        let case = format!("{cache:?} {flags:?} {variables:?}");
        assert_eq!(model.server.calls(), if *is_used { 1 } else { 2 }, "{case}");
        assert_eq!(second["cache"]["hits"], json!(u64::from(*is_used)), "{case}");
        if !is_used {
            assert_eq!(second["cache"]["hit_rate"], Value::Null, "{case}");
            // What is off leaves no trace on disk.
            assert!(!sandbox.home().join("cache").exists(), "{case}");
        }
    }
}

#[test]
fn equal_items_of_a_parallel_batch_are_asked_once() {
    let model = Model::new(Script::new().otherwise(|_| {
        Reply::text("same")
            .usage(1_000, 500)
            .delay(Duration::from_millis(200))
    }));
    let sandbox = Sandbox::asking(&model);
    let items: Vec<u32> = (0..50).collect();
    let document = json!({"nodes": [{
        "id": "ask", "type": "llm", "cache": true,
        "params": {"model": MODEL, "prompt": "the same for all"},
        "batch": {"items": items, "parallel": true, "max_concurrent": 50}
    }]});
    let ended = run(&sandbox, &sandbox.workflow("batch.json", &document), &[]);
    assert_eq!(model.server.calls(), 1);
    let metrics = workflow_metrics(&ended);
    assert_eq!(metrics["llm_calls"], json!(1));
    assert_eq!(metrics["cost_usd"], json!(COST));
    let cache = &metrics["cache"];
    assert_eq!((&cache["hits"], &cache["misses"]), (&json!(49), &json!(1)));
    assert_eq!(cache["saved_cost_usd"], json!(0.02205));
    assert_eq!(cache["saved_tokens"]["total"], json!(49 * 1_500));
}

#[test]
fn when_the_one_who_asks_fails_another_one_asks() {
    let failing = Reply::status(400, "no").delay(Duration::from_millis(100));
    let model = Model::new(
        Script::new()
            .reply(failing)
            .otherwise(|_| Reply::text("same").usage(1_000, 500)),
    );
    let sandbox = Sandbox::asking(&model);
    let document = json!({"nodes": [{
        "id": "ask", "type": "llm", "cache": true,
        "params": {"model": MODEL, "prompt": "the same for all"},
        "batch": {"items": [1, 2, 3, 4, 5], "parallel": true, "error_handling": "continue"}
    }]});
    let ended = run(&sandbox, &sandbox.workflow("batch.json", &document), &[]);
    assert_eq!(model.server.calls(), 2);
    let metrics = workflow_metrics(&ended);
    assert_eq!(
        (&metrics["cache"]["hits"], &metrics["cache"]["misses"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(metrics["failed_llm_calls"], json!(1));
}

#[test]
fn answers_of_no_use_are_not_kept() {
    let unfit = [
        (Reply::text("cut").usage(10, 5).finish("length"), 0),
        (Reply::text("filtered").usage(10, 5).finish("content_filter"), 0),
        (Reply::status(400, "refused"), 1),
        (Reply::text("a b c d e f").cut_after(1), 1),
    ];
    for (reply, code) in unfit {
        let case = format!("{reply:?}");
        let model = Model::new(Script::new().otherwise(move |_| reply.clone()));
        let sandbox = Sandbox::asking(&model);
        let mut document = asking("hi", Some(json!(true)));
        document["nodes"][0]["retry"] = json!({"max": 1});
        let file = sandbox.workflow("ask.json", &document);
        for calls in 1..=2 {
            assert_eq!(sandbox.run(&["run", &file]).code, code, "{case}");
            assert_eq!(model.server.calls(), calls, "{case}");
        }
        assert!(answers(&sandbox).is_empty(), "{case}");
    }
}

#[test]
fn an_answer_that_does_not_follow_its_schema_is_asked_for_again_and_the_good_one_is_kept() {
    let model = Model::new(
        Script::new()
            .reply(Reply::text("no JSON").usage(10, 5))
            .otherwise(|_| Reply::json(&json!({"a": 1})).usage(10, 5)),
    );
    let sandbox = Sandbox::asking(&model);
    let mut document = asking("hi", Some(json!(true)));
    document["nodes"][0]["params"]["output_schema"] = json!({"type": "object", "required": ["a"]});
    document["nodes"][0]["retry"] = json!({"max": 2});
    let file = sandbox.workflow("ask.json", &document);
    let first = run(&sandbox, &file, &[]);
    let metrics = workflow_metrics(&first);
    assert_eq!(
        (&metrics["llm_calls"], &metrics["cache"]["misses"]),
        (&json!(2), &json!(2))
    );
    let second = run(&sandbox, &file, &[]);
    assert_eq!(model.server.calls(), 2);
    assert_eq!(second.json()["result"], first.json()["result"]);
    assert_eq!(workflow_metrics(&second)["cache"]["hits"], json!(1));
}

#[test]
fn nested_workflows_and_their_nodes_use_it_too() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    sandbox.workflow("child.json", &asking("from the child", Some(json!(true))));
    let document =
        json!({"nodes": [{"id": "outer", "type": "workflow", "params": {"workflow_path": "child.json"}}]});
    let file = sandbox.workflow("parent.json", &document);
    run(&sandbox, &file, &[]);
    let metrics = workflow_metrics(&run(&sandbox, &file, &[]));
    assert_eq!(model.server.calls(), 1);
    assert_eq!(metrics["cache"]["hits"], json!(1));
    assert_eq!(metrics["nodes"]["outer/ask"]["cache"]["hits"], json!(1));
    sandbox.workflow("child.json", &asking("another", None));
    run(&sandbox, &file, &["--cache"]);
    assert_eq!(
        workflow_metrics(&run(&sandbox, &file, &["--cache"]))["cache"]["hits"],
        json!(1)
    );
    assert_eq!(model.server.calls(), 2);
}

/// Makes the kept answers older: their time is in the line behind the checksum, so both are written anew.
fn age(sandbox: &Sandbox, by: Duration) {
    for path in answers(sandbox) {
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        let (about, answer) = rest.split_once('\n').unwrap();
        let mut about: Value = serde_json::from_str(about).unwrap();
        let stored = about["stored_ns"].as_u64().unwrap();
        about["stored_ns"] = (stored - u64::try_from(by.as_nanos()).unwrap()).into();
        let rest = format!("{about}\n{answer}");
        let hash = ring::digest::digest(&ring::digest::SHA256, rest.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&path, format!("flowmeter-response/1 {hash}\n{rest}")).unwrap();
    }
}

#[test]
fn an_answer_that_is_too_old_is_asked_for_again() {
    for (cache, variable, is_used) in [
        (json!(true), None, true),
        (json!({"ttl": "30m"}), None, false),
        (json!({"ttl": "2h"}), Some("30m"), true),
        (json!(true), Some("30m"), false),
    ] {
        let model = model();
        let mut sandbox = Sandbox::asking(&model);
        if let Some(ttl) = variable {
            sandbox = sandbox.with("FLOWMETER_CACHE_TTL", ttl);
        }
        let file = sandbox.workflow("ask.json", &asking("hi", Some(cache.clone())));
        run(&sandbox, &file, &[]);
        age(&sandbox, Duration::from_secs(3_600));
        run(&sandbox, &file, &[]);
        assert_eq!(
            model.server.calls(),
            if is_used { 1 } else { 2 },
            "{cache} {variable:?}"
        );
        run(&sandbox, &file, &[]);
        assert_eq!(
            model.server.calls(),
            if is_used { 1 } else { 2 },
            "{cache} {variable:?}"
        );
    }
}

#[test]
fn broken_entries_are_asked_for_again() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let file = sandbox.workflow("ask.json", &asking("hi", Some(json!(true))));
    run(&sandbox, &file, &[]);
    let path = answers(&sandbox).remove(0);
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer = String::from_utf8(whole.clone())
        .unwrap()
        .replace("response/1", "response/9");
    let broken = [
        flipped,
        whole[..whole.len() / 2].to_vec(),
        Vec::new(),
        newer.into_bytes(),
    ];
    for (number, broken) in broken.iter().enumerate() {
        std::fs::write(&path, broken).unwrap();
        let metrics = workflow_metrics(&run(&sandbox, &file, &[]));
        assert_eq!(metrics["cache"]["misses"], json!(1));
        assert_eq!(model.server.calls(), number + 2);
        assert_eq!(
            workflow_metrics(&run(&sandbox, &file, &[]))["cache"]["hits"],
            json!(1)
        );
    }
    assert_eq!(stats(&sandbox)["broken"], json!(4));
}

#[test]
fn neither_the_prompt_nor_a_key_is_on_disk() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let mut document = asking("a very particular prompt", Some(json!(true)));
    document["nodes"][0]["params"]["system"] = json!("a very particular system prompt");
    let model_says = Model::new(Script::new().otherwise(|_| Reply::text("word for word").usage(1, 1)));
    drop(model);
    let sandbox = sandbox.with("OPENAI_BASE_URL", &model_says.server.openai_base_url());
    run(&sandbox, &sandbox.workflow("ask.json", &document), &[]);
    let mut has_answer = false;
    for path in sandbox.all_files() {
        if !path.starts_with(folder(&sandbox)) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("particular"), "{path:?}");
        assert!(!text.contains("test-key-of-nobody"), "{path:?}");
        has_answer |= text.contains("word for word");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{path:?}");
        }
    }
    assert!(has_answer);
}

#[test]
fn a_cache_that_cannot_be_written_costs_a_warning() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    sandbox.file("home/cache/responses", "a file where the folder should be");
    let file = sandbox.workflow("ask.json", &asking("hi", Some(json!(true))));
    for calls in 1..=2 {
        let ended = run(&sandbox, &file, &[]);
        assert_eq!(model.server.calls(), calls);
        let warning = ended.json()["warnings"][0].as_str().unwrap().to_owned();
        assert!(warning.contains("cannot be written"), "{warning}");
        assert!(ended.err.contains("1 answer was not kept"), "{}", ended.err);
        assert_eq!(ended.json()["status"], json!("success"));
    }
}

#[test]
fn two_processes_at_once_do_each_other_no_harm() {
    let model = Model::new(Script::new().otherwise(|asked| {
        Reply::text(format!("answer to {}", asked.prompt))
            .usage(1_000, 500)
            .delay(Duration::from_millis(20))
    }));
    let sandbox = Sandbox::asking(&model);
    let items: Vec<u32> = (0..20).collect();
    let document = json!({"nodes": [{
        "id": "ask", "type": "llm", "cache": true,
        "params": {"model": MODEL, "prompt": "number ${item}"},
        "batch": {"items": items, "parallel": true, "max_concurrent": 10}
    }]});
    let file = sandbox.workflow("batch.json", &document);
    let children: Vec<_> = (0..4)
        .map(|_| {
            sandbox
                .command(&["run", &file, "--output-format", "json"])
                .spawn()
                .unwrap()
        })
        .collect();
    let cleared = sandbox.run(&["cache", "clear", "--json"]);
    assert_eq!(cleared.code, 0, "{cleared:?}");
    let mut lookups = 0;
    for child in children {
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let printed: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(printed["warnings"], Value::Null);
        let cache = &printed["metrics"]["workflow"]["cache"];
        lookups += cache["hits"].as_u64().unwrap() + cache["misses"].as_u64().unwrap();
        let results = printed["result"].to_string();
        for number in 0..20 {
            assert!(
                results.contains(&format!("answer to number {number}")),
                "{results}"
            );
        }
    }
    assert_eq!(lookups, 80);
    let known = stats(&sandbox);
    assert_eq!(
        known["hits"].as_u64().unwrap() + known["misses"].as_u64().unwrap(),
        80
    );
    assert_eq!(known["misses"].as_u64().unwrap(), model.server.calls() as u64);
    assert_eq!(known["broken"], json!(0));
    assert_eq!(known["entries"], json!(answers(&sandbox).len()));
    let metrics = workflow_metrics(&run(&sandbox, &file, &[]));
    let cache = &metrics["cache"];
    assert_eq!(
        cache["hits"].as_u64().unwrap() + cache["misses"].as_u64().unwrap(),
        20
    );
}

#[test]
fn stats_and_clear_say_what_they_do() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let empty = stats(&sandbox);
    assert_eq!(
        (&empty["entries"], &empty["hits"], &empty["hit_rate"]),
        (&json!(0), &json!(0), &Value::Null)
    );
    assert!(!sandbox.home().join("cache").exists());
    let file = sandbox.workflow("ask.json", &asking("hi", Some(json!(true))));
    for _ in 0..4 {
        run(&sandbox, &file, &[]);
    }
    let known = stats(&sandbox);
    assert_eq!(
        (&known["entries"], &known["hits"], &known["misses"]),
        (&json!(1), &json!(3), &json!(1))
    );
    assert_eq!(
        (&known["hit_rate"], &known["saved_cost_usd"]),
        (&json!(0.75), &json!(0.00135))
    );
    assert_eq!(known["saved_tokens"]["total"], json!(4_500));
    assert_eq!(known["by_model"]["gpt-4o-mini"]["hits"], json!(3));
    assert_eq!(known["bytes_max"], json!(256 << 20));
    assert!(known["bytes"].as_u64().unwrap() > 64 && known["oldest"].is_string());
    let text = sandbox.run(&["cache", "stats"]).out;
    assert!(text.contains("- Hits: 3 of 4 look-ups (75.0%)"), "{text}");
    assert!(text.contains("- Saved: 4,500 tokens, $0.00135"), "{text}");

    let removed = |args: &[&str]| {
        let args: Vec<&str> = ["cache", "clear", "--json"].iter().chain(args).copied().collect();
        sandbox.run(&args).json()["removed"].clone()
    };
    assert_eq!(removed(&["--older-than", "2d"]), json!(0));
    assert_eq!(removed(&["--model", "gpt-4o"]), json!(0));
    age(&sandbox, Duration::from_secs(3 * 86_400));
    assert_eq!(
        removed(&["--older-than", "2d", "--model", "gpt-4o-mini"]),
        json!(1)
    );
    run(&sandbox, &file, &[]);
    assert_eq!(model.server.calls(), 2);
    assert_eq!(
        sandbox
            .run(&["cache", "clear", "--yes"])
            .out
            .trim_end()
            .split(" (")
            .next(),
        Some("removed 1 answer")
    );
    assert_eq!(stats(&sandbox)["entries"], json!(0));
    assert_eq!(stats(&sandbox)["misses"], json!(2));
}

#[test]
fn the_cache_stays_within_its_size() {
    let model = Model::new(
        Script::new().otherwise(|asked| Reply::text(format!("{} {}", asked.prompt, "x".repeat(2_000)))),
    );
    let sandbox = Sandbox::asking(&model).with("FLOWMETER_CACHE_MAX_SIZE", "20KiB");
    let items: Vec<u32> = (0..30).collect();
    let document = json!({"nodes": [{
        "id": "ask", "type": "llm", "params": {"model": MODEL, "prompt": "number ${item}"},
        "batch": {"items": items, "parallel": true}
    }]});
    run(&sandbox, &sandbox.workflow("batch.json", &document), &["--cache"]);
    let bytes: u64 = answers(&sandbox)
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(bytes <= 20 << 10 && bytes > 10 << 10, "{bytes}");
    assert!(stats(&sandbox)["evicted"].as_u64().unwrap() >= 20);
}

#[test]
fn wrong_settings_of_the_cache_are_told() {
    let sandbox = Sandbox::new();
    let check = |cache: Value| {
        let file = sandbox.workflow("ask.json", &asking("hi", Some(cache)));
        sandbox.run(&["validate", &file]).out
    };
    for (cache, wanted) in [
        (
            json!("yes"),
            "`cache` is a boolean or an object, not a string: \"yes\"",
        ),
        (json!({"tll": "1h"}), "did you mean `ttl`?"),
        (
            json!({"ttl": "soon"}),
            "`ttl` must be a time such as \"30m\", \"12h\" or \"7d\", not \"soon\"",
        ),
        (json!({"ttl": "0s"}), "`ttl` must be a time"),
        (json!({"ttl": 0}), "`ttl` is more than 0"),
        (json!({"ttl": true}), "`ttl` is"),
    ] {
        let told = check(cache.clone());
        assert!(told.contains(wanted), "{cache}: {told}");
    }
    let document = json!({"nodes": [{"id": "e", "type": "echo", "cache": true, "params": {"message": "x"}}]});
    let ended = sandbox.run(&["run", &sandbox.workflow("echo.json", &document)]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "x\n"), "{ended:?}");
    assert!(
        ended.err.contains("`cache` has no effect on node type `echo`"),
        "{}",
        ended.err
    );
    for (name, value) in [("FLOWMETER_CACHE_TTL", "0"), ("FLOWMETER_CACHE_MAX_SIZE", "big")] {
        let ended = Sandbox::new().with(name, value).run(&["config"]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains(name), "{}", ended.err);
    }
}

#[test]
fn the_demo_uses_no_cache() {
    let sandbox = Sandbox::new().with("FLOWMETER_CACHE_ENABLED", "true");
    let ended = sandbox.run(&["demo", "--quiet"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!sandbox.home().join("cache").exists());
}

#[test]
fn what_a_provider_s_own_cache_saved_is_told() {
    let model = Model::new(Script::new().otherwise(|_| Reply::text("ok").usage(1_000, 500).cached(800)));
    let sandbox = Sandbox::asking(&model);
    let ended = run(&sandbox, &sandbox.workflow("ask.json", &asking("hi", None)), &[]);
    let cache = workflow_metrics(&ended)["cache"].clone();
    // 800 tokens at $0.15 less $0.075 per million.
    assert_eq!(cache["provider_cached_tokens"], json!(800));
    assert_eq!(cache["provider_saved_cost_usd"], json!(0.00006));
    assert_eq!((&cache["hits"], &cache["hit_rate"]), (&json!(0), &Value::Null));
    // So is it over all runs.
    let stats = sandbox.run(&["stats", "--by", "model", "--json"]).json();
    assert_eq!(
        stats["rows"][0]["provider_saved"]["nanos"],
        json!(60_000),
        "{stats}"
    );
    let table = sandbox.run(&["stats", "--by", "model"]);
    assert!(table.out.contains("$0.00006"), "{table:?}");
}

#[test]
fn a_hit_marks_the_answer_as_used() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let file = sandbox.workflow("ask.json", &asking("hi", Some(json!(true))));
    run(&sandbox, &file, &[]);
    let path = answers(&sandbox).remove(0);
    let long_ago = SystemTime::now() - Duration::from_secs(86_400);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    run(&sandbox, &file, &[]);
    let used = path.metadata().unwrap().modified().unwrap();
    assert!(used > long_ago + Duration::from_secs(3_600));
}

#[test]
fn a_plan_says_what_is_kept_already() {
    let model = model();
    let sandbox = Sandbox::asking(&model);
    let file = sandbox.workflow("ask.json", &asking("hi", Some(json!(true))));
    let plan = |flags: &[&str]| {
        let args: Vec<&str> = ["run", &file, "--dry-run"].iter().chain(flags).copied().collect();
        let ended = sandbox.run(&args);
        assert_eq!(ended.code, 0, "{ended:?}");
        format!("{}{}", ended.out, ended.err)
    };
    assert!(
        plan(&[]).contains("gpt-4o-mini (will be cached)"),
        "{}",
        plan(&[])
    );
    assert!(!sandbox.home().join("cache").exists());
    run(&sandbox, &file, &[]);
    assert!(plan(&[]).contains("gpt-4o-mini (cached)"), "{}", plan(&[]));
    assert!(
        !plan(&["--no-cache"]).contains("cached"),
        "{}",
        plan(&["--no-cache"])
    );
    assert_eq!(model.server.calls(), 1);
    // A look at the plan is no look-up.
    assert_eq!(stats(&sandbox)["hits"], json!(0));
}
