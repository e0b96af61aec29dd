//! Cuts and masks attributes, and remembers what was clean: the same keys and texts come again and again.
//!
//! Never decides what a secret is: that is the capture's business.

use std::hash::{BuildHasher, BuildHasherDefault};

use flowmeter_model::{AttributeValue, Attributes};
use rustc_hash::{FxHashMap, FxHasher};
use smol_str::SmolStr;

use crate::capture::{Capture, ContentKind, MASK, is_secret_name};
use crate::genai;
use crate::recorder::RecordedValue;

/// Keys that are remembered. More than that are looked at each time.
const KEYS_MAX: usize = 1_024;
/// Clean texts that are remembered, each in the place of its hash.
const TEXTS: usize = 256;
/// Longer texts are looked at each time.
const TEXT_BYTES_MAX: usize = 96;

/// Whose attributes they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Our own: numbers are counts.
    Ours,
    /// A library user's: a number under a secret's name is one, a code or a PIN.
    Others,
}

#[derive(Default)]
pub(super) struct Masker {
    /// Whether a key means a secret.
    keys: FxHashMap<SmolStr, bool>,
    clean: Vec<SmolStr>,
    hashers: BuildHasherDefault<FxHasher>,
}

impl Masker {
    fn is_secret(&mut self, key: &str) -> bool {
        if let Some(secret) = self.keys.get(key) {
            return *secret;
        }
        let secret = is_secret_name(key);
        if self.keys.len() < KEYS_MAX {
            self.keys.insert(SmolStr::new(key), secret);
        }
        secret
    }

    /// The text, cut and masked; `None` where it stays as it is.
    pub(super) fn changed(&mut self, capture: &Capture, text: &str) -> Option<String> {
        match self.place_of(text) {
            Some(place) if self.clean[place] == text => None,
            Some(place) => {
                let changed = capture.changed_text("", text);
                if changed.is_none() {
                    self.clean[place] = SmolStr::new(text);
                }
                changed
            }
            None => capture.changed_text("", text),
        }
    }

    /// Where a text is remembered, if it may be.
    fn place_of(&mut self, text: &str) -> Option<usize> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        if self.clean.is_empty() {
            self.clean.resize(TEXTS, SmolStr::default());
        }
        Some(self.hashers.hash_one(text) as usize % TEXTS)
    }

    /// A value that a record of somebody else's holds, cut and masked.
    pub(super) fn recorded(
        &mut self,
        capture: &Capture,
        key: &str,
        value: RecordedValue<'_>,
    ) -> AttributeValue {
        match value {
            RecordedValue::Bool(flag) => flag.into(),
            _ if self.is_secret(key) => AttributeValue::from(MASK),
            RecordedValue::I64(number) => number.into(),
            RecordedValue::F64(number) => number.into(),
            // A copy of its own: shared, it would be counted by threads in turns.
            RecordedValue::Str(text) => match self.changed(capture, text) {
                Some(changed) => AttributeValue::from(changed),
                None => AttributeValue::from(text),
            },
        }
    }

    /// Cuts and masks what the attributes hold.
    pub(super) fn mask(&mut self, capture: &Capture, attributes: &mut Attributes, origin: Origin) {
        for (key, value) in attributes.iter_mut() {
            match value {
                AttributeValue::Bool(_) => {}
                AttributeValue::I64(_) | AttributeValue::F64(_) => {
                    if origin == Origin::Others && self.is_secret(key) {
                        *value = AttributeValue::from(MASK);
                    }
                }
                AttributeValue::Str(text) => {
                    if self.is_secret(key) {
                        *text = SmolStr::new_static(MASK);
                    } else if let Some(changed) = self.changed(capture, text) {
                        *text = SmolStr::from(changed);
                    }
                }
                AttributeValue::Json(json) => {
                    let kind = match key.as_str() {
                        genai::INPUT_MESSAGES => ContentKind::Prompt,
                        genai::OUTPUT_MESSAGES => ContentKind::Response,
                        _ => ContentKind::StoreValue,
                    };
                    *value = AttributeValue::from(capture.value(Some(key), json, kind));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
