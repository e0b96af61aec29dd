//! Finds the values that templates stand for.
//!
//! Looks at the variables first, then at the root of the store (the inputs), then at what nodes wrote.
//! A value is copied when it goes into a parameter and at no other time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use flowmeter_engine::{NodeContext, NodeError};
use serde_json::Value;
use smol_str::SmolStr;

use super::render::render_into;
use super::{Expression, Index, Operand, Part, Path, Segment, Template};
use crate::document::ResolutionMode;
use crate::names;

/// Longer texts are not looked into as JSON.
const JSON_TEXT_MAX: usize = 10 * 1024 * 1024;

/// What a workflow's nodes are called and what they are, for messages.
#[derive(Debug, Default)]
pub(crate) struct NodeNames {
    pub(crate) type_by_id: HashMap<SmolStr, SmolStr>,
    pub(crate) inputs: Vec<SmolStr>,
    pub(crate) mode: ResolutionMode,
}

/// Resolves templates for one node at one moment.
pub(crate) struct Resolver<'a> {
    pub(crate) cx: &'a NodeContext,
    pub(crate) names: &'a NodeNames,
    /// The node that is asking: `${self.…}` means its own outputs.
    pub(crate) own_id: &'a str,
}

/// A value on the way: in the store still, or out of a JSON text.
enum Found {
    /// A whole value of the store.
    Shared(Arc<Value>),
    /// A part of one.
    Part(Value),
}

impl Resolver<'_> {
    /// The value of a template; the store's own `Arc` where the template is the whole text and names a whole
    /// value.
    pub(crate) fn resolve_shared(&self, template: &Template) -> Result<Arc<Value>, NodeError> {
        match template.whole() {
            Some(expression) => match self.find(expression) {
                Some(found) => {
                    let value = found.into_shared();
                    self.record(expression, &value);
                    Ok(value)
                }
                None => self.missing(expression, None).map(Arc::new),
            },
            None => self.render(template, None).map(Arc::new),
        }
    }

    /// The value of a template, copied once.
    pub(super) fn resolve_value(&self, template: &Template, place: Option<&str>) -> Result<Value, NodeError> {
        let Some(expression) = template.whole() else {
            return self.render(template, place);
        };
        match self.find(expression) {
            Some(Found::Shared(value)) => {
                self.record(expression, &value);
                Ok(Value::clone(&value))
            }
            Some(Found::Part(value)) => {
                if self.is_recorded() {
                    self.record(expression, &Arc::new(value.clone()));
                }
                Ok(value)
            }
            None => self.missing(expression, place),
        }
    }

    fn render(&self, template: &Template, place: Option<&str>) -> Result<Value, NodeError> {
        let mut text = String::new();
        for part in &template.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Expression(expression) => match self.find(expression) {
                    Some(Found::Shared(value)) => {
                        self.record(expression, &value);
                        render_into(&value, &mut text);
                    }
                    Some(Found::Part(value)) => {
                        render_into(&value, &mut text);
                        if self.is_recorded() {
                            self.record(expression, &Arc::new(value));
                        }
                    }
                    None => render_into(&self.missing(expression, place)?, &mut text),
                },
            }
        }
        Ok(Value::String(text))
    }

    fn is_recorded(&self) -> bool {
        flowmeter::current(self.cx).is_recording()
    }

    fn record(&self, expression: &Expression, value: &Arc<Value>) {
        flowmeter::current(self.cx).record_template(&expression.written, value);
    }

    fn find(&self, expression: &Expression) -> Option<Found> {
        expression.operands.iter().find_map(|operand| match operand {
            Operand::Literal(value) => Some(Found::Part(value.clone())),
            Operand::Path(path) => self.find_path(path),
        })
    }

    fn find_path(&self, path: &Path) -> Option<Found> {
        let root = path.root();
        let store = self.cx.store();
        if let Some(value) = self.cx.variables().get(&root.name) {
            return self.walk(value, root.index.as_ref(), &path.segments[1..]);
        }
        if let Some(value) = store.get_in("", &root.name)
            && let Some(found) = self.walk(&value, root.index.as_ref(), &path.segments[1..])
        {
            return Some(found);
        }
        let [_, key, rest @ ..] = &path.segments[..] else {
            return None;
        };
        if root.index.is_some() {
            return None;
        }
        let namespace = if root.name == "self" && !self.names.type_by_id.contains_key("self") {
            self.own_id
        } else {
            root.name.as_str()
        };
        let value = match store.get_in(namespace, &key.name) {
            Some(value) => value,
            // Without namespaces a node's outputs lie at the root.
            None if namespace == self.own_id && root.name == "self" => store.get_in("", &key.name)?,
            None => return None,
        };
        self.walk(&value, key.index.as_ref(), rest)
    }

    fn walk(&self, value: &Arc<Value>, index: Option<&Index>, rest: &[Segment]) -> Option<Found> {
        if index.is_none() && rest.is_empty() {
            return Some(Found::Shared(Arc::clone(value)));
        }
        let mut current = Cow::Borrowed(&**value);
        if let Some(index) = index {
            current = element(current, self.position(index).ok()?)?;
        }
        for segment in rest {
            current = member(current, &segment.name)?;
            if let Some(index) = &segment.index {
                current = element(current, self.position(index).ok()?)?;
            }
        }
        Some(Found::Part(current.into_owned()))
    }

    /// The number that an index comes to, or why it comes to none.
    fn position(&self, index: &Index) -> Result<usize, String> {
        let path = match index {
            Index::Number(number) => return Ok(*number),
            Index::Path(path) => path,
        };
        let value = self
            .find_path(path)
            .map(Found::into_shared)
            .ok_or_else(|| format!("the index `${{{path}}}` leads nowhere itself"))?;
        let position = match &*value {
            Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        position.ok_or_else(|| {
            let shown = match &*value {
                Value::Number(number) => number.to_string(),
                other => kind_of(other).to_owned(),
            };
            format!("the index `${{{path}}}` is a whole number from 0, not {shown}")
        })
    }

    /// What a template that leads nowhere comes to: an error, or itself.
    fn missing(&self, expression: &Expression, place: Option<&str>) -> Result<Value, NodeError> {
        let (reason, help) = self.explain(expression);
        let place = place
            .map(|name| format!(" in parameter `{name}`"))
            .unwrap_or_default();
        let mut message = format!("`{}`{place} leads nowhere: {reason}", expression.written);
        if let Some(help) = help {
            message.push_str("; ");
            message.push_str(&help);
        }
        match self.names.mode {
            ResolutionMode::Strict => Err(NodeError::permanent(message).with_type("unresolved_template")),
            ResolutionMode::Permissive => {
                flowmeter::current(self.cx).log(flowmeter_model::LogLevel::Warn, message);
                Ok(Value::String(expression.written.clone()))
            }
        }
    }

    fn explain(&self, expression: &Expression) -> (String, Option<String>) {
        let path = expression
            .operands
            .iter()
            .rev()
            .find_map(|operand| match operand {
                Operand::Path(path) => Some(path),
                Operand::Literal(_) => None,
            });
        let Some(path) = path else {
            return ("it names no value".to_owned(), None);
        };
        let root = path.root().name.as_str();
        if let Some(value) = self.root_value(root) {
            return self.explain_inside(path.root(), &path.segments[1..], &value);
        }
        let id = if root == "self" { self.own_id } else { root };
        let Some(node_type) = self.names.type_by_id.get(id) else {
            let known: Vec<&str> = self
                .names
                .inputs
                .iter()
                .chain(self.names.type_by_id.keys())
                .chain(self.cx.variables().names())
                .map(SmolStr::as_str)
                .collect();
            let reason = format!("there is no node, input or variable `{root}`");
            return (reason, names::suggestion(root, &known, "available"));
        };
        let entries = self.cx.store().entries(id);
        if entries.is_empty() {
            let reason = format!("node `{id}` ({node_type}) has not written anything: it did not run before");
            let help = format!("where it need not have run, name an alternative: `${{{path} ?? null}}`");
            return (reason, Some(help));
        }
        let Some(key) = path.segments.get(1) else {
            let reason = format!("`{id}` is a node; name one of its outputs");
            return (reason, Some(describe_entries(&entries)));
        };
        match entries.iter().find(|(name, _)| *name == key.name) {
            Some((_, value)) => self.explain_inside(key, &path.segments[2..], value),
            None => {
                let near = names::nearest_name(&key.name, entries.iter().map(|(name, _)| name.as_str()));
                let near = near
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                (
                    format!("node `{id}` ({node_type}) has no output `{}`", key.name),
                    Some(format!("{}{near}", describe_entries(&entries))),
                )
            }
        }
    }

    fn root_value(&self, name: &str) -> Option<Arc<Value>> {
        self.cx
            .variables()
            .get(name)
            .cloned()
            .or_else(|| self.cx.store().get_in("", name))
    }

    /// Why the way into a value that is there ends.
    fn explain_inside(&self, first: &Segment, rest: &[Segment], value: &Value) -> (String, Option<String>) {
        let mut current = Cow::Borrowed(value);
        let mut way = first.name.to_string();
        for (depth, segment) in std::iter::once(first).chain(rest).enumerate() {
            if depth > 0 {
                let Some(next) = member(Cow::Borrowed(current.as_ref()), &segment.name) else {
                    return no_member(&way, &current, &segment.name);
                };
                current = Cow::Owned(next.into_owned());
                way = format!("{way}.{}", segment.name);
            }
            if let Some(index) = &segment.index {
                let position = match self.position(index) {
                    Ok(position) => position,
                    Err(reason) => return (reason, None),
                };
                let Some(next) = element(Cow::Borrowed(current.as_ref()), position) else {
                    return (no_element(&way, &current, position), None);
                };
                current = Cow::Owned(next.into_owned());
                way = format!("{way}[{position}]");
            }
        }
        (format!("`{way}` is not there"), None)
    }
}

fn no_member(way: &str, value: &Value, name: &str) -> (String, Option<String>) {
    let reason = format!("`{way}` ({}) has no member `{name}`", kind_of(value));
    let help = match as_container(value).as_deref() {
        Some(Value::Object(members)) => {
            let members: Vec<&str> = members.keys().map(String::as_str).collect();
            names::suggestion(name, &members, "it has")
        }
        Some(Value::Array(_)) => Some(format!("index it first: `{way}[0].{name}`")),
        _ => None,
    };
    (reason, help)
}

fn no_element(way: &str, value: &Value, position: usize) -> String {
    match as_container(value).as_deref() {
        Some(Value::Array(elements)) => format!(
            "`{way}` is a list of {}; the index {position} is beyond its end",
            elements.len()
        ),
        _ => format!("`{way}` ({}) is no list", kind_of(value)),
    }
}

impl Found {
    fn into_shared(self) -> Arc<Value> {
        match self {
            Self::Shared(value) => value,
            Self::Part(value) => Arc::new(value),
        }
    }
}

fn describe_entries(entries: &[(SmolStr, Arc<Value>)]) -> String {
    let described: Vec<String> = entries
        .iter()
        .map(|(name, value)| format!("{name} ({})", kind_of(value)))
        .collect();
    format!("it has {}", names::list(described.iter().map(String::as_str)))
}

/// What a message calls a value.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The value itself where one can step into it, else what its text says as JSON.
fn as_container(value: &Value) -> Option<Cow<'_, Value>> {
    match value {
        Value::Object(_) | Value::Array(_) => Some(Cow::Borrowed(value)),
        Value::String(text) => parse_container(text).map(Cow::Owned),
        _ => None,
    }
}

/// The list or object that a text holds as JSON.
pub(crate) fn parse_container(text: &str) -> Option<Value> {
    if text.len() > JSON_TEXT_MAX || !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn into_container(value: Cow<'_, Value>) -> Option<Cow<'_, Value>> {
    if let Value::String(text) = value.as_ref() {
        return parse_container(text).map(Cow::Owned);
    }
    Some(value)
}

fn member<'a>(value: Cow<'a, Value>, name: &str) -> Option<Cow<'a, Value>> {
    match into_container(value)? {
        Cow::Borrowed(Value::Object(members)) => members.get(name).map(Cow::Borrowed),
        Cow::Owned(Value::Object(mut members)) => members.swap_remove(name).map(Cow::Owned),
        _ => None,
    }
}

fn element(value: Cow<'_, Value>, position: usize) -> Option<Cow<'_, Value>> {
    match into_container(value)? {
        Cow::Borrowed(Value::Array(elements)) => elements.get(position).map(Cow::Borrowed),
        Cow::Owned(Value::Array(mut elements)) if position < elements.len() => {
            Some(Cow::Owned(elements.swap_remove(position)))
        }
        _ => None,
    }
}
