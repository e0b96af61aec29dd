//! A step of the planner that asks the model: through an `llm` node, so that calls, budgets, answers and failures are
//! those of any workflow.
//!
//! An answer that cannot be used is asked for once more, with what is wrong with it. Never talks to a model itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use flowmeter::current;
use flowmeter_engine::{Action, Node, NodeContext, NodeError, RetryPolicy};
use flowmeter_model::LogLevel;
use serde_json::{Map, Value};

use super::answers::{object_in, quoted};
use super::prompts;
use super::setting::Setting;
use crate::nodes::outputs_of;
use crate::template::{NodeNames, ParamTemplates, Resolver};

/// The failures of a request that say that the server does not take its schema, or something else in it.
const REFUSALS: [&str; 3] = ["http_400", "http_415", "http_422"];

/// What servers name that choke on a schema with any other status: llama.cpp's answers 500.
const SCHEMA_MEMBERS: [&str; 2] = ["response_format", "json_schema"];

/// Whether the server may answer the same request without a schema.
fn is_about_schema(error: &NodeError) -> bool {
    let names_it = || {
        SCHEMA_MEMBERS
            .iter()
            .any(|member| error.message().contains(member))
    };
    REFUSALS.contains(&error.error_type()) || (error.error_type().starts_with("http_") && names_it())
}

/// What a step does around its question.
#[async_trait]
pub(super) trait Step: Send + Sync + 'static {
    /// Its id in the flow, which is its type as well.
    fn id(&self) -> &'static str;

    /// The answer, where it is known without asking.
    fn known(&self, _cx: &NodeContext) -> Option<Value> {
        None
    }

    /// Reads an answer: what the step makes of it, or what is wrong with it.
    fn read(&self, answer: Map<String, Value>) -> Result<Value, String>;

    /// What the step makes of an answer without an object in it; `None` where it is to be asked for once more.
    fn unreadable(&self, _answer: &Value, _problem: &str) -> Option<Value> {
        None
    }

    /// Writes what was made of the answer, and says where the flow goes on.
    fn conclude(&self, cx: &NodeContext, made: Value) -> Result<Action, NodeError>;
}

/// What all asking steps share in one planner.
pub(super) struct Asker {
    pub(super) setting: Arc<Setting>,
    pub(super) names: Arc<NodeNames>,
    repair: ParamTemplates,
    in_words: ParamTemplates,
    /// The server refused a schema: from then on it is told in words what is wanted.
    told_in_words: AtomicBool,
}

impl Asker {
    pub(super) fn new(
        setting: Arc<Setting>,
        names: Arc<NodeNames>,
    ) -> Result<Self, crate::template::InvalidTemplate> {
        let template = |text: &str| ParamTemplates::new(Arc::new(Value::from(text)));
        Ok(Self {
            setting,
            names,
            repair: template(prompts::REPAIR)?,
            in_words: template(prompts::ANSWER_IN_WORDS)?,
            told_in_words: AtomicBool::new(false),
        })
    }
}

/// A step with the `llm` node that asks for it.
pub(super) struct Asking<S> {
    pub(super) step: S,
    pub(super) llm: Box<dyn Node>,
    pub(super) asker: Arc<Asker>,
}

impl<S: Step> Asking<S> {
    /// The answer as the model gave it.
    async fn ask(&self, cx: &NodeContext, params: &Map<String, Value>) -> Result<Value, NodeError> {
        let asker = &*self.asker;
        if asker.told_in_words.load(Ordering::Relaxed) {
            return self.send(cx, self.in_words(cx, params)?).await;
        }
        match self.send(cx, params.clone()).await {
            Err(error) if is_about_schema(&error) => {
                let message = format!("{error}; asking without a schema from now on");
                current(cx).log(LogLevel::Warn, message);
                asker.told_in_words.store(true, Ordering::Relaxed);
                self.send(cx, self.in_words(cx, params)?).await
            }
            answered => answered,
        }
    }

    async fn send(&self, cx: &NodeContext, params: Map<String, Value>) -> Result<Value, NodeError> {
        let cx = cx.with_params(Arc::new(Value::Object(params)));
        let response = |outputs: &mut Map<String, Value>| outputs.remove("response").unwrap_or_default();
        match self.llm.exec(&cx, &Value::Null).await {
            Ok(Value::Object(mut outputs)) => Ok(response(&mut outputs)),
            Ok(other) => Ok(other),
            // What is accepted is wider than the schema.
            Err(error) if error.error_type() == "schema_mismatch" => {
                let mut outputs = outputs_of(&error);
                Ok(response(&mut outputs))
            }
            // Whoever did not answer in all this time is not asked again.
            Err(error) if error.error_type() == "timeout" => Err(NodeError::permanent(format!(
                "{error}; `planner.timeout` sets the limit"
            ))
            .with_type("timeout")),
            Err(error) => Err(error),
        }
    }

    fn in_words(
        &self,
        cx: &NodeContext,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, NodeError> {
        let member = |name: &str| params.get(name).cloned().unwrap_or_default();
        let variables = [("prompt", member("prompt")), ("schema", member("output_schema"))];
        let prompt = self.filled(cx, &self.asker.in_words, variables)?;
        let mut params = params.clone();
        params.remove("output_schema");
        params.insert("prompt".to_owned(), prompt);
        Ok(params)
    }

    fn repair(
        &self,
        cx: &NodeContext,
        params: &Map<String, Value>,
        answer: Value,
        problem: &str,
    ) -> Result<Map<String, Value>, NodeError> {
        let member = |name: &str| params.get(name).cloned().unwrap_or_default();
        let variables = [
            ("prompt", member("prompt")),
            ("schema", member("output_schema")),
            ("problem", Value::from(problem)),
            ("answer", answer),
        ];
        let prompt = self.filled(cx, &self.asker.repair, variables)?;
        let mut params = params.clone();
        params.insert("prompt".to_owned(), prompt);
        if self.asker.told_in_words.load(Ordering::Relaxed) {
            params.remove("output_schema");
        }
        Ok(params)
    }

    fn filled<const N: usize>(
        &self,
        cx: &NodeContext,
        template: &ParamTemplates,
        variables: [(&'static str, Value); N],
    ) -> Result<Value, NodeError> {
        let with =
            |all: flowmeter_engine::Variables, (name, value): (&'static str, Value)| all.with(name, value);
        let variables = variables.into_iter().fold(cx.variables().clone(), with);
        let cx = cx.with_variables(variables);
        let resolver = Resolver {
            cx: &cx,
            names: &self.asker.names,
            own_id: self.step.id(),
        };
        template.resolve(&resolver).map(|value| Value::clone(&value))
    }

    /// What the step makes of an answer, or what is wrong with it.
    fn made_of(&self, answer: &Value) -> Result<Value, String> {
        match object_in(answer.clone()) {
            Ok(members) => self.step.read(members),
            Err(problem) => self.step.unreadable(answer, &problem).ok_or(problem),
        }
    }
}

#[async_trait]
impl<S: Step> Node for Asking<S> {
    async fn prep(&self, cx: &NodeContext) -> Result<Value, NodeError> {
        let known = self.step.known(cx);
        if known.is_some() {
            current(cx).log(LogLevel::Debug, "Known without asking the model");
        }
        Ok(known.unwrap_or_default())
    }

    async fn exec(&self, cx: &NodeContext, known: &Value) -> Result<Value, NodeError> {
        if !known.is_null() {
            return Ok(known.clone());
        }
        let empty = Map::new();
        let params = cx.params().as_object().unwrap_or(&empty);
        let answer = match self.ask(cx, params).await {
            Ok(answer) => answer,
            Err(error) => {
                let (number, of) = (cx.attempt(), self.asker.setting.retry.attempts_max());
                if error.is_retryable() && of > 1 {
                    let message = format!("Attempt {number} of {of} failed: {error}");
                    current(cx).log(LogLevel::Warn, message);
                }
                return Err(error);
            }
        };
        let problem = match self.made_of(&answer) {
            Ok(made) => return Ok(made),
            Err(problem) => problem,
        };
        current(cx).log(
            LogLevel::Warn,
            format!("The answer cannot be used: {problem}; asking once more"),
        );
        let again = self.ask(cx, &self.repair(cx, params, answer, &problem)?).await?;
        self.made_of(&again).map_err(|problem| {
            let said = match quoted(&again) {
                said if said.is_empty() => String::new(),
                said => format!("; it said: {said}"),
            };
            let model = &self.asker.setting.model;
            let message = format!(
                "the model {model} gave no usable answer for this step, also when asked once more: {problem}{said}"
            );
            NodeError::permanent(message).with_type("planner_answer")
        })
    }

    async fn post(&self, cx: &NodeContext, _known: Value, made: Value) -> Result<Action, NodeError> {
        self.step.conclude(cx, made)
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.asker.setting.retry
    }
}
