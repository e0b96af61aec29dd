//! One decoded book of prices: the release that is built in, or a newer file that the user fetched.
//!
//! Never decodes before it is asked to, and never prices: it knows at which sizes and times of day a price
//! can change, so that rates can be remembered for as long as they hold.

use genai_prices::Calculator;
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use std::sync::Arc;

use crate::bill::Kinds;
use crate::bundled::{BookMatch, Inquiry, Rated};

/// The name and release of the built-in book, as an explanation shows it.
pub(crate) const BUNDLED_SOURCE: &str = "genai-prices 0.2.1";

/// When that release came out, by the registry.
const BUNDLED_DATE: &str = "2026-10-30";

/// The sizes beyond which prices of the built-in book change. A test finds each one in the book itself.
const BUNDLED_SIZES: [u64; 9] = [
    32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288,
];

/// The seconds of the day at which prices of the built-in book change. A test finds each one, too.
const BUNDLED_DAY_SECONDS: [u32; 6] = [1_800, 3_600, 14_400, 21_600, 36_000, 59_400];

const DAY_SECONDS: u64 = 86_400;

/// How many cards an entry keeps: a few kinds, sizes and tiers of a day or two.
const REMEMBERED_CARDS: usize = 32;

enum Held {
    BuiltIn(&'static Calculator),
    Fetched(Box<Calculator>),
}

/// A book, ready to be asked.
pub(crate) struct Edition {
    held: Held,
    pub(crate) source: SmolStr,
    /// The day that the source is of, where it is known.
    pub(crate) source_date: Option<SmolStr>,
    sizes: Box<[u64]>,
    day_seconds: Box<[u32]>,
    /// Maximum output tokens by `provider/model`, where the file brought them.
    pub(crate) output_limits: FxHashMap<String, u64>,
}

impl std::fmt::Debug for Edition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edition")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// A stretch of time in which no price of a book changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Moment {
    day: u64,
    slot: u8,
}

impl Moment {
    /// The second since 1970 at which its day begins.
    pub(crate) fn midnight(self) -> u64 {
        self.day * DAY_SECONDS
    }
}

/// What a remembered card was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CardKey {
    pub(crate) moment: Moment,
    pub(crate) bracket: u8,
    pub(crate) kinds: Kinds,
    pub(crate) tier: SmolStr,
}

/// An entry that a call's model means, with the rates that were asked for before.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) edition: Arc<Edition>,
    pub(crate) found: BookMatch,
    cards: RwLock<FxHashMap<CardKey, Option<Arc<Rated>>>>,
}

impl Edition {
    /// The built-in release. Takes tens of milliseconds the first time in a process.
    pub(crate) fn built_in() -> Self {
        Self {
            held: Held::BuiltIn(Calculator::bundled()),
            source: SmolStr::new_static(BUNDLED_SOURCE),
            source_date: Some(SmolStr::new_static(BUNDLED_DATE)),
            sizes: BUNDLED_SIZES.into(),
            day_seconds: BUNDLED_DAY_SECONDS.into(),
            output_limits: FxHashMap::default(),
        }
    }

    /// A book made of a file, with the sizes and seconds of the day at which its prices change.
    pub(crate) fn fetched(
        calculator: Calculator,
        source: SmolStr,
        mut sizes: Vec<u64>,
        mut day_seconds: Vec<u32>,
        output_limits: FxHashMap<String, u64>,
    ) -> Self {
        sizes.sort_unstable();
        sizes.dedup();
        sizes.truncate(usize::from(u8::MAX));
        day_seconds.sort_unstable();
        day_seconds.dedup();
        day_seconds.truncate(usize::from(u8::MAX));
        Self {
            held: Held::Fetched(Box::new(calculator)),
            source,
            source_date: None,
            sizes: sizes.into(),
            day_seconds: day_seconds.into(),
            output_limits,
        }
    }

    pub(crate) fn calculator(&self) -> &Calculator {
        match &self.held {
            Held::BuiltIn(calculator) => calculator,
            Held::Fetched(calculator) => calculator,
        }
    }

    /// The sizes beyond which some price changes, in input tokens, smallest first.
    pub(crate) fn sizes(&self) -> &[u64] {
        &self.sizes
    }

    /// Seconds of the day at which some price changes, smallest first.
    pub(crate) fn day_seconds(&self) -> &[u32] {
        &self.day_seconds
    }

    /// The stretch of time that a second since 1970 falls into.
    pub(crate) fn moment(&self, second: u64) -> Moment {
        let of_day = second % DAY_SECONDS;
        let slot = self
            .day_seconds
            .partition_point(|start| u64::from(*start) <= of_day);
        Moment {
            day: second / DAY_SECONDS,
            slot: u8::try_from(slot).unwrap_or(u8::MAX),
        }
    }

    /// Every stretch of time that the seconds from `first` to `last` touch.
    pub(crate) fn moments(&self, first: u64, last: u64) -> Vec<Moment> {
        let (start, end) = (self.moment(first), self.moment(last.max(first)));
        let mut moments = vec![start];
        let mut at = start;
        while at != end && moments.len() <= usize::from(u8::MAX) {
            at = if usize::from(at.slot) < self.day_seconds.len() {
                Moment {
                    day: at.day,
                    slot: at.slot + 1,
                }
            } else {
                Moment {
                    day: at.day + 1,
                    slot: 0,
                }
            };
            moments.push(at);
        }
        moments
    }

    /// The first second of a stretch of time.
    fn second(&self, moment: Moment) -> u64 {
        let start = usize::from(moment.slot)
            .checked_sub(1)
            .and_then(|before| self.day_seconds.get(before))
            .copied()
            .unwrap_or(0);
        moment.day * DAY_SECONDS + u64::from(start)
    }

    /// Which of the brackets between the sizes so many input tokens fall into.
    pub(crate) fn bracket(&self, size: u64) -> u8 {
        u8::try_from(self.sizes.partition_point(|step| *step < size)).unwrap_or(u8::MAX)
    }

    /// The smallest number of input tokens of a bracket, at least 1.
    pub(crate) fn bracket_size(&self, bracket: u8) -> u64 {
        usize::from(bracket)
            .checked_sub(1)
            .and_then(|below| self.sizes.get(below))
            .map_or(1, |step| step + 1)
    }
}

impl Entry {
    pub(crate) fn new(edition: Arc<Edition>, found: BookMatch) -> Self {
        Self {
            edition,
            found,
            cards: RwLock::default(),
        }
    }

    /// The rates on these terms; asked of the book once and remembered.
    pub(crate) fn rates(&self, key: CardKey) -> Option<Arc<Rated>> {
        if let Some(known) = self.cards.read().get(&key) {
            return known.clone();
        }
        let rated = self.ask(&key).map(Arc::new);
        let mut cards = self.cards.write();
        if cards.len() >= REMEMBERED_CARDS {
            cards.clear();
        }
        cards.insert(key, rated.clone());
        rated
    }

    /// The most output tokens that a refreshed file names.
    pub(crate) fn refreshed_limit(&self) -> Option<u64> {
        self.edition.output_limits.get(self.found.key.as_str()).copied()
    }

    /// The entry's context window, where the book knows it.
    pub(crate) fn context_window(&self) -> Option<u64> {
        let (provider, model) = self.found.key.split_once('/')?;
        let provider = self
            .edition
            .calculator()
            .providers()
            .find(|found| found.id() == provider)?;
        provider
            .models()
            .find(|found| found.id() == model)?
            .context_window()
    }

    /// The rates on these terms, asked of the book.
    pub(crate) fn ask(&self, key: &CardKey) -> Option<Rated> {
        self.inquiry(key.moment, key.bracket, &key.tier).rates(key.kinds)
    }

    /// A figure that differs wherever some standard rate of a short or of a long request differs.
    pub(crate) fn fingerprint(&self, moment: Moment) -> [Option<(u64, u64)>; 2] {
        let longest = u8::try_from(self.edition.sizes.len()).unwrap_or(u8::MAX);
        [0, longest].map(|bracket| self.inquiry(moment, bracket, "").fingerprint())
    }

    fn inquiry<'a>(&'a self, moment: Moment, bracket: u8, tier: &'a str) -> Inquiry<'a> {
        Inquiry {
            book: self.edition.calculator(),
            found: &self.found,
            second: self.edition.second(moment),
            size: self.edition.bracket_size(bracket),
            tier: Some(tier).filter(|tier| !tier.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests;
