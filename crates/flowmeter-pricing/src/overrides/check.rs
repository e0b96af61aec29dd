//! Looks a price file over: everything that is wrong with it, and everything that looks wrong.
//!
//! Never changes a file, and never stops at the first mistake unless the text is no JSON at all.

use flowmeter_model::TimestampNs;

use super::Overrides;
use super::parse::{PlacedEntry, PlacedRate, Reading, is_charged_each, read};
use crate::bill::{Kinds, RateCard, RateKind};
use crate::book::PriceBook;
use crate::edition::CardKey;
use crate::host::{Host, fold, host, known_id};

/// From this factor on the unit of a rate is in doubt.
const UNIT_FACTOR: i128 = 100;

/// No model gives as much in one answer.
const LONGEST_PLAUSIBLE_OUTPUT: u64 = 10_000_000;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file, or this entry, cannot be used.
    Error,
    /// The file can be used, but the price is probably not what was meant.
    Warning,
    /// Worth knowing, and right for a model of one's own.
    Hint,
}

impl Severity {
    /// `error`, `warning` or `hint`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Hint => "hint",
        }
    }
}

/// Something to say about a price file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The model's key, where it is about one.
    pub model: Option<String>,
    /// What it is and what to write instead, without the place.
    pub message: String,
}

impl PriceBook {
    /// Looks over the text of a price file, in the order in which things stand. Prices are compared with
    /// this book's at a time; its own overrides do not matter.
    #[must_use]
    pub fn check(&self, text: &str, at: TimestampNs) -> Vec<Finding> {
        let reading = read(text);
        let mut findings = Vec::new();
        if text.starts_with('\u{feff}') {
            findings.push(Finding {
                severity: Severity::Hint,
                line: 1,
                column: 1,
                model: None,
                message: "the file begins with a byte-order mark; save it as UTF-8 without one".to_owned(),
            });
        }
        findings.extend(faults_and_doubts(&reading));
        if reading.faults.is_empty() && reading.entries.is_empty() {
            findings.push(Finding {
                severity: Severity::Hint,
                line: 1,
                column: 1,
                model: None,
                message:
                    "the file has no model in it; write {\"my-model\": {\"input\": 0.001, \"output\": 0.002}}"
                        .to_owned(),
            });
        }
        for entry in &reading.entries {
            let known = self.book_entry(&fold(&entry.model));
            let in_book = known.as_ref().map(|known| known.found.key.as_str());
            findings.extend(check_shape(entry, &reading.overrides, in_book));
            findings.extend(self.check_name(entry));
            let compared = self.check_against_book(entry, at);
            // That a rate is a thousand times the book's says more than that it is high.
            findings.retain(|found| {
                found.severity != Severity::Warning
                    || !compared
                        .iter()
                        .any(|other| (other.line, other.column) == (found.line, found.column))
            });
            findings.extend(compared);
        }
        findings.sort_by_key(|finding| (finding.line, finding.column, finding.severity));
        findings
    }

    /// A name that no call can have, or that no book knows.
    fn check_name(&self, entry: &PlacedEntry) -> Option<Finding> {
        let key = fold(&entry.model);
        let say = |severity, message| {
            Some(Finding {
                severity,
                line: entry.line,
                column: entry.column,
                model: Some(entry.model.clone()),
                message,
            })
        };
        if let Some(why) = never_matches(&key) {
            return say(
                Severity::Warning,
                format!("`{}` can never match: {why}", entry.model),
            );
        }
        if self.book_entry(&key).is_some() || is_local(&key) {
            return None;
        }
        let name = entry.model.as_str();
        if let Some((prefix, rest)) = key.split_once('/')
            && known_id(prefix).is_none()
            && self.find_model(None, rest).is_some()
        {
            let likely = nearest_provider(prefix).map_or_else(String::new, |provider| {
                format!("; did you mean `{provider}/{rest}`?")
            });
            return say(
                Severity::Warning,
                format!("`{prefix}` in `{name}` is no provider that is known{likely}"),
            );
        }
        let nearest = self.nearest(&key);
        if let Some(best) = nearest.first() {
            return say(
                Severity::Warning,
                format!(
                    "no model of the price book is called `{name}`: if it is a model of your own all is well; did you mean `{best}`?"
                ),
            );
        }
        say(
            Severity::Hint,
            format!("no model of the price book is called `{name}`: it holds for a model of your own"),
        )
    }

    /// The book's rates for the model that a key names.
    fn book_entry(&self, key: &str) -> Option<std::sync::Arc<crate::edition::Entry>> {
        let (hint, name) = match key.split_once('/') {
            Some((prefix, rest)) if known_id(prefix).is_some() => (Some(prefix), rest),
            _ => (None, key),
        };
        self.find_model(hint, name).or_else(|| self.find_model(None, key))
    }

    fn find_model(&self, hint: Option<&str>, name: &str) -> Option<std::sync::Arc<crate::edition::Entry>> {
        // Any provider's model will do where the key names none: Llama's makers sell no calls themselves.
        self.remembered_match(hint, name)
            .or_else(|| hint.is_none().then(|| self.find_anywhere(name))?)
    }

    /// Rates far from the book's: most often the wrong unit.
    fn check_against_book(&self, entry: &PlacedEntry, at: TimestampNs) -> Vec<Finding> {
        let Some(known) = self.book_entry(&fold(&entry.model)) else {
            return Vec::new();
        };
        let key = CardKey {
            moment: known.edition.moment(at.0 / 1_000_000_000),
            bracket: 0,
            kinds: Kinds::ALL,
            tier: smol_str::SmolStr::default(),
        };
        let Some(rated) = known.ask(&key) else {
            return Vec::new();
        };
        let doubts = entry.rates.iter().filter_map(|rate| {
            let message = unit_doubt(entry, rate, &rated.card, &known.found.key)?;
            Some(Finding {
                severity: Severity::Warning,
                line: rate.line,
                column: rate.column,
                model: Some(entry.model.clone()),
                message,
            })
        });
        doubts.collect()
    }
}

fn faults_and_doubts(reading: &Reading) -> Vec<Finding> {
    let mut findings = Vec::new();
    for fault in &reading.faults {
        let (line, column) = fault.place();
        let text = fault.to_string();
        // The place stands in fields of its own.
        let message = text
            .strip_prefix(&format!("line {line}, column {column}: "))
            .unwrap_or(&text)
            .to_owned();
        findings.push(Finding {
            severity: Severity::Error,
            line,
            column,
            model: None,
            message,
        });
    }
    for doubt in &reading.doubts {
        findings.push(Finding {
            severity: Severity::Warning,
            line: doubt.line,
            column: doubt.column,
            model: None,
            message: doubt.text.clone(),
        });
    }
    findings
}

/// What is odd about the rates of one entry among themselves.
fn check_shape(entry: &PlacedEntry, overrides: &Overrides, in_book: Option<&str>) -> Vec<Finding> {
    let rate = |key: &str| entry.rates.iter().find(|rate| rate.key == key);
    let mut findings = Vec::new();
    let mut say = |severity, place: Option<&PlacedRate>, message: String| {
        let (line, column) = place.map_or((entry.line, entry.column), |rate| (rate.line, rate.column));
        findings.push(Finding {
            severity,
            line,
            column,
            model: Some(entry.model.clone()),
            message,
        });
    };
    let model = &entry.model;
    let (input, output) = (rate("input"), rate("output"));
    if let Some(input) = input {
        for key in ["cache_read"] {
            if let Some(part) = rate(key).filter(|part| part.nanos > input.nanos) {
                say(
                    Severity::Warning,
                    Some(part),
                    format!(
                        "`{key}` of `{model}` is dearer than `input`: reading from a cache saves money everywhere"
                    ),
                );
            }
        }
        for key in ["cache_write", "cache_write_1h"] {
            if let Some(part) = rate(key).filter(|part| part.nanos > input.nanos.saturating_mul(10)) {
                say(
                    Severity::Warning,
                    Some(part),
                    format!("`{key}` of `{model}` is more than ten times as dear as `input`"),
                );
            }
        }
        if let Some(output) = output.filter(|output| output.nanos < input.nanos && output.nanos > 0) {
            say(
                Severity::Warning,
                Some(output),
                format!("`output` of `{model}` is cheaper than `input`: are the two the wrong way round?"),
            );
        }
    }
    if let (Some(short), Some(long)) = (rate("cache_write"), rate("cache_write_1h"))
        && long.nanos < short.nanos
    {
        say(
            Severity::Warning,
            Some(long),
            format!(
                "`cache_write_1h` of `{model}` is cheaper than `cache_write`: are the two the wrong way round?"
            ),
        );
    }
    let lacks = |key: &str| rate(key).is_none() && !entry.faulty.iter().any(|faulty| faulty == key);
    for key in ["input", "output"] {
        if !lacks(key) || (key == "output" && is_embedding(model)) {
            continue;
        }
        match in_book {
            Some(book) => say(
                Severity::Hint,
                None,
                format!("`{model}` has no `{key}`: that of {book} in the price book is used"),
            ),
            None => say(
                Severity::Warning,
                None,
                format!(
                    "`{model}` has no `{key}`: its calls are priced in part only; write 0 for what costs nothing"
                ),
            ),
        }
    }
    let all_zero = entry.rates.iter().all(|rate| rate.nanos == 0);
    if let Some(free) = [input, output].into_iter().flatten().find(|rate| rate.nanos == 0)
        && !all_zero
        && !is_embedding(model)
    {
        say(
            Severity::Hint,
            Some(free),
            format!("`{}` of `{model}` is 0: such tokens count as free", free.key),
        );
    }
    if all_zero && !is_local(&fold(model)) {
        say(
            Severity::Hint,
            None,
            format!(
                "every rate of `{model}` is 0: its calls count as free and are not held back by a budget"
            ),
        );
    }
    let limit = overrides.get(model).and_then(|rates| rates.max_output_tokens);
    if limit.is_some_and(|limit| limit > LONGEST_PLAUSIBLE_OUTPUT) {
        say(
            Severity::Warning,
            None,
            format!("`max_output_tokens` of `{model}` is more than any model can give in one answer"),
        );
    }
    findings
}

fn is_embedding(model: &str) -> bool {
    let model = fold(model);
    ["embed", "rerank", "moderation", "whisper", "transcribe"]
        .iter()
        .any(|word| model.contains(word))
}

fn is_local(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(prefix, _)| host(prefix) == Host::Local)
}

/// Why no call's model can ever be called like this.
fn never_matches(key: &str) -> Option<String> {
    if key.contains(['*', '?']) {
        return Some(
            "names are compared whole, there are no wildcards; write each model's name, a date at its end may be left out"
                .to_owned(),
        );
    }
    if key.starts_with("http://") || key.starts_with("https://") {
        return Some("it is an address; write the model's name".to_owned());
    }
    if key.starts_with('/') || key.ends_with('/') {
        return Some("a name does not begin or end with `/`; write `provider/model`".to_owned());
    }
    if key.starts_with(['^', '~']) || key.ends_with('$') {
        return Some("names are compared whole, there are no patterns; write the model's name".to_owned());
    }
    if key.contains(char::is_whitespace) && !key.contains('/') {
        let dashed = key.split_whitespace().collect::<Vec<_>>().join("-");
        return Some(format!("a model's name has no spaces; did you mean `{dashed}`?"));
    }
    None
}

fn nearest_provider(prefix: &str) -> Option<&'static str> {
    crate::host::ids()
        .map(|id| (strsim::jaro_winkler(prefix, id), id))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, id)| id)
}

fn unit_doubt(entry: &PlacedEntry, rate: &PlacedRate, card: &RateCard, known_key: &str) -> Option<String> {
    let kind = match rate.key {
        "cache_write" => RateKind::CacheWrite5m,
        key => RateKind::parse(key)?,
    };
    let known = i128::from(card.get(kind)?);
    let own = i128::from(rate.nanos);
    if own <= 0 || known <= 0 {
        return None;
    }
    let (key, model) = (rate.key, &entry.model);
    let (factor, word) = if own >= known * UNIT_FACTOR {
        (own / known, "dearer")
    } else if known >= own * UNIT_FACTOR {
        (known / own, "cheaper")
    } else {
        return None;
    };
    let near_thousand = (300..=3_000).contains(&factor);
    let advice = match (is_charged_each(key), near_thousand, word, entry.per_million) {
        (true, ..) => "it is dollars for one, not for a thousand",
        (_, true, "dearer", false) => {
            "it looks like dollars per million tokens; add \"unit\": \"1M\" to this model"
        }
        (_, true, "cheaper", true) => {
            "it looks like dollars per 1,000 tokens; remove \"unit\": \"1M\" from this model"
        }
        (_, _, "cheaper", false) => {
            "rates are dollars per 1,000 tokens; this one looks like dollars per token"
        }
        _ => "check the number and the unit",
    };
    Some(format!(
        "`{key}` of `{model}` is {factor} times {word} than {known_key} in the price book: {advice}"
    ))
}

#[cfg(test)]
mod tests;
