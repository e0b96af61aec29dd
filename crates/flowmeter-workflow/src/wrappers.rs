//! What stands around each node of a workflow file: templates resolved, writes under its own name, failures
//! led to the edge for them.
//!
//! From the outside in: [`Routed`], the meter, [`Namespaced`], batch or loop, [`Templated`], the node. Nothing
//! here knows a node type.

use std::sync::Arc;

use async_trait::async_trait;
use flowmeter_engine::{Action, Node, NodeContext, NodeError, StoreView};
use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::nodes::{ERROR_OUTPUT, ERROR_TYPE_OUTPUT, ParamSpec, ValueType};
use crate::template::{NodeNames, ParamTemplates, Resolver, kind_of, render_value};

/// Resolves the parameters before the node runs.
pub(crate) struct Templated<N> {
    pub(crate) node: N,
    pub(crate) id: SmolStr,
    pub(crate) params: ParamTemplates,
    /// The declared parameters, for those whose value came from a template.
    pub(crate) specs: &'static [ParamSpec],
    pub(crate) written: Arc<Value>,
    pub(crate) names: Arc<NodeNames>,
    /// Inputs that a loop carries from round to round: variables of these names go into `inputs`.
    pub(crate) carried: Vec<SmolStr>,
}

impl<N> Templated<N> {
    fn resolve(&self, cx: &NodeContext) -> Result<Arc<Value>, NodeError> {
        let resolver = Resolver {
            cx,
            names: &self.names,
            own_id: &self.id,
        };
        let mut params = self.params.resolve(&resolver)?;
        if Arc::ptr_eq(&params, &self.written) && self.carried.is_empty() {
            return Ok(params);
        }
        if let Value::Object(members) = Arc::make_mut(&mut params) {
            self.coerce(members)?;
            self.carry(cx, members);
        }
        Ok(params)
    }

    /// A template's value takes the type that the parameter declares, where that loses nothing.
    fn coerce(&self, members: &mut Map<String, Value>) -> Result<(), NodeError> {
        for spec in self.specs {
            let Some(value) = members.get_mut(spec.name) else {
                continue;
            };
            let written = self.written.get(spec.name).and_then(Value::as_str);
            let Some(written) = written.filter(|text| text.contains("${")) else {
                continue;
            };
            let fitting = match (spec.value_type, &*value) {
                (_, Value::Null) => continue,
                (ValueType::String, Value::String(_)) => continue,
                (ValueType::String, other) => Some(Value::String(render_value(other))),
                (wanted, other) => crate::inputs::coerce(other, wanted),
            };
            match fitting {
                Some(fitting) => *value = fitting,
                None => {
                    let message = format!(
                        "parameter `{}` is of type {}, but `{written}` is of type {}",
                        spec.name,
                        spec.value_type.as_str(),
                        kind_of(value)
                    );
                    return Err(NodeError::permanent(message).with_type("invalid_parameter"));
                }
            }
        }
        Ok(())
    }

    fn carry(&self, cx: &NodeContext, members: &mut Map<String, Value>) {
        if !self.specs.iter().any(|spec| spec.name == "inputs") {
            return;
        }
        for name in &self.carried {
            if let Some(value) = cx.variables().get(name) {
                let inputs = members
                    .entry("inputs")
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(inputs) = inputs {
                    inputs.insert(name.to_string(), Value::clone(value));
                }
            }
        }
    }
}

#[async_trait]
impl<N: Node> Node for Templated<N> {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let params = self.resolve(cx)?;
        flowmeter::current(cx).record_params(&params);
        self.node.run(&cx.with_params(params)).await
    }
}

/// Lets a node write under its own name, and keeps its failure there for the edge that leads on.
pub(crate) struct Namespaced<N> {
    pub(crate) node: N,
    pub(crate) id: SmolStr,
    /// Off: the node writes at the root.
    pub(crate) enabled: bool,
    /// Whether a failure leads on: its message is then readable as `${id.error}`.
    pub(crate) keeps_error: bool,
}

#[async_trait]
impl<N: Node> Node for Namespaced<N> {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let inner = if self.enabled {
            cx.with_store(cx.store().in_namespace(&self.id))
        } else {
            cx.clone()
        };
        let outcome = self.node.run(&inner).await;
        if let Err(error) = &outcome
            && self.keeps_error
            && !error.is_cancelled()
        {
            inner.store().set(ERROR_OUTPUT, Value::String(error.to_string()));
            inner
                .store()
                .set(ERROR_TYPE_OUTPUT, Value::from(error.error_type()));
        }
        outcome
    }
}

/// Leads a failed node to its edge for `error`; says why it failed where it has none.
pub(crate) struct Routed<N> {
    pub(crate) node: N,
    pub(crate) id: SmolStr,
    pub(crate) has_error_edge: bool,
    pub(crate) has_other_edges: bool,
    pub(crate) namespace: SmolStr,
}

#[async_trait]
impl<N: Node> Node for Routed<N> {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        match self.node.run(cx).await {
            Err(error) if self.has_error_edge && !error.is_cancelled() && !error.is_halted() => {
                Ok(Action::error())
            }
            Ok(action) if action == Action::error() && !self.has_error_edge && self.has_other_edges => {
                let failure = failure_of(cx.store(), &self.namespace);
                let message = format!("{failure} (no edge for the action `error` leads on)");
                Err(NodeError::routing(message)
                    .with_type(failure.error_type())
                    .in_node(&self.id))
            }
            outcome => outcome,
        }
    }
}

/// Why a node that returned the action `error` failed, from what it wrote.
pub(crate) fn failure_of(store: &StoreView, namespace: &str) -> NodeError {
    let read = |key: &str| store.get_in(namespace, key).filter(|value| !value.is_null());
    let text_of = |key: &str| {
        read(key)
            .map(|value| render_value(&value).trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    if let Some(error) = text_of(ERROR_OUTPUT) {
        let failure = NodeError::failed(error);
        return match text_of(ERROR_TYPE_OUTPUT) {
            Some(error_type) => failure.with_type(error_type),
            None => failure,
        };
    }
    let stderr = text_of("stderr");
    NodeError::failed(match (read("exit_code"), stderr) {
        (Some(code), Some(stderr)) => format!("command failed with exit code {code}: {stderr}"),
        (Some(code), None) => format!("command failed with exit code {code}"),
        (None, Some(stderr)) => stderr,
        (None, None) => "it returned the action `error`".to_owned(),
    })
}
