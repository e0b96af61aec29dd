//! Search: what is found, where, and what is not.
//!
//! Never says how: a backend may look at everything.

use std::sync::Arc;

use flowmeter_model::{LogLevel, SpanKind};
use serde_json::json;

use super::samples::*;
use super::{Open, Opened, Surroundings, settle};
use crate::{RunFilter, SearchHit, SearchMode, SearchPlace, SearchQuery, StoreError};

fn search(opened: &Opened, mode: SearchMode, text: &str) -> Vec<SearchHit> {
    let query = SearchQuery {
        text: text.to_owned(),
        mode,
        limit: 1_000,
        ..SearchQuery::default()
    };
    opened.store.search(&query).unwrap()
}

/// Runs whose prompts are these, one each, a second apart; the workflow of each is the number of its prompt.
fn prompts(open: Open<'_>, prompts: &[&str]) -> Opened {
    let opened = open(&Surroundings::at(after(DAY)));
    for (number, prompt) in prompts.iter().enumerate() {
        let begins = after(number as u64 * SECOND);
        let mut sample = Sample::new(200 + number as u64, &number.to_string(), begins);
        let node = sample.node("ask", begins, 9);
        let answer = "";
        sample.call(
            node,
            Call {
                prompt,
                answer,
                ..Call::default()
            },
            begins,
            5,
        );
        sample.append(&*opened.store, 10);
    }
    settle(&opened);
    opened
}

/// Which prompts are found, in the order in which they were asked.
fn found(opened: &Opened, mode: SearchMode, text: &str) -> Vec<usize> {
    let mut found: Vec<usize> = search(opened, mode, text)
        .iter()
        .map(|hit| {
            assert_eq!(hit.place, SearchPlace::Prompt, "{text}");
            assert_eq!(hit.field, "gen_ai.input.messages", "{text}");
            hit.workflow.parse().unwrap()
        })
        .collect();
    found.reverse();
    found
}

fn check(opened: &Opened, mode: SearchMode, cases: &[(&str, &[usize])]) {
    for (text, wanted) in cases {
        assert_eq!(found(opened, mode, text), *wanted, "{mode:?} `{text}`");
    }
}

pub fn words_in_any_order_and_case(open: Open<'_>) {
    let opened = prompts(
        open,
        &[
            "The Quick brown fox",
            "a fox that is QUICK; or not",
            "quickly, foxes!",
            "fox-trot and node_7 at v1.2.3, 3.14 don't",
            "Straße ΟΔΟΣ Éclair ÑANDÚ",
        ],
    );
    let cases: &[(&str, &[usize])] = &[
        ("quick", &[0, 1]),
        ("FOX quick", &[0, 1]),
        ("fox", &[0, 1, 3]),
        ("quick nothing", &[]),
        ("foxes", &[2]),
        ("fo", &[]),
        ("fox-trot", &[3]),
        ("trot fox", &[3]),
        ("trot-fox", &[]),
        ("node_7", &[3]),
        ("v1.2.3", &[3]),
        ("3.14", &[3]),
        ("don't", &[3]),
        ("straße", &[4]),
        ("STRASSE", &[]),
        ("οδος", &[4]),
        ("éclair ñandú", &[4]),
        ("user", &[]),
    ];
    check(&opened, SearchMode::Words, cases);
}

pub fn phrases_in_quotes(open: Open<'_>) {
    let opened = prompts(
        open,
        &[
            "one two three",
            "two one three",
            "one, two... three",
            "one two",
            "\"one\" \"two three\"",
        ],
    );
    let cases: &[(&str, &[usize])] = &[
        ("\"one two\"", &[0, 2, 3, 4]),
        ("\"Two  ONE\"", &[1]),
        ("\"one two three\"", &[0, 2, 4]),
        ("three \"one two\"", &[0, 2, 4]),
        ("\"one two", &[0, 2, 3, 4]),
        ("\"one\" \"three\"", &[0, 1, 2, 4]),
        ("\"\" one", &[0, 1, 2, 3, 4]),
    ];
    check(&opened, SearchMode::Words, cases);
}

pub fn five_scripts(open: Open<'_>) {
    let opened = prompts(
        open,
        &[
            "数据库连接失败，请稍后重试",
            "データベースに接続できません",
            "Не удалось подключиться к базе данных",
            "فشل الاتصال بقاعدة البيانات",
            "ไม่สามารถเชื่อมต่อกับฐานข้อมูลได้",
            "데이터베이스 연결 실패",
            "डेटाबेस से कनेक्ट नहीं हो सका",
            "iPhone用户 says 数据 is 3个",
        ],
    );
    let cases: &[(&str, &[usize])] = &[
        ("数据库", &[0]),
        ("数据", &[0, 7]),
        ("据库连", &[0]),
        ("失败 数据库", &[0]),
        ("数库", &[]),
        ("库", &[0]),
        ("败请", &[]),
        ("データ", &[1]),
        ("接続", &[1]),
        ("ベースに接", &[1]),
        ("タデ", &[]),
        ("ПОДКЛЮЧИТЬСЯ", &[2]),
        ("данных базе", &[2]),
        ("данны", &[]),
        ("الاتصال", &[3]),
        ("البيانات فشل", &[3]),
        ("ฐานข้อมูล", &[4]),
        ("เชื่อมต่อ", &[4]),
        ("연결", &[5]),
        ("데이터", &[]),
        ("कनेक्ट", &[6]),
        ("iphone", &[7]),
        ("用户", &[7]),
        ("iPhone用户", &[7]),
        ("3个", &[7]),
    ];
    check(&opened, SearchMode::Words, cases);
    let cases: &[(&str, &[usize])] = &[
        ("据库连", &[0]),
        ("ータベ", &[1]),
        ("КЛЮЧ", &[2]),
        ("اتصال", &[3]),
        ("ข้อมู", &[4]),
        ("이터", &[5]),
        ("败，请", &[0]),
    ];
    check(&opened, SearchMode::Substring, cases);
}

pub fn characters_in_a_row(open: Open<'_>) {
    let opened = prompts(
        open,
        &["foo-bar(baz)", "FOO-BARn", "100% of a_b", "tab\there", "aaa"],
    );
    let cases: &[(&str, &[usize])] = &[
        ("oo-ba", &[0, 1]),
        ("O-B", &[0, 1]),
        ("bar(", &[0]),
        ("%", &[2]),
        ("a_b", &[2]),
        ("aXb", &[]),
        ("b\th", &[3]),
        ("\"", &[]),
        ("aa", &[4]),
        (" of ", &[2]),
        ("o-", &[0, 1]),
    ];
    check(&opened, SearchMode::Substring, cases);
}

pub fn places_and_fields(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let mut sample = Sample::new(301, "places", MARCH);
    let node = sample.span(sample.key.root_span_id, SpanKind::Node, "node.llm", after(1));
    let mut call = sample.span(node.span_id, SpanKind::LlmCall, "chat", after(2));
    call.attributes.set("gen_ai.request.model", "m");
    call.attributes
        .set("gen_ai.input.messages", message("user", "needle asked"));
    call.attributes
        .set("gen_ai.output.messages", message("assistant", "needle answered"));
    let mut node = node;
    node.attributes.set("node.id", "ask");
    node.attributes.set("note", "needle noted");
    node.error = Some(flowmeter_model::SpanError {
        error_type: "timeout".into(),
        message: "failed".to_owned(),
        chain: vec!["first cause".to_owned(), "needle caused".to_owned()],
    });
    node.mutations.push(flowmeter_model::MutationRecord {
        path: "ask.text".to_owned(),
        before: None,
        after: Some(Arc::new(json!({"deep": ["needle written"]}))),
        time: after(3),
    });
    let mut params = sample.span(sample.key.root_span_id, SpanKind::Node, "node.x", after(4));
    params.params = Some(Arc::new(json!({"url": "x", "prompt": "needle given"})));
    let mut templates = sample.span(sample.key.root_span_id, SpanKind::Node, "node.x", after(5));
    templates.templates.push(flowmeter_model::TemplateResolution {
        template: "${a}".to_owned(),
        value: Arc::new(json!("needle filled in")),
    });
    let mut system = sample.span(sample.key.root_span_id, SpanKind::LlmCall, "chat", after(6));
    system.attributes.set(
        "gen_ai.system_instructions",
        json!([{"type": "text", "content": "needle told"}]),
    );
    let (call_id, node_id) = (call.span_id, node.span_id);
    for span in [call, node, params, templates, system] {
        sample.keep(ended(span, 1));
    }
    sample.log(after(7), LogLevel::Info, "needle logged");
    sample.log(after(8), LogLevel::Info, "needle logged again");
    let key = sample.append(&*opened.store, SECOND);
    settle(&opened);
    let hits = search(&opened, SearchMode::Words, "needle");
    let mut found: Vec<(&str, &str, &str)> = hits
        .iter()
        .map(|hit| (hit.place.as_str(), hit.field.as_str(), hit.context.as_str()))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("attribute", "note", "needle noted"),
            ("attribute", "params.prompt", "needle given"),
            ("attribute", "template ${a}", "needle filled in"),
            ("error", "error.chain", "needle caused"),
            ("log", "message", "needle logged"),
            ("log", "message", "needle logged again"),
            ("mutation", "ask.text", "needle written"),
            ("prompt", "gen_ai.input.messages", "needle asked"),
            ("prompt", "gen_ai.system_instructions", "needle told"),
            ("response", "gen_ai.output.messages", "needle answered"),
        ]
    );
    assert!(hits.iter().all(|hit| hit.run == key && hit.workflow == "places"));
    let prompt = hits.iter().find(|hit| hit.context == "needle asked").unwrap();
    assert_eq!(
        (prompt.span_id, prompt.node.as_str(), prompt.time),
        (Some(call_id), "ask", after(2))
    );
    let error = hits.iter().find(|hit| hit.place == SearchPlace::Error).unwrap();
    assert_eq!(
        (error.span_id, error.node.as_str(), error.time),
        (Some(node_id), "ask", after(1))
    );
    let log = hits.iter().find(|hit| hit.context == "needle logged").unwrap();
    assert_eq!((log.span_id, log.time), (Some(key.root_span_id), after(7)));
    for place in [SearchPlace::Prompt, SearchPlace::Log, SearchPlace::Mutation] {
        let query = SearchQuery {
            text: "NEEDLE".to_owned(),
            places: vec![place],
            limit: 10,
            ..SearchQuery::default()
        };
        let only = opened.store.search(&query).unwrap();
        let wanted = hits.iter().filter(|hit| hit.place == place).count();
        assert_eq!(only.len(), wanted);
        assert!(only.iter().all(|hit| hit.place == place));
    }
    for absent in ["timeout failed", "prompt", "deep", "assistant"] {
        let places: Vec<SearchPlace> = search(&opened, SearchMode::Words, absent)
            .iter()
            .map(|hit| hit.place)
            .collect();
        let wanted: &[SearchPlace] = if absent == "timeout failed" {
            &[SearchPlace::Error]
        } else {
            &[]
        };
        assert_eq!(places, wanted, "{absent}");
    }
}

pub fn the_newest_first_and_no_more_than_asked(open: Open<'_>) {
    let texts = vec!["same words"; 90];
    let opened = prompts(open, &texts);
    let query = |limit| SearchQuery {
        text: "words".to_owned(),
        limit,
        ..SearchQuery::default()
    };
    let all = opened.store.search(&query(1_000)).unwrap();
    assert_eq!(all.len(), 90);
    assert!(all.is_sorted_by(|a, b| a.time > b.time));
    for limit in [0, 1, 50, 90] {
        assert_eq!(opened.store.search(&query(limit)).unwrap(), all[..limit]);
    }
}

pub fn in_some_runs_only(open: Open<'_>) {
    let opened = prompts(open, &["needle", "needle", "hay", "needle"]);
    let query = SearchQuery {
        text: "needle".to_owned(),
        runs: RunFilter {
            workflows: vec!["1".to_owned(), "2".to_owned()],
            ..RunFilter::default()
        },
        limit: 10,
        ..SearchQuery::default()
    };
    let hits = opened.store.search(&query).unwrap();
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].workflow, "1");
}

pub fn the_context_shows_what_was_found(open: Open<'_>) {
    let long = format!(
        "{}\nthe 数据 needle's Needle\there {}",
        "before ".repeat(100),
        "behind ".repeat(100)
    );
    let opened = prompts(open, &[&long, "needle"]);
    for (mode, text) in [(SearchMode::Words, "needle"), (SearchMode::Substring, "NEEDLE")] {
        let hits = search(&opened, mode, text);
        assert_eq!(hits.len(), 2);
        let hit = &hits[1];
        assert!(!hit.context.contains(['\n', '\t']), "{hit:?}");
        let chars = hit.context.chars().count();
        assert!((100..=200).contains(&chars), "{chars}: {hit:?}");
        assert!(!hit.matches.is_empty());
        for (begins, ends) in &hit.matches {
            assert_eq!(hit.context[*begins..*ends].to_lowercase(), "needle", "{hit:?}");
        }
        assert!(hit.matches.is_sorted(), "{hit:?}");
        assert_eq!(
            (hits[0].context.as_str(), hits[0].matches.as_slice()),
            ("needle", &[(0, 6)][..])
        );
    }
    let hits = search(&opened, SearchMode::Words, "数据");
    let (begins, ends) = hits[0].matches[0];
    assert_eq!(&hits[0].context[begins..ends], "数据");
}

pub fn nothing_to_look_for_is_an_error(open: Open<'_>) {
    let opened = prompts(open, &["needle"]);
    for (mode, text) in [
        (SearchMode::Words, ""),
        (SearchMode::Words, "  "),
        (SearchMode::Words, "\"\" ... !"),
        (SearchMode::Substring, ""),
        (SearchMode::Substring, " \t"),
    ] {
        let query = SearchQuery {
            text: text.to_owned(),
            mode,
            limit: 10,
            ..SearchQuery::default()
        };
        let refused = opened.store.search(&query);
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{text:?}: {refused:?}"
        );
    }
}

pub fn words_spread_over_a_conversation(open: Open<'_>) {
    let opened = open(&Surroundings::at(after(DAY)));
    let mut sample = Sample::new(302, "talk", MARCH);
    let mut call = sample.span(sample.key.root_span_id, SpanKind::LlmCall, "chat", after(2));
    let messages = json!([
        {"role": "user", "parts": [{"type": "text", "content": "tell me of Paris"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "a town in France"}]},
        {"role": "user", "parts": [{"type": "text", "content": "and of Lyon"}]},
    ]);
    call.attributes.set("gen_ai.input.messages", messages);
    call.attributes
        .set("gen_ai.output.messages", message("assistant", "further south"));
    sample.keep(ended(call, 1));
    sample.append(&*opened.store, SECOND);
    settle(&opened);
    let count = |text: &str| search(&opened, SearchMode::Words, text).len();
    assert_eq!(count("lyon paris"), 1);
    assert_eq!(count("\"Paris a town\""), 0);
    // What was asked and what was answered are two places.
    assert_eq!(count("lyon south"), 0);
    let hit = search(&opened, SearchMode::Words, "town paris").remove(0);
    assert_eq!(hit.context, "tell me of Paris");
}
