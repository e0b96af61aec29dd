//! Help, node types, schema, completions.

use expect_test::expect;
use flowmeter_workflow::nodes::node_types;

use crate::support::Sandbox;

#[test]
fn alone_it_prints_its_help() {
    let ended = Sandbox::new().run::<&str>(&[]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
    assert!(
        ended.out.contains("Usage: flowmeter") && ended.out.contains("Examples:"),
        "{}",
        ended.out
    );
}

#[test]
fn every_subcommand_has_examples() {
    let sandbox = Sandbox::new();
    for command in [
        "run",
        "show",
        "validate",
        "nodes",
        "schema",
        "demo",
        "config",
        "completions",
    ] {
        let ended = sandbox.run(&[command, "--help"]);
        assert_eq!(ended.code, 0);
        assert!(ended.out.contains("Examples:\n  "), "{command}: {}", ended.out);
    }
}

#[test]
fn a_misspelt_command_is_bad_usage_with_a_suggestion() {
    let sandbox = Sandbox::new();
    let ended = sandbox.run(&["valdate"]);
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("'validate'"), "{}", ended.err);
    assert_eq!(sandbox.run(&["run"]).code, 2);
    assert_eq!(sandbox.run(&["run", "x.json", "--output-format", "yaml"]).code, 2);
    assert!(sandbox.run(&["--version"]).out.starts_with("flowmeter 0."));
}

#[test]
fn node_types_are_listed_and_described() {
    let sandbox = Sandbox::new();
    let listed = sandbox.run(&["nodes"]).out;
    for node_type in node_types() {
        assert!(listed.contains(node_type.name), "{listed}");
        let described = sandbox.run(&["nodes", node_type.name]).out;
        let names = node_type
            .params
            .iter()
            .map(|spec| spec.name)
            .chain(node_type.outputs.iter().map(|spec| spec.name));
        for name in names {
            assert!(described.contains(&format!("\n  {name} ")), "{name}: {described}");
        }
    }
    expect![[r#"
        echo: Gives its message back; for tests.

        Parameters:
          message  any, required; what to give back, of any type

        Outputs:
          echo        any; the message
          error       string; what went wrong; only written with the action `error`
          error_type  string; the sort of failure, such as `timeout`; only written with the action `error`

        Actions: default, error
        Attempts: 1

        Example:
          {"id":"my_echo","type":"echo","params":{"message":"…"}}
    "#]]
    .assert_eq(&sandbox.run(&["nodes", "echo"]).out);
    let unknown = sandbox.run(&["nodes", "ehco"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("did you mean `echo`?"), "{}", unknown.err);
    assert_eq!(
        sandbox
            .run(&["nodes", "--format", "json"])
            .json()
            .as_array()
            .map(Vec::len),
        Some(node_types().len())
    );
}

#[test]
fn the_schema_is_json_and_completions_are_scripts() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["schema"]).json(), flowmeter_workflow::json_schema());
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = sandbox.run(&["completions", shell]);
        assert_eq!(ended.code, 0);
        assert!(ended.out.contains("flowmeter"), "{shell}");
    }
}

#[test]
fn a_node_type_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    for (name, said) in [
        ("", "error: no node type is named; `flowmeter nodes` lists them\n"),
        (
            "zzzzzz",
            "error: there is no node type `zzzzzz`; `flowmeter nodes` lists them\n",
        ),
        (
            "ecko",
            "error: there is no node type `ecko`; did you mean `echo`? `flowmeter nodes` lists them\n",
        ),
    ] {
        let ended = sandbox.run(&["nodes", name]);
        assert_eq!((ended.code, ended.err.as_str()), (2, said));
    }
}
