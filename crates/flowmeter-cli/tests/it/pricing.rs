//! `flowmeter pricing …`: what is known of prices, and how they are set, checked and refreshed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Ended, Sandbox};

const GOLDEN: &[&str] = &[
    "--output",
    "300",
    "--cache-read",
    "1024",
    "--cache-write",
    "150",
    "--cache-write-1h",
    "50",
    "--web-searches",
    "2",
];

fn explain(sandbox: &Sandbox, model: &str, more: &[&str]) -> Ended {
    let mut args = vec!["pricing", "explain", "--model", model];
    args.extend(more);
    sandbox.run(&args)
}

/// A price file of genai-prices with one model at this price of its input.
fn newer(input: &str) -> String {
    format!(
        r#"[{{"id": "anthropic", "name": "Anthropic", "api_pattern": "https://api\\.anthropic\\.com",
             "model_match": {{"contains": "claude"}},
             "models": [{{"id": "claude-sonnet-4-5", "match": {{"equals": "claude-sonnet-4-5"}},
                          "prices": {{"input_mtok": {input}, "output_mtok": 15}}}}]}}]"#
    )
}

#[test]
fn the_examples_of_the_help_texts_work_when_pasted() {
    let sandbox = Sandbox::new();
    let mut tried = 0;
    for command in ["list", "show", "explain", "set", "check", "refresh"] {
        let help = sandbox.run(&["pricing", command, "--help"]).out;
        let (_, examples) = help.split_once("Examples:\n").expect("there are examples");
        let (examples, _) = examples.split_once("\n\n").expect("there is more text");
        for example in examples.replace("\\\n", " ").lines() {
            let words = example.split_once('#').map_or(example, |(pasted, _)| pasted);
            let words: Vec<&str> = words.split_whitespace().collect();
            if words[0] == "cat" {
                continue;
            }
            // A line that was wrapped is no command.
            assert_eq!(words[..2], ["flowmeter", "pricing"], "{command}: {example}");
            // These need a file, an address or a saved run.
            let needs = [
                "prices.json",
                "model_prices",
                "http",
                "last",
                "4bf92f35",
                "check",
                "|",
            ];
            if !words
                .iter()
                .any(|word| needs.iter().any(|need| word.contains(need)))
            {
                let ended = sandbox.run(&words[1..]);
                assert_eq!(ended.code, 0, "{example}: {ended:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 12, "{tried}");
}

#[test]
fn the_golden_call_is_explained_to_the_nano_dollar() {
    let sandbox = Sandbox::new();
    // All input, and what stood beside the cached parts.
    for input in [
        ["--input", "1400"],
        ["--input", "176"],
        ["--uncached-input", "176"],
    ] {
        let more: Vec<&str> = input.iter().chain(GOLDEN).copied().collect();
        let told = explain(&sandbox, "claude-sonnet-4-5", &more);
        assert_eq!(told.code, 0, "{told:?}");
        for line in [
            "  input             176 ×  $3.00 per 1M = $0.000528",
            "  cache_write_1h     50 ×  $6.00 per 1M = $0.0003",
            "  web_search          2 × $10.00 per 1K = $0.02",
            "  sum                                     $0.0261977",
            "  cost      $0.0261977  priced",
            "  matched   anthropic/claude-sonnet-4-5 (exact model)",
        ] {
            assert!(
                told.out.lines().any(|found| found == line),
                "{line}\n{}",
                told.out
            );
        }
        let more: Vec<&str> = more.into_iter().chain(["--json"]).collect();
        let told = explain(&sandbox, "claude-sonnet-4-5", &more).json();
        assert_eq!(
            (&told["cost_nanos"], &told["rounding"]),
            (&json!(26_197_700), &json!("0"))
        );
        let lines = told["lines"].as_array().unwrap();
        let sum: i64 = lines
            .iter()
            .map(|line| line["amount_nanos"].as_i64().unwrap())
            .sum();
        assert_eq!(sum, 26_197_700);
    }
}

#[test]
fn many_calls_reported_costs_and_roundings_are_shown() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "home/pricing.json",
        r#"{"odd": {"input": 0.0375, "output": 0, "unit": "1M"}}"#,
    );
    let told = explain(&sandbox, "odd", &["--input", "1", "--requests", "1000"]);
    assert!(
        told.out.contains("rounding") && told.out.contains("+$0.0000000005"),
        "{}",
        told.out
    );
    assert!(
        told.out.contains("1000 such calls cost $0.000038"),
        "{}",
        told.out
    );
    let told = explain(
        &sandbox,
        "odd",
        &["--input", "1", "--reported-cost", "0.5", "--json"],
    )
    .json();
    assert_eq!(
        (&told["cost_status"], &told["cost_nanos"]),
        (&json!("reported"), &json!(500_000_000))
    );
    let bad = explain(&sandbox, "odd", &[]);
    assert_eq!(bad.code, 2);
    assert!(bad.err.contains("--input N"), "{}", bad.err);
}

#[test]
fn an_unknown_model_is_unpriced_and_the_nearest_are_named() {
    let sandbox = Sandbox::new();
    let told = explain(&sandbox, "claude-sonet-4-5", &["--input", "1"]);
    assert_eq!(told.code, 1);
    assert!(
        told.out.contains("unpriced") && !told.out.contains('$'),
        "{}",
        told.out
    );
    assert!(told.out.contains("anthropic/claude-sonnet-4-5"), "{}", told.out);
    let shown = sandbox.run(&["pricing", "show", "claude-sonet-4-5", "--json"]);
    assert_eq!(shown.code, 1);
    let nearest = shown.json()["nearest_models"].clone();
    assert_eq!(nearest[0], "anthropic/claude-sonnet-4-5");
    let local = sandbox.run(&["pricing", "show", "llama3", "--provider", "ollama"]);
    assert_eq!(local.code, 0);
    assert!(local.out.contains("costs nothing"), "{}", local.out);
}

#[test]
fn models_are_listed_and_shown_with_all_their_rates() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "home/pricing.json",
        r#"{"own-sonnet": {"input": 0.001, "output": 0.002}}"#,
    );
    let listed = sandbox.run(&["pricing", "list", "sonnet"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let lines: Vec<&str> = listed.out.lines().collect();
    assert!(lines[0].starts_with("MODEL"), "{}", lines[0]);
    assert!(
        lines[1].starts_with("own-sonnet") && lines[1].ends_with("pricing.json"),
        "{}",
        lines[1]
    );
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.to_lowercase().contains("sonnet"))
    );
    assert!(!listed.out.contains('\u{1b}'));
    let of_one = sandbox
        .run(&["pricing", "list", "--provider", "anthropic", "--json"])
        .json();
    let models = of_one.as_array().unwrap();
    assert!(models.len() > 5 && models.iter().all(|model| model["provider"] == "anthropic"));
    let none = sandbox.run(&["pricing", "list", "no-such-model-at-all"]);
    assert_eq!((none.code, none.out.as_str()), (1, ""));
    let shown = sandbox.run(&["pricing", "show", "gemini-2.5-pro"]).out;
    assert!(shown.contains("With more than 200,000 input tokens:"), "{shown}");
    assert!(shown.contains("Service tier batch:"), "{shown}");
    sandbox.file(
        "home/pricing.json",
        r#"{"gpt-4o": {"input": 0.001, "output": 0.002}}"#,
    );
    let shown = sandbox.run(&["pricing", "show", "gpt-4o"]).out;
    assert!(shown.contains("pricing.json goes before genai-prices"), "{shown}");
}

#[test]
fn a_price_can_be_set_changed_and_removed_beside_others() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "home/pricing.json",
        "{\n  \"other\": {\"input\": 0.5, \"output\": 1e0}\n}\n",
    );
    let set = |args: &[&str]| {
        let args: Vec<&str> = ["pricing", "set"].iter().chain(args).copied().collect();
        sandbox.run(&args)
    };
    let added = set(&["mine", "--input", "0.15", "--output", ".60", "--per", "1M"]);
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.out.starts_with("added mine in "), "{}", added.out);
    assert!(added.out.contains("input $0.15, output $0.60"), "{}", added.out);
    // In the unit of a thousand: the entry keeps its own.
    let changed = set(&["mine", "--cache-read", "0.000015"]);
    assert!(changed.out.contains("cache_read $0.015"), "{}", changed.out);
    assert!(
        changed.out.contains("before: input $0.15, output $0.60"),
        "{}",
        changed.out
    );
    let text = std::fs::read_to_string(sandbox.path("home/pricing.json")).unwrap();
    assert!(
        text.contains("\"other\": {\"input\": 0.5, \"output\": 1e0}"),
        "{text}"
    );
    let told = explain(
        &sandbox,
        "mine",
        &["--input", "1000000", "--cache-read", "1000000", "--json"],
    )
    .json();
    assert_eq!(told["cost_nanos"], 15_000_000);
    assert_eq!(told["source"], "pricing.json");
    assert!(told["source_date"].is_string());
    let doubtful = set(&["gpt-4o", "--input", "2.5", "--output", "10"]);
    assert_eq!(doubtful.code, 0);
    assert!(doubtful.err.contains("1000 times dearer"), "{}", doubtful.err);
    assert_eq!(set(&["gpt-4o", "--remove"]).code, 0);
    let gone = set(&["gpt-4o", "--remove"]);
    assert_eq!(gone.code, 2);
    for wrong in [
        &["mine"][..],
        &["mine", "--input", "-1"],
        &["mine", "--input", "cheap"],
        &["", "--input", "1"],
        &["mine", "--input", "1", "--per", "1G"],
    ] {
        let refused = set(wrong);
        assert_eq!(refused.code, 2, "{wrong:?} {refused:?}");
    }
    assert_eq!(
        std::fs::read_to_string(sandbox.path("home/pricing.json")).unwrap(),
        text
    );
    sandbox.file("home/pricing.json", "{\"broken\": ");
    let broken = set(&["mine", "--input", "1"]);
    assert_eq!(broken.code, 2);
    assert!(broken.err.contains("mend it first"), "{}", broken.err);
}

#[test]
fn processes_that_set_at_once_lose_nothing() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..8)
        .map(|number| {
            let model = format!("model-{number}");
            let args = ["pricing", "set", &model, "--input", "1", "--output", "2"];
            sandbox.command(&args).spawn().unwrap()
        })
        .collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let text = std::fs::read_to_string(sandbox.path("home/pricing.json")).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file.as_object().unwrap().len(), 8, "{text}");
    // Nothing is left behind but the file and its lock.
    let left: Vec<_> = std::fs::read_dir(sandbox.home())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn another_program_s_prices_are_taken_over_not_hidden() {
    let sandbox = Sandbox::new();
    sandbox.file(
        ".pflow/pricing.json",
        r#"{"theirs": {"input": 0.001, "output": 0.002}}"#,
    );
    let set = sandbox.run(&["pricing", "set", "mine", "--input", "1", "--output", "2"]);
    assert!(set.err.contains("were taken over"), "{set:?}");
    let text = std::fs::read_to_string(sandbox.path("home/pricing.json")).unwrap();
    assert!(text.contains("theirs") && text.contains("mine"), "{text}");
}

#[test]
fn a_price_file_is_checked_with_lines_and_columns() {
    let sandbox = Sandbox::new();
    let missing = sandbox.run(&["pricing", "check"]);
    assert_eq!(missing.code, 4);
    assert!(missing.err.contains("pricing set"), "{}", missing.err);
    let good = sandbox.file("good.json", r#"{"gpt-4o": {"input": 0.0025, "output": 0.01}}"#);
    let checked = sandbox.run(&["pricing", "check", &good]);
    assert_eq!((checked.code, checked.out), (0, format!("{good}: ok\n")));
    let doubtful = sandbox.file(
        "doubtful.json",
        "{\n\"gpt-4o\": {\"input\": 2.5, \"output\": 10}}",
    );
    let checked = sandbox.run(&["pricing", "check", &doubtful]);
    assert_eq!(checked.code, 0);
    assert!(checked.out.contains(":2:21: warning: "), "{}", checked.out);
    let wrong = sandbox.file("wrong.json", "{\n\"a\": {\"input\": -1}}");
    let checked = sandbox.run(&["pricing", "check", &wrong, "--json"]);
    assert_eq!(checked.code, 2);
    let told = checked.json();
    assert_eq!(
        (&told["valid"], &told["findings"][0]["line"]),
        (&json!(false), &json!(2))
    );
    let mut child = sandbox
        .command(&["pricing", "check", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"a\": ").unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let lost = sandbox.run(&["pricing", "check", "godo.json"]);
    assert_eq!(lost.code, 4);
    assert!(lost.err.contains("did you mean `good.json`?"), "{}", lost.err);
}

#[test]
fn a_newer_file_applies_until_it_is_reset() {
    let sandbox = Sandbox::new();
    let path = sandbox.file("newer.json", &newer("4"));
    let told = sandbox.run(&["pricing", "refresh", &path]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("1 models of 1 providers"), "{}", told.out);
    assert!(
        told.out
            .contains("anthropic/claude-sonnet-4-5 input $3.00 -> $4.00"),
        "{}",
        told.out
    );
    let priced = || explain(&sandbox, "claude-sonnet-4-5", &["--input", "1000", "--json"]).json();
    assert_eq!(
        (&priced()["cost_nanos"], &priced()["source"]),
        (&json!(4_000_000), &json!("refreshed genai-prices file"))
    );
    // What the file does not have keeps its price.
    let other = explain(&sandbox, "gpt-4o", &["--input", "1000", "--json"]).json();
    assert_eq!(other["source"], "genai-prices 0.2.1");
    // What cannot be used replaces nothing.
    for (name, text, code) in [
        ("list.json", "[1]", 2),
        ("empty.json", "[]", 2),
        ("html.json", "<html>", 2),
        ("object.json", "{\"a\": 1}", 2),
    ] {
        let refused = sandbox.run(&["pricing", "refresh", &sandbox.file(name, text)]);
        assert_eq!(refused.code, code, "{name} {refused:?}");
        assert_eq!(priced()["cost_nanos"], 4_000_000);
    }
    assert_eq!(sandbox.run(&["pricing", "refresh", "newr.json"]).code, 4);
    assert_eq!(
        sandbox.run(&["pricing", "refresh", "ftp://example.com/x"]).code,
        2
    );
    let second = sandbox.file("newer.json", &newer("5"));
    assert_eq!(sandbox.run(&["pricing", "refresh", &second]).code, 0);
    assert_eq!(priced()["cost_nanos"], 5_000_000);
    // Of the files before nothing is left.
    assert_eq!(std::fs::read_dir(sandbox.path("home/prices")).unwrap().count(), 2);
    assert_eq!(sandbox.run(&["pricing", "refresh", "--reset"]).code, 0);
    assert_eq!(priced()["cost_nanos"], 3_000_000);
    assert_eq!(std::fs::read_dir(sandbox.path("home/prices")).unwrap().count(), 0);
}

#[test]
fn a_stored_file_that_is_gone_is_told_and_the_bundled_prices_apply() {
    let sandbox = Sandbox::new();
    let path = sandbox.file("newer.json", &newer("4"));
    sandbox.run(&["pricing", "refresh", &path]);
    for entry in std::fs::read_dir(sandbox.path("home/prices")).unwrap().flatten() {
        if entry.file_name() != "refreshed.json" {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let told = explain(&sandbox, "claude-sonnet-4-5", &["--input", "1000"]);
    assert!(
        told.err.contains("refreshed prices cannot be used"),
        "{}",
        told.err
    );
    assert!(told.out.contains("$0.003  priced"), "{}", told.out);
    // A note that leads elsewhere is not followed.
    sandbox.file(
        "home/prices/refreshed.json",
        r#"{"file": "../../newer.json", "format": "x", "from": "", "date": "", "models": 1}"#,
    );
    let told = explain(&sandbox, "claude-sonnet-4-5", &["--input", "1000"]);
    assert!(told.err.contains("none of ours"), "{}", told.err);
}

/// A server that gives every caller this answer.
fn serving(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _request = stream.read(&mut [0; 4096]);
            let _caller_may_be_gone = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/prices.json")
}

#[test]
fn prices_are_fetched_from_an_address() {
    let sandbox = Sandbox::new();
    let body = newer("6");
    let found = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let told = sandbox.run(&["pricing", "refresh", &serving(found), "--json"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(told.json()["dearer"][0]["after_usd"], 6.0);
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
    let told = sandbox.run(&["pricing", "refresh", &serving(missing)]);
    assert_eq!(told.code, 4);
    assert!(told.err.contains("404"), "{}", told.err);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    let told = sandbox.run(&["pricing", "refresh", &address, "--timeout", "200ms"]);
    assert_eq!(told.code, 4);
    assert!(told.err.contains("--timeout"), "{}", told.err);
    let priced = explain(&sandbox, "claude-sonnet-4-5", &["--input", "1000", "--json"]).json();
    assert_eq!(priced["cost_nanos"], 6_000_000);
}
