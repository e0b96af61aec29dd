//! What is said about files that cannot run.

use std::path::Path;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use flowmeter_workflow::{LoadError, Severity, check_file, check_text, json_schema};
use serde_json::json;

fn report(text: &str) -> String {
    match check_text("test", text, Path::new("."), None) {
        Ok(checked) => checked
            .warnings
            .iter()
            .map(|warning| format!("{warning}\n"))
            .collect(),
        Err(LoadError::Invalid(invalid)) => format!("{invalid}\n"),
        Err(other) => panic!("{other}"),
    }
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&report(text));
}

#[test]
fn four_mistakes_are_reported_at_once() {
    check(
        r#"{
  "nodes": [
    {"id": "fetch", "type": "http", "params": {"url": "https://example.com", "methd": "GET"}},
    {"id": "say", "type": "ecko", "params": {"message": "${fetch.email}"}},
    {"id": "tell", "type": "echo", "params": {"message": "${fetch.status_cod} and ${fetsh.response}"}}
  ],
  "edges": [{"from": "fetch", "to": "sy"}, {"from": "say", "to": "tell"}, {"from": "fetch", "to": "say"}],
  "input": {}
}"#,
        expect![[r#"
            3:78: error: node type `http` has no parameter `methd`
                help: did you mean `method`? valid: url, method, headers, params, body, auth_token, api_key, api_key_header, timeout, propagate, propagate_baggage
            4:27: error: there is no node type `ecko`
                help: did you mean `echo`? node types: shell, code, http, llm, read-file, write-file, copy-file, move-file, delete-file, workflow, echo
            4:58: error: `${fetch.email}`: node `fetch` (http) has no output `email`; it has response, response_is_binary, status_code, response_headers, response_time, error, error_type
                help: text that a node wrote as JSON is looked into: `${node.key.member}`
            5:59: error: `${fetch.status_cod}`: node `fetch` (http) has no output `status_cod`; it has response, response_is_binary, status_code, response_headers, response_time, error, error_type
                help: did you mean `${fetch.status_code}`?
            5:83: error: `${fetsh.response}`: there is no node or input `fetsh`
                help: did you mean `fetch`? nodes: fetch, say
            7:37: error: there is no node `sy`
                help: did you mean `say`? nodes: fetch, say, tell
            8:3: error: unknown key `input` in a workflow
                help: did you mean `inputs`? valid: ir_version, nodes, edges, start_node, inputs, outputs, enable_namespacing, template_resolution_mode, budget, title, description
        "#]],
    );
}

#[test]
fn syntax_errors_name_their_place() {
    for (text, expected) in [
        (
            "",
            expect![[r#"
            1:1: error: the file is empty
                help: a workflow file is a JSON object with `nodes` and `edges`
        "#]],
        ),
        (
            "[]",
            expect![[r#"
            1:1: error: a workflow file is an object, not an array
        "#]],
        ),
        (
            "{\"nodes\": [],}",
            expect![[r#"
            1:13: error: a comma follows the last element
                help: JSON has no trailing commas: remove it
        "#]],
        ),
        (
            "{\n  // hello\n}",
            expect![[r#"
            2:3: error: JSON has no comments
                help: say it in the `purpose` of a node or the `description` of an input
        "#]],
        ),
        (
            "{\"nodes\" [1]}",
            expect![[r#"
            1:10: error: a colon is missing after the key
        "#]],
        ),
        (
            "{\"nodes\": [1 2]}",
            expect![[r#"
            1:14: error: this is not valid JSON: expected `,` or `]`
        "#]],
        ),
        (
            "{\"nodes\": [",
            expect![[r#"
            1:11: error: this `[` is never closed
        "#]],
        ),
        (
            "{'nodes': []}",
            expect![[r#"
            1:2: error: a text is in single quotes
                help: JSON has double quotes only
        "#]],
        ),
        (
            "{\"ü\": \"ü\" x}",
            expect![[r#"
            1:11: error: this is no JSON value
                help: a text stands in double quotes; the words are true, false and null
        "#]],
        ),
        (
            "{\"a\": \"x\ny\"}",
            expect![[r#"
            1:9: error: a text must not hold a line break or tab as such
                help: write a line break in a text as \n, a tab as \t
        "#]],
        ),
        (
            "{} {}",
            expect![[r#"
            1:4: error: something follows the end of the workflow
                help: a file holds one JSON object
        "#]],
        ),
        (
            "# Title",
            expect![[r#"
            1:1: error: this is no JSON value
                help: a text stands in double quotes; the words are true, false and null
        "#]],
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn shapes_are_checked_by_the_schema() {
    check(
        r#"{
  "ir_version": "1.0",
  "template_resolution_mode": "lenient",
  "nodes": [
    7,
    {"id": "a b", "type": "echo", "params": {"message": 1}},
    {"id": "end", "type": "echo", "params": {}},
    {"type": "shell"},
    {"id": "c", "type": "shell", "command": "ls", "retry": {"max": 11, "backof": "fixed"}},
    {"id": "d", "type": "shell", "params": {"command": 5, "timeout": "soon"},
     "batch": {"items": [], "max_concurrent": 0, "error_handling": "stop"}, "loop": {"while": "${d.stdout}", "until": "x"}},
    {"id": "d", "type": "echo", "params": {"message": "x"}, "parameters": {}, "cache": "yes"}
  ],
  "inputs": {"n": {"type": "int", "default": 1}, "m": {"type": "integer", "default": "x", "stdin": true}, "o": {"stdin": true}},
  "outputs": {"p": {"source": 4}}
}"#,
        expect![[r#"
            2:17: error: `1.0` is no version: three numbers are wanted, as in "0.1.0"
            3:31: error: `template_resolution_mode` cannot be `lenient`
                help: valid: strict, permissive
            5:5: error: a node is an object, not an integer: 7
            6:12: error: `a b` is no valid id: it begins with a letter or `_`, then letters, digits, `_` and `-`
            7:12: error: `end` is a reserved id
                help: edges to `end` end the flow; give the node another id
            7:45: error: node type `echo` needs the parameter `message`
                help: `message` (any): what to give back, of any type
            8:5: error: a node needs `id`
            8:5: error: node type `shell` needs the parameter `command`
                help: `command` (string): the command, for `sh -c`
            9:5: error: node type `shell` needs the parameter `command`
                help: `command` (string): the command, for `sh -c`
            9:34: error: unknown key `command` in a node
                help: parameters belong into `params`: "params": {"command": …}
            9:68: error: `max` is at most 10, not 11
            9:72: error: unknown key `backof` in `retry`
                help: did you mean `backoff`? valid: max, wait, backoff
            10:5: error: a node cannot have both `batch` and `loop`
            10:56: error: parameter `command` is a string, not an integer: 5
            10:70: error: parameter `timeout` is a number or a template, not a string: "soon"
                help: `timeout` (number): the longest it may take, in seconds
            11:25: error: `items` must not be empty
            11:47: error: `max_concurrent` is at least 1, not 0
            11:68: error: `error_handling` cannot be `stop`
                help: valid: fail_fast, continue
            11:85: error: a loop has either `while` or `until`, not both
            11:119: error: `until` must be a template such as `${node.key}`, not "x"
            12:5: error: a node has either `params` or `parameters`, not both
            12:12: error: the node id `d` is used twice
                help: nodes[3] has it already; ids are unique
            12:75: error: node type `echo` needs the parameter `message`
                help: `message` (any): what to give back, of any type
            12:88: error: `cache` is a boolean or an object, not a string: "yes"
            14:14: warning: input `n` is never used
            14:28: error: `type` cannot be `int`
                help: did you mean `integer`? valid: string, number, integer, boolean, array, object, any
            14:50: warning: input `m` is never used
            14:86: error: the default of input `m` is of type string, but the input is of type integer
            14:107: warning: input `o` is never used
            14:113: error: only one input can take standard input
                help: input `m` takes it already
            15:15: warning: output `p` has no `source`
                help: say where it comes from: "source": "${node.key}"
            15:31: error: `source` is a string, not an integer: 4
        "#]],
    );
}

#[test]
fn templates_are_checked() {
    check(
        r#"{
  "inputs": {"name": {"type": "string"}, "count": {"type": "integer"}, "spare": {}},
  "nodes": [
    {"id": "first", "type": "shell", "params": {"command": "ü ${ name } ${name.0} ${first} ${nam}", "env": {"A": "${later.stdout}"}}},
    {"id": "later", "type": "echo", "params": {"message": ["${count.digits}", "${later.echo}", "${item}", "${first.exit_code.x}"]}},
    {"id": "many", "type": "shell", "params": {"command": "echo ${thing} ${__index__} ${many.stdout ?? \"x\"}"},
     "batch": {"items": "${first.stdout}", "as": "thing"}},
    {"id": "after", "type": "echo", "params": {"message": "${many.stdout} ${many.results[0].stdout} ${first.stdou ?? later.echo ?? 1}"}},
    {"id": "lost", "type": "echo", "params": {"message": "$${HOME} ${name}"}}
  ],
  "edges": [{"from": "first", "to": "later"}, {"from": "later", "to": "many"}, {"from": "many", "to": "after", "action": "yes"}],
  "outputs": {"out": {"source": "${afer.echo}"}, "plain": {"source": "after.echo"}}
}"#,
        expect![[r#"
            2:72: warning: input `spare` is never used
            4:63: error: `${ name }` is not a template: there are spaces inside the braces
                help: write `${name}` without spaces; only `??` may stand between spaces
            4:73: error: `${name.0}` is not a template: a name cannot begin with a digit
                help: index a list as `items[0]`, not `items.0`
            4:83: error: `${first}`: node `first` (shell) is no value; name one of its outputs
                help: it has stdout, stdout_is_binary, stderr, stderr_is_binary, exit_code, command, error, error_type
            4:92: error: `${nam}`: there is no node or input `nam`
                help: did you mean `name`? inputs: name, count, spare; nodes: later, many, after, lost
            4:115: error: `${later.stdout}`: node `later` (echo) has no output `stdout`; it has echo, error, error_type
            5:61: error: `${count.digits}`: input `count` is of type integer; there is nothing inside
                help: write `${count}`
            5:80: error: `${later.echo}`: node `later` uses its own output, which is not there before it has run
            5:97: error: `${item}`: there is no `item` here: the node has no `batch`
                help: inputs: name, count, spare; nodes: first, many, after, lost
            5:108: error: `${first.exit_code.x}`: `first.exit_code` is of type integer; there is nothing inside
            6:87: warning: `${many.stdout ?? "x"}`: node `many` (shell, batch) has no output `stdout`; it has results, count, success_count, error_count, errors, batch_metadata, error, error_type
            8:60: error: `${many.stdout}`: node `many` (shell, batch) has no output `stdout`; it has results, count, success_count, error_count, errors, batch_metadata, error, error_type
            8:101: warning: `${first.stdou ?? later.echo ?? 1}`: node `first` (shell) has no output `stdou`; it has stdout, stdout_is_binary, stderr, stderr_is_binary, exit_code, command, error, error_type
                help: did you mean `${first.stdout}`?
            9:12: warning: node `lost` is never reached: no edge leads to it
            11:122: warning: node `many` (shell) never returns the action `yes`
                help: its actions: default, error
            12:34: error: `${afer.echo}`: there is no node or input `afer`
                help: did you mean `after`? inputs: name, count, spare; nodes: first, later, many, after, lost
            12:70: warning: the source "after.echo" is a text, not a template
                help: write "${after.echo}"
        "#]],
    );
}

#[test]
fn duplicate_keys_and_edges_are_found() {
    check(
        r#"{"nodes": [{"id": "a", "id": "b", "type": "echo", "params": {"message": "x"}}],
 "edges": [{"from": "b", "to": "end"}, {"from": "b", "to": "end"}, {"from": "x", "to": "b"}], "start_node": "c"}"#,
        expect![[r#"
            1:24: error: the key `id` is given twice
            2:40: warning: this edge from `b` to `end` is there twice
            2:77: error: there is no node `x`
                help: nodes: b
            2:109: error: there is no node `c`
                help: nodes: b
        "#]],
    );
}

#[test]
fn columns_count_characters() {
    let text = "\u{feff}{\"nodes\": [{\"id\": \"a\", \"type\": \"echo\", \"purpose\": \"größe 👍\", \"params\": {\"message\": \"\\u00e4\\ud83d\\udc4d\\n${b.x}\"}}]}";
    check(
        text,
        expect![[r#"
        1:105: error: `${b.x}`: there is no node or input `b`
    "#]],
    );
}

#[test]
fn nested_files_are_checked_with_their_parents() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "a.json",
        r#"{"nodes": [{"id": "x", "type": "workflow", "params": {"workflow_path": "b.json"}}]}"#,
    );
    write(
        "b.json",
        r#"{"nodes": [{"id": "y", "type": "workflow", "params": {"workflow_path": "./a.json"}}]}"#,
    );
    write(
        "child.json",
        r#"{"inputs": {"text": {"type": "string", "description": "What to say."}, "n": {"type": "integer", "default": 1}},
            "nodes": [{"id": "e", "type": "echo", "params": {"message": "${text} ${n}"}}],
            "outputs": {"said": {"source": "${e.echo}"}}}"#,
    );
    write(
        "parent.json",
        r#"{"nodes": [
  {"id": "one", "type": "workflow", "params": {"workflow_path": "chidl.json"}},
  {"id": "two", "type": "workflow", "params": {"workflow_path": "child.json", "inputs": {"txt": "x", "n": "many"}}},
  {"id": "three", "type": "echo", "params": {"message": "${two.sad}"}},
  {"id": "four", "type": "workflow", "params": {"workflow_name": "saved"}},
  {"id": "five", "type": "workflow", "params": {}}
], "edges": [{"from": "one", "to": "two"}, {"from": "two", "to": "three"}, {"from": "three", "to": "four"}, {"from": "four", "to": "five"}]}"#,
    );
    let shown = |name: &str| {
        let error = check_file(&folder.path().join(name), None)
            .unwrap_err()
            .to_string();
        error
            .replace(&*folder.path().canonicalize().unwrap().to_string_lossy(), "DIR")
            .replace(&*folder.path().to_string_lossy(), "DIR")
    };
    expect![[r#"
        DIR/a.json:1:72: error: the nested workflow `DIR/b.json` has a problem
            help: DIR/b.json:1:72: error: the workflow runs itself: a.json → b.json → a.json"#]]
    .assert_eq(&shown("a.json"));
    expect![[r#"
        DIR/parent.json:2:65: error: there is no workflow file `DIR/chidl.json`
            help: did you mean `child.json`? in that folder: a.json, b.json, child.json, parent.json
        DIR/parent.json:3:79: error: the nested workflow `child` needs the input `text`
            help: `text` (string): What to say.
        DIR/parent.json:3:90: error: the nested workflow `child` has no input `txt`
            help: did you mean `text`? its inputs: text, n
        DIR/parent.json:3:107: error: input `n` of the nested workflow `child` is of type integer, not string
        DIR/parent.json:4:58: error: `${two.sad}`: node `two` (workflow) has no output `sad`; it has said, error, error_type
            help: did you mean `${two.said}`?
        DIR/parent.json:5:66: error: the saved workflow `saved` cannot be looked up: no folder of saved workflows is set
        DIR/parent.json:6:3: error: a nested workflow needs `workflow_path` or `workflow_name`"#]].assert_eq(&shown("parent.json"));
    expect!["cannot read the workflow file `DIR/missing.json`"].assert_eq(&shown("missing.json"));
}

#[test]
fn a_problem_far_inside_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    for (name, inner) in [("a", "b.json"), ("b", "c.json")] {
        let text = format!(
            r#"{{"nodes": [{{"id": "x", "type": "workflow", "params": {{"workflow_path": "{inner}"}}}}]}}"#
        );
        std::fs::write(folder.path().join(format!("{name}.json")), text).unwrap();
    }
    std::fs::write(
        folder.path().join("c.json"),
        r#"{"nodes": [{"id": "x", "type": "ecko"}]}"#,
    )
    .unwrap();
    let error = check_file(&folder.path().join("a.json"), None)
        .unwrap_err()
        .to_string();
    expect![[r#"
        DIR/a.json:1:72: error: the nested workflow `DIR/b.json` has a problem
            help: DIR/c.json:1:32: error: there is no node type `ecko`; did you mean `echo`? node types: shell, code, http, llm, read-file, write-file, copy-file, move-file, delete-file, workflow, echo"#]]
    .assert_eq(&error.replace(&*folder.path().to_string_lossy(), "DIR"));
}

#[test]
fn the_failure_of_any_node_can_be_named() {
    check(
        r#"{"nodes": [{"id": "b", "type": "shell", "params": {"command": "x"}, "batch": {"items": [1]}}, {"id": "e", "type": "echo", "params": {"message": "${b.error} ${b.error_type}"}}], "edges": [{"from": "b", "to": "e", "action": "error"}]}"#,
        expect![""],
    );
}

#[test]
fn the_schema_is_a_valid_schema_and_knows_the_node_types() {
    let schema = json_schema();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": 1}}]})));
    assert!(!validator.is_valid(&json!({"nodes": [{"id": "a", "type": "echo", "params": {"mesage": 1}}]})));
}

#[test]
fn a_file_of_ten_thousand_nodes_is_checked_quickly() {
    let nodes: Vec<_> = (0..10_000)
        .map(|n| {
            let before = if n == 0 {
                "start".to_owned()
            } else {
                format!("${{node_{}.echo}}", n - 1)
            };
            json!({"id": format!("node_{n}"), "type": "echo", "params": {"message": before}})
        })
        .collect();
    let edges: Vec<_> = (1..10_000)
        .map(|n| json!({"from": format!("node_{}", n - 1), "to": format!("node_{n}")}))
        .collect();
    let text = json!({"nodes": nodes, "edges": edges}).to_string();
    let begun = Instant::now();
    let checked = check_text("large", &text, Path::new("."), None).unwrap();
    let limit = if cfg!(debug_assertions) {
        Duration::from_secs(5)
    } else {
        Duration::from_millis(250)
    };
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    assert_eq!(checked.document.nodes.len(), 10_000);
    assert!(
        checked
            .warnings
            .iter()
            .all(|warning| warning.severity == Severity::Warning)
    );
}

#[test]
fn a_value_of_the_wrong_type_is_said_once() {
    check(
        r#"{"nodes": ["x", {"id": "a", "type": "echo", "params": {"message": 1}, "loop": 1}, {"id": "b", "type": "eco", "params": []}]}"#,
        expect![[r#"
            1:12: error: a node is an object, not a string: "x"
            1:79: error: `loop` is an object, not an integer: 1
            1:103: error: there is no node type `eco`
                help: did you mean `echo`? node types: shell, code, http, llm, read-file, write-file, copy-file, move-file, delete-file, workflow, echo
            1:120: error: `params` is an object, not an array
        "#]],
    );
}

#[test]
fn a_node_may_be_called_self() {
    check(
        r#"{"nodes": [{"id": "self", "type": "echo", "params": {"message": 1}}, {"id": "b", "type": "echo", "params": {"message": "${self.echo}"}}], "edges": [{"from": "self", "to": "b"}]}"#,
        expect![""],
    );
}

#[test]
fn brackets_numbers_and_escapes_say_what_to_write() {
    check(
        r#"{"inputs": {"a": {"type": "array"}}, "nodes": [{"id": "b", "type": "echo", "params": {"message": ["${a[-1]}", "${a[b.c]}"]}}]}"#,
        expect![[r#"
            1:13: warning: input `a` is never used
            1:100: error: `${a[-1]}` is not a template: brackets hold a number or `${path}`
                help: an index counts from 0; there are no negative ones
            1:112: error: `${a[b.c]}` is not a template: brackets hold a number or `${path}`
                help: write an index that is looked up as `items[${path}]`; name a member with a dot: `node.key`
        "#]],
    );
    check(
        r#"{"nodes": [1e400]}"#,
        expect![[r#"
            1:16: error: this number is too large
                help: write it as a text, in double quotes
        "#]],
    );
    check(
        r#"{"nodes": "\ud800"}"#,
        expect![[r#"
            1:18: error: half a character is escaped here
                help: a character above \uffff is two escapes, one behind the other; or write it as such
        "#]],
    );
}
