//! Reading the text of `pricing.json`, with the place of every mistake.
//!
//! Never goes through floats: each rate is read from its digits.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use super::{OverrideRates, Overrides};
use crate::decimal::{DecimalFault, scale};

pub(super) const RATE_KEYS: [&str; 12] = [
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "input_audio",
    "input_image",
    "output_audio",
    "output_image",
    "web_search",
    "request",
];

/// Dollars for one search or call to nanos per thousand.
const EACH_SHIFT: i32 = 12;

/// No model ever cost more than this; in nanos per million tokens, a thousand dollars.
const DEAREST_PLAUSIBLE: i64 = 1_000_000_000_000;

/// What is wrong with a price file, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PricingFileError {
    /// The text is no JSON.
    #[error(
        "line {line}, column {column}: this is no JSON: {reason}; check for a missing quote, brace or comma, or one comma too many"
    )]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser found.
        reason: String,
    },
    /// The file holds something else than an object of models.
    #[error(
        "line {line}, column {column}: expected an object of models but found {found}; write it as {{\"my-model\": {{\"input\": 0.001, \"output\": 0.002}}}}"
    )]
    NotAnObject {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The kind of value found.
        found: &'static str,
    },
    /// A model's prices are no object.
    #[error(
        "line {line}, column {column}: the prices of `{model}` must be an object but are {found}; write {{\"input\": 0.001, \"output\": 0.002}}"
    )]
    ModelNotAnObject {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The kind of value found.
        found: &'static str,
    },
    /// A model has no name.
    #[error(
        "line {line}, column {column}: a model's name is empty; write the name that the provider uses, such as \"gpt-4o\""
    )]
    EmptyName {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A model, or a key of a model, stands twice.
    #[error(
        "line {line}, column {column}: `{name}` stands twice (upper and lower case are the same); remove one of the two"
    )]
    Duplicate {
        /// Line of the second one, from 1.
        line: usize,
        /// Column of the second one, from 1.
        column: usize,
        /// What stands twice.
        name: String,
    },
    /// A key that means nothing here.
    #[error(
        "line {line}, column {column}: `{model}` has the unknown key `{key}`; did you mean `{nearest}`? the keys are input, output, cache_read, cache_write, cache_write_1h, reasoning, input_audio, input_image, output_audio, output_image, web_search, request, max_output_tokens and unit"
    )]
    UnknownKey {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The unknown key.
        key: String,
        /// The valid key most like it.
        nearest: &'static str,
    },
    /// A rate is no number.
    #[error(
        "line {line}, column {column}: `{key}` of `{model}` must be a number of dollars but is {found}; write it without quotes, such as 0.003"
    )]
    NotANumber {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The rate's key.
        key: String,
        /// The kind of value found.
        found: &'static str,
    },
    /// The maximum output is no number of tokens.
    #[error(
        "line {line}, column {column}: `max_output_tokens` of `{model}` must be a whole number of tokens from 1, such as 8192"
    )]
    NotACount {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
    },
    /// A rate is below zero.
    #[error("line {line}, column {column}: `{key}` of `{model}` is negative; write 0 for what costs nothing")]
    Negative {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The rate's key.
        key: String,
    },
    /// A rate is beyond all bounds.
    #[error(
        "line {line}, column {column}: `{key}` of `{model}` is too large for a price; write dollars per 1,000 tokens, or per million with \"unit\": \"1M\""
    )]
    TooLarge {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
        /// The rate's key.
        key: String,
    },
    /// The unit is none that is known.
    #[error(
        "line {line}, column {column}: the unit of `{model}` must be \"1K\" (dollars per 1,000 tokens, the default) or \"1M\" (per million)"
    )]
    UnknownUnit {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
    },
    /// A model without any rate.
    #[error("line {line}, column {column}: `{model}` has no rate; write at least \"input\" and \"output\"")]
    NoRates {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The model's key.
        model: String,
    },
}

/// An object's members in the order and number in which they stand.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Self)
    }
}

/// The whole text, to turn a part of it back into a line and a column.
#[derive(Clone, Copy)]
struct Page<'a>(&'a str);

impl<'a> Page<'a> {
    /// Line and column of `part`; of the page itself where `part` is no slice of it.
    fn place(self, part: &str) -> (usize, usize) {
        let before = self.before(part).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    /// Line and column of a key; an escaped one has no slice of its own, so its value's place serves.
    fn place_of_key(self, key: &str, value: &RawValue) -> (usize, usize) {
        if self.before(key).is_none() {
            return self.place(value.get());
        }
        let (line, column) = self.place(key);
        // The quote before the key is where the eye looks.
        (line, column.saturating_sub(1).max(1))
    }

    /// The text before `part`, which must be a slice of the page.
    fn before(self, part: &str) -> Option<&'a str> {
        let offset = (part.as_ptr() as usize).checked_sub(self.0.as_ptr() as usize)?;
        self.0.get(..offset)
    }

    fn members(self, value: &'a str) -> Result<Vec<(Cow<'a, str>, &'a RawValue)>, PricingFileError> {
        serde_json::from_str::<Members<'a>>(value)
            .map(|members| members.0)
            .map_err(|error| {
                let (line, column) = self.place(value);
                let inner = if error.line() > 1 {
                    error.column()
                } else {
                    column + error.column().saturating_sub(1)
                };
                syntax(line + error.line().saturating_sub(1), inner, &error)
            })
    }
}

fn syntax(line: usize, column: usize, error: &serde_json::Error) -> PricingFileError {
    let text = error.to_string();
    let reason = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason);
    PricingFileError::Syntax {
        line: line.max(1),
        column: column.max(1),
        reason: reason.to_owned(),
    }
}

/// Reads a price file.
pub(super) fn parse(text: &str) -> Result<(Overrides, Vec<String>), PricingFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let page = Page(text);
    let whole = serde_json::from_str::<&RawValue>(text).map_err(|error| {
        // Read as values, the same text gives the same mistake in plainer words.
        let error = serde_json::from_str::<serde_json::Value>(text)
            .err()
            .unwrap_or(error);
        syntax(error.line(), error.column(), &error)
    })?;
    if !whole.get().starts_with('{') {
        let (line, column) = page.place(whole.get());
        return Err(PricingFileError::NotAnObject {
            line,
            column,
            found: kind_of(whole.get()),
        });
    }
    let mut overrides = Overrides::default();
    let mut warnings = Vec::new();
    for (model, value) in page.members(whole.get())? {
        let (line, column) = page.place_of_key(&model, value);
        if model.trim().is_empty() {
            return Err(PricingFileError::EmptyName { line, column });
        }
        let rates = parse_model(page, &model, value, &mut warnings)?;
        if overrides.insert(&model, rates).is_some() {
            return Err(PricingFileError::Duplicate {
                line,
                column,
                name: model.into_owned(),
            });
        }
    }
    Ok((overrides, warnings))
}

fn parse_model(
    page: Page<'_>,
    model: &str,
    value: &RawValue,
    warnings: &mut Vec<String>,
) -> Result<OverrideRates, PricingFileError> {
    let (line, column) = page.place(value.get());
    if !value.get().starts_with('{') {
        let found = kind_of(value.get());
        return Err(PricingFileError::ModelNotAnObject {
            line,
            column,
            model: model.to_owned(),
            found,
        });
    }
    let members = page.members(value.get())?;
    let shift = unit_shift(page, model, &members)?;
    let mut rates = OverrideRates::default();
    for (at, (key, member)) in members.iter().enumerate() {
        let (line, column) = page.place_of_key(key, member);
        if members[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(PricingFileError::Duplicate {
                line,
                column,
                name: format!("{key}` of `{model}"),
            });
        }
        let slot = match &**key {
            "input" => &mut rates.input,
            "output" => &mut rates.output,
            "cache_read" => &mut rates.cache_read,
            "cache_write" => &mut rates.cache_write,
            "cache_write_1h" => &mut rates.cache_write_1h,
            "reasoning" => &mut rates.reasoning,
            "input_audio" => &mut rates.input_audio,
            "input_image" => &mut rates.input_image,
            "output_audio" => &mut rates.output_audio,
            "output_image" => &mut rates.output_image,
            "web_search" => &mut rates.web_search,
            "request" => &mut rates.request,
            "max_output_tokens" => {
                rates.max_output_tokens = Some(parse_limit(page, model, member.get())?);
                continue;
            }
            "unit" => continue,
            _ => {
                let (model, key) = (model.to_owned(), key.clone().into_owned());
                let nearest = nearest_key(&key);
                return Err(PricingFileError::UnknownKey {
                    line,
                    column,
                    model,
                    key,
                    nearest,
                });
            }
        };
        let shift = if matches!(&**key, "web_search" | "request") {
            EACH_SHIFT
        } else {
            shift
        };
        *slot = Some(parse_rate(page, model, key, member.get(), shift, warnings)?);
    }
    let rateless = OverrideRates {
        max_output_tokens: rates.max_output_tokens,
        ..OverrideRates::default()
    };
    if rates == rateless {
        return Err(PricingFileError::NoRates {
            line,
            column,
            model: model.to_owned(),
        });
    }
    Ok(rates)
}

fn parse_limit(page: Page<'_>, model: &str, text: &str) -> Result<u64, PricingFileError> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| {
        let (line, column) = page.place(text);
        PricingFileError::NotACount {
            line,
            column,
            model: model.to_owned(),
        }
    })
}

fn unit_shift(
    page: Page<'_>,
    model: &str,
    members: &[(Cow<'_, str>, &RawValue)],
) -> Result<i32, PricingFileError> {
    // Dollars per thousand to nanos per million is a factor of 10^12, per million 10^9.
    let Some((_, unit)) = members.iter().find(|(key, _)| key == "unit") else {
        return Ok(12);
    };
    match unit.get() {
        "\"1K\"" | "\"1k\"" => Ok(12),
        "\"1M\"" | "\"1m\"" => Ok(9),
        other => {
            let (line, column) = page.place(other);
            Err(PricingFileError::UnknownUnit {
                line,
                column,
                model: model.to_owned(),
            })
        }
    }
}

fn parse_rate(
    page: Page<'_>,
    model: &str,
    key: &str,
    text: &str,
    shift: i32,
    warnings: &mut Vec<String>,
) -> Result<i64, PricingFileError> {
    let (line, column) = page.place(text);
    let (model_name, key_name) = (model.to_owned(), key.to_owned());
    let scaled = scale(text, shift).map_err(|fault| match fault {
        DecimalFault::NotANumber => {
            let found = kind_of(text);
            PricingFileError::NotANumber {
                line,
                column,
                model: model_name,
                key: key_name,
                found,
            }
        }
        DecimalFault::Negative => PricingFileError::Negative {
            line,
            column,
            model: model_name,
            key: key_name,
        },
        DecimalFault::TooLarge => PricingFileError::TooLarge {
            line,
            column,
            model: model_name,
            key: key_name,
        },
    })?;
    if !scaled.exact {
        warnings.push(format!(
            "line {line}, column {column}: `{key}` of `{model}` has more places than a price can have and was rounded"
        ));
    }
    if scaled.nanos > DEAREST_PLAUSIBLE {
        let advice = if shift == 12 {
            "; if it is meant per million, add \"unit\": \"1M\""
        } else {
            ""
        };
        warnings.push(format!(
            "line {line}, column {column}: `{key}` of `{model}` is more than $1,000 per million tokens{advice}"
        ));
    }
    Ok(scaled.nanos)
}

fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "text in quotes",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn nearest_key(key: &str) -> &'static str {
    let key = key.to_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&key, candidate);
    RATE_KEYS
        .into_iter()
        .chain(["max_output_tokens", "unit"])
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
        .unwrap_or("input")
}
