//! Usage times rates: the arithmetic of one call, in whole numbers.
//!
//! Never rounds but once, at the end of a call, half away from zero. A kind of token without a rate is
//! named as missing and never counted as free.

use flowmeter_model::{CostLine, Figure, PER_MILLION, PER_THOUSAND, TokenUsage, UsdNanos};
use smol_str::SmolStr;

/// What a call may be charged for. Each token stands in exactly one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RateKind {
    /// Input tokens of text that no cache was concerned with.
    Input,
    /// Input tokens read from the cache.
    CacheRead,
    /// Audio tokens read from the cache.
    CacheReadAudio,
    /// Image tokens read from the cache.
    CacheReadImage,
    /// Video tokens read from the cache.
    CacheReadVideo,
    /// Input tokens written to the cache for its shorter life.
    CacheWrite5m,
    /// Input tokens written to the cache for its longer life.
    CacheWrite1h,
    /// Audio tokens in the input.
    InputAudio,
    /// Image tokens in the input.
    InputImage,
    /// Video tokens in the input.
    InputVideo,
    /// Output tokens of text.
    Output,
    /// Output tokens spent on reasoning.
    Reasoning,
    /// Audio tokens in the output.
    OutputAudio,
    /// Image tokens in the output.
    OutputImage,
    /// Video tokens in the output.
    OutputVideo,
    /// Tokens of cited sources.
    Citation,
    /// Searches of the web.
    WebSearch,
    /// Searches of the user's stored files.
    FileSearch,
    /// Searches of a rerank call.
    SearchUnit,
    /// Audio charged by its length.
    AudioMs,
    /// Pages of documents.
    DocumentPage,
    /// The call itself.
    Request,
}

/// What a rate is a rate of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// Nano-dollars per million tokens.
    MillionTokens,
    /// Nano-dollars per thousand searches, pages or calls.
    Thousand,
    /// Nano-dollars per hour of audio; its quantity is in milliseconds.
    Hour,
}

/// Milliseconds in an hour.
const PER_HOUR: u32 = 3_600_000;

impl RateUnit {
    /// How many of a kind's quantity the rate is for, as in [`CostLine::per`].
    #[must_use]
    pub fn per(self) -> u32 {
        match self {
            Self::MillionTokens => PER_MILLION,
            Self::Thousand => PER_THOUSAND,
            Self::Hour => PER_HOUR,
        }
    }
}

impl RateKind {
    /// Every kind, in the order of a bill.
    pub const ALL: [Self; 22] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheReadAudio,
        Self::CacheReadImage,
        Self::CacheReadVideo,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::InputAudio,
        Self::InputImage,
        Self::InputVideo,
        Self::Output,
        Self::Reasoning,
        Self::OutputAudio,
        Self::OutputImage,
        Self::OutputVideo,
        Self::Citation,
        Self::WebSearch,
        Self::FileSearch,
        Self::SearchUnit,
        Self::AudioMs,
        Self::DocumentPage,
        Self::Request,
    ];

    /// The kinds that input tokens may be charged as.
    pub(crate) const OF_INPUT: [Self; 10] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheReadAudio,
        Self::CacheReadImage,
        Self::CacheReadVideo,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::InputAudio,
        Self::InputImage,
        Self::InputVideo,
    ];

    /// The kinds that output tokens may be charged as.
    pub(crate) const OF_OUTPUT: [Self; 6] = [
        Self::Output,
        Self::Reasoning,
        Self::OutputAudio,
        Self::OutputImage,
        Self::OutputVideo,
        Self::Citation,
    ];

    /// The name as in a bill's line: `input`, `cache_read`, `web_search`, ….
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheReadAudio => "cache_read_audio",
            Self::CacheReadImage => "cache_read_image",
            Self::CacheReadVideo => "cache_read_video",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::InputAudio => "input_audio",
            Self::InputImage => "input_image",
            Self::InputVideo => "input_video",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::OutputAudio => "output_audio",
            Self::OutputImage => "output_image",
            Self::OutputVideo => "output_video",
            Self::Citation => "citation",
            Self::WebSearch => "web_search",
            Self::FileSearch => "file_search",
            Self::SearchUnit => "search_unit",
            Self::AudioMs => "audio_ms",
            Self::DocumentPage => "document_page",
            Self::Request => "request",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What this kind's rate is a rate of.
    #[must_use]
    pub fn unit(self) -> RateUnit {
        match self {
            Self::WebSearch | Self::FileSearch | Self::SearchUnit | Self::DocumentPage | Self::Request => {
                RateUnit::Thousand
            }
            Self::AudioMs => RateUnit::Hour,
            _ => RateUnit::MillionTokens,
        }
    }

    /// How many of the ledger's grains one of this kind at a rate of one nano-dollar is worth.
    fn grains(self) -> i128 {
        match self.unit() {
            RateUnit::MillionTokens => 18,
            RateUnit::Thousand => 18_000,
            // An hour has 3,600,000 milliseconds: 18,000,000 / 3,600,000.
            RateUnit::Hour => 5,
        }
    }
}

const KINDS: usize = RateKind::ALL.len();

/// One value for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PerKind<T>([T; KINDS]);

impl<T: Copy + Default> Default for PerKind<T> {
    fn default() -> Self {
        Self([T::default(); KINDS])
    }
}

impl<T: Copy> PerKind<T> {
    pub(crate) fn get(&self, kind: RateKind) -> T {
        self.0[kind as usize]
    }

    pub(crate) fn set(&mut self, kind: RateKind, value: T) {
        self.0[kind as usize] = value;
    }
}

/// The rates that apply to one call, in nano-dollars per unit of the kind. `None` means that no rate is
/// known.
pub(crate) type RateCard = PerKind<Option<i64>>;

impl RateCard {
    /// Multiplies the rates of tokens, rounding up to whole nano-dollars.
    pub(crate) fn scale_tokens(&mut self, numerator: i64, denominator: i64) {
        for kind in RateKind::ALL {
            if kind.unit() == RateUnit::MillionTokens
                && let Some(rate) = self.get(kind)
            {
                let scaled = (i128::from(rate) * i128::from(numerator) + i128::from(denominator) - 1)
                    / i128::from(denominator);
                self.set(kind, Some(i64::try_from(scaled).unwrap_or(i64::MAX)));
            }
        }
    }
}

/// Which kinds a card is asked for: most calls use few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Kinds(u32);

impl Kinds {
    /// Every kind there is.
    pub(crate) const ALL: Self = Self(u32::MAX);

    /// These kinds and no others.
    pub(crate) fn only(kinds: &[RateKind]) -> Self {
        Self(kinds.iter().fold(0, |mask, kind| mask | 1 << (*kind as u32)))
    }

    pub(crate) fn has(self, kind: RateKind) -> bool {
        self.0 & (1 << (kind as u32)) != 0
    }
}

/// Disjoint counts: each token stands in exactly one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) counts: PerKind<u64>,
    /// Whether some part was larger than the whole that it should be part of.
    pub(crate) clipped: bool,
}

fn tokens(figure: Option<Figure>) -> u64 {
    figure.map_or(0, |figure| figure.tokens)
}

impl Parts {
    /// Takes the inclusive counts apart. A part never makes the whole larger than the provider said.
    pub(crate) fn of(usage: &TokenUsage) -> Self {
        let mut counts = PerKind::default();
        let mut clipped = false;
        let mut take = |left: &mut u64, kind: RateKind, wanted: u64, strict: bool| {
            let taken = wanted.min(*left);
            clipped |= strict && taken < wanted;
            *left -= taken;
            counts.set(kind, taken);
            taken
        };
        let mut input = usage.input_tokens();
        take(
            &mut input,
            RateKind::CacheWrite1h,
            tokens(usage.cache_write_1h),
            true,
        );
        take(
            &mut input,
            RateKind::CacheWrite5m,
            tokens(usage.cache_write_5m),
            true,
        );
        let mut read = tokens(usage.cache_read).min(input);
        let over_read = tokens(usage.cache_read) > input;
        input -= read;
        let audio_read = take(
            &mut read,
            RateKind::CacheReadAudio,
            tokens(usage.cache_read_audio),
            true,
        );
        let image_read = take(
            &mut read,
            RateKind::CacheReadImage,
            tokens(usage.cache_read_image),
            true,
        );
        let video_read = take(
            &mut read,
            RateKind::CacheReadVideo,
            tokens(usage.cache_read_video),
            true,
        );
        // Audio, images and video may have been cached as well, so that nothing is left to take is no fault.
        let mut fresh = |kind, all: Option<Figure>, read: u64| {
            take(&mut input, kind, tokens(all).saturating_sub(read), false);
        };
        fresh(RateKind::InputAudio, usage.input_audio, audio_read);
        fresh(RateKind::InputImage, usage.input_image, image_read);
        fresh(RateKind::InputVideo, usage.input_video, video_read);
        let mut output = usage.output_tokens();
        for (kind, part) in [
            (RateKind::Reasoning, usage.reasoning),
            (RateKind::OutputAudio, usage.output_audio),
            (RateKind::OutputImage, usage.output_image),
            (RateKind::OutputVideo, usage.output_video),
            (RateKind::Citation, usage.citation),
        ] {
            take(&mut output, kind, tokens(part), true);
        }
        counts.set(RateKind::Input, input);
        counts.set(RateKind::CacheRead, read);
        counts.set(RateKind::Output, output);
        for (kind, count) in [
            (RateKind::WebSearch, usage.web_searches),
            (RateKind::FileSearch, usage.file_searches),
            (RateKind::SearchUnit, usage.search_units),
            (RateKind::AudioMs, usage.audio_ms),
            (RateKind::DocumentPage, usage.document_pages),
        ] {
            counts.set(kind, count.unwrap_or(0));
        }
        Self {
            counts,
            clipped: clipped || over_read,
        }
    }

    /// The kinds that were used.
    pub(crate) fn kinds(&self) -> Kinds {
        let used = RateKind::ALL
            .into_iter()
            .filter(|kind| self.counts.get(*kind) > 0);
        Kinds(used.fold(0, |mask, kind| mask | 1 << (kind as u32)))
    }
}

/// What a call costs at the rates of a card.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bill {
    pub(crate) lines: Vec<CostLine>,
    pub(crate) total: UsdNanos,
    /// Kinds that were used but have no rate, or whose count nobody told.
    pub(crate) missing: Vec<&'static str>,
}

/// Grains in a nano-dollar: the coarsest number in which every count times its rate is whole.
const GRAINS_PER_NANO: i128 = 18_000_000;

/// What so many of a kind cost at a rate, in grains.
pub(crate) fn grains(kind: RateKind, quantity: u64, rate: i64) -> i128 {
    i128::from(quantity)
        .saturating_mul(i128::from(rate))
        .saturating_mul(kind.grains())
}

/// Grains to nano-dollars, up: for what a call may cost at most.
pub(crate) fn nanos_up(grains: i128) -> UsdNanos {
    let nanos = grains
        .saturating_add(GRAINS_PER_NANO - 1)
        .div_euclid(GRAINS_PER_NANO);
    UsdNanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Grains in an amount.
pub(crate) fn grains_in(amount: UsdNanos) -> i128 {
    i128::from(amount.0) * GRAINS_PER_NANO
}

/// Grains to nano-dollars, half away from zero.
fn nanos_nearest(grains: i128) -> UsdNanos {
    let half = if grains < 0 {
        -GRAINS_PER_NANO / 2
    } else {
        GRAINS_PER_NANO / 2
    };
    let nanos = grains.saturating_add(half) / GRAINS_PER_NANO;
    let limit = if nanos < 0 { i64::MIN } else { i64::MAX };
    UsdNanos(i64::try_from(nanos).unwrap_or(limit))
}

/// Multiplies and adds.
pub(crate) fn bill(usage: &TokenUsage, parts: &Parts, card: &RateCard) -> Bill {
    let mut bill = Bill::default();
    let mut sum: i128 = 0;
    for kind in RateKind::ALL {
        let quantity = if kind == RateKind::Request {
            u64::from(card.get(kind).is_some())
        } else {
            parts.counts.get(kind)
        };
        if quantity == 0 {
            continue;
        }
        let Some(rate) = card.get(kind) else {
            bill.missing.push(kind.as_str());
            continue;
        };
        let amount = grains(kind, quantity, rate);
        sum = sum.saturating_add(amount);
        bill.lines.push(CostLine {
            kind: SmolStr::new_static(kind.as_str()),
            quantity,
            rate_nanos: rate,
            per: kind.unit().per(),
        });
    }
    // A count that nobody told is worth nothing only where the model charges nothing for it.
    let charged = |kind| card.get(kind).is_some_and(|rate| rate > 0);
    if usage.input.is_none() && charged(RateKind::Input) {
        bill.missing.push("input");
    }
    if usage.output.is_none() && charged(RateKind::Output) {
        bill.missing.push("output");
    }
    bill.total = nanos_nearest(sum);
    bill
}

#[cfg(test)]
mod tests;
