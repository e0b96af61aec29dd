//! The `code` type: Python in a process of its own.
//!
//! Inputs go in and the result comes back as JSON beside the standard streams, so that whatever the code prints
//! is only output. Never runs code inside this program.

use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use flowmeter_engine::{NodeContext, NodeError, RetryPolicy};
use flowmeter_model::LogLevel;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::carriers::{self, PROPAGATE_TO_PROCESS};
use super::leaf::{self, Leaf, Outputs};
use super::params::Params;
use super::process::{self, ProcessProblem};
use super::shell::text_or_base64;
use super::{ERROR, ERROR_TYPE, NodeType, ValueType, defaulting, optional, output, required};
use flowmeter::current;

pub(super) const TYPE: NodeType = NodeType {
    name: "code",
    summary: "Runs Python code; the variable `result` is its outcome.",
    params: &[
        required(
            "code",
            ValueType::String,
            "the code; it sets `result`, and may set `next` to the action that leads on",
        ),
        optional("inputs", ValueType::Object, "becomes variables of the code"),
        defaulting(
            "timeout",
            ValueType::Number,
            "30",
            "the longest it may take, in seconds",
        ),
        optional(
            "requires",
            ValueType::Array,
            "the packages that the code needs, for the reader",
        ),
        PROPAGATE_TO_PROCESS,
    ],
    free_params: false,
    outputs: &[
        output("result", ValueType::Any, "what `result` held at the end"),
        output(
            "stdout",
            ValueType::String,
            "what the code printed; at most 100 MiB",
        ),
        output(
            "stderr",
            ValueType::String,
            "what it wrote to the standard error; at most 100 MiB",
        ),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: true,
    default_retry: RetryPolicy::once,
    make: |setting| leaf::node(Code, setting),
};

/// How long code may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The interpreter.
const PYTHON: &str = "python3";

/// Runs the code and writes down how it ended. The frames of this driver are left out of tracebacks.
const DRIVER: &str = include_str!("code_driver.py");

struct Code;

/// What the driver writes down.
#[derive(Deserialize)]
struct Ending {
    /// `ok`, `syntax`, `exception`, `no_result` or `not_json`.
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    result: Value,
    next: Option<String>,
}

#[async_trait]
impl Leaf for Code {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let params = Params::of(cx);
        let code = params.required_text("code")?;
        let limit = params.timeout(TIMEOUT)?;
        let none = Map::new();
        let inputs = params.object("inputs")?.unwrap_or(&none);
        if let Some(name) = inputs.keys().find(|name| !is_identifier(name)) {
            return Err(NodeError::permanent(format!(
                "the input `{name}` cannot be a Python variable"
            )));
        }
        let folder = tempfile::Builder::new()
            .prefix("flowmeter-code-")
            .tempdir()
            .map_err(|error| NodeError::failed(format!("no place for the result of the code: {error}")))?;
        let ending_path = folder.path().join("ending.json");
        let task =
            json!({"code": code, "inputs": inputs, "ending": ending_path.to_string_lossy()}).to_string();

        let mut command = Command::new(PYTHON);
        command.arg("-c").arg(DRIVER).env("PYTHONIOENCODING", "utf-8");
        carriers::into_environment(&mut command, cx, None)?;
        let span = current(cx);
        span.log(
            LogLevel::Info,
            format!("Running {} lines of Python", code.lines().count()),
        );
        let finished = process::run(span, command, task.as_bytes(), limit)
            .await
            .map_err(|problem| match problem {
                ProcessProblem::Start(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    let message = format!("{PYTHON} was not found: `code` nodes need Python 3 on the PATH");
                    NodeError::permanent(message).with_type("python_missing")
                }
                problem => problem.into_error("the code", limit),
            })?;
        let exit_code = process::exit_code(finished.status);
        let ending = tokio::fs::read(&ending_path).await.unwrap_or_default();
        let ending = serde_json::from_slice::<Ending>(&ending);

        let mut outputs = Outputs::new();
        let (stdout, _) = text_or_base64(finished.stdout, false);
        let (stderr, _) = text_or_base64(finished.stderr, false);
        let complaint = process::last_lines(&stderr, 5);
        outputs.insert("stdout".to_owned(), Value::String(stdout));
        outputs.insert("stderr".to_owned(), Value::String(stderr));
        let ending = match ending {
            Ok(ending) => ending,
            // Python's JSON goes further than JSON does: numbers of any size, halves of characters.
            Err(problem) if !problem.is_eof() => {
                let problem = problem.to_string();
                let problem = problem.split(" at line ").next().unwrap_or(&problem);
                let message = format!("`result` holds what JSON cannot hold: {problem}; make it a text");
                let error = NodeError::permanent(message).with_type("code_not_json");
                return Err(leaf::with_outputs(error, problem, outputs));
            }
            Err(_) => {
                let message =
                    format!("Python ended with exit code {exit_code} before the code was done\n{complaint}");
                let error = NodeError::failed(message.trim_end()).with_type("code_died");
                let summary = format!("exit code {exit_code}");
                return Err(leaf::with_outputs(error, summary, outputs));
            }
        };
        let error = match ending.kind.as_str() {
            "ok" => {
                outputs.insert("result".to_owned(), ending.result);
                if let Some(next) = ending.next {
                    leaf::choose_action(&mut outputs, &next);
                }
                return Ok(outputs);
            }
            "syntax" => NodeError::permanent(format!("the code is no valid Python: {}", ending.message)),
            "no_result" => NodeError::permanent("the code did not set the variable `result`"),
            "not_json" => {
                NodeError::permanent(format!("`result` cannot be written as JSON: {}", ending.message))
            }
            _ => NodeError::failed(format!("the code failed: {}\n{complaint}", ending.message).trim_end()),
        };
        let error = error.with_type(format!("code_{}", ending.kind));
        Err(leaf::with_outputs(error, ending.message, outputs))
    }
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || character == '_')
}
