//! Parameters with templates in them, at any depth: read once, resolved for each run of a node.
//!
//! Never checks what a parameter means.

use std::sync::Arc;

use flowmeter_engine::NodeError;
use serde_json::{Map, Value};

use super::{InvalidTemplate, Resolver, Template};

/// A JSON value whose texts may be templates.
#[derive(Clone, Debug)]
pub(crate) struct ParamTemplates {
    written: Arc<Value>,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// Nothing in here is a template.
    Constant(Value),
    Text(Template),
    List(Vec<Shape>),
    Members(Vec<(String, Shape)>),
}

impl ParamTemplates {
    /// Reads all templates in `written`.
    ///
    /// # Errors
    /// The first text that is no valid template; validation has reported them all.
    pub(crate) fn new(written: Arc<Value>) -> Result<Self, InvalidTemplate> {
        let shape = Shape::read(&written)?;
        Ok(Self { written, shape })
    }

    /// The value with every template resolved. Nothing is copied where there is no template.
    ///
    /// # Errors
    /// A template that leads nowhere, in strict mode.
    pub(crate) fn resolve(&self, resolver: &Resolver<'_>) -> Result<Arc<Value>, NodeError> {
        match &self.shape {
            Shape::Constant(_) => Ok(Arc::clone(&self.written)),
            Shape::Text(template) => resolver.resolve_shared(template),
            shape => shape.resolve(resolver, None).map(Arc::new),
        }
    }
}

impl Shape {
    fn read(value: &Value) -> Result<Self, InvalidTemplate> {
        Ok(match value {
            Value::String(text) if Template::is_in(text) => match Template::parse(text) {
                Ok(template) => Self::Text(template),
                Err(mut problems) => return Err(problems.swap_remove(0)),
            },
            Value::Array(elements) => {
                let shapes: Vec<Self> = elements.iter().map(Self::read).collect::<Result<_, _>>()?;
                if shapes.iter().all(Self::is_constant) {
                    Self::Constant(value.clone())
                } else {
                    Self::List(shapes)
                }
            }
            Value::Object(members) => {
                let shapes: Vec<(String, Self)> = members
                    .iter()
                    .map(|(name, member)| Ok((name.clone(), Self::read(member)?)))
                    .collect::<Result<_, InvalidTemplate>>()?;
                if shapes.iter().all(|(_, shape)| shape.is_constant()) {
                    Self::Constant(value.clone())
                } else {
                    Self::Members(shapes)
                }
            }
            other => Self::Constant(other.clone()),
        })
    }

    fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// `place` is the parameter that a message names: the outermost member.
    fn resolve(&self, resolver: &Resolver<'_>, place: Option<&str>) -> Result<Value, NodeError> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Text(template) => resolver.resolve_value(template, place)?,
            Self::List(shapes) => Value::Array(
                shapes
                    .iter()
                    .map(|shape| shape.resolve(resolver, place))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Members(members) => {
                let mut object = Map::with_capacity(members.len());
                for (name, shape) in members {
                    object.insert(name.clone(), shape.resolve(resolver, place.or(Some(name)))?);
                }
                Value::Object(object)
            }
        })
    }
}
