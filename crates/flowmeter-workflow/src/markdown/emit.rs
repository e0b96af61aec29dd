//! Values written as they are read in Markdown workflow files: on one line, as YAML, as fenced blocks.
//!
//! Whatever is written here is read back as the same value. Knows nothing of workflows.

use serde_json::{Map, Number, Value};

use super::scalar;

/// How long a list or object on one line may be, in characters.
const FLOW_MAX: usize = 60;

/// The lines of one parameter as a bullet, without a line end behind the last one.
pub(super) fn bullet(key: &str, value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => {
            let flow = flow(value);
            if flow.chars().count() <= FLOW_MAX {
                return format!("- {key}: {flow}");
            }
            let mut text = format!("- {key}:");
            block(value, 4, &mut text);
            text
        }
        Value::String(text) => format!("- {key}: {}", line(text)),
        other => format!("- {key}: {}", plain(other)),
    }
}

/// A fenced block that holds a text.
pub(super) fn fence(info: &str, body: &str) -> String {
    let runs = body.split(|character| character != '`').map(str::len);
    let length = runs.max().unwrap_or(0).max(2) + 1;
    let mark = "`".repeat(length);
    format!("{mark}{info}\n{body}\n{mark}")
}

/// Whether a text is the same when it is read from between two fences.
pub(super) fn fits_fence(text: &str) -> bool {
    !text.is_empty() && !text.contains('\r')
}

/// A text on one line.
fn line(text: &str) -> String {
    let stands = !text.is_empty()
        && text.trim() == text
        && !text.contains('\n')
        && !text.starts_with(['{', '['])
        && scalar::of_line(text) == Ok(Value::from(text));
    if stands {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// What is neither a text nor a list nor an object.
fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) => number_text(number),
        other => other.to_string(),
    }
}

/// A number as YAML 1.1 reads it: what is no whole number has a dot, and an exponent has a sign.
fn number_text(number: &Number) -> String {
    let text = number.to_string();
    if number.is_i64() || number.is_u64() {
        return text;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text.as_str(), None),
    };
    let dot = if mantissa.contains('.') { "" } else { ".0" };
    match exponent {
        Some(exponent) if exponent.starts_with(['-', '+']) => format!("{mantissa}{dot}e{exponent}"),
        Some(exponent) => format!("{mantissa}{dot}e+{exponent}"),
        None => format!("{mantissa}{dot}"),
    }
}

/// A value on one line of YAML.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar_text(text, true),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(flow).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{}: {}", scalar_text(name, true), flow(member)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        other => plain(other),
    }
}

/// A list or object in lines of YAML, behind what `text` ends with.
pub(super) fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            object_lines(members, indent, text);
        }
        Value::Array(elements) if !elements.is_empty() => {
            for element in elements {
                text.push('\n');
                text.push_str(&" ".repeat(indent));
                text.push('-');
                match element {
                    Value::Object(members) if !members.is_empty() => {
                        let start = text.len();
                        text.push('\n');
                        let lines = text.len();
                        object_lines(members, indent + 2, text);
                        // The first member stands behind the dash.
                        text.replace_range(start..lines + indent + 2, " ");
                    }
                    other => block(other, indent + 2, text),
                }
            }
        }
        Value::String(string) if is_literal(string) => {
            text.push_str(" |-");
            for line in string.split('\n') {
                text.push('\n');
                if !line.is_empty() {
                    text.push_str(&" ".repeat(indent));
                    text.push_str(line);
                }
            }
        }
        Value::String(string) => {
            text.push(' ');
            text.push_str(&scalar_text(string, false));
        }
        other => {
            text.push(' ');
            text.push_str(&flow(other));
        }
    }
}

/// The members, one below the other, the first one without a line end in front.
fn object_lines(members: &Map<String, Value>, indent: usize, text: &mut String) {
    for (position, (name, member)) in members.iter().enumerate() {
        if position > 0 {
            text.push('\n');
        }
        text.push_str(&" ".repeat(indent));
        text.push_str(&scalar_text(name, false));
        text.push(':');
        block(member, indent + 2, text);
    }
}

/// Whether a text of several lines can stand as it is.
fn is_literal(text: &str) -> bool {
    // Spaces at the end are easily lost, and a fence would look like the end of the parameter.
    let is_odd = |line: &str| {
        line.trim_end() != line || line.starts_with('\t') || line.trim_start().starts_with(['`', '~'])
    };
    text.contains('\n')
        && !text.starts_with(['\n', ' '])
        && !text.ends_with('\n')
        && !text.split('\n').any(is_odd)
        && text
            .chars()
            .all(|character| character == '\n' || is_printable(character))
}

fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// A template alone, with nothing in it that would need quotes: it is read back bare.
fn is_bare_template(text: &str) -> bool {
    let inside = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|path| {
        !path.is_empty()
            && path
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']'))
    })
}

/// A text as a scalar of YAML: as it is where nobody can take it for something else, else in quotes.
fn scalar_text(text: &str, in_flow: bool) -> String {
    let first = |character: char| character.is_alphabetic() || matches!(character, '_' | '/' | '.');
    let rest = |character: char| {
        character.is_alphanumeric()
            || matches!(character, '_' | '/' | '.' | '-' | '@' | '+' | '%' | '(' | ')')
    };
    let spaced = |character: char| rest(character) || (character == ' ' && !in_flow);
    let stands = text.starts_with(first)
        && text.chars().all(spaced)
        && text.trim() == text
        && scalar::of_yaml(text).is_string();
    if stands || is_bare_template(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other if is_printable(other) => quoted.push(other),
            other => quoted.push_str(&format!("\\u{:04x}", u32::from(other))),
        }
    }
    quoted.push('"');
    quoted
}
