//! The `shell` type: a command for `sh`.
//!
//! Never leaves a process behind: see [`super::process`].

use std::borrow::Cow;
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowmeter_engine::{NodeContext, NodeError, RetryPolicy};
use flowmeter_model::LogLevel;
use serde_json::Value;

use super::carriers::{self, PROPAGATE_TO_PROCESS};
use super::leaf::{self, Leaf, Outputs};
use super::params::{Params, text_of};
use super::process::{self, Captured};
use super::{ERROR, ERROR_TYPE, NodeType, ValueType, defaulting, optional, output, required};
use flowmeter::current;

pub(super) const TYPE: NodeType = NodeType {
    name: "shell",
    summary: "Runs a command with sh.",
    params: &[
        required("command", ValueType::String, "the command, for `sh -c`"),
        optional(
            "stdin",
            ValueType::Any,
            "what the command reads; an object or list is given as JSON",
        ),
        optional(
            "cwd",
            ValueType::String,
            "the folder to run in; the current directory where absent",
        ),
        optional(
            "env",
            ValueType::Object,
            "more environment variables; every value is given as text",
        ),
        defaulting(
            "timeout",
            ValueType::Number,
            "30",
            "the longest it may take, in seconds",
        ),
        defaulting(
            "ignore_errors",
            ValueType::Boolean,
            "false",
            "whether to go on after a non-zero exit code",
        ),
        defaulting(
            "strip_newline",
            ValueType::Boolean,
            "true",
            "whether newlines at the end of stdout are left out",
        ),
        PROPAGATE_TO_PROCESS,
    ],
    free_params: false,
    outputs: &[
        output(
            "stdout",
            ValueType::String,
            "the standard output; base64 where it is not UTF-8; at most 100 MiB",
        ),
        output(
            "stdout_is_binary",
            ValueType::Boolean,
            "whether `stdout` is base64",
        ),
        output(
            "stderr",
            ValueType::String,
            "the standard error; base64 where it is not UTF-8; at most 100 MiB",
        ),
        output(
            "stderr_is_binary",
            ValueType::Boolean,
            "whether `stderr` is base64",
        ),
        output(
            "exit_code",
            ValueType::Integer,
            "the exit code; 128 and the number of the signal that ended it",
        ),
        output("command", ValueType::String, "the command"),
        ERROR,
        ERROR_TYPE,
    ],
    free_outputs: false,
    actions: &["error"],
    free_actions: false,
    default_retry: RetryPolicy::once,
    make: |setting| leaf::node(Shell, setting),
};

/// How long a command may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Shell;

#[async_trait]
impl Leaf for Shell {
    async fn work(&self, cx: &NodeContext) -> Result<Outputs, NodeError> {
        let params = Params::of(cx);
        let text = params.required_text("command")?;
        if text.trim().is_empty() {
            return Err(NodeError::permanent("the parameter `command` is empty"));
        }
        let limit = params.timeout(TIMEOUT)?;
        let strip = params.flag("strip_newline", true)?;
        let ignore_errors = params.flag("ignore_errors", false)?;
        let stdin = params.text("stdin").unwrap_or(Cow::Borrowed(""));

        let mut command = Command::new("sh");
        command.arg("-c").arg(&*text);
        if let Some(folder) = params.text("cwd").filter(|folder| !folder.is_empty()) {
            command.current_dir(&*folder);
        }
        let env = params.object("env")?;
        carriers::into_environment(&mut command, cx, env)?;
        for (name, value) in env.into_iter().flatten() {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(NodeError::permanent(format!(
                    "`{name}` in the parameter `env` is no variable name"
                )));
            }
            command.env(name, &*text_of(value));
        }

        let span = current(cx);
        span.log(LogLevel::Info, format!("Running command: {}", first_line(&text)));
        let finished = process::run(span, command, stdin.as_bytes(), limit).await;
        let finished = finished.map_err(|problem| {
            let mut outputs = Outputs::new();
            outputs.insert("command".to_owned(), Value::from(&*text));
            leaf::with_outputs(problem.into_error("the command", limit), cause(&text), outputs)
        })?;
        let exit_code = process::exit_code(finished.status);
        span.log(LogLevel::Debug, format!("Exit code: {exit_code}"));
        for (name, captured) in [("stdout", &finished.stdout), ("stderr", &finished.stderr)] {
            if captured.truncated {
                span.log(
                    LogLevel::Warn,
                    format!("Only the first 100 MiB of {name} were kept"),
                );
            }
        }

        let mut outputs = Outputs::new();
        let (stdout, binary) = text_or_base64(finished.stdout, strip);
        outputs.insert("stdout".to_owned(), Value::String(stdout));
        outputs.insert("stdout_is_binary".to_owned(), Value::Bool(binary));
        let (stderr, binary) = text_or_base64(finished.stderr, false);
        let complaint = process::last_lines(&stderr, 3);
        outputs.insert("stderr".to_owned(), Value::String(stderr));
        outputs.insert("stderr_is_binary".to_owned(), Value::Bool(binary));
        outputs.insert("exit_code".to_owned(), Value::from(exit_code));
        outputs.insert("command".to_owned(), Value::from(&*text));
        if exit_code == 0 || ignore_errors {
            return Ok(outputs);
        }
        let mut message = format!("the command ended with exit code {exit_code}");
        if !complaint.is_empty() && !binary {
            message.push_str(": ");
            message.push_str(&complaint);
        }
        let error = NodeError::failed(message).with_type("exit_code");
        Err(leaf::with_outputs(error, cause(&text), outputs))
    }
}

/// What stands as the cause beneath a command's failure.
fn cause(command: &str) -> String {
    format!("the command `{}`", first_line(command))
}

fn first_line(command: &str) -> String {
    let mut lines = command.trim().lines();
    let first = lines.next().unwrap_or_default();
    let shown: String = first.chars().take(200).collect();
    if shown.len() < first.len() || lines.next().is_some() {
        format!("{shown} …")
    } else {
        shown
    }
}

/// The text without a copy; what is no UTF-8 as base64.
pub(super) fn text_or_base64(captured: Captured, strip: bool) -> (String, bool) {
    let truncated = captured.truncated;
    match String::from_utf8(captured.bytes) {
        Ok(mut text) => {
            if strip {
                text.truncate(text.trim_end_matches(['\n', '\r']).len());
            }
            (text, false)
        }
        Err(error) => {
            let valid = error.utf8_error();
            // The bound may have fallen into the middle of a character.
            if truncated && valid.error_len().is_none() {
                let mut bytes = error.into_bytes();
                bytes.truncate(valid.valid_up_to());
                return text_or_base64(
                    Captured {
                        bytes,
                        truncated: false,
                    },
                    strip,
                );
            }
            (STANDARD.encode(error.into_bytes()), true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::cause;

    #[test]
    fn the_cause_of_a_failure_names_the_command_as_one() {
        assert_eq!(cause("make test"), "the command `make test`");
        assert_eq!(cause("a\nb"), "the command `a …`");
    }
}
