//! What a value without structure means: the words, numbers and quotes of Markdown workflow files.
//!
//! Two readings: of a value on one line, and of a plain scalar of YAML 1.1, which knows more kinds of numbers.
//! Never looks at templates.

use serde_json::{Number, Value};

/// Why a value on one line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadScalar {
    /// It begins with this quote and does not end with it.
    OpenQuote(char),
}

/// What a value on one line means: null, a boolean, a whole number, a number with a dot, a text in quotes;
/// else the text as it stands, in which `: ` and `#` are nothing special.
pub(super) fn of_line(text: &str) -> Result<Value, BadScalar> {
    if let Some(word) = of_word(text) {
        return Ok(word);
    }
    if let Some(number) = decimal(text) {
        return Ok(number);
    }
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => unquoted(text, quote),
        _ => Ok(Value::from(text)),
    }
}

/// What a plain scalar of YAML 1.1 means.
pub(super) fn of_yaml(text: &str) -> Value {
    of_word(text)
        .or_else(|| yaml_integer(text))
        .or_else(|| yaml_float(text))
        .unwrap_or_else(|| Value::from(text))
}

/// The words that are no text, in three spellings each.
fn of_word(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => return None,
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A sign, if there is one, and the rest.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn decimal(text: &str) -> Option<Value> {
    let (negative, digits) = signed(text);
    if is_digits(digits) {
        return whole(negative, digits, 10);
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (before, behind) = mantissa.split_once('.')?;
    let has_digits = [before, behind]
        .iter()
        .all(|part| part.is_empty() || is_digits(part))
        && mantissa.len() > 1;
    let has_exponent = exponent.is_none_or(|exponent| is_digits(signed(exponent).1));
    (has_digits && has_exponent)
        .then(|| float(negative, mantissa, exponent))
        .flatten()
}

/// A whole number; one too large for 64 bits becomes the nearest number there is, as in JSON.
fn whole(negative: bool, digits: &str, radix: u32) -> Option<Value> {
    if digits.is_empty() {
        return None;
    }
    if let Ok(number) = u64::from_str_radix(digits, radix) {
        return match (negative, i64::try_from(number)) {
            (false, _) => Some(Value::from(number)),
            (true, Ok(number)) => Some(Value::from(-number)),
            (true, Err(_)) if number == i64::MIN.unsigned_abs() => Some(Value::from(i64::MIN)),
            (true, Err(_)) => real(-(number as f64)),
        };
    }
    let mut sum = 0.0_f64;
    if radix == 10 {
        sum = digits.parse().ok()?;
    } else {
        for digit in digits.chars() {
            sum = sum * f64::from(radix) + f64::from(digit.to_digit(radix)?);
        }
    }
    real(if negative { -sum } else { sum })
}

fn float(negative: bool, mantissa: &str, exponent: Option<&str>) -> Option<Value> {
    let text = match exponent {
        Some(exponent) => format!("{mantissa}e{exponent}"),
        None => mantissa.to_owned(),
    };
    let number: f64 = text.parse().ok()?;
    real(if negative { -number } else { number })
}

/// Numbers beyond all bounds are none in JSON: such a text stays one.
fn real(number: f64) -> Option<Value> {
    Number::from_f64(number).map(Value::Number)
}

/// Whole numbers: decimal, `0x`, `0b`, octal with a leading zero, with `_` between digits, and `1:30`.
fn yaml_integer(text: &str) -> Option<Value> {
    let (negative, body) = signed(text);
    if !body.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let plain = |digits: &str| digits.replace('_', "");
    if let Some(digits) = body.strip_prefix("0b") {
        let digits = plain(digits);
        return digits
            .bytes()
            .all(|byte| matches!(byte, b'0' | b'1'))
            .then(|| whole(negative, &digits, 2))
            .flatten();
    }
    if let Some(digits) = body.strip_prefix("0x") {
        let digits = plain(digits);
        return digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| whole(negative, &digits, 16))
            .flatten();
    }
    if body.contains(':') {
        return sixtieths(negative, body);
    }
    let digits = plain(body);
    if !is_digits(&digits) {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        let is_octal = digits.bytes().all(|byte| byte <= b'7');
        return is_octal.then(|| whole(negative, &digits, 8)).flatten();
    }
    whole(negative, &digits, 10)
}

/// `1:30` is 90: minutes and seconds, as YAML 1.1 has it.
fn sixtieths(negative: bool, body: &str) -> Option<Value> {
    let mut parts = body.split(':');
    let first = parts.next()?.replace('_', "");
    if !is_digits(&first) || first.starts_with('0') {
        return None;
    }
    let mut sum: i64 = first.parse().ok()?;
    for part in parts {
        let is_sixtieth = is_digits(part) && part.len() <= 2;
        let part: i64 = part.parse().ok().filter(|part| is_sixtieth && *part < 60)?;
        sum = sum.checked_mul(60)?.checked_add(part)?;
    }
    Some(Value::from(if negative { -sum } else { sum }))
}

/// Numbers with a dot; an exponent has a sign.
fn yaml_float(text: &str) -> Option<Value> {
    let (negative, body) = signed(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) if exponent.starts_with(['+', '-']) => (mantissa, Some(exponent)),
        Some(_) => return None,
        None => (body, None),
    };
    let starts = mantissa.strip_prefix('.').unwrap_or(mantissa);
    if !starts.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let mantissa = mantissa.replace('_', "");
    let (before, behind) = mantissa.split_once('.')?;
    let has_digits = [before, behind]
        .iter()
        .all(|part| part.is_empty() || is_digits(part));
    let has_exponent = exponent.is_none_or(|exponent| is_digits(signed(exponent).1));
    (has_digits && has_exponent)
        .then(|| float(negative, &mantissa, exponent))
        .flatten()
}

/// A text between quotes. Between double quotes `\n`, `\t`, `\"` and `\\` are escapes; between single ones `''`
/// is a quote.
fn unquoted(text: &str, quote: char) -> Result<Value, BadScalar> {
    let inner = text
        .strip_prefix(quote)
        .and_then(|rest| rest.strip_suffix(quote))
        .ok_or(BadScalar::OpenQuote(quote))?;
    if quote == '\'' {
        return Ok(Value::from(inner.replace("''", "'")));
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some(escaped @ ('"' | '\\')) => plain.push(escaped),
            Some(other) => plain.extend(['\\', other]),
            // The quote that was taken for the last one is escaped.
            None => return Err(BadScalar::OpenQuote(quote)),
        }
    }
    Ok(Value::from(plain))
}

#[cfg(test)]
mod tests;
