//! A workflow written as Markdown.
//!
//! Whoever calls it reads the text again and compares: nothing is lost unsaid. Never reads a file.

use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::assemble::{FRONT_KEY, FRONT_MEMBERS, LIFTED, NEXT, ON_ERROR};
use super::edges::{self, Target, Way};
use super::emit;
use super::entries::{NO_DESCRIPTION, is_id};
use super::references;
use crate::compile::END;

/// The Markdown, or what of the workflow has no place in it.
pub(super) fn write(workflow: &Value) -> Result<String, Vec<String>> {
    let empty = Map::new();
    let top = workflow.as_object().unwrap_or(&empty);
    let mut writer = Writer {
        text: String::new(),
        losses: Vec::new(),
    };
    let nodes: Vec<&Map<String, Value>> = objects(top.get("nodes"));
    let ways = ways(&nodes, top.get("edges"));
    writer.front_matter(top, ways.is_some());
    writer.head(top);
    writer.declarations("Inputs", top.get("inputs"));
    writer.paragraph("## Steps");
    for (position, node) in nodes.iter().enumerate() {
        writer.step(node, ways.as_ref().and_then(|ways| ways.get(position)));
    }
    writer.declarations("Outputs", top.get("outputs"));
    if writer.losses.is_empty() {
        Ok(writer.text)
    } else {
        Err(writer.losses)
    }
}

fn objects(list: Option<&Value>) -> Vec<&Map<String, Value>> {
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect()
}

fn text_in<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

/// An edge: from, to, and the action where it is not the default.
type PlainEdge = (SmolStr, SmolStr, Option<SmolStr>);

/// The edges of a document; those of one node and action stay in their order, the others have none that matters.
pub(super) fn plain_edges(edges: Option<&Value>) -> Vec<PlainEdge> {
    let mut plain: Vec<PlainEdge> = objects(edges)
        .into_iter()
        .map(|edge| {
            let text = |key: &str| SmolStr::new(text_in(edge, key).unwrap_or_default());
            let action = Some(text("action")).filter(|action| !action.is_empty() && action != "default");
            (text("from"), text("to"), action)
        })
        .collect();
    plain.sort_by(|one, other| (&one.0, &one.2).cmp(&(&other.0, &other.2)));
    plain
}

/// `next` and `on-error` of each node; `None` where these cannot say what the edges do.
fn ways(nodes: &[&Map<String, Value>], edges: Option<&Value>) -> Option<Vec<Way>> {
    let wanted = plain_edges(edges);
    let written = objects(edges);
    let ids: Vec<&str> = nodes
        .iter()
        .map(|node| text_in(node, "id").unwrap_or_default())
        .collect();
    let mut ways: Vec<Way> = Vec::with_capacity(ids.len());
    let mut leaving: std::collections::HashMap<&str, Vec<&Map<String, Value>>> =
        std::collections::HashMap::new();
    for edge in written {
        leaving.entry(text_in(edge, "from")?).or_default().push(edge);
    }
    let target = |id: &str| Target {
        id: SmolStr::new(id),
        offset: 0,
    };
    for id in &ids {
        let mut way = Way {
            id: SmolStr::new(id),
            ..Way::default()
        };
        let (mut default, mut named) = (Vec::new(), Vec::new());
        for edge in leaving.get(id).into_iter().flatten() {
            let to = text_in(edge, "to")?;
            match text_in(edge, "action") {
                None | Some("" | "default") => default.push(target(to)),
                Some("error") if way.on_error.is_none() => way.on_error = Some(target(to)),
                Some(_) => named.push(target(to)),
            }
        }
        way.next = Some(match (default.len(), named.is_empty()) {
            (0, true) => vec![target(END)],
            (1, true) => default,
            _ => named,
        });
        ways.push(way);
    }
    // Where a step leads to the one below it and nothing branches, the order says so.
    let branched: std::collections::HashSet<SmolStr> = ways
        .iter()
        .flat_map(|way| {
            let several = way.next.iter().filter(|next| next.len() > 1).flatten();
            several.chain(&way.on_error).map(|target| target.id.clone())
        })
        .collect();
    for (position, way) in ways.iter_mut().enumerate() {
        let following = ids.get(position + 1).copied();
        let next = way.next.as_deref().unwrap_or_default();
        let is_implied = match (next, following) {
            ([only], Some(following)) => only.id == following,
            ([only], None) => only.id == END,
            _ => false,
        };
        let is_branch =
            branched.contains(&way.id) || following.is_some_and(|following| branched.contains(following));
        if is_implied && !is_branch {
            way.next = None;
        }
    }
    let mut complaints = Vec::new();
    let drawn = edges::located(edges::edges(&ways, &mut complaints), 0).value;
    (complaints.is_empty() && plain_edges(Some(&drawn)) == wanted).then_some(ways)
}

struct Writer {
    text: String,
    losses: Vec<String>,
}

/// Whether prose is read back as it is: no line of it is something else.
fn is_prose(text: &str) -> bool {
    let is_odd = |line: &str| {
        let body = line.trim_start();
        line.trim_end() != line
            || body.starts_with(['#', '-', '`', '~'])
            || line.contains('\r')
            || line.starts_with('\t')
    };
    !text.is_empty() && text.trim() == text && text != NO_DESCRIPTION && !text.split('\n').any(is_odd)
}

impl Writer {
    /// Adds lines, with a blank one in front.
    fn paragraph(&mut self, lines: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(lines);
        self.text.push('\n');
    }

    /// What has no place in the Markdown itself.
    fn front_matter(&mut self, top: &Map<String, Value>, edges_are_written: bool) {
        let mut front = Map::new();
        for key in FRONT_MEMBERS {
            let Some(value) = top.get(key) else { continue };
            let is_written = match key {
                "ir_version" => value == "0.1.0",
                "title" => value.as_str().is_some_and(is_title),
                "description" => value.as_str().is_some_and(is_prose),
                "edges" => edges_are_written,
                _ => false,
            };
            if !is_written {
                front.insert(key.to_owned(), value.clone());
            }
        }
        if !edges_are_written && !front.contains_key("edges") {
            front.insert("edges".to_owned(), Value::Array(Vec::new()));
        }
        if front.is_empty() {
            return;
        }
        let mut text = format!("---\n{FRONT_KEY}:");
        emit::block(&Value::Object(front), 2, &mut text);
        text.push_str("\n---");
        self.paragraph(&text);
    }

    fn head(&mut self, top: &Map<String, Value>) {
        if let Some(title) = text_in(top, "title").filter(|title| is_title(title)) {
            self.paragraph(&format!("# {title}"));
        }
        if let Some(description) = text_in(top, "description").filter(|text| is_prose(text)) {
            self.paragraph(description);
        }
    }

    /// Prose below a heading; what cannot be prose becomes a parameter, which is handed back.
    fn describe(&mut self, text: Option<&str>, key: &str) -> Option<String> {
        match text {
            Some(text) if is_prose(text) => {
                self.paragraph(text);
                None
            }
            text => {
                self.paragraph(NO_DESCRIPTION);
                text.map(|text| emit::bullet(key, &Value::from(text)))
            }
        }
    }

    fn entry(&mut self, what: &str, id: &str) {
        if !is_id(id) {
            self.losses.push(format!(
                "the {what} `{id}`: in Markdown, ids begin with a small letter, then small letters, digits, `_` and `-`"
            ));
        }
        self.paragraph(&format!("### {id}"));
    }

    fn declarations(&mut self, title: &str, declared: Option<&Value>) {
        let Some(declared) = declared
            .and_then(Value::as_object)
            .filter(|declared| !declared.is_empty())
        else {
            return;
        };
        self.paragraph(&format!("## {title}"));
        let what = title.trim_end_matches('s').to_lowercase();
        for (name, members) in declared {
            self.entry(&what, name);
            let empty = Map::new();
            let members = members.as_object().unwrap_or(&empty);
            let mut bullets: Vec<String> = self
                .describe(text_in(members, "description"), "description")
                .into_iter()
                .collect();
            let mut fences = Vec::new();
            for (key, value) in members.iter().filter(|(key, _)| *key != "description") {
                self.refuse_reference(&format!("the {what} `{name}`"), key, value);
                put(key, value, None, &mut bullets, &mut fences);
            }
            self.params(&bullets, &fences);
        }
    }

    fn params(&mut self, bullets: &[String], fences: &[String]) {
        if !bullets.is_empty() {
            self.paragraph(&bullets.join("\n"));
        }
        for fence in fences {
            self.paragraph(fence);
        }
    }

    fn refuse_reference(&mut self, place: &str, key: &str, value: &Value) {
        if references::is_reference(key, value) {
            self.losses.push(format!(
                "`{key}` of {place}: in Markdown, {value} would be the name of a file; add a space to it"
            ));
        }
    }

    fn step(&mut self, node: &Map<String, Value>, way: Option<&Way>) {
        let id = text_in(node, "id").unwrap_or_default();
        self.entry("node", id);
        let mut bullets = Vec::new();
        let mut fences = Vec::new();
        let purpose = self.describe(text_in(node, "purpose"), "purpose");
        let node_type = text_in(node, "type");
        if let Some(node_type) = node.get("type") {
            bullets.push(emit::bullet("type", node_type));
        }
        bullets.extend(purpose);
        let params = node.get("params").or_else(|| node.get("parameters"));
        for (key, value) in params.and_then(Value::as_object).into_iter().flatten() {
            if LIFTED.contains(&key.as_str()) || [NEXT, ON_ERROR].contains(&key.as_str()) {
                self.losses.push(format!(
                    "`{key}` in the parameters of node `{id}`: in Markdown, that word means something else"
                ));
                continue;
            }
            self.refuse_reference(&format!("node `{id}`"), key, value);
            put(key, value, node_type, &mut bullets, &mut fences);
        }
        for key in LIFTED.iter().filter(|key| !["type", "purpose"].contains(*key)) {
            if let Some(value) = node.get(*key) {
                put(key, value, node_type, &mut bullets, &mut fences);
            }
        }
        if let Some(way) = way {
            if let Some(next) = &way.next {
                let ids: Vec<&str> = next.iter().map(|target| target.id.as_str()).collect();
                bullets.push(emit::bullet(NEXT, &Value::from(ids.join(", "))));
            }
            if let Some(target) = &way.on_error {
                bullets.push(emit::bullet(ON_ERROR, &Value::from(target.id.as_str())));
            }
        }
        self.params(&bullets, &fences);
    }
}

fn is_title(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(['\n', '\r']) && !text.ends_with('#')
}

/// A parameter as a bullet, or as a block where it has several lines.
fn put(
    key: &str,
    value: &Value,
    node_type: Option<&str>,
    bullets: &mut Vec<String>,
    fences: &mut Vec<String>,
) {
    match value {
        Value::String(text)
            if emit::fits_fence(text) && (text.contains('\n') || is_script(key, node_type)) =>
        {
            let language = match key {
                "command" => "shell",
                "code" => "python",
                "prompt" | "system" => "markdown",
                _ => "text",
            };
            fences.push(emit::fence(&format!("{language} {key}"), text));
        }
        Value::Object(_) | Value::Array(_) => {
            let bullet = emit::bullet(key, value);
            if bullet.lines().count() > 6 {
                let mut body = String::new();
                emit::block(value, 0, &mut body);
                fences.push(emit::fence(&format!("yaml {key}"), body.trim_start_matches('\n')));
            } else {
                bullets.push(bullet);
            }
        }
        other => bullets.push(emit::bullet(key, other)),
    }
}

/// What is a block even on one line.
fn is_script(key: &str, node_type: Option<&str>) -> bool {
    matches!(
        (node_type, key),
        (Some("shell"), "command") | (Some("code"), "code") | (Some("llm"), "prompt")
    )
}
