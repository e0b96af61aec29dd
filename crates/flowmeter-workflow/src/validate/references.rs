//! Checks every template of a workflow: its grammar, and that what it names is there and has run before.
//!
//! Never resolves one.

use std::collections::HashSet;

use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::Context;
use super::graph::Reach;
use crate::batch_items;
use crate::document::NodeEntry;
use crate::loop_condition::LOOP_OUTPUT;
use crate::names;
use crate::nodes::{ValueType, workflow as nested_node};
use crate::problem::{Anchor, Findings, Severity, pointer_step};
use crate::template::{Expression, Operand, Path, Template};

/// Where a template stands, and what it may name there.
struct Site<'a> {
    /// The node; `None` for the outputs of the workflow.
    node: Option<(usize, &'a NodeEntry)>,
    /// The variables that are set there.
    variables: Vec<&'a str>,
    /// Whether the node's own outputs are there: after a round of its loop.
    own_outputs: bool,
}

pub(super) fn check(context: &Context<'_>, reach: &Reach, findings: &mut Findings) {
    let mut check = Check {
        context,
        reach,
        findings,
        used: HashSet::new(),
    };
    for (position, node) in context.document.nodes.iter().enumerate() {
        check.node(position, node);
    }
    for output in &context.document.outputs {
        if let Some(source) = &output.source {
            let at = format!("/outputs/{}/source", pointer_step(&output.name));
            check.output_source(source, &at);
        }
        check.used.insert(output.name.to_string());
    }
    let used = check.used;
    for input in &context.document.inputs {
        if !used.contains(input.name.as_str()) {
            let message = format!("input `{}` is never used", input.name);
            let at = format!("/inputs/{}", pointer_step(&input.name));
            findings.add(Severity::Warning, at, Anchor::Key, message, None);
        }
    }
}

struct Check<'a, 'f> {
    context: &'a Context<'a>,
    reach: &'a Reach,
    findings: &'f mut Findings,
    used: HashSet<String>,
}

impl<'a> Check<'a, '_> {
    fn node(&mut self, position: usize, node: &'a NodeEntry) {
        let mut variables = Vec::new();
        if let Some(batch) = &node.batch {
            variables.extend([batch.alias.as_str(), "__index__"]);
            let site = Site {
                node: Some((position, node)),
                variables: Vec::new(),
                own_outputs: false,
            };
            self.value(&batch.items, &format!("{}/batch/items", node.pointer), &site);
        }
        if let Some(repeat) = &node.repeat {
            variables.push("__iteration__");
            variables.extend(repeat.carry.iter().map(|(name, _)| name.as_str()));
            let site = Site {
                node: Some((position, node)),
                variables: variables.clone(),
                own_outputs: true,
            };
            let key = if repeat.until { "until" } else { "while" };
            let at = format!("{}/loop/{key}", node.pointer);
            self.text(&repeat.condition, &at, &site);
            let is_one = |template: Template| template.whole().is_some();
            if Template::is_in(&repeat.condition) && !Template::parse(&repeat.condition).is_ok_and(is_one) {
                let message = format!("`{key}` is a single template and nothing beside it");
                self.findings.error(at, Anchor::Value, message);
            }
            for (name, template) in &repeat.carry {
                let at = format!("{}/loop/carry/{}", node.pointer, pointer_step(name));
                self.value(template, &at, &site);
            }
            if let Some(limit) = &repeat.max_iterations {
                self.value(limit, &format!("{}/loop/max_iterations", node.pointer), &site);
            }
        }
        let site = Site {
            node: Some((position, node)),
            variables,
            own_outputs: false,
        };
        self.value(
            &node.params,
            &format!("{}/{}", node.pointer, node.params_key),
            &site,
        );
    }

    fn output_source(&mut self, source: &str, at: &str) {
        let site = Site {
            node: None,
            variables: Vec::new(),
            own_outputs: false,
        };
        if Template::is_in(source) {
            return self.text(source, at, &site);
        }
        // A bare path was probably meant as a template.
        let id = source.split('.').next().unwrap_or_default();
        if self.context.node(id).is_some() {
            let message = format!("the source \"{source}\" is a text, not a template");
            let help = format!("write \"${{{source}}}\"");
            self.findings
                .add(Severity::Warning, at, Anchor::Value, message, Some(help));
        }
    }

    fn value(&mut self, value: &Value, at: &str, site: &Site<'_>) {
        match value {
            Value::String(text) => self.text(text, at, site),
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    if may_hold_text(element) {
                        self.value(element, &format!("{at}/{index}"), site);
                    }
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    if may_hold_text(member) {
                        self.value(member, &format!("{at}/{}", pointer_step(name)), site);
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, at: &str, site: &Site<'_>) {
        if !Template::is_in(text) {
            return;
        }
        let (template, problems) = Template::parse_partly(text);
        for expression in template.expressions() {
            self.expression(expression, at, site);
        }
        for problem in problems {
            let anchor = Anchor::Text(problem.offset);
            self.findings
                .add(Severity::Error, at, anchor, problem.message, Some(problem.help));
        }
    }

    fn expression(&mut self, expression: &Expression, at: &str, site: &Site<'_>) {
        let has_alternative = expression.operands.len() > 1;
        let last = expression.operands.last();
        for path in expression.paths() {
            let Some(complaint) = self.path(path, site) else {
                continue;
            };
            // An alternative may lead nowhere, as long as its name is no mistake.
            let severity = match complaint.weight {
                Weight::Absent if has_alternative => continue,
                Weight::Unknown
                    if has_alternative
                        && !matches!(last, Some(Operand::Path(last)) if std::ptr::eq(last, path)) =>
                {
                    Severity::Warning
                }
                _ => self.context.severity(),
            };
            let message = format!("`{}`: {}", expression.written, complaint.message);
            let anchor = Anchor::Text(expression.offset);
            self.findings.add(severity, at, anchor, message, complaint.help);
        }
    }

    fn path(&mut self, path: &Path, site: &Site<'_>) -> Option<Complaint> {
        let root = path.root().name.as_str();
        if site.variables.contains(&root) {
            self.used.insert(root.to_owned());
            return None;
        }
        if let Some(input) = self
            .context
            .document
            .inputs
            .iter()
            .find(|input| input.name == root)
        {
            self.used.insert(root.to_owned());
            let goes_on = path.segments.len() > 1 || path.root().index.is_some();
            if goes_on && self.context.node(root).is_none() && is_scalar(input.value_type) {
                let message = format!(
                    "input `{root}` is of type {}; there is nothing inside",
                    input.value_type.as_str()
                );
                return Some(Complaint::wrong(message, Some(format!("write `${{{root}}}`"))));
            }
            return None;
        }
        // A node may be called `self`: then the word means that node everywhere.
        let means_self = root == "self" && self.context.node("self").is_none();
        let own = site.node.filter(|(_, node)| means_self || node.id == root);
        if means_self {
            let Some((_, node)) = own.filter(|(_, node)| node.repeat.is_some()) else {
                let help = "`self` is the node's own outputs, in its `loop`".to_owned();
                return Some(Complaint::wrong("there is no `self` here", Some(help)));
            };
            return self.output(path, node).or_else(|| self.own(node, site));
        }
        if let Some(position) = self.context.position_by_id.get(root) {
            let node = &self.context.document.nodes[*position];
            if let Some(complaint) = self.output(path, node) {
                return Some(complaint);
            }
            return match own {
                Some((_, node)) => self.own(node, site),
                None => self.order(*position, node, site),
            };
        }
        if !self.context.document.enable_namespacing && self.is_root_output(root) {
            return None;
        }
        Some(self.unknown(root, site))
    }

    /// Without namespaces the nodes' outputs lie beside the inputs.
    fn is_root_output(&self, name: &str) -> bool {
        self.context.document.nodes.iter().any(|node| {
            let outputs = self.outputs_of(node);
            outputs.free || outputs.names.iter().any(|(output, _)| output == name)
        })
    }

    fn unknown(&self, root: &str, site: &Site<'_>) -> Complaint {
        let document = self.context.document;
        let inputs: Vec<&str> = document.inputs.iter().map(|input| input.name.as_str()).collect();
        let nodes: Vec<&str> = document
            .nodes
            .iter()
            .map(|node| node.id.as_str())
            .filter(|id| site.node.is_none_or(|(_, node)| node.id != *id))
            .collect();
        let all = inputs.iter().chain(&nodes).chain(&site.variables).copied();
        let near = names::nearest_name(root, all)
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        let mut help = Vec::new();
        for (what, known) in [
            ("inputs", &inputs),
            ("nodes", &nodes),
            ("variables", &site.variables),
        ] {
            if !known.is_empty() {
                help.push(format!("{what}: {}", names::list(known.iter().copied())));
            }
        }
        let message = match root {
            "__index__" | "item" => format!("there is no `{root}` here: the node has no `batch`"),
            "__iteration__" => "there is no `__iteration__` here: the node has no `loop`".to_owned(),
            _ => format!("there is no node or input `{root}`"),
        };
        let help = (!help.is_empty()).then(|| format!("{near}{}", help.join("; ")));
        Complaint {
            weight: Weight::Wrong,
            message,
            help,
        }
    }

    /// The node's own outputs are there in its `loop` only.
    fn own(&self, node: &NodeEntry, site: &Site<'_>) -> Option<Complaint> {
        if site.own_outputs {
            return None;
        }
        let message = format!(
            "node `{}` uses its own output, which is not there before it has run",
            node.id
        );
        let help = node
            .repeat
            .is_some()
            .then(|| "carry it from round to round with `loop.carry`".to_owned());
        Some(Complaint {
            weight: Weight::Absent,
            message,
            help,
        })
    }

    fn order(&self, position: usize, node: &NodeEntry, site: &Site<'_>) -> Option<Complaint> {
        let (own_position, own) = site.node?;
        let known = self.reach.is_reachable(own_position) && self.reach.is_reachable(position);
        if !known || self.reach.can_precede(position, own_position) {
            return None;
        }
        let message = format!("node `{}` cannot have run before `{}`", node.id, own.id);
        let help = format!("no edges lead from `{}` to `{}`", node.id, own.id);
        Some(Complaint {
            weight: Weight::Absent,
            message,
            help: Some(help),
        })
    }

    /// Whether the node has the output that the path names.
    fn output(&self, path: &Path, node: &NodeEntry) -> Option<Complaint> {
        // A node of an unknown type is complained about elsewhere.
        let node_type = self.context.node_type(node)?;
        let outputs = self.outputs_of(node);
        if self.context.document.enable_namespacing
            && let [root, key] = &path.segments[..]
            && root.index.is_none()
            && key.index.is_none()
            && outputs.names.iter().any(|(name, _)| *name == key.name)
        {
            return None;
        }
        let all: Vec<&str> = outputs.names.iter().map(|(name, _)| name.as_str()).collect();
        let title = format!("node `{}` ({}{})", node.id, node_type.name, outputs.suffix);
        if !self.context.document.enable_namespacing {
            let message = format!("{title} writes at the root, because namespacing is off");
            let help = all.first().map(|first| format!("write `${{{first}}}`"));
            return Some(Complaint::wrong(message, help));
        }
        let key = match path.segments.get(1) {
            Some(key) if path.root().index.is_none() => key,
            _ => {
                let help = format!("it has {}", names::list(all.iter().copied()));
                let message = format!("{title} is no value; name one of its outputs");
                return Some(Complaint::wrong(message, Some(help)));
            }
        };
        let Some((_, value_type)) = outputs.names.iter().find(|(name, _)| *name == key.name.as_str()) else {
            if outputs.free {
                return None;
            }
            let message = format!(
                "{title} has no output `{}`; it has {}",
                key.name,
                names::list(all.iter().copied())
            );
            let help = names::nearest_name(&key.name, all.iter().copied())
                .map(|near| format!("did you mean `${{{}.{near}}}`?", node.id))
                .or_else(|| {
                    Some("text that a node wrote as JSON is looked into: `${node.key.member}`".to_owned())
                        .filter(|_| all.contains(&"stdout") || all.contains(&"response"))
                });
            return Some(Complaint {
                weight: Weight::Unknown,
                message,
                help,
            });
        };
        let goes_on = path.segments.len() > 2 || key.index.is_some();
        if goes_on && is_scalar(*value_type) {
            let message = format!(
                "`{}.{}` is of type {}; there is nothing inside",
                node.id,
                key.name,
                value_type.as_str()
            );
            return Some(Complaint::wrong(message, None));
        }
        None
    }

    fn outputs_of(&self, node: &NodeEntry) -> NodeOutputs {
        let mut names: Vec<(SmolStr, ValueType)> = Vec::with_capacity(8);
        let mut free = false;
        let mut suffix = "";
        if node.batch.is_some() {
            suffix = ", batch";
            let types = [
                ValueType::Array,
                ValueType::Integer,
                ValueType::Integer,
                ValueType::Integer,
                ValueType::Array,
                ValueType::Object,
            ];
            names.extend(
                batch_items::BATCH_OUTPUTS
                    .iter()
                    .zip(types)
                    .map(|(name, kind)| (SmolStr::new_static(name), kind)),
            );
        } else if let Some(child) = self.context.children.get(&node.id) {
            let declared = &child.document.outputs;
            names.extend(
                declared
                    .iter()
                    .map(|output| (output.name.clone(), output.value_type)),
            );
            if declared.is_empty() {
                names.push((SmolStr::new_static("result"), ValueType::Any));
            }
        } else if node.node_type == nested_node::NAME {
            free = true;
        } else if let Some(node_type) = self.context.node_type(node) {
            free = node_type.free_outputs;
            names.extend(
                node_type
                    .outputs
                    .iter()
                    .map(|output| (SmolStr::new_static(output.name), output.value_type)),
            );
        }
        if node.repeat.is_some() {
            names.push((SmolStr::new_static(LOOP_OUTPUT), ValueType::String));
        }
        // The failure of any node can be read behind its edge for `error`.
        for output in ["error", "error_type"] {
            if !names.iter().any(|(name, _)| name == output) {
                names.push((SmolStr::new_static(output), ValueType::String));
            }
        }
        NodeOutputs { names, free, suffix }
    }
}

struct NodeOutputs {
    names: Vec<(SmolStr, ValueType)>,
    free: bool,
    suffix: &'static str,
}

enum Weight {
    /// A mistake, whatever stands beside it.
    Wrong,
    /// No output of that name is known.
    Unknown,
    /// Not there at that time.
    Absent,
}

struct Complaint {
    weight: Weight,
    message: String,
    help: Option<String>,
}

impl Complaint {
    fn wrong(message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            weight: Weight::Wrong,
            message: message.into(),
            help,
        }
    }
}

/// Whether there can be nothing inside. A text may hold JSON.
fn is_scalar(value_type: ValueType) -> bool {
    matches!(
        value_type,
        ValueType::Number | ValueType::Integer | ValueType::Boolean
    )
}

fn may_hold_text(value: &Value) -> bool {
    match value {
        Value::String(text) => Template::is_in(text),
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !Map::is_empty(members),
        _ => false,
    }
}
