//! Changes the rates of one model in the text of a price file.
//!
//! Never touches what it is not asked to change: order, spacing and all other entries stay as they are.

use thiserror::Error;

use super::PricingFileError;
use super::parse::{EACH_SHIFT, PER_MILLION, PER_THOUSAND, RATE_KEYS, is_charged_each, nearest_key, parse};
use crate::decimal::{DecimalFault, decimal, scale};
use crate::host::fold;

mod object;

use object::Object;

/// The unit in which rates are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PriceUnit {
    /// Dollars per 1,000 tokens.
    #[default]
    PerThousand,
    /// Dollars per million tokens.
    PerMillion,
}

impl PriceUnit {
    /// The unit written `1K` or `1M`; case does not matter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "1K" | "1k" => Some(Self::PerThousand),
            "1M" | "1m" => Some(Self::PerMillion),
            _ => None,
        }
    }

    fn shift(self) -> i32 {
        match self {
            Self::PerThousand => PER_THOUSAND,
            Self::PerMillion => PER_MILLION,
        }
    }
}

/// One change of one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateChange<'a> {
    /// The rate's key in the file: `input`, `output`, `cache_read`, …, or `max_output_tokens`.
    pub key: &'a str,
    /// The number as it is to be written; `None` takes the rate out.
    pub value: Option<&'a str>,
}

/// Why a price file was not changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// The file as it stands cannot be read.
    #[error("the price file is not right as it stands; mend it first: {0}")]
    Before(#[source] PricingFileError),
    /// The file would not be right afterwards.
    #[error("the price file would not be right with this change: {0}")]
    After(#[source] PricingFileError),
    /// There is no such rate.
    #[error("`{key}` is no rate; did you mean `{nearest}`?")]
    UnknownKey {
        /// The key.
        key: String,
        /// The valid key most like it.
        nearest: &'static str,
    },
    /// The value is no number, or none that a rate can have.
    #[error(
        "`{value}` is no value for `{key}`; give a number of dollars such as 0.003, or of tokens such as 8192"
    )]
    InvalidValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// No model is named.
    #[error("a model's name is missing; give the name that the provider uses, such as gpt-4o")]
    EmptyName,
}

/// Sets, adds or takes out rates of `model` and gives back the new text. `unit` is that of the values
/// given: where the model already stands in the file with another unit, they are converted to it.
/// `text` may be empty for a file that is not there yet.
///
/// # Errors
/// [`EditError`] where the file cannot be read before or after, or a change makes no sense.
pub fn edit_prices(
    text: &str,
    model: &str,
    changes: &[RateChange<'_>],
    unit: PriceUnit,
) -> Result<String, EditError> {
    let model = model.trim();
    if model.is_empty() {
        return Err(EditError::EmptyName);
    }
    for change in changes {
        validate(change, unit)?;
    }
    let empty = text.trim_start_matches('\u{feff}').trim().is_empty();
    let text = if empty { "{}\n" } else { text };
    parse(text).map_err(EditError::Before)?;
    let broken = || EditError::InvalidValue {
        key: "model".to_owned(),
        value: model.to_owned(),
    };
    let file = Object::find(text, text.find('{').unwrap_or(0)).ok_or_else(broken)?;
    let existing = file.member(|key| fold(key) == fold(model));
    let edited = match existing {
        Some(member) => {
            let entry = Object::find(text, member.value.start).ok_or_else(broken)?;
            change_entry(text, &entry, changes, unit)
        }
        None => {
            let entry = new_entry(changes, unit);
            let member = format!("{}: {entry}", serde_json::Value::from(model));
            file.insert(text, &member)
        }
    };
    parse(&edited).map_err(EditError::After)?;
    Ok(edited)
}

/// Takes `model` out of the file and gives back the new text; `None` where it is not in there.
///
/// # Errors
/// [`EditError`] where the file cannot be read before or after.
pub fn remove_price(text: &str, model: &str) -> Result<Option<String>, EditError> {
    let model = model.trim();
    if model.is_empty() {
        return Err(EditError::EmptyName);
    }
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return Ok(None);
    }
    parse(text).map_err(EditError::Before)?;
    let Some(file) = Object::find(text, text.find('{').unwrap_or(0)) else {
        return Ok(None);
    };
    let Some(member) = file.member(|key| fold(key) == fold(model)) else {
        return Ok(None);
    };
    let edited = file.remove(text, &member);
    parse(&edited).map_err(EditError::After)?;
    Ok(Some(edited))
}

fn validate(change: &RateChange<'_>, unit: PriceUnit) -> Result<(), EditError> {
    let (key, Some(value)) = (change.key, change.value) else {
        return Ok(());
    };
    let invalid = || EditError::InvalidValue {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    if key == "max_output_tokens" {
        return value.parse::<u64>().map(|_| ()).map_err(|_| invalid());
    }
    if !RATE_KEYS.contains(&key) {
        return Err(EditError::UnknownKey {
            key: key.to_owned(),
            nearest: nearest_key(key),
        });
    }
    scale(value, unit.shift())
        .map(|_| ())
        .map_err(|_: DecimalFault| invalid())
}

/// The number as it is to be written in the unit of the entry.
fn converted(change: &RateChange<'_>, value: &str, given: PriceUnit, entry: PriceUnit) -> String {
    let as_given = change.key == "max_output_tokens" || is_charged_each(change.key) || given == entry;
    match scale(value, given.shift()) {
        Ok(scaled) if !as_given => decimal(scaled.nanos, entry.shift()),
        // A number such as `.5` or `3.` is a number to people and none to JSON.
        Ok(scaled) if serde_json::from_str::<serde_json::Number>(value).is_err() => {
            let shift = if is_charged_each(change.key) {
                EACH_SHIFT
            } else {
                given.shift()
            };
            decimal(scaled.nanos, shift)
        }
        _ => value.to_owned(),
    }
}

fn new_entry(changes: &[RateChange<'_>], unit: PriceUnit) -> String {
    let mut members = Vec::new();
    if unit == PriceUnit::PerMillion {
        members.push("\"unit\": \"1M\"".to_owned());
    }
    for change in changes {
        if let Some(value) = change.value {
            members.push(format!(
                "\"{}\": {}",
                change.key,
                converted(change, value, unit, unit)
            ));
        }
    }
    format!("{{{}}}", members.join(", "))
}

fn change_entry(text: &str, entry: &Object, changes: &[RateChange<'_>], given: PriceUnit) -> String {
    let written = entry
        .member(|key| key == "unit")
        .and_then(|member| PriceUnit::parse(text[member.value.clone()].trim_matches('"')))
        .unwrap_or_default();
    let mut text = text.to_owned();
    for change in changes {
        // Each change moves what stands behind it, so the entry is looked at anew.
        let Some(entry) = Object::find(&text, entry.start) else {
            return text;
        };
        let member = entry.member(|key| key == change.key);
        text = match (member, change.value) {
            (Some(member), Some(value)) => {
                let mut changed = text.clone();
                changed.replace_range(member.value.clone(), &converted(change, value, given, written));
                changed
            }
            (Some(member), None) => entry.remove(&text, &member),
            (None, Some(value)) => {
                let member = format!("\"{}\": {}", change.key, converted(change, value, given, written));
                entry.insert(&text, &member)
            }
            (None, None) => text,
        };
    }
    text
}

#[cfg(test)]
mod tests;
