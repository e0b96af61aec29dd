//! Reading the text of `pricing.json`, with the place of every mistake.
//!
//! Never goes through floats: each rate is read from its digits.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{OverrideRates, Overrides, PricingFileError};
use crate::decimal::{DecimalFault, scale};
use crate::host::fold;

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

/// Dollars per 1,000 tokens to nanos per million is a factor of ten to this power.
pub(super) const PER_THOUSAND: i32 = 12;

/// The same for dollars per million.
pub(super) const PER_MILLION: i32 = 9;

/// Dollars for one search or call to nanos per thousand.
pub(super) const EACH_SHIFT: i32 = 12;

/// No model ever cost more than this; in nanos per million tokens, a thousand dollars.
const DEAREST_PLAUSIBLE: i64 = 1_000_000_000_000;

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

/// Something that can be read but looks wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) text: String,
}

/// A rate and where it stands.
#[derive(Clone, Debug)]
pub(super) struct PlacedRate {
    pub(super) key: &'static str,
    pub(super) nanos: i64,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A model's entry and where it stands.
#[derive(Clone, Debug)]
pub(super) struct PlacedEntry {
    pub(super) model: String,
    pub(super) line: usize,
    pub(super) column: usize,
    /// Whether the rates are written per million tokens.
    pub(super) per_million: bool,
    pub(super) rates: Vec<PlacedRate>,
    /// Members that are there but cannot be read.
    pub(super) faulty: Vec<String>,
}

/// Everything that a price file says, right or wrong.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) overrides: Overrides,
    pub(super) faults: Vec<PricingFileError>,
    pub(super) doubts: Vec<Doubt>,
    pub(super) entries: Vec<PlacedEntry>,
}

/// Reads a price file: its prices and warnings, or the first thing that is wrong.
pub(super) fn parse(text: &str) -> Result<(Overrides, Vec<String>), PricingFileError> {
    let reading = read(text);
    if let Some(fault) = reading.faults.into_iter().next() {
        return Err(fault);
    }
    let warnings = reading
        .doubts
        .into_iter()
        .map(|doubt| format!("line {}, column {}: {}", doubt.line, doubt.column, doubt.text));
    Ok((reading.overrides, warnings.collect()))
}

/// Reads a price file to its end, whatever is wrong with it.
pub(super) fn read(text: &str) -> Reading {
    let mut reading = Reading::default();
    if let Err(fault) = read_models(text, &mut reading) {
        reading.faults.push(fault);
    }
    reading
}

fn read_models(text: &str, reading: &mut Reading) -> Result<(), PricingFileError> {
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
    let mut seen = BTreeSet::new();
    for (model, value) in page.members(whole.get())? {
        let (line, column) = page.place_of_key(&model, value);
        if model.trim().is_empty() {
            reading.faults.push(PricingFileError::EmptyName { line, column });
            continue;
        }
        let rates = read_model(page, &model, value, reading);
        if !seen.insert(fold(&model).into_owned()) {
            reading.faults.push(PricingFileError::Duplicate {
                line,
                column,
                name: model.into_owned(),
            });
        } else if let Some(rates) = rates {
            reading.overrides.insert(&model, rates);
        }
    }
    Ok(())
}

/// Reads one model's rates as far as they are right; none where there are none.
fn read_model(page: Page<'_>, model: &str, value: &RawValue, reading: &mut Reading) -> Option<OverrideRates> {
    let (line, column) = page.place(value.get());
    if !value.get().starts_with('{') {
        reading.faults.push(if model.eq_ignore_ascii_case("unit") {
            PricingFileError::UnitOfFile { line, column }
        } else {
            PricingFileError::ModelNotAnObject {
                line,
                column,
                model: model.to_owned(),
                found: kind_of(value.get()),
            }
        });
        return None;
    }
    let members = match page.members(value.get()) {
        Ok(members) => members,
        Err(fault) => {
            reading.faults.push(fault);
            return None;
        }
    };
    let shift = unit_shift(page, model, &members).unwrap_or_else(|fault| {
        reading.faults.push(fault);
        PER_THOUSAND
    });
    let mut rates = OverrideRates::default();
    let (key_line, key_column) = page.place_of_key(model, value);
    let mut entry = PlacedEntry {
        model: model.to_owned(),
        line: key_line,
        column: key_column,
        per_million: shift != PER_THOUSAND,
        rates: Vec::new(),
        faulty: Vec::new(),
    };
    let faults_before = reading.faults.len();
    for (at, (key, member)) in members.iter().enumerate() {
        let (line, column) = page.place_of_key(key, member);
        if members[..at].iter().any(|(earlier, _)| earlier == key) {
            reading.faults.push(PricingFileError::Duplicate {
                line,
                column,
                name: format!("{key}` of `{model}"),
            });
            continue;
        }
        if let Err(fault) = read_member(
            page,
            (model, shift),
            (key, member),
            &mut rates,
            &mut entry,
            reading,
        ) {
            reading.faults.push(fault);
            entry.faulty.push(key.to_string());
        }
    }
    let rateless = OverrideRates {
        max_output_tokens: rates.max_output_tokens,
        ..OverrideRates::default()
    };
    if rates == rateless {
        if reading.faults.len() == faults_before {
            reading.faults.push(PricingFileError::NoRates {
                line,
                column,
                model: model.to_owned(),
            });
        }
        return None;
    }
    reading.entries.push(entry);
    Some(rates)
}

fn read_member(
    page: Page<'_>,
    (model, shift): (&str, i32),
    (key, member): (&str, &RawValue),
    rates: &mut OverrideRates,
    entry: &mut PlacedEntry,
    reading: &mut Reading,
) -> Result<(), PricingFileError> {
    match key {
        "unit" => return Ok(()),
        "max_output_tokens" => {
            rates.max_output_tokens = Some(parse_limit(page, model, member.get())?);
            return Ok(());
        }
        _ => {}
    }
    let Some(slot) = rates.slot(key) else {
        let (line, column) = page.place_of_key(key, member);
        let (model, key) = (model.to_owned(), key.to_owned());
        return Err(if member.get().starts_with('{') {
            PricingFileError::Nested {
                line,
                column,
                model,
                key,
            }
        } else {
            PricingFileError::UnknownKey {
                line,
                column,
                nearest: nearest_key(&key),
                model,
                key,
            }
        });
    };
    let shift = if is_charged_each(key) { EACH_SHIFT } else { shift };
    let nanos = parse_rate(page, model, key, member.get(), shift, &mut reading.doubts)?;
    *slot = Some(nanos);
    let (line, column) = page.place(member.get());
    entry.rates.extend(
        RATE_KEYS
            .into_iter()
            .find(|known| *known == key)
            .map(|key| PlacedRate {
                key,
                nanos,
                line,
                column,
            }),
    );
    Ok(())
}

/// Whether a rate is for one search or call, whatever the unit of the others.
pub(super) fn is_charged_each(key: &str) -> bool {
    matches!(key, "web_search" | "request")
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
    let Some((_, unit)) = members.iter().find(|(key, _)| key == "unit") else {
        return Ok(PER_THOUSAND);
    };
    match unit.get() {
        "\"1K\"" | "\"1k\"" => Ok(PER_THOUSAND),
        "\"1M\"" | "\"1m\"" => Ok(PER_MILLION),
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
    doubts: &mut Vec<Doubt>,
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
    let mut doubt = |text: String| doubts.push(Doubt { line, column, text });
    if !scaled.exact {
        doubt(format!(
            "`{key}` of `{model}` has more places than a price can have and was rounded"
        ));
    }
    if scaled.nanos > DEAREST_PLAUSIBLE {
        doubt(if is_charged_each(key) {
            format!("`{key}` of `{model}` is more than $1 each; write dollars for one")
        } else if shift == PER_THOUSAND {
            format!(
                "`{key}` of `{model}` is more than $1,000 per million tokens; if it is meant per million, add \"unit\": \"1M\""
            )
        } else {
            format!("`{key}` of `{model}` is more than $1,000 per million tokens")
        });
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

pub(super) fn nearest_key(key: &str) -> &'static str {
    let key = key.to_lowercase();
    let likeness = |candidate: &str| strsim::jaro_winkler(&key, candidate);
    RATE_KEYS
        .into_iter()
        .chain(["max_output_tokens", "unit"])
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
        .unwrap_or("input")
}
