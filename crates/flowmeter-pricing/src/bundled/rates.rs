//! The rates that the bundled book applies to one call, recovered from the prices it computes.
//!
//! Each kind of token is priced alone, at the call's own size and time, so tiers, dated prices and
//! service tiers are those of the call. Dividing gives the rate; rounding it to a whole nano-dollar per
//! million tokens removes the float's error, which is far below that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowmeter_model::{TimestampNs, TokenUsage};
use genai_prices::{Calculator, PriceCalculation, PriceRequest, Usage, UsageKey};

use super::BookMatch;
use crate::bill::{Parts, RateCard};

const MILLION: f64 = 1e6;

/// What besides the model decides a price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) start: TimestampNs,
    pub(crate) service_tier: Option<&'a str>,
}

/// One entry of the book, asked on the terms of one call.
struct Inquiry<'a> {
    book: &'a Calculator,
    found: &'a BookMatch,
    time: SystemTime,
    tier: Option<(&'static str, &'a str)>,
    /// The input tokens that decide the tier of size.
    size: f64,
}

impl Inquiry<'_> {
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
    fn ask_both(&self) -> Option<PriceCalculation> {
        self.ask(&[
            (UsageKey::INPUT_TOKENS, self.size),
            (UsageKey::OUTPUT_TOKENS, MILLION),
        ])
    }

    /// The rate if all of the input were of one kind.
    fn input_rate(&self, kind: UsageKey, also: Option<UsageKey>) -> Option<i64> {
        let mut usage = vec![(UsageKey::INPUT_TOKENS, self.size), (kind, self.size)];
        usage.extend(also.map(|kind| (kind, self.size)));
        nanos(self.ask(&usage)?.input_price * MILLION / self.size)
    }

    /// The rate if all of the output were of one kind.
    fn output_rate(&self, kind: UsageKey) -> Option<i64> {
        let usage = [
            (UsageKey::INPUT_TOKENS, self.size),
            (UsageKey::OUTPUT_TOKENS, MILLION),
            (kind, MILLION),
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

    /// What web searches cost, in nanos per thousand. The book knows no search that is free, so nothing
    /// charged means nothing known.
    fn search_rate(&self) -> Option<i64> {
        let without = self.ask(&[])?.total_price;
        let with = self.ask(&[(UsageKey::WEB_SEARCHES, MILLION)])?.total_price;
        nanos((with - without) / 1_000.0).filter(|rate| *rate > 0)
    }
}

/// Dollars to whole nano-dollars; `None` for what is no sensible rate.
fn nanos(dollars: f64) -> Option<i64> {
    let nanos = (dollars * 1e9).round();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (nanos.is_finite() && (0.0..9e18).contains(&nanos)).then_some(nanos as i64)
}

/// The rates for this usage on these terms, and what the user should know about them. Kinds that the
/// call did not use are not asked for.
pub(crate) fn rate_card(
    book: &Calculator,
    found: &BookMatch,
    usage: &TokenUsage,
    terms: Terms<'_>,
) -> Option<(RateCard, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut inquiry = inquiry(book, found, usage, terms);
    let standard_tier = inquiry.tier.take();
    let standard = inquiry.ask_both()?;
    inquiry.tier = standard_tier;
    let mut both = standard;
    if let (Some((_, tier)), Some(tiered)) = (inquiry.tier, tier_prices(&inquiry)) {
        if tiered == both {
            warnings.push(format!(
                "the book has no price for service tier `{tier}`: priced at the standard rate"
            ));
        }
        both = tiered;
    } else if let Some((_, tier)) = inquiry.tier.take() {
        warnings.push(format!(
            "the book's price for service tier `{tier}` cannot be used: priced at the standard rate"
        ));
    }

    let parts = Parts::of(usage);
    let input = nanos(both.input_price * MILLION / inquiry.size)
        .filter(|rate| *rate > 0 || inquiry.prices_input() || inquiry.is_free());
    let output =
        nanos(both.output_price).filter(|rate| *rate > 0 || inquiry.prices_output() || inquiry.is_free());
    // A part has a rate only where its whole has one, and is asked for only where it was used.
    let of_input = |used: u64, kind: UsageKey, also: Option<UsageKey>| {
        let asked = input.filter(|_| used > 0);
        asked.and_then(|_| inquiry.input_rate(kind, also))
    };
    let of_output = |used: u64, kind: UsageKey| {
        let asked = output.filter(|_| used > 0);
        asked.and_then(|_| inquiry.output_rate(kind))
    };
    let searched = usage.web_searches.is_some_and(|searches| searches > 0);
    let has_request_fee = both.total_price - both.input_price - both.output_price > 1e-7;
    let write = UsageKey::CACHE_WRITE_TOKENS;
    let card = RateCard {
        input,
        cache_read: of_input(parts.cache_read, UsageKey::CACHE_READ_TOKENS, None),
        cache_write_5m: of_input(parts.cache_write_5m, write.clone(), None),
        cache_write_1h: of_input(parts.cache_write_1h, write, Some(UsageKey::CACHE_WRITE_1H_TOKENS)),
        input_audio: of_input(parts.input_audio, UsageKey::INPUT_AUDIO_TOKENS, None),
        input_image: of_input(parts.input_image, UsageKey::INPUT_IMAGE_TOKENS, None),
        output,
        reasoning: of_output(parts.reasoning, UsageKey::OUTPUT_REASONING_TOKENS),
        output_audio: of_output(parts.output_audio, UsageKey::OUTPUT_AUDIO_TOKENS),
        web_search: if searched { inquiry.search_rate() } else { None },
        request: if has_request_fee {
            inquiry.request_rate()
        } else {
            None
        },
    };
    Some((card, warnings))
}

/// The book's rate for web searches alone, for a price file, which has none.
pub(crate) fn web_search_rate(
    book: &Calculator,
    found: &BookMatch,
    usage: &TokenUsage,
    terms: Terms<'_>,
) -> Option<i64> {
    inquiry(book, found, usage, terms).search_rate()
}

fn inquiry<'a>(
    book: &'a Calculator,
    found: &'a BookMatch,
    usage: &TokenUsage,
    terms: Terms<'a>,
) -> Inquiry<'a> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a size, compared with the thresholds of tiers"
    )]
    let size = usage.input_tokens().max(1) as f64;
    let time = UNIX_EPOCH + Duration::from_nanos(terms.start.0);
    Inquiry {
        book,
        found,
        time,
        tier: terms.service_tier.and_then(price_context),
        size,
    }
}

fn tier_prices(inquiry: &Inquiry<'_>) -> Option<PriceCalculation> {
    inquiry.tier.and_then(|_| inquiry.ask_both())
}

/// The book's words for a service tier; `None` for the standard one.
fn price_context(tier: &str) -> Option<(&'static str, &str)> {
    match tier {
        "" | "standard" | "default" | "auto" | "on_demand" | "standard_only" => None,
        "batch" => Some(("processing", "batch")),
        other => Some(("service_tier", other)),
    }
}
