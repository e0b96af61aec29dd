//! A node's detail as lines for people.
//!
//! Never gathers anything: it shows what was gathered.

use std::fmt::Write;

use flowmeter::{format_duration, grouped};
use flowmeter_model::{AttributeValue, Cost, Figure, FigureSource, Span, SpanKind, TokenUsage};
use flowmeter_otlp::names;
use owo_colors::{OwoColorize, Style};
use serde_json::Value;

use super::{NodeDetail, NodeLook, model_of, number, status_words};
use crate::commands::pricing::explained;
use crate::history_view::log_lines::{LogLook, log_line};
use crate::history_view::messages::{Message, message_lines, prompt_of, response_of};
use crate::history_view::value_words::{Altered, short_value, value_lines};
use crate::printable::one_line;

/// How many spans inside are listed.
const LISTED: usize = 20;
/// How many log lines are shown.
const LOGS_SHOWN: usize = 100;

impl NodeDetail<'_> {
    /// For people.
    pub(crate) fn text(&self, look: NodeLook<'_>) -> String {
        let mut text = String::new();
        let title = if self.found.span.node.is_empty() {
            self.span.operation.as_str()
        } else {
            self.found.span.node.as_str()
        };
        let (mark, style) = status_words(self.span.status);
        let duration = self
            .span
            .duration_ns()
            .map_or_else(String::new, |ns| format!("  {}", format_duration(ns)));
        push(
            &mut text,
            &format!(
                "{}  {}  {}{duration}",
                paint(&one_line(title), Style::new().bold(), look),
                one_line(&self.span.operation),
                paint(mark, style, look)
            ),
        );
        for [name, value] in self.facts(look) {
            push(&mut text, &format!("  {name:<9} {value}"));
        }
        self.push_error(&mut text, look);
        self.push_given(&mut text, look);
        self.push_attempts(&mut text, look);
        for (index, call) in self.calls.iter().enumerate() {
            self.push_call(&mut text, index + 1, call, look);
        }
        if self.calls_left_out > 0 {
            heading(
                &mut text,
                &format!("{} more LLM calls", self.calls_left_out),
                look,
            );
            push(&mut text, "  --node SPAN_ID shows one of them; --json has all");
        }
        self.push_inside(&mut text, look);
        self.push_writes(&mut text, look);
        self.push_logs(&mut text, look);
        if self.run.are_payloads_gone() {
            push(
                &mut text,
                "\nPrompts, answers, parameters and writes of this run have had their time (retention) and are gone.",
            );
        }
        text
    }

    fn facts(&self, look: NodeLook<'_>) -> Vec<[String; 2]> {
        let mut facts = Vec::new();
        let mut fact = |name: &str, value: String| facts.push([name.to_owned(), value]);
        fact(
            "run",
            format!("{} ({})", self.run.run_id(), one_line(self.run.workflow())),
        );
        fact("span", self.span.span_id.to_string());
        let at = self.span.start;
        if at.0 > 0 {
            fact(
                "began",
                format!("{} ({})", look.times.absolute(at), look.times.relative(at)),
            );
        }
        if self.found.count > 1 {
            fact(
                "execution",
                format!("{} of {} (--nth picks another)", self.found.nth, self.found.count),
            );
        }
        let tried = number(&self.span, "node.attempts").unwrap_or(1);
        if tried > 1 {
            fact("attempts", tried.to_string());
        }
        if self.span.kind != SpanKind::LlmCall && self.calls.len() + self.calls_left_out > 0 {
            let (tokens, cost) = self.sums();
            fact("calls", (self.calls.len() + self.calls_left_out).to_string());
            if self.calls_left_out == 0 {
                fact("tokens", tokens);
                fact("cost", cost);
            }
        }
        facts
    }

    fn sums(&self) -> (String, String) {
        let (mut input, mut output) = (0, 0);
        let mut total = flowmeter_model::CostTotal::default();
        for call in &self.calls {
            if let Some(usage) = &call.usage {
                input += usage.input.map_or(0, |figure| figure.tokens);
                output += usage.output.map_or(0, |figure| figure.tokens);
            }
            total.add(model_of(call), call.cost.as_ref().unwrap_or(&Cost::unpriced()));
        }
        (
            format!("{} in + {} out", grouped(input), grouped(output)),
            total.display(),
        )
    }

    fn push_error(&self, text: &mut String, look: NodeLook<'_>) {
        if let Some(error) = &self.span.error {
            heading(text, "Error", look);
            push_lines(
                text,
                "  ",
                &value_lines(&Value::from(error.message.as_str()), look.is_full),
            );
            push(text, &format!("  type: {}", one_line(&error.error_type)));
            for cause in &error.chain {
                push(text, &format!("  caused by: {}", one_line(cause)));
            }
        }
    }

    fn push_given(&self, text: &mut String, look: NodeLook<'_>) {
        if let Some(params) = &self.span.params {
            heading(text, "Parameters", look);
            match &**params {
                Value::Object(members) => {
                    for (name, value) in members {
                        push_named(text, name, value, look);
                    }
                }
                other => push_lines(text, "  ", &value_lines(other, look.is_full)),
            }
        }
        if !self.span.templates.is_empty() {
            heading(text, "Templates", look);
            for template in &self.span.templates {
                push_named(text, &template.template, &template.value, look);
            }
        }
    }

    fn push_attempts(&self, text: &mut String, look: NodeLook<'_>) {
        if self.attempts.is_empty() {
            return;
        }
        heading(text, "Attempts", look);
        for attempt in &self.attempts {
            let (mark, style) = status_words(attempt.status);
            let number = number(attempt, "attempt.number").unwrap_or_default();
            let duration = attempt
                .duration_ns()
                .map_or_else(String::new, |ns| format!(" {}", format_duration(ns)));
            let why = attempt
                .error
                .as_ref()
                .map_or_else(String::new, |error| format!("  {}", one_line(&error.message)));
            push(
                text,
                &format!("  {number}  {}{duration}{why}", paint(mark, style, look)),
            );
        }
    }

    fn push_call(&self, text: &mut String, number: usize, call: &Span, look: NodeLook<'_>) {
        let (mark, style) = status_words(call.status);
        let duration = call
            .duration_ns()
            .map_or_else(String::new, |ns| format!("  {}", format_duration(ns)));
        let count = self.calls.len() + self.calls_left_out;
        let title = if count == 1 {
            "LLM call".to_owned()
        } else {
            format!("LLM call {number} of {count}")
        };
        heading(text, &title, look);
        push(
            text,
            &format!(
                "  {}  {}{duration}",
                one_line(&call.operation),
                paint(mark, style, look)
            ),
        );
        for [name, value] in call_facts(call) {
            push(text, &format!("  {name:<9} {value}"));
        }
        if let Some(cost) = &call.cost {
            text.push_str(&explained(cost, "  "));
        }
        if call.span_id != self.span.span_id
            && let Some(error) = &call.error
        {
            push(text, &format!("  error     {}", one_line(&error.message)));
        }
        let mut said = |title: &str, messages: &[Message]| {
            if !messages.is_empty() {
                push(
                    text,
                    &format!("\n  {}", paint(title, Style::new().underline(), look)),
                );
                push_lines(text, "  ", &message_lines(messages, look.is_full));
            }
        };
        said("Prompt", &prompt_of(call));
        said("Answer", &response_of(call));
    }

    fn push_inside(&self, text: &mut String, look: NodeLook<'_>) {
        if self.inside.is_empty() {
            return;
        }
        heading(text, "Inside", look);
        for inner in self.inside.iter().take(LISTED) {
            let (mark, style) = status_words(inner.status);
            let duration = inner.end.map_or_else(String::new, |end| {
                format!("  {}", format_duration(end.since(inner.start)))
            });
            let name = if inner.kind == SpanKind::Node {
                &inner.node
            } else {
                &inner.operation
            };
            push(
                text,
                &format!(
                    "  {}  {}  {}{duration}",
                    inner.span_id,
                    one_line(name),
                    paint(mark, style, look)
                ),
            );
        }
        if self.inside.len() > LISTED {
            push(text, &format!("  … and {} more", self.inside.len() - LISTED));
        }
    }

    fn push_writes(&self, text: &mut String, look: NodeLook<'_>) {
        if self.span.mutations.is_empty() {
            return;
        }
        heading(text, "Writes", look);
        for mutation in &self.span.mutations {
            let path = one_line(&mutation.path);
            match (&mutation.before, &mutation.after) {
                (_, None) => push(text, &format!("  {path} removed")),
                (before, Some(after)) => {
                    push_named(text, &path, after, look);
                    if let Some(before) = before {
                        push(text, &format!("    (was {})", short_value(before, 60)));
                    }
                }
            }
        }
    }

    fn push_logs(&self, text: &mut String, look: NodeLook<'_>) {
        if self.logs.is_empty() {
            return;
        }
        heading(text, "Logs", look);
        let shown = if look.is_full { self.logs.len() } else { LOGS_SHOWN };
        let lines = LogLook {
            colour: look.colour,
            times: look.times,
            with_day: false,
        };
        for log in self.logs.iter().take(shown) {
            push(
                text,
                &format!(
                    "  {}",
                    log_line(log, "", "", lines).trim_end().replace('\n', "\n  ")
                ),
            );
        }
        if self.logs.len() > shown {
            push(
                text,
                &format!(
                    "  … and {} more; `flowmeter logs` has all",
                    self.logs.len() - shown
                ),
            );
        }
    }
}

/// Model, parameters of the request and tokens.
fn call_facts(call: &Span) -> Vec<[String; 2]> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push([name.to_owned(), value]);
    let text = |key: &str| {
        call.attributes
            .get_str(key)
            .map(|text| one_line(text).into_owned())
    };
    fact("span", call.span_id.to_string());
    if let Some(model) = text(names::REQUEST_MODEL) {
        let provider = text(names::PROVIDER_NAME).map_or_else(String::new, |name| format!(" ({name})"));
        let answered = text(names::RESPONSE_MODEL)
            .filter(|answered| *answered != model)
            .map_or_else(String::new, |name| format!(", answered by {name}"));
        fact("model", format!("{model}{provider}{answered}"));
    }
    let asked: Vec<String> = call
        .attributes
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("gen_ai.request.")?, value)))
        .filter(|(key, _)| *key != "model")
        .map(|(key, value)| format!("{key}={}", one_line(&attribute_text(value))))
        .collect();
    if !asked.is_empty() {
        fact("asked", asked.join(" "));
    }
    if let Some(reasons) = call.attributes.get(names::FINISH_REASONS) {
        fact("finish", one_line(&attribute_text(reasons)).into_owned());
    }
    if let Some(usage) = call.usage.as_ref().filter(|usage| usage.is_known()) {
        fact("tokens", tokens_text(usage));
    }
    facts
}

/// `1,234 in (300 from the cache) + ~56 out (12 reasoning)`.
fn tokens_text(usage: &TokenUsage) -> String {
    let figure = |figure: Option<Figure>| {
        figure.map_or_else(
            || "?".to_owned(),
            |figure| {
                let is_guess = !matches!(figure.source, FigureSource::Provider);
                format!("{}{}", if is_guess { "~" } else { "" }, grouped(figure.tokens))
            },
        )
    };
    let part = |part: Option<Figure>, name: &str| {
        part.filter(|part| part.tokens > 0)
            .map(|part| format!("{} {name}", grouped(part.tokens)))
    };
    let within = |parts: Vec<Option<String>>| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!(" ({})", parts.join(", "))
        }
    };
    format!(
        "{} in{} + {} out{}",
        figure(usage.input),
        within(vec![
            part(usage.cache_read, "read from the cache"),
            part(usage.cache_write_5m, "written to the cache"),
            part(usage.cache_write_1h, "written to the cache for 1 h"),
        ]),
        figure(usage.output),
        within(vec![part(usage.reasoning, "reasoning")]),
    )
}

/// An attribute as text.
fn attribute_text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Bool(flag) => flag.to_string(),
        AttributeValue::I64(number) => number.to_string(),
        AttributeValue::F64(number) => number.to_string(),
        AttributeValue::Str(text) => text.to_string(),
        AttributeValue::Json(value) => value.to_string(),
    }
}

fn paint(text: &str, style: Style, look: NodeLook<'_>) -> String {
    if look.colour {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}

fn heading(text: &mut String, title: &str, look: NodeLook<'_>) {
    push(text, &format!("\n{}", paint(title, Style::new().bold(), look)));
}

fn push(text: &mut String, line: &str) {
    let _a_string_takes_everything = writeln!(text, "{}", line.trim_end());
}

fn push_lines(text: &mut String, indent: &str, lines: &[String]) {
    for line in lines {
        push(text, &format!("{indent}{line}"));
    }
}

/// `name: value`, or the value below its name where it has several lines.
fn push_named(text: &mut String, name: &str, value: &Value, look: NodeLook<'_>) {
    let name = one_line(name);
    let note = Altered::of(value).note();
    match value_lines(value, look.is_full).as_slice() {
        [line] => push(text, &format!("  {name}: {line}{note}")),
        lines => {
            push(text, &format!("  {name}:{note}"));
            push_lines(text, "    ", lines);
        }
    }
}
