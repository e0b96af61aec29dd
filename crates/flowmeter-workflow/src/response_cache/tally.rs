//! What the cache has done, over all runs: counted in the process, added to a small file under a lock.
//!
//! Never decides about an answer: a tally that is lost costs figures, and one look through the folder.

use std::collections::BTreeMap;

use flowmeter_model::{CostStatus, TimestampNs};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::entry::AboutAnswer;

/// Models that are told apart; further ones are summed as [`OTHERS`].
const MODELS_MAX: usize = 200;
/// The longest name among them, in bytes.
const MODEL_NAME_BYTES_MAX: usize = 200;
/// What stands for further models.
const OTHERS: &str = "(further models)";

/// What the look-ups for one model came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LookupCounts {
    /// Look-ups that found an answer.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
    /// Input tokens of the calls that were saved.
    pub saved_input_tokens: u64,
    /// Output tokens of the calls that were saved.
    pub saved_output_tokens: u64,
    /// What these calls cost when they were made, in nano-dollars, as far as that is known.
    pub saved_nanos: i64,
    /// Hits whose call had no price, or only part of one.
    pub saved_without_price: u64,
    /// Hits whose call's tokens were estimated.
    pub saved_estimated: u64,
}

impl LookupCounts {
    fn add_hit(&mut self, about: &AboutAnswer) {
        self.hits += 1;
        let usage = &about.usage;
        self.saved_input_tokens = self.saved_input_tokens.saturating_add(usage.input_tokens());
        self.saved_output_tokens = self.saved_output_tokens.saturating_add(usage.output_tokens());
        let cost = about.cost();
        let nanos = cost.amount.map_or(0, |amount| amount.0);
        self.saved_nanos = self.saved_nanos.saturating_add(nanos);
        match cost.status {
            CostStatus::Unpriced | CostStatus::Partial => self.saved_without_price += 1,
            CostStatus::Estimated => self.saved_estimated += 1,
            CostStatus::Priced | CostStatus::Reported => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.hits = self.hits.saturating_add(other.hits);
        self.misses = self.misses.saturating_add(other.misses);
        self.saved_input_tokens = self.saved_input_tokens.saturating_add(other.saved_input_tokens);
        self.saved_output_tokens = self.saved_output_tokens.saturating_add(other.saved_output_tokens);
        self.saved_nanos = self.saved_nanos.saturating_add(other.saved_nanos);
        self.saved_without_price = self.saved_without_price.saturating_add(other.saved_without_price);
        self.saved_estimated = self.saved_estimated.saturating_add(other.saved_estimated);
    }

    /// Share of the look-ups that found an answer; `None` of none.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let lookups = self.hits.saturating_add(self.misses);
        #[expect(clippy::cast_precision_loss, reason = "a share, for the eye")]
        let rate = self.hits as f64 / lookups.max(1) as f64;
        (lookups > 0).then_some(rate)
    }
}

/// What a cache has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheTally {
    /// All look-ups.
    #[serde(flatten)]
    pub lookups: LookupCounts,
    /// Answers that were written.
    pub stored: u64,
    /// Answers that were found too old.
    pub expired: u64,
    /// Files that were broken, cut short or of another version, and were removed.
    pub broken: u64,
    /// Answers that made way for newer ones.
    pub evicted: u64,
    /// Answers that were too large to be kept.
    pub too_large: u64,
    /// Answers that were not fit to be kept: cut off, filtered, or not following their schema.
    pub unfit: u64,
    /// Answers that could not be written.
    pub write_failures: u64,
    /// Look-ups by model.
    pub models: BTreeMap<SmolStr, LookupCounts>,
    /// Since when this is counted.
    pub since: Option<TimestampNs>,
}

impl CacheTally {
    fn model(&mut self, name: &str) -> &mut LookupCounts {
        let fits = name.len() <= MODEL_NAME_BYTES_MAX
            && (self.models.len() < MODELS_MAX || self.models.contains_key(name));
        let name = if fits { name } else { OTHERS };
        self.models.entry(SmolStr::new(name)).or_default()
    }

    pub(super) fn add_hit(&mut self, about: &AboutAnswer) {
        self.lookups.add_hit(about);
        self.model(&about.request_model).add_hit(about);
    }

    pub(super) fn add_miss(&mut self, model: &str) {
        self.lookups.misses += 1;
        self.model(model).misses += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.lookups.merge(&other.lookups);
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.stored, other.stored);
        add(&mut self.expired, other.expired);
        add(&mut self.broken, other.broken);
        add(&mut self.evicted, other.evicted);
        add(&mut self.too_large, other.too_large);
        add(&mut self.unfit, other.unfit);
        add(&mut self.write_failures, other.write_failures);
        for (model, counts) in &other.models {
            self.model(model).merge(counts);
        }
        self.since = match (self.since, other.since) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }
}
