//! What is true of every workflow and of every text.

use std::path::Path;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use serde_json::{Map, Value, json};

use super::{MarkdownSource, canonical, formatted, to_markdown};
use crate::validate::{Form, Written};

/// Pieces that texts are made of: what the reader looks for, in any order.
const SCRAPS: [&str; 46] = [
    "\n",
    "\n\n",
    "# Title",
    "## Steps",
    "## Inputs",
    "## Outputs",
    "## Cache",
    "## Other",
    "### a",
    "### b-c",
    "### B",
    "###",
    "- type: shell",
    "- command: echo ${a.stdout}",
    "- next: a, b",
    "- on-error: a",
    "- batch:\n    items: [1]",
    "- env:\n  A: 1",
    "- env:\n\tA: 1",
    "- x",
    "- x: {",
    "- x: [${y}, 1]",
    "- x: \"",
    "- loop: {until: ${self.x}}",
    "```shell command",
    "```yaml batch",
    "```",
    "~~~",
    "````",
    "prose",
    "* bullet",
    "  ",
    "\t",
    "---",
    "---\n",
    "flowmeter:",
    "  start_node: a",
    "edges: []",
    "ü",
    "\u{feff}",
    "\r\n",
    "- prompt: |\n    x\n     y",
    "${",
    "}",
    "<!-- no description -->",
    "- code: ./x.py",
];

fn any_text(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for _ in 0..u.int_in_range(0..=40)? {
        if u.ratio(1, 20)? {
            text.push(u.arbitrary()?);
        } else {
            text.push_str(u.choose(&SCRAPS)?);
        }
        if u.ratio(3, 4)? {
            text.push('\n');
        }
    }
    Ok(text)
}

#[test]
fn no_text_makes_it_panic_and_every_problem_is_inside_of_the_file() {
    arbtest(|u| {
        let text = any_text(u)?;
        let shown = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines: Vec<&str> = shown.split('\n').collect();
        let checked = crate::check_text_as(Form::Markdown, "any", &text, Path::new("/nowhere"), None);
        let problems = match checked {
            Ok(checked) => checked.warnings,
            Err(crate::LoadError::Invalid(invalid)) => {
                assert!(invalid.error_count() > 0, "{text:?}");
                invalid.problems
            }
            Err(other) => panic!("{other}"),
        };
        for problem in problems {
            let line = lines.get(problem.line - 1);
            let line = line.unwrap_or_else(|| panic!("{problem} in {text:?}"));
            assert!(
                problem.column <= line.chars().count() + 1,
                "{problem} in {text:?}"
            );
            assert!(!problem.message.is_empty(), "{text:?}");
        }
        Ok(())
    });
}

#[test]
fn formatting_keeps_the_meaning_and_has_an_end() {
    let (mut readable, mut refused) = (0, 0);
    arbtest(|u| {
        let text = any_text(u)?;
        let is_readable =
            matches!(MarkdownSource::parse(&text, None), Ok((source, _)) if !source.has_errors());
        match formatted(&text) {
            Some(once) => {
                assert!(is_readable, "{text:?}");
                assert_eq!(formatted(&once).as_deref(), Some(once.as_str()), "{text:?}");
            }
            // What would read differently afterwards is left alone; that is for odd texts only.
            None => refused += u32::from(is_readable),
        }
        readable += u32::from(is_readable);
        Ok(())
    });
    assert!(
        refused <= 1 + readable / 20,
        "{refused} of {readable} were left alone"
    );
}

fn any_string(u: &mut Unstructured<'_>) -> Result<String> {
    const WORDS: [&str; 30] = [
        "word",
        " ",
        "\n",
        "a: b",
        "# x",
        "- y",
        "5",
        "yes",
        "null",
        "${a.stdout}",
        "\"",
        "'",
        "\\",
        "{",
        "[",
        "```",
        "~~~",
        "\t",
        "|",
        ">",
        ",",
        "ü",
        "1.5",
        "./file",
        "\r",
        "## Steps",
        "<!-- no description -->",
        "$${x}",
        ":",
        "\u{1}",
    ];
    let mut text = String::new();
    for _ in 0..u.int_in_range(0..=6)? {
        text.push_str(u.choose(&WORDS)?);
    }
    Ok(text)
}

fn any_value(u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    Ok(match u.int_in_range(0..=if depth == 0 { 5 } else { 7 })? {
        0 => Value::Null,
        1 => Value::from(u.arbitrary::<bool>()?),
        2 => Value::from(u.arbitrary::<i64>()?),
        3 => Value::from(u.arbitrary::<u64>()?),
        4 => match u.arbitrary::<f64>()? {
            number if number.is_finite() => Value::from(number),
            _ => Value::from(0.5),
        },
        5 => Value::from(any_string(u)?),
        6 => {
            let mut elements = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                elements.push(any_value(u, depth - 1)?);
            }
            Value::from(elements)
        }
        _ => {
            let mut members = Map::new();
            for _ in 0..u.int_in_range(0..=4)? {
                members.insert(any_string(u)?, any_value(u, depth - 1)?);
            }
            Value::from(members)
        }
    })
}

/// A workflow of the right shape, though its parts need not fit together.
fn any_workflow(u: &mut Unstructured<'_>) -> Result<Value> {
    let ids = ["a", "b", "c-d", "e_1", "f2", "g"];
    let count = u.int_in_range(1..=ids.len())?;
    let ids = &ids[..count];
    let mut nodes = Vec::new();
    for id in ids {
        let mut node = json!({"id": id, "type": "code", "params": {"code": any_string(u)?}});
        if u.arbitrary()? {
            node["purpose"] = Value::from(any_string(u)?);
        }
        if u.arbitrary()? {
            node["params"]["inputs"] = json!({ "x": any_value(u, 3)?, any_string(u)?: any_value(u, 2)? });
        }
        match u.int_in_range(0..=4)? {
            0 => node["batch"] = json!({"items": [any_value(u, 2)?], "parallel": u.arbitrary::<bool>()?}),
            1 => node["loop"] = json!({"until": "${self.result}", "carry": {"x": "${self.result}"}}),
            2 => node["retry"] = json!({"max": 3, "wait": 0.5, "backoff": "exponential"}),
            3 => node["cache"] = json!(u.arbitrary::<bool>()?),
            _ => {}
        }
        nodes.push(node);
    }
    let mut edges = Vec::new();
    for (position, id) in ids.iter().enumerate() {
        match u.int_in_range(0..=6)? {
            0..=2 => {
                if let Some(next) = ids.get(position + 1) {
                    edges.push(json!({"from": id, "to": next}));
                }
            }
            3 => edges.push(json!({"from": id, "to": u.choose(ids)?, "action": "default"})),
            4 => {
                let (one, other) = (*u.choose(ids)?, *u.choose(ids)?);
                edges.push(json!({"from": id, "to": one}));
                edges.push(json!({"from": id, "to": one, "action": one}));
                edges.push(json!({"from": id, "to": other, "action": other}));
            }
            5 => edges
                .push(json!({"from": id, "to": u.choose(ids)?, "action": u.choose(&["error", "x", "end"])?})),
            _ => edges.push(json!({"from": id, "to": "end"})),
        }
        if u.ratio(1, 5)? {
            edges.push(json!({"from": id, "to": u.choose(ids)?, "action": "error"}));
        }
    }
    let mut workflow = json!({"nodes": nodes, "edges": edges});
    for key in ["title", "description"] {
        if u.arbitrary()? {
            workflow[key] = Value::from(any_string(u)?);
        }
    }
    if u.arbitrary()? {
        workflow["ir_version"] = Value::from(*u.choose(&["0.1.0", "1.2.3"])?);
        workflow["$schema"] = Value::from("./workflow.schema.json");
    }
    if u.arbitrary()? {
        workflow["start_node"] = Value::from(*u.choose(ids)?);
        workflow["enable_namespacing"] = Value::from(u.arbitrary::<bool>()?);
        workflow["template_resolution_mode"] = Value::from("permissive");
    }
    if u.arbitrary()? {
        workflow["inputs"] = json!({
            "in": {"type": "any", "default": any_value(u, 2)?, "description": any_string(u)?},
            "other-one": {"required": false, "stdin": true},
        });
        workflow["outputs"] = json!({"out": {"source": any_string(u)?, "stdout": true}});
    }
    Ok(workflow)
}

/// Numbers that are no whole ones may lose their last digits in JSON texts; the property is about values.
fn read_back(text: &str) -> Value {
    match Written::parse(text, Form::Markdown, None) {
        Ok((_, value)) => value,
        Err(problems) => panic!("{problems:?} in {text}"),
    }
}

#[test]
fn a_workflow_that_can_be_written_as_markdown_comes_back_from_it() {
    let mut written = 0;
    let mut refused = 0;
    arbtest(|u| {
        let workflow = any_workflow(u)?;
        match to_markdown(&workflow) {
            Ok(text) => {
                written += 1;
                let again = read_back(&text);
                assert_eq!(canonical(again.clone()), canonical(workflow), "{text}");
                // What came from Markdown goes there again, the same to the byte.
                assert_eq!(to_markdown(&again).as_deref(), Ok(text.as_str()));
                // And it is in the house style from the beginning.
                assert_eq!(formatted(&text).as_deref(), Some(text.as_str()));
            }
            Err(why) => {
                refused += 1;
                let is_known = |what: &String| what.contains("would be the name of a file");
                assert!(
                    !why.0.is_empty() && why.0.iter().all(is_known),
                    "{why:?} for {workflow}"
                );
            }
        }
        Ok(())
    });
    assert!(written > refused, "{written} written, {refused} refused");
}
