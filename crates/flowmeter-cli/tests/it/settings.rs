//! Settings from file, environment and flags.

use flowmeter_workflow::scripted_model::Script;
use serde_json::json;

use crate::support::{Model, Sandbox};

fn hello(sandbox: &Sandbox) -> String {
    sandbox.workflow(
        "hello.json",
        &json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": "hi"}}]}),
    )
}

#[test]
fn the_flag_goes_before_the_environment_and_that_before_the_file() {
    let sandbox = Sandbox::new().with("FLOWMETER_OUTPUT_FORMAT", "json");
    sandbox.file("home/config.toml", "output_format = \"text\"\n[traces]\nkeep = 7");
    let workflow = hello(&sandbox);
    assert_eq!(sandbox.run(&["run", &workflow]).json()["result"], "hi");
    assert_eq!(
        sandbox.run(&["run", &workflow, "--output-format", "text"]).out,
        "hi\n"
    );
    let shown = sandbox.run(&["config"]).out;
    let lines: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(
        lines.contains(&vec!["output_format", "json", "(FLOWMETER_OUTPUT_FORMAT)"]),
        "{shown}"
    );
    assert!(
        lines.contains(&vec!["traces.keep", "7", "(config.toml)"]),
        "{shown}"
    );
    assert_eq!(
        sandbox.run(&["config", "--format", "json"]).json()["settings"]["progress"]["from"],
        "default"
    );
}

#[test]
fn an_unknown_key_is_a_warning_and_a_broken_file_an_error() {
    let sandbox = Sandbox::new();
    sandbox.file("home/config.toml", "outptu_format = \"json\"");
    let workflow = hello(&sandbox);
    let ended = sandbox.run(&["run", &workflow]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"));
    assert!(
        ended
            .err
            .contains("there is no setting `outptu_format`; did you mean `output_format`?"),
        "{}",
        ended.err
    );
    assert_eq!(sandbox.run(&["run", &workflow, "--quiet"]).err, "");
    sandbox.file("home/config.toml", "output_format = ");
    assert_eq!(sandbox.run(&["run", &workflow]).code, 2);
    sandbox.file("home/config.toml", "output_format = \"yaml\"");
    let ended = sandbox.run(&["run", &workflow]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("must be one of text, json"), "{}", ended.err);
}

#[test]
fn the_default_model_answers_where_the_node_names_none() {
    let model = Model::new(Script::new());
    let sandbox = Sandbox::asking(&model);
    let document = json!({"nodes": [{"id": "ask", "type": "llm", "params": {"prompt": "hi"}}]});
    let workflow = sandbox.workflow("ask.json", &document);
    // Nobody names one: that of the first key, which is said.
    let ended = sandbox.run(&["run", &workflow]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let said = "nodes that name no model ask openai/gpt-4.1 (OPENAI_API_KEY is set; --model chooses another)";
    assert!(ended.err.contains(said), "{}", ended.err);
    assert_eq!(Sandbox::new().run(&["run", &workflow]).code, 1);
    assert_eq!(
        sandbox
            .run(&["run", &workflow, "--model", "openai/from-flag"])
            .code,
        0
    );
    sandbox.file("home/config.toml", "model = \"openai/from-file\"");
    assert_eq!(sandbox.run(&["run", &workflow]).code, 0);
    let asked: Vec<_> = model
        .server
        .requests()
        .iter()
        .map(|request| request.body["model"].clone())
        .collect();
    assert_eq!(asked, ["gpt-4.1", "from-flag", "from-file"]);
}

#[test]
fn an_input_may_come_from_default_environment_or_settings() {
    let sandbox = Sandbox::new().with("team", "from-environment");
    sandbox.file(
        "home/config.toml",
        "[inputs]\nteam = \"from-settings\"\nregion = \"north\"",
    );
    let document = json!({
        "inputs": {"team": {"type": "string"}, "region": {"type": "string"}, "kind": {"type": "string", "default": "plain"}},
        "nodes": [{"id": "a", "type": "echo", "params": {"message": "${team} ${region} ${kind}"}}]
    });
    let workflow = sandbox.workflow("w.json", &document);
    assert_eq!(
        sandbox.run(&["run", &workflow]).out,
        "from-environment north plain\n"
    );
    assert_eq!(
        sandbox.run(&["run", &workflow, "team=mine"]).out,
        "mine north plain\n"
    );
}
