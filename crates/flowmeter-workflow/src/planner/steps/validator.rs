//! Can the new workflow run? Judged as any workflow file is.
//!
//! Never mends anything: the generator does, and is told each problem with its place.

use std::sync::Arc;

use async_trait::async_trait;
use flowmeter::current;
use flowmeter_engine::{Action, Node, NodeContext, NodeError};
use flowmeter_model::LogLevel;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{action, id, write};
use crate::planner::asking::Asker;
use crate::planner::setting::{Chosen, GENERATIONS_MAX};
use crate::problem::{InvalidWorkflow, Severity};
use crate::run::LoadError;
use crate::template::{ParamTemplates, Resolver};
use crate::validate::check_text;

/// The name of a workflow that has none yet.
pub(in crate::planner) const UNNAMED: &str = "generated";

pub(in crate::planner) struct Validator {
    pub(in crate::planner) asker: Arc<Asker>,
    pub(in crate::planner) feedback: ParamTemplates,
    pub(in crate::planner) chosen: Chosen,
    /// What was wrong with the last workflow.
    pub(in crate::planner) last: Arc<Mutex<Option<InvalidWorkflow>>>,
}

#[async_trait]
impl Node for Validator {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        let text = cx.params()["workflow"].as_str().unwrap_or_default();
        let attempt = cx.params()["attempt"].as_u64().unwrap_or_default();
        let setting = &self.asker.setting;
        let checked = check_text(UNNAMED, text, &setting.folder, setting.saved_workflows.as_deref());
        let invalid = match checked {
            Ok(checked) => {
                for warning in &checked.warnings {
                    current(cx).log(LogLevel::Warn, warning.to_string());
                }
                *self.chosen.lock() = Some(checked.document);
                write(cx, json!({"valid": true, "attempt": attempt}));
                return Ok(Action::named(action::VALID));
            }
            Err(LoadError::Invalid(invalid)) => invalid,
            Err(other) => return Err(NodeError::permanent(other.to_string()).with_type("invalid_workflow")),
        };
        let problems = told(&invalid);
        let message = format!("Attempt {attempt} of {GENERATIONS_MAX} is not valid:\n{problems}");
        current(cx).log(LogLevel::Warn, message);
        let feedback = self.feedback(cx, attempt, text, &problems)?;
        write(
            cx,
            json!({"valid": false, "attempt": attempt, "problems": problems, "feedback": feedback}),
        );
        *self.last.lock() = Some(invalid);
        Ok(Action::named(if attempt < u64::from(GENERATIONS_MAX) {
            action::INVALID
        } else {
            action::GIVEN_UP
        }))
    }
}

impl Validator {
    fn feedback(
        &self,
        cx: &NodeContext,
        attempt: u64,
        text: &str,
        problems: &str,
    ) -> Result<Value, NodeError> {
        let lines: Vec<String> = text
            .lines()
            .enumerate()
            .map(|(index, line)| format!("{:>4} | {line}", index + 1))
            .collect();
        let variables = cx
            .variables()
            .with("attempt", Value::from(attempt + 1))
            .with("attempts_max", Value::from(GENERATIONS_MAX))
            .with("text", Value::from(lines.join("\n")))
            .with("problems", Value::from(problems));
        let cx = cx.with_variables(variables);
        let resolver = Resolver {
            cx: &cx,
            names: &self.asker.names,
            own_id: id::VALIDATOR,
        };
        self.feedback.resolve(&resolver).map(|value| Value::clone(&value))
    }
}

/// Every error with its place in the text and in the document.
fn told(invalid: &InvalidWorkflow) -> String {
    let errors = invalid
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    let lines: Vec<String> = errors
        .map(|problem| {
            let place = if problem.pointer.is_empty() {
                String::new()
            } else {
                format!(" ({})", problem.pointer)
            };
            let help = problem
                .help
                .as_ref()
                .map_or_else(String::new, |help| format!("\n  {}", help.replace('\n', "\n  ")));
            format!(
                "- line {}, column {}{place}: {}{help}",
                problem.line, problem.column, problem.message
            )
        })
        .collect();
    lines.join("\n")
}
