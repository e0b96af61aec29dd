//! A newer price file that the user fetched: its format, its prices, and what it changes.
//!
//! Never fetches anything and never stores anything: the text is handed in.

use std::fmt;
use std::sync::Arc;

use flowmeter_model::TimestampNs;
use genai_prices::Calculator;
use rustc_hash::FxHashMap;
use serde_json::Value;
use smol_str::{SmolStr, format_smolstr};
use thiserror::Error;

use crate::bill::{Kinds, RateKind};
use crate::book::PriceBook;
use crate::bundled;
use crate::edition::{CardKey, Edition, Entry};

mod litellm;
mod points;

/// Which price file a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceFileFormat {
    /// The list of providers that genai-prices publishes.
    GenaiPrices,
    /// LiteLLM's `model_prices_and_context_window.json`.
    Litellm,
}

impl PriceFileFormat {
    /// `genai-prices` or `litellm`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GenaiPrices => "genai-prices",
            Self::Litellm => "litellm",
        }
    }
}

/// Why a price file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RefreshError {
    /// The text could not be read.
    #[error("the price file cannot be read: {0}; fetch it again")]
    Unreadable(String),
    /// The text is no JSON.
    #[error("line {line}, column {column}: this is no JSON: {reason}; fetch the file again")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser found.
        reason: String,
    },
    /// The text is JSON but no price file.
    #[error("{0}; give a price file of genai-prices or LiteLLM's model_prices_and_context_window.json")]
    Unknown(&'static str),
    /// The text is a price file with a mistake in it.
    #[error("the price file is not right: {0}; fetch the file again")]
    Invalid(String),
    /// The text is a price file without a model.
    #[error("the price file has no model with a price in it; fetch the file again")]
    Empty,
}

/// Where the text comes from when it is needed.
type Load = dyn Fn() -> Result<String, String> + Send + Sync;

/// A newer price file and the name under which its prices are explained.
#[derive(Clone)]
pub struct RefreshedPrices {
    load: Arc<Load>,
    source: SmolStr,
    date: Option<SmolStr>,
}

impl fmt::Debug for RefreshedPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshedPrices")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// What a price file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceFile {
    /// The format it is in.
    pub format: PriceFileFormat,
    /// Providers with at least one model.
    pub providers: usize,
    /// Models with a price.
    pub models: usize,
    /// Entries without a price that could be used, such as prices per picture.
    pub skipped: usize,
}

/// One price that is another one in the newer file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// `provider/model`.
    pub model: SmolStr,
    /// Which rate.
    pub kind: RateKind,
    /// Nano-dollars per the kind's unit before.
    pub before: i64,
    /// The same in the newer file.
    pub after: i64,
}

/// What a newer price file changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceFileChanges {
    /// Models that had no price before, as `provider/model`.
    pub added: Vec<SmolStr>,
    /// Models that only the prices before know; they stay priced by those.
    pub missing: Vec<SmolStr>,
    /// Rates that go up.
    pub dearer: Vec<PriceChange>,
    /// Rates that go down.
    pub cheaper: Vec<PriceChange>,
    /// Models whose rates stay as they are.
    pub unchanged: usize,
}

/// A decoded file.
struct Decoded {
    edition: Edition,
    file: PriceFile,
}

impl RefreshedPrices {
    /// Keeps the text as it is; nothing is decoded yet. `source` is what explanations name, such as
    /// `genai-prices file of 2026-11-20`.
    #[must_use]
    pub fn new(text: String, source: &str) -> Self {
        Self::on_demand(source, move || Ok(text.clone()))
    }

    /// A text that is read only when the first price is needed: a process that prices nothing pays nothing.
    /// The text must be the same each time.
    #[must_use]
    pub fn on_demand(
        source: &str,
        load: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            load: Arc::new(load),
            source: SmolStr::new(source),
            date: None,
        }
    }

    /// The same with the day that the file is of, such as `2026-11-20`, for explanations.
    #[must_use]
    pub fn dated(mut self, date: &str) -> Self {
        self.date = Some(SmolStr::new(date));
        self
    }

    /// Reads the file through and says what it holds.
    ///
    /// # Errors
    /// [`RefreshError`] where it cannot be used.
    pub fn inspect(&self) -> Result<PriceFile, RefreshError> {
        self.decode_all().map(|decoded| decoded.file)
    }

    pub(crate) fn decode(&self) -> Result<Edition, RefreshError> {
        self.decode_all().map(|decoded| decoded.edition)
    }

    fn decode_all(&self) -> Result<Decoded, RefreshError> {
        let text = (self.load)().map_err(RefreshError::Unreadable)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut decoded = match text.trim_start().as_bytes().first() {
            Some(b'[') => decode_genai(text, self.source.clone())?,
            Some(b'{') => decode_litellm(text, self.source.clone())?,
            _ => return Err(syntax(text)),
        };
        if decoded.file.models == 0 {
            return Err(RefreshError::Empty);
        }
        decoded.edition.source_date.clone_from(&self.date);
        Ok(decoded)
    }
}

fn syntax(text: &str) -> RefreshError {
    match serde_json::from_str::<Value>(text) {
        Ok(_) => RefreshError::Unknown("this is neither a list of providers nor an object of models"),
        Err(error) => {
            let message = error.to_string();
            let reason = message
                .rsplit_once(" at line ")
                .map_or(&*message, |(reason, _)| reason);
            RefreshError::Syntax {
                line: error.line().max(1),
                column: error.column().max(1),
                reason: reason.to_owned(),
            }
        }
    }
}

fn calculator(text: &str) -> Result<Calculator, RefreshError> {
    Calculator::from_json(text).map_err(|error| RefreshError::Invalid(error.to_string()))
}

fn decode_genai(text: &str, source: SmolStr) -> Result<Decoded, RefreshError> {
    let calculator = match calculator(text) {
        Ok(calculator) => calculator,
        // Text that is no JSON at all is better said in its own words.
        Err(fault) => {
            return Err(match syntax(text) {
                syntax @ RefreshError::Syntax { .. } => syntax,
                _ => fault,
            });
        }
    };
    let points = points::of(text);
    let file = PriceFile {
        format: PriceFileFormat::GenaiPrices,
        providers: calculator
            .providers()
            .filter(|provider| provider.models().next().is_some())
            .count(),
        models: calculator
            .providers()
            .map(|provider| provider.models().count())
            .sum(),
        skipped: 0,
    };
    let edition = Edition::fetched(
        calculator,
        source,
        points.sizes,
        points.day_seconds,
        FxHashMap::default(),
    );
    Ok(Decoded { edition, file })
}

fn decode_litellm(text: &str, source: SmolStr) -> Result<Decoded, RefreshError> {
    let Ok(Value::Object(file)) = serde_json::from_str::<Value>(text) else {
        return Err(syntax(text));
    };
    if !litellm::is_litellm(&file) {
        return Err(RefreshError::Unknown(
            "this object of models is not LiteLLM's: no entry has `litellm_provider` or `input_cost_per_token`",
        ));
    }
    let mut converted = litellm::convert(&file);
    let mut book = converted.providers.to_string();
    let calculator = match calculator(&book) {
        Ok(calculator) => calculator,
        Err(_) => {
            // One odd entry must not cost all the others.
            converted.skipped += drop_odd_models(&mut converted.providers);
            book = converted.providers.to_string();
            calculator(&book)?
        }
    };
    let points = points::of(&book);
    let file = PriceFile {
        format: PriceFileFormat::Litellm,
        providers: calculator
            .providers()
            .filter(|provider| provider.models().next().is_some())
            .count(),
        models: calculator
            .providers()
            .map(|provider| provider.models().count())
            .sum(),
        skipped: converted.skipped,
    };
    let edition = Edition::fetched(
        calculator,
        source,
        points.sizes,
        points.day_seconds,
        converted.output_limits,
    );
    Ok(Decoded { edition, file })
}

/// Takes out the models that the book refuses, one by one; says how many.
fn drop_odd_models(providers: &mut Value) -> usize {
    let mut dropped = 0;
    for provider in providers.as_array_mut().into_iter().flatten() {
        let Some(models) = provider.get_mut("models").and_then(Value::as_array_mut) else {
            continue;
        };
        let before = models.len();
        models.retain(|model| {
            let alone = serde_json::json!([{"id": "x", "name": "x", "api_pattern": "x", "models": [model]}]);
            Calculator::from_json(alone.to_string()).is_ok()
        });
        dropped += before - models.len();
    }
    dropped
}

impl PriceBook {
    /// What a newer price file changes, compared with this book's own prices at a time (`pricing.json`
    /// aside).
    ///
    /// # Errors
    /// [`RefreshError`] where the file cannot be used.
    pub fn changes_by(
        &self,
        prices: &RefreshedPrices,
        at: TimestampNs,
    ) -> Result<PriceFileChanges, RefreshError> {
        let newer = Arc::new(prices.decode()?);
        let mut changes = PriceFileChanges::default();
        let mut seen = std::collections::BTreeSet::new();
        for provider in newer.calculator().providers() {
            for model in provider.models() {
                let key = format_smolstr!("{}/{}", provider.id(), model.id());
                let before = self.editions().find_map(|edition| {
                    let found = bundled::find_at(edition.calculator(), provider.id(), model.id())?;
                    Some(Entry::new(Arc::clone(edition), found))
                });
                let Some(before) = before else {
                    changes.added.push(key);
                    continue;
                };
                seen.insert(before.found.key.clone());
                let after = Entry::new(
                    Arc::clone(&newer),
                    bundled::entry_of(newer.calculator(), provider.id(), model.id()),
                );
                changes.compare(&key, &before, &after, at);
            }
        }
        if let Some(first) = self.editions().next() {
            for provider in first.calculator().providers() {
                for model in provider.models() {
                    let key = format_smolstr!("{}/{}", provider.id(), model.id());
                    if !seen.contains(&key) {
                        changes.missing.push(key);
                    }
                }
            }
        }
        Ok(changes)
    }
}

impl PriceFileChanges {
    fn compare(&mut self, key: &SmolStr, before: &Entry, after: &Entry, at: TimestampNs) {
        let kinds = [RateKind::CacheRead, RateKind::CacheWrite5m];
        let card = |entry: &Entry| {
            entry.ask(&CardKey {
                moment: entry.edition.moment(at.0 / 1_000_000_000),
                bracket: 0,
                kinds: Kinds::only(&kinds),
                tier: SmolStr::default(),
            })
        };
        let (Some(old), Some(new)) = (card(before), card(after)) else {
            return;
        };
        let mut changed = false;
        for kind in [RateKind::Input, RateKind::Output].into_iter().chain(kinds) {
            let (Some(before), Some(after)) = (old.card.get(kind), new.card.get(kind)) else {
                continue;
            };
            // What has no price of its own changes with its whole.
            let whole = |card: &crate::bill::RateCard, rate| card.get(RateKind::Input) == Some(rate);
            if kinds.contains(&kind) && whole(&old.card, before) && whole(&new.card, after) {
                continue;
            }
            let change = PriceChange {
                model: key.clone(),
                kind,
                before,
                after,
            };
            match after.cmp(&before) {
                std::cmp::Ordering::Greater => self.dearer.push(change),
                std::cmp::Ordering::Less => self.cheaper.push(change),
                std::cmp::Ordering::Equal => continue,
            }
            changed = true;
        }
        self.unchanged += usize::from(!changed);
    }
}

#[cfg(test)]
mod tests;
