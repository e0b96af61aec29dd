//! A workflow file, read into types.
//!
//! Reads what it can and leaves out what has the wrong shape: saying what is wrong is the schema's work.
//! Never checks names, never resolves a template.

mod source;

use std::sync::Arc;
use std::time::Duration;

use flowmeter::Budget;
use flowmeter_model::UsdNanos;
use serde_json::{Map, Value};
use smol_str::SmolStr;

pub(crate) use source::Source;

use crate::nodes::ValueType;
use crate::response_cache::Ttl;

/// What a template that leads nowhere means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResolutionMode {
    /// The node fails.
    #[default]
    Strict,
    /// The template stays as it is written.
    Permissive,
}

/// A workflow file.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowDocument {
    /// Its title, for people.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The version of the format; `0.1.0` where the file says nothing.
    pub ir_version: String,
    /// The nodes, in the order of the file.
    pub nodes: Vec<NodeEntry>,
    /// The edges, in the order of the file.
    pub edges: Vec<EdgeEntry>,
    /// The node to begin with; the first one where the file says nothing.
    pub start_node: Option<SmolStr>,
    /// What the workflow takes.
    pub inputs: Vec<InputEntry>,
    /// What the workflow gives.
    pub outputs: Vec<OutputEntry>,
    /// Whether each node writes under its own id.
    pub enable_namespacing: bool,
    /// What a template that leads nowhere means.
    pub template_resolution_mode: ResolutionMode,
    /// What one run of it may spend, nested workflows included.
    pub budget: Option<Budget>,
}

/// A node of a workflow file.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeEntry {
    /// Its id.
    pub id: SmolStr,
    /// Its type.
    pub node_type: SmolStr,
    /// What it is for.
    pub purpose: Option<String>,
    /// Its parameters as written: an object.
    pub params: Arc<Value>,
    /// Runs it once for each of many items.
    pub batch: Option<BatchEntry>,
    /// Runs it in rounds.
    pub repeat: Option<LoopEntry>,
    /// Attempts, where the file says so.
    pub retry: Option<RetryEntry>,
    /// Whether its answers may be used again, where the file says so.
    pub cache: Option<CacheEntry>,
    /// What it may spend each time it runs, with all its attempts, items, rounds and nested nodes.
    pub budget: Option<Budget>,
    /// Where it stands in the file.
    pub(crate) pointer: String,
    /// `params`, or `parameters` where the file uses that name.
    pub(crate) params_key: &'static str,
}

/// The `cache` of a node: `true`, `false` or `{"ttl": "1h"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Whether its answers may be used again.
    pub enabled: bool,
    /// For how long; `None` leaves that to the run.
    pub ttl: Option<Duration>,
}

/// The `batch` of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchEntry {
    /// A template, or a list.
    pub items: Value,
    /// The name of the item in templates.
    pub alias: SmolStr,
    /// Whether the other items go on after one failed.
    pub continue_on_error: bool,
    /// Whether items run side by side.
    pub parallel: bool,
    /// How many at most.
    pub max_concurrent: usize,
    /// Attempts at an item, in total.
    pub max_retries: u32,
    /// Seconds between them.
    pub retry_wait: f64,
}

/// The `loop` of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopEntry {
    /// The template that is asked after each round.
    pub condition: String,
    /// Whether the loop goes on until the condition holds; else while it holds.
    pub until: bool,
    /// What the next round takes from this one: input and template.
    pub carry: Vec<(SmolStr, Value)>,
    /// How many rounds at most: a number or a template.
    pub max_iterations: Option<Value>,
}

/// The `retry` of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryEntry {
    /// Attempts in total.
    pub max: u32,
    /// Seconds between them.
    pub wait: f64,
    /// Whether the wait doubles each time.
    pub exponential: bool,
}

/// An edge of a workflow file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeEntry {
    /// The node it leaves.
    pub from: SmolStr,
    /// The node it leads to.
    pub to: SmolStr,
    /// The action it is for.
    pub action: SmolStr,
    /// Where it stands in the file.
    pub(crate) pointer: String,
}

/// An input of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct InputEntry {
    /// Its name.
    pub name: SmolStr,
    /// What it is.
    pub description: Option<String>,
    /// Whether it must be given where it has no default.
    pub required: bool,
    /// What it holds.
    pub value_type: ValueType,
    /// The value where none is given.
    pub default: Option<Value>,
    /// Whether piped standard input goes here.
    pub stdin: bool,
}

/// An output of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputEntry {
    /// Its name.
    pub name: SmolStr,
    /// What it is.
    pub description: Option<String>,
    /// The template it comes from.
    pub source: Option<String>,
    /// What it holds.
    pub value_type: ValueType,
    /// Whether this one is printed.
    pub stdout: bool,
}

/// The types of inputs and outputs, by name.
pub(crate) fn value_type_named(name: &str) -> Option<ValueType> {
    [
        ValueType::String,
        ValueType::Number,
        ValueType::Integer,
        ValueType::Boolean,
        ValueType::Array,
        ValueType::Object,
        ValueType::Any,
    ]
    .into_iter()
    .find(|candidate| candidate.as_str() == name)
}

fn text_of(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn name_of(object: &Map<String, Value>, key: &str) -> Option<SmolStr> {
    object.get(key).and_then(Value::as_str).map(SmolStr::new)
}

fn flag_of(object: &Map<String, Value>, key: &str, default: bool) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(default)
}

/// A whole number of a range; what lies outside is the schema's to report.
fn whole_of(object: &Map<String, Value>, key: &str, default: u32) -> u32 {
    object
        .get(key)
        .and_then(Value::as_f64)
        .map_or(default, |number| number.clamp(0.0, f64::from(u32::MAX)) as u32)
}

/// The `budget` of a node or of a workflow; an empty one limits nothing.
fn budget_of(object: &Map<String, Value>) -> Option<Budget> {
    let object = object.get("budget").and_then(Value::as_object)?;
    let usd = object.get("max_cost").and_then(Value::as_f64);
    let whole = |key: &str| {
        object
            .get(key)
            .and_then(Value::as_f64)
            .map(|count| count.max(0.0) as u64)
    };
    let budget = Budget {
        max_cost: usd.and_then(|usd| UsdNanos::from_usd(usd.max(0.0)).ok()),
        max_tokens: whole("max_tokens"),
        max_llm_calls: whole("max_llm_calls"),
        allow_unpriced: false,
    };
    budget.is_limited().then_some(budget)
}

fn seconds_of(object: &Map<String, Value>, key: &str) -> f64 {
    object
        .get(key)
        .and_then(Value::as_f64)
        .filter(|seconds| seconds.is_finite())
        .map_or(0.0, |seconds| seconds.max(0.0))
}

impl WorkflowDocument {
    /// Reads what is there; what has the wrong shape is left out.
    pub(crate) fn from_value(mut value: Value) -> Self {
        let mut nothing = Map::new();
        let top = value.as_object_mut().unwrap_or(&mut nothing);
        let nodes = top
            .get_mut("nodes")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(index, node)| NodeEntry::read(index, node.as_object_mut()?))
            .collect();
        let top = &*top;
        let objects_in = |key: &str| -> Vec<(usize, &Map<String, Value>)> {
            top.get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .enumerate()
                .filter_map(|(index, element)| element.as_object().map(|object| (index, object)))
                .collect()
        };
        let members_of = |key: &str| top.get(key).and_then(Value::as_object).into_iter().flatten();
        Self {
            title: text_of(top, "title"),
            description: text_of(top, "description"),
            ir_version: text_of(top, "ir_version").unwrap_or_else(|| "0.1.0".to_owned()),
            nodes,
            edges: objects_in("edges")
                .into_iter()
                .filter_map(|(index, object)| EdgeEntry::read(index, object))
                .collect(),
            start_node: name_of(top, "start_node"),
            inputs: members_of("inputs")
                .filter_map(|(name, input)| InputEntry::read(name, input))
                .collect(),
            outputs: members_of("outputs")
                .filter_map(|(name, output)| OutputEntry::read(name, output))
                .collect(),
            enable_namespacing: flag_of(top, "enable_namespacing", true),
            template_resolution_mode: match top.get("template_resolution_mode").and_then(Value::as_str) {
                Some("permissive") => ResolutionMode::Permissive,
                _ => ResolutionMode::Strict,
            },
            budget: budget_of(top),
        }
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The id of the node to begin with.
    #[must_use]
    pub fn start_id(&self) -> Option<&SmolStr> {
        self.start_node
            .as_ref()
            .or_else(|| self.nodes.first().map(|node| &node.id))
    }
}

impl NodeEntry {
    fn read(index: usize, object: &mut Map<String, Value>) -> Option<Self> {
        let params_key = if object.contains_key("params") {
            "params"
        } else {
            "parameters"
        };
        // Moved and not copied: parameters may hold long prompts.
        let params = match object.get_mut(params_key) {
            Some(params @ Value::Object(_)) => params.take(),
            _ => Value::Object(Map::new()),
        };
        Some(Self {
            id: name_of(object, "id")?,
            node_type: name_of(object, "type").unwrap_or_default(),
            purpose: text_of(object, "purpose"),
            params: Arc::new(params),
            batch: object
                .get("batch")
                .and_then(Value::as_object)
                .map(BatchEntry::read),
            repeat: object
                .get("loop")
                .and_then(Value::as_object)
                .and_then(LoopEntry::read),
            retry: object
                .get("retry")
                .and_then(Value::as_object)
                .map(|retry| RetryEntry {
                    max: whole_of(retry, "max", 1),
                    wait: seconds_of(retry, "wait"),
                    exponential: text_of(retry, "backoff").as_deref() == Some("exponential"),
                }),
            cache: object.get("cache").and_then(CacheEntry::read),
            budget: budget_of(object),
            pointer: format!("/nodes/{index}"),
            params_key,
        })
    }

    /// Where parameter `name` stands in the file.
    pub(crate) fn param_pointer(&self, name: &str) -> String {
        format!(
            "{}/{}/{}",
            self.pointer,
            self.params_key,
            crate::problem::pointer_step(name)
        )
    }

    /// The parameters as an object.
    pub(crate) fn params_object(&self) -> Option<&Map<String, Value>> {
        self.params.as_object()
    }
}

impl CacheEntry {
    fn read(written: &Value) -> Option<Self> {
        let ttl = match written {
            Value::Bool(enabled) => {
                return Some(Self {
                    enabled: *enabled,
                    ttl: None,
                });
            }
            Value::Object(members) => members.get("ttl"),
            _ => return None,
        };
        let ttl = match ttl {
            Some(Value::String(text)) => Ttl::parse(text).ok(),
            Some(Value::Number(seconds)) => {
                seconds.as_f64().and_then(|seconds| Ttl::of_seconds(seconds).ok())
            }
            _ => None,
        };
        Some(Self {
            enabled: true,
            ttl: ttl.map(Ttl::duration),
        })
    }
}

impl BatchEntry {
    fn read(object: &Map<String, Value>) -> Self {
        Self {
            items: object.get("items").cloned().unwrap_or(Value::Null),
            alias: name_of(object, "as").unwrap_or_else(|| SmolStr::new_static("item")),
            continue_on_error: text_of(object, "error_handling").as_deref() == Some("continue"),
            parallel: flag_of(object, "parallel", false),
            max_concurrent: whole_of(object, "max_concurrent", 10) as usize,
            max_retries: whole_of(object, "max_retries", 1),
            retry_wait: seconds_of(object, "retry_wait"),
        }
    }
}

impl LoopEntry {
    fn read(object: &Map<String, Value>) -> Option<Self> {
        let until = object.contains_key("until");
        Some(Self {
            condition: text_of(object, if until { "until" } else { "while" })?,
            until,
            carry: object
                .get("carry")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, template)| (SmolStr::new(name), template.clone()))
                .collect(),
            max_iterations: object.get("max_iterations").cloned(),
        })
    }
}

impl EdgeEntry {
    fn read(index: usize, object: &Map<String, Value>) -> Option<Self> {
        let action = name_of(object, "action").filter(|action| !action.is_empty());
        Some(Self {
            from: name_of(object, "from")?,
            to: name_of(object, "to")?,
            action: action.unwrap_or_else(|| SmolStr::new_static("default")),
            pointer: format!("/edges/{index}"),
        })
    }
}

impl InputEntry {
    pub(crate) fn read(name: &str, value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(Self {
            name: SmolStr::new(name),
            description: text_of(object, "description"),
            required: flag_of(object, "required", true),
            value_type: text_of(object, "type")
                .and_then(|name| value_type_named(&name))
                .unwrap_or(ValueType::Any),
            default: object.get("default").cloned(),
            stdin: flag_of(object, "stdin", false),
        })
    }
}

impl OutputEntry {
    pub(crate) fn read(name: &str, value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        Some(Self {
            name: SmolStr::new(name),
            description: text_of(object, "description"),
            source: text_of(object, "source"),
            value_type: text_of(object, "type")
                .and_then(|name| value_type_named(&name))
                .unwrap_or(ValueType::Any),
            stdout: flag_of(object, "stdout", false),
        })
    }
}
