//! The rates that a book applies to one call, recovered from the prices it computes.
//!
//! Each kind of token is priced alone, at the call's own size and time, so tiers, dated prices and
//! service tiers are those of the call. Dividing gives the rate; rounding it to a whole nano-dollar per
//! million tokens removes the float's error, which is far below that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use genai_prices::{Calculator, PriceCalculation, PriceRequest, Usage, UsageKey};

use super::BookMatch;
use crate::bill::{Kinds, RateCard, RateKind};

const MILLION: f64 = 1e6;

/// The book's words for the kinds of input: each with all the wider kinds that it is part of.
const INPUT_KEYS: &[(RateKind, &[UsageKey])] = &[
    (RateKind::CacheRead, &[UsageKey::CACHE_READ_TOKENS]),
    (
        RateKind::CacheReadAudio,
        &[
            UsageKey::CACHE_READ_TOKENS,
            UsageKey::INPUT_AUDIO_TOKENS,
            UsageKey::CACHE_AUDIO_READ_TOKENS,
        ],
    ),
    (
        RateKind::CacheReadImage,
        &[
            UsageKey::CACHE_READ_TOKENS,
            UsageKey::INPUT_IMAGE_TOKENS,
            UsageKey::CACHE_IMAGE_READ_TOKENS,
        ],
    ),
    (
        RateKind::CacheReadVideo,
        &[
            UsageKey::CACHE_READ_TOKENS,
            UsageKey::INPUT_VIDEO_TOKENS,
            UsageKey::CACHE_VIDEO_READ_TOKENS,
        ],
    ),
    (
        RateKind::CacheWrite5m,
        &[UsageKey::CACHE_WRITE_TOKENS, UsageKey::CACHE_WRITE_5M_TOKENS],
    ),
    (
        RateKind::CacheWrite1h,
        &[UsageKey::CACHE_WRITE_TOKENS, UsageKey::CACHE_WRITE_1H_TOKENS],
    ),
    (RateKind::InputAudio, &[UsageKey::INPUT_AUDIO_TOKENS]),
    (RateKind::InputImage, &[UsageKey::INPUT_IMAGE_TOKENS]),
    (RateKind::InputVideo, &[UsageKey::INPUT_VIDEO_TOKENS]),
];

/// The book's words for the kinds of output.
const OUTPUT_KEYS: &[(RateKind, UsageKey)] = &[
    (RateKind::Reasoning, UsageKey::OUTPUT_REASONING_TOKENS),
    (RateKind::OutputAudio, UsageKey::OUTPUT_AUDIO_TOKENS),
    (RateKind::OutputImage, UsageKey::OUTPUT_IMAGE_TOKENS),
    (RateKind::OutputVideo, UsageKey::OUTPUT_VIDEO_TOKENS),
    (RateKind::Citation, UsageKey::OUTPUT_CITATION_TOKENS),
];

/// The book's words for what is charged by the piece, and how many of them a rate is for: a thousand
/// pieces, or the seconds of an hour.
const UNIT_KEYS: &[(RateKind, &[UsageKey], f64)] = &[
    (RateKind::WebSearch, &[UsageKey::WEB_SEARCHES], 1_000.0),
    (RateKind::FileSearch, &[UsageKey::STORAGE_SEARCHES], 1_000.0),
    (RateKind::SearchUnit, &[UsageKey::RERANK_SEARCHES], 1_000.0),
    (
        RateKind::AudioMs,
        &[UsageKey::AUDIO_SECONDS, UsageKey::INPUT_AUDIO_SECONDS],
        3_600.0,
    ),
    (RateKind::DocumentPage, &[UsageKey::INPUT_DOCUMENT_PAGES], 1_000.0),
];

/// One entry of the book, asked on the terms of one call.
pub(crate) struct Inquiry<'a> {
    pub(crate) book: &'a Calculator,
    pub(crate) found: &'a BookMatch,
    /// Seconds since 1970.
    pub(crate) second: u64,
    /// The input tokens that decide the tier of size; at least 1.
    pub(crate) size: u64,
    pub(crate) tier: Option<&'a str>,
}

/// The rates on some terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rated {
    pub(crate) card: RateCard,
    /// What the user should know about them.
    pub(crate) warning: Option<String>,
}

impl Inquiry<'_> {
    /// The price of a request that uses some of everything, as the bits of its float: it changes with any
    /// rate. For comparing, not for pricing.
    pub(crate) fn fingerprint(&self) -> Option<(u64, u64)> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a size, compared with the thresholds of tiers"
        )]
        let size = self.size.max(1) as f64 * 100.0;
        let asked = self.asked(size / 100.0);
        // Parts of different weight, so that one change cannot hide another. The book refuses parts that
        // overlap, so kinds of media are asked for apart.
        let text = [
            (UsageKey::INPUT_TOKENS, size),
            (UsageKey::CACHE_READ_TOKENS, size * 0.31),
            (UsageKey::CACHE_WRITE_TOKENS, size * 0.17),
            (UsageKey::CACHE_WRITE_1H_TOKENS, size * 0.07),
            (UsageKey::OUTPUT_TOKENS, MILLION),
            (UsageKey::OUTPUT_REASONING_TOKENS, MILLION * 0.23),
            (UsageKey::OUTPUT_CITATION_TOKENS, MILLION * 0.03),
            (UsageKey::WEB_SEARCHES, 7.0),
            (UsageKey::AUDIO_SECONDS, 3_600.0),
            (UsageKey::INPUT_AUDIO_SECONDS, 3_600.0),
            (UsageKey::INPUT_DOCUMENT_PAGES, 13.0),
        ];
        let media = [
            (UsageKey::INPUT_TOKENS, size),
            (UsageKey::INPUT_AUDIO_TOKENS, size * 0.11),
            (UsageKey::INPUT_IMAGE_TOKENS, size * 0.05),
            (UsageKey::OUTPUT_TOKENS, MILLION),
            (UsageKey::OUTPUT_AUDIO_TOKENS, MILLION * 0.13),
            (UsageKey::OUTPUT_IMAGE_TOKENS, MILLION * 0.19),
        ];
        let bits = |usage: &[(UsageKey, f64)]| Some(asked.ask(usage)?.total_price.to_bits());
        Some((bits(&text)?, bits(&media)?))
    }

    fn asked(&self, size: f64) -> Asked<'_> {
        Asked {
            book: self.book,
            found: self.found,
            time: UNIX_EPOCH + Duration::from_secs(self.second),
            tier: None,
            size,
        }
    }

    /// The rates for these kinds, or nothing where the book does not answer.
    pub(crate) fn rates(&self, kinds: Kinds) -> Option<Rated> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a size, compared with the thresholds of tiers"
        )]
        let size = self.size.max(1) as f64;
        let mut asked = self.asked(size);
        let standard = asked.both()?;
        let Some((key, tier)) = self.tier.and_then(price_context) else {
            return Some(Rated {
                card: asked.card(&standard, kinds),
                warning: None,
            });
        };
        asked.tier = Some((key, tier));
        let Some(tiered) = asked.both() else {
            asked.tier = None;
            return Some(Rated {
                card: asked.card(&standard, kinds),
                warning: Some(format!(
                    "the book's price for service tier `{tier}` cannot be used: priced at the standard rate"
                )),
            });
        };
        let warning = (tiered == standard)
            .then(|| format!("the book has no price for service tier `{tier}`: priced at the standard rate"));
        Some(Rated {
            card: asked.card(&tiered, kinds),
            warning,
        })
    }
}

struct Asked<'a> {
    book: &'a Calculator,
    found: &'a BookMatch,
    time: SystemTime,
    tier: Option<(&'static str, &'a str)>,
    size: f64,
}

impl Asked<'_> {
    fn ask(&self, usage: &[(UsageKey, f64)]) -> Option<PriceCalculation> {
        let usage: Usage = usage.iter().cloned().collect();
        let mut request = PriceRequest::new(&self.found.name, &usage)
            .with_provider_id(&self.found.provider)
            .with_timestamp(self.time);
        if let Some((key, value)) = self.tier {
            request = request.with_price_context(key, value);
        }
        self.book.calculate(&request).ok()
    }

    /// Input and output of the call's size, at once: one question for what every call needs.
    fn both(&self) -> Option<PriceCalculation> {
        self.ask(&[
            (UsageKey::INPUT_TOKENS, self.size),
            (UsageKey::OUTPUT_TOKENS, MILLION),
        ])
    }

    fn card(&self, both: &PriceCalculation, kinds: Kinds) -> RateCard {
        let input = nanos(both.input_price * MILLION / self.size)
            .filter(|rate| *rate > 0 || self.prices_input() || self.is_free());
        let output =
            nanos(both.output_price).filter(|rate| *rate > 0 || self.prices_output() || self.is_free());
        let mut card = RateCard::default();
        card.set(RateKind::Input, input);
        card.set(RateKind::Output, output);
        // A part has a rate only where its whole has one, and is asked for only where it was used.
        if input.is_some() {
            for (kind, keys) in INPUT_KEYS {
                if kinds.has(*kind) {
                    card.set(*kind, self.input_rate(keys));
                }
            }
        }
        if output.is_some() {
            for (kind, key) in OUTPUT_KEYS {
                if kinds.has(*kind) {
                    card.set(*kind, self.output_rate(key));
                }
            }
        }
        for (kind, keys, per_unit) in UNIT_KEYS {
            if kinds.has(*kind) {
                card.set(*kind, self.unit_rate(keys, *per_unit));
            }
        }
        if both.total_price - both.input_price - both.output_price > 1e-7 {
            card.set(RateKind::Request, self.request_rate());
        }
        card
    }

    /// The rate if all of the input were of one kind.
    fn input_rate(&self, keys: &[UsageKey]) -> Option<i64> {
        let mut usage = vec![(UsageKey::INPUT_TOKENS, self.size)];
        usage.extend(keys.iter().map(|key| (key.clone(), self.size)));
        nanos(self.ask(&usage)?.input_price * MILLION / self.size)
    }

    /// The rate if all of the output were of one kind.
    fn output_rate(&self, key: &UsageKey) -> Option<i64> {
        let usage = [
            (UsageKey::INPUT_TOKENS, self.size),
            (UsageKey::OUTPUT_TOKENS, MILLION),
            (key.clone(), MILLION),
        ];
        nanos(self.ask(&usage)?.output_price)
    }

    /// Whether the book has a price for output at all. It computes 0 where it has none, but refuses
    /// usage that names a part of a priced whole without the whole.
    fn prices_output(&self) -> bool {
        self.ask(&[
            (UsageKey::INPUT_TOKENS, self.size),
            (UsageKey::OUTPUT_REASONING_TOKENS, 1.0),
        ])
        .is_none()
    }

    /// The same for input.
    fn prices_input(&self) -> bool {
        self.ask(&[(UsageKey::CACHE_READ_TOKENS, 1.0)]).is_none()
    }

    /// Whether the name itself says that nothing is charged. For such entries the book has no prices.
    fn is_free(&self) -> bool {
        self.found.name.ends_with(":free")
    }

    /// What one request costs, in nanos per thousand.
    fn request_rate(&self) -> Option<i64> {
        nanos(self.ask(&[])?.total_price * 1_000.0).filter(|rate| *rate > 0)
    }

    /// What so many units cost in which a rate is given, in nanos. The book knows no unit that is free, so
    /// nothing charged means nothing known.
    fn unit_rate(&self, keys: &[UsageKey], per_unit: f64) -> Option<i64> {
        // A thousand times the unit of the rate, which keeps the fees of the request itself in the noise.
        let usage: Vec<_> = keys.iter().map(|key| (key.clone(), per_unit * 1_000.0)).collect();
        let without = self.ask(&[])?.total_price;
        let with = self.ask(&usage)?.total_price;
        nanos((with - without) / 1_000.0).filter(|rate| *rate > 0)
    }
}

/// Dollars to whole nano-dollars; `None` for what is no sensible rate.
fn nanos(dollars: f64) -> Option<i64> {
    let nanos = (dollars * 1e9).round();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (nanos.is_finite() && (0.0..9e18).contains(&nanos)).then_some(nanos as i64)
}

/// Whether the name of a tier only says that it is the standard one.
pub(crate) fn is_standard_tier(tier: &str) -> bool {
    matches!(
        tier,
        "" | "standard" | "default" | "auto" | "on_demand" | "standard_only"
    )
}

/// The book's words for a service tier; `None` for the standard one.
fn price_context(tier: &str) -> Option<(&'static str, &str)> {
    match tier {
        tier if is_standard_tier(tier) => None,
        "batch" => Some(("processing", "batch")),
        other => Some(("service_tier", other)),
    }
}
