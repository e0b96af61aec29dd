//! The grammar of templates and what they come to.

use std::collections::HashMap;
use std::sync::Arc;

use flowmeter_engine::{NodeContext, NodeError, SharedStore};
use serde_json::{Value, json};

use super::{NodeNames, ParamTemplates, Part, Resolver, Template, render_value};
use crate::document::ResolutionMode;

fn store() -> Arc<SharedStore> {
    let store = SharedStore::new();
    let root = store.root();
    root.set("input", json!("in"));
    root.set("list", json!([10, [20, 21], {"k": "v"}]));
    root.set("nothing", Value::Null);
    root.set("at", json!(1));
    let node = root.in_namespace("node");
    node.set("flag", json!(true));
    node.set("json", json!("{\"a\": {\"b\": [1, \"zwei\"]}}"));
    node.set("object", json!({"x": null, "f": 1.0, "ü": "ö", "größe": 3}));
    node.set("plain", json!("no json"));
    store
}

fn resolve_in(mode: ResolutionMode, written: Value) -> Result<Value, NodeError> {
    let store = store();
    let cx = NodeContext::new(store.root());
    let names = NodeNames {
        type_by_id: HashMap::from([("node".into(), "shell".into()), ("later".into(), "echo".into())]),
        inputs: vec!["input".into()],
        mode,
    };
    let resolver = Resolver {
        cx: &cx,
        names: &names,
        own_id: "me",
    };
    let templates =
        ParamTemplates::new(Arc::new(written)).map_err(|error| NodeError::permanent(error.to_string()))?;
    templates.resolve(&resolver).map(|value| Value::clone(&value))
}

fn resolve(written: Value) -> Value {
    resolve_in(ResolutionMode::Strict, written).unwrap()
}

fn refusal(text: &str) -> String {
    resolve_in(ResolutionMode::Strict, json!({"p": text}))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_whole_text_keeps_the_type() {
    assert_eq!(resolve(json!("${node.flag}")), json!(true));
    assert_eq!(resolve(json!("${list}")), json!([10, [20, 21], {"k": "v"}]));
    assert_eq!(resolve(json!("${nothing}")), Value::Null);
    assert_eq!(
        resolve(json!("${node.json}")),
        json!("{\"a\": {\"b\": [1, \"zwei\"]}}")
    );
    assert_eq!(
        resolve(json!({"deep": [{"er": "${at}"}], "same": 1})),
        json!({"deep": [{"er": 1}], "same": 1})
    );
}

#[test]
fn inside_a_text_values_are_written_as_pflow_does() {
    assert_eq!(
        resolve(json!(
            "${nothing}|${node.flag}|${node.object.f}|${list}|${node.object}|${input}"
        )),
        json!(
            "|True|1.0|[10, [20, 21], {\"k\": \"v\"}]|{\"x\": null, \"f\": 1.0, \"ü\": \"ö\", \"größe\": 3}|in"
        )
    );
    assert_eq!(render_value(&json!(false)), "False");
}

#[test]
fn paths_lead_through_lists_objects_and_json_texts() {
    assert_eq!(resolve(json!("${list[0]}")), json!(10));
    assert_eq!(resolve(json!("${list[2].k}")), json!("v"));
    assert_eq!(resolve(json!("${list[${at}]}")), json!([20, 21]));
    assert_eq!(resolve(json!("${node.json.a.b[${at}]}")), json!("zwei"));
    assert_eq!(resolve(json!("${node.object.größe}")), json!(3));
    assert_eq!(resolve(json!("${node.object.x}")), Value::Null);
}

#[test]
fn alternatives_are_tried_in_order() {
    assert_eq!(resolve(json!("${later.echo ?? node.flag}")), json!(true));
    assert_eq!(resolve(json!("${nothing ?? 1}")), Value::Null);
    assert_eq!(resolve(json!("${later.echo??node.nope ?? 5}")), json!(5));
    for (literal, value) in [
        ("null", Value::Null),
        ("true", json!(true)),
        ("-1.5", json!(-1.5)),
        ("\"a } \\\" b\"", json!("a } \" b")),
        ("[]", json!([])),
        ("{}", json!({})),
    ] {
        assert_eq!(
            resolve(json!(format!("${{later.echo ?? {literal}}}"))),
            value,
            "{literal}"
        );
    }
    assert_eq!(resolve(json!("<${later.echo ?? null}>")), json!("<>"));
}

#[test]
fn escaped_templates_stand_for_themselves() {
    assert_eq!(
        resolve(json!("$${HOME} $$${HOME} $5 $$ ${input}")),
        json!("${HOME} $${HOME} $5 $$ in")
    );
}

#[test]
fn what_leads_nowhere_says_what_there_is() {
    expect_test::expect!["`${node.flagg}` in parameter `p` leads nowhere: node `node` (shell) has no output `flagg`; it has flag (boolean), json (string), object (object), plain (string); did you mean `flag`?"]
        .assert_eq(&refusal("${node.flagg}"));
    expect_test::expect!["`${node.object.z}` in parameter `p` leads nowhere: `object` (object) has no member `z`; it has: x, f, ü, größe"]
        .assert_eq(&refusal("${node.object.z}"));
    expect_test::expect!["`${later.echo}` in parameter `p` leads nowhere: node `later` (echo) has not written anything: it did not run before; where it need not have run, name an alternative: `${later.echo ?? null}`"]
        .assert_eq(&refusal("${later.echo}"));
    expect_test::expect![
        "`${list[7]}` in parameter `p` leads nowhere: `list` is a list of 3; the index 7 is beyond its end"
    ]
    .assert_eq(&refusal("${list[7]}"));
    expect_test::expect![
        "`${node.plain.x}` in parameter `p` leads nowhere: `plain` (string) has no member `x`"
    ]
    .assert_eq(&refusal("${node.plain.x}"));
    let kept = resolve_in(
        ResolutionMode::Permissive,
        json!(["${node.nope}", "a ${later.x} b"]),
    )
    .unwrap();
    assert_eq!(kept, json!(["${node.nope}", "a ${later.x} b"]));
}

#[test]
fn a_wrong_index_is_told_from_a_wrong_member() {
    let reason = |text: &str| {
        let said = refusal(text);
        said.split_once(" leads nowhere: ")
            .map(|(_, reason)| reason.to_owned())
    };
    for (text, expected) in [
        (
            "${list[9].b}",
            "`list` is a list of 3; the index 9 is beyond its end",
        ),
        ("${input[0]}", "`input` (string) is no list"),
        (
            "${list[1].k}",
            "`list[1]` (array) has no member `k`; index it first: `list[1][0].k`",
        ),
        (
            "${list[2].kk}",
            "`list[2]` (object) has no member `kk`; did you mean `k`? it has: k",
        ),
        (
            "${list[${node.flag}]}",
            "the index `${node.flag}` is a whole number from 0, not boolean",
        ),
        (
            "${list[${nowhere}]}",
            "the index `${nowhere}` leads nowhere itself",
        ),
        (
            "${node.json.a.b[5]}",
            "`json.a.b` is a list of 2; the index 5 is beyond its end",
        ),
    ] {
        assert_eq!(reason(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_template_is_refused() {
    for text in [
        "${ a }",
        "${a.b.0}",
        "${a[0][0]}",
        "${}",
        "${a",
        "${a ?? }",
        "${HOME:-x}",
        "${#a}",
        "${a[\"b\"]}",
        "${a[-1]}",
        "${a..b}",
        "${a.}",
        "${a[${b[${c}]}]}",
        "${\"x\"}",
        "${a ?? 'x'}",
        "${a ?? [1]}",
        "${a ?? b }",
        "${a b}",
    ] {
        assert!(Template::parse(text).is_err(), "{text}");
    }
    let problems = Template::parse("x ${ a } ü ${b.0}").unwrap_err();
    assert_eq!(
        problems.iter().map(|problem| problem.offset).collect::<Vec<_>>(),
        [2, 12]
    );
}

#[test]
fn a_whole_value_is_shared_and_not_copied() {
    let store = store();
    let cx = NodeContext::new(store.root());
    let names = NodeNames::default();
    let resolver = Resolver {
        cx: &cx,
        names: &names,
        own_id: "me",
    };
    let template = ParamTemplates::new(Arc::new(json!("${list}"))).unwrap();
    assert!(Arc::ptr_eq(
        &template.resolve(&resolver).unwrap(),
        &store.root().get("list").unwrap()
    ));
    let written = Arc::new(json!({"a": ["no template"]}));
    let constant = ParamTemplates::new(Arc::clone(&written)).unwrap();
    assert!(Arc::ptr_eq(&constant.resolve(&resolver).unwrap(), &written));
}

#[test]
fn any_text_parses_or_is_refused_and_what_parses_is_written_back() {
    const PIECES: [&str; 20] = [
        "$", "${", "}", "$${", "a", "node.key", "[0]", "[${", "]", "??", " ", "\"", "null", "ü", ".", "-1",
        "[]", "{}", "b-c_d", "9",
    ];
    arbtest::arbtest(|u| {
        let mut text = String::new();
        while !u.is_empty() && text.len() < 200 {
            text.push_str(u.choose(&PIECES)?);
        }
        if let Ok(template) = Template::parse(&text) {
            let written = template.to_string();
            let again = Template::parse(&written)
                .unwrap_or_else(|problems| panic!("{text} -> {written}: {problems:?}"));
            assert_eq!(again.to_string(), written);
            let texts = |template: &Template| {
                template
                    .parts
                    .iter()
                    .filter(|part| matches!(part, Part::Text(_)))
                    .cloned()
                    .collect::<Vec<_>>()
            };
            assert_eq!(texts(&again), texts(&template));
        }
        Ok(())
    });
}

#[test]
fn any_text_at_all_is_read_without_panic() {
    arbtest::arbtest(|u| {
        let text: String = u.arbitrary()?;
        let _ = Template::parse(&text);
        let _ = Template::parse(&format!("${{{text}"));
        Ok(())
    });
}
