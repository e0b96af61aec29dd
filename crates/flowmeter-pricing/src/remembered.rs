//! What a price book has found out about the models it was asked for: finding is the dear part of a price.
//!
//! Never grows without end, and never looks into a book before its prices are needed.

use std::hash::Hasher;
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use rustc_hash::{FxHashMap, FxHasher};
use smol_str::SmolStr;

use crate::bound::{BoundKey, DearestCard};
use crate::edition::Entry;
use crate::overrides::OverrideRates;

/// How many models are remembered. A process sees a few dozen; the bound is for one that is fed names
/// without end.
const REMEMBERED_MODELS: usize = 4_096;

/// How many sets of dearest rates a model keeps: a few sizes and tiers of a day or two.
const REMEMBERED_BOUNDS: usize = 32;

/// The entry of pricing.json that a model found.
#[derive(Clone, Debug)]
pub(crate) struct OwnPrice {
    pub(crate) key: SmolStr,
    pub(crate) rule: &'static str,
    pub(crate) rates: OverrideRates,
}

/// A model as served by a provider, and all that was found out about it.
#[derive(Debug)]
pub(crate) struct KnownModel {
    provider: Box<str>,
    model: Box<str>,
    /// The user's own price.
    pub(crate) own: Option<OwnPrice>,
    /// Whether it runs on the user's own machine.
    pub(crate) is_local: bool,
    /// The entry in a book; not looked for before it is needed.
    pub(crate) entry: OnceLock<Option<Arc<Entry>>>,
    dearest: RwLock<FxHashMap<BoundKey, Arc<DearestCard>>>,
}

impl KnownModel {
    pub(crate) fn new(provider: &str, model: &str, own: Option<OwnPrice>, is_local: bool) -> Self {
        Self {
            provider: provider.into(),
            model: model.into(),
            own,
            is_local,
            entry: OnceLock::new(),
            dearest: RwLock::default(),
        }
    }

    /// The model's name as it was asked for.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// The dearest rates on these terms; computed once and remembered.
    pub(crate) fn dearest(&self, key: BoundKey, compute: impl FnOnce() -> DearestCard) -> Arc<DearestCard> {
        if let Some(known) = self.dearest.read().get(&key) {
            return Arc::clone(known);
        }
        let card = Arc::new(compute());
        let mut dearest = self.dearest.write();
        if dearest.len() >= REMEMBERED_BOUNDS {
            dearest.clear();
        }
        dearest.insert(key, Arc::clone(&card));
        card
    }
}

/// The models that were asked for, by the hash of their names: a look-up copies no text.
#[derive(Debug, Default)]
pub(crate) struct KnownModels(RwLock<FxHashMap<u64, Arc<KnownModel>>>);

impl KnownModels {
    /// What is known of a model, or what `make` finds out about it. Two names with one hash take turns.
    pub(crate) fn get(
        &self,
        provider: &str,
        model: &str,
        make: impl FnOnce() -> KnownModel,
    ) -> Arc<KnownModel> {
        let mut hasher = FxHasher::default();
        hasher.write(provider.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(model.as_bytes());
        let hash = hasher.finish();
        if let Some(known) = self.0.read().get(&hash)
            && *known.provider == *provider
            && *known.model == *model
        {
            return Arc::clone(known);
        }
        let known = Arc::new(make());
        let mut models = self.0.write();
        if models.len() >= REMEMBERED_MODELS {
            models.clear();
        }
        models.insert(hash, Arc::clone(&known));
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_made_once_and_forgotten_when_there_are_too_many() {
        let models = KnownModels::default();
        let made = |provider: &str, model: &str| {
            let mut fresh = false;
            models.get(provider, model, || {
                fresh = true;
                KnownModel::new(provider, model, None, false)
            });
            fresh
        };
        assert!(made("a", "b") && !made("a", "b"));
        assert!(
            made("", "ab") && made("ab", ""),
            "the parts of a name are kept apart"
        );
        for index in 0..REMEMBERED_MODELS {
            made("x", &index.to_string());
        }
        assert!(models.0.read().len() <= REMEMBERED_MODELS);
        assert!(made("a", "b"));
    }
}
