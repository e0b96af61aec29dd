//! Usage times rates: the arithmetic of one call, in whole numbers.
//!
//! Never rounds but once, at the end of a call, half away from zero. A kind of token without a rate is
//! named as missing and never counted as free.

use flowmeter_model::{CostLine, Figure, PER_MILLION, PER_THOUSAND, TokenUsage, UsdFemtos, UsdNanos};
use smol_str::SmolStr;

/// The rates that apply to one call, in nano-dollars per million tokens, and per thousand searches or
/// requests. `None` means that no rate is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateCard {
    pub(crate) input: Option<i64>,
    pub(crate) cache_read: Option<i64>,
    pub(crate) cache_write_5m: Option<i64>,
    pub(crate) cache_write_1h: Option<i64>,
    pub(crate) input_audio: Option<i64>,
    pub(crate) input_image: Option<i64>,
    pub(crate) output: Option<i64>,
    pub(crate) reasoning: Option<i64>,
    pub(crate) output_audio: Option<i64>,
    pub(crate) web_search: Option<i64>,
    pub(crate) request: Option<i64>,
}

/// Disjoint token counts: each token stands in exactly one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) input: u64,
    pub(crate) cache_read: u64,
    pub(crate) cache_write_5m: u64,
    pub(crate) cache_write_1h: u64,
    pub(crate) input_audio: u64,
    pub(crate) input_image: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
    pub(crate) output_audio: u64,
    /// Whether some part was larger than the whole that it should be part of.
    pub(crate) clipped: bool,
}

impl Parts {
    /// Takes the inclusive counts apart. A part never makes the whole larger than the provider said.
    pub(crate) fn of(usage: &TokenUsage) -> Self {
        let mut clipped = false;
        let mut take = |left: &mut u64, part: Option<Figure>| {
            let wanted = part.map_or(0, |figure| figure.tokens);
            let taken = wanted.min(*left);
            clipped |= taken < wanted;
            *left -= taken;
            taken
        };
        let mut input = usage.input_tokens();
        let cache_write_1h = take(&mut input, usage.cache_write_1h);
        let cache_write_5m = take(&mut input, usage.cache_write_5m);
        let cache_read = take(&mut input, usage.cache_read);
        let mut output = usage.output_tokens();
        let reasoning = take(&mut output, usage.reasoning);
        let output_audio = take(&mut output, usage.output_audio);
        // Audio and images may have been cached as well, so that nothing is left to take is no fault.
        let input_audio = usage.input_audio.map_or(0, |figure| figure.tokens.min(input));
        input -= input_audio;
        let input_image = usage.input_image.map_or(0, |figure| figure.tokens.min(input));
        input -= input_image;
        Self {
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            input_audio,
            input_image,
            output,
            reasoning,
            output_audio,
            clipped,
        }
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

/// Adds in the finest unit that counts times rates give.
#[derive(Default)]
struct Ledger {
    bill: Bill,
    sum: UsdFemtos,
}

impl Ledger {
    fn tokens(&mut self, kind: &'static str, quantity: u64, rate: Option<i64>) {
        self.line(kind, quantity, rate, PER_MILLION);
    }

    fn units(&mut self, kind: &'static str, quantity: u64, rate: Option<i64>) {
        self.line(kind, quantity, rate, PER_THOUSAND);
    }

    fn line(&mut self, kind: &'static str, quantity: u64, rate: Option<i64>, per: u32) {
        if quantity == 0 {
            return;
        }
        let Some(rate) = rate else {
            self.bill.missing.push(kind);
            return;
        };
        self.sum += UsdFemtos::of(quantity, rate, per);
        self.bill.lines.push(CostLine {
            kind: SmolStr::new_static(kind),
            quantity,
            rate_nanos: rate,
            per,
        });
    }

    fn close(mut self) -> Bill {
        self.bill.total = self.sum.rounded();
        self.bill
    }
}

/// Multiplies and adds.
pub(crate) fn bill(usage: &TokenUsage, card: &RateCard) -> Bill {
    let parts = Parts::of(usage);
    let mut ledger = Ledger::default();
    ledger.tokens("input", parts.input, card.input);
    ledger.tokens("cache_read", parts.cache_read, card.cache_read);
    ledger.tokens("cache_write_5m", parts.cache_write_5m, card.cache_write_5m);
    ledger.tokens("cache_write_1h", parts.cache_write_1h, card.cache_write_1h);
    ledger.tokens("input_audio", parts.input_audio, card.input_audio);
    ledger.tokens("input_image", parts.input_image, card.input_image);
    ledger.tokens("output", parts.output, card.output);
    ledger.tokens("reasoning", parts.reasoning, card.reasoning);
    ledger.tokens("output_audio", parts.output_audio, card.output_audio);
    ledger.units("web_search", usage.web_searches.unwrap_or(0), card.web_search);
    ledger.units("request", u64::from(card.request.is_some()), card.request);
    // A count that nobody told is worth nothing only where the model charges nothing for it.
    if usage.input.is_none() && card.input.is_some_and(|rate| rate > 0) {
        ledger.bill.missing.push("input");
    }
    if usage.output.is_none() && card.output.is_some_and(|rate| rate > 0) {
        ledger.bill.missing.push("output");
    }
    ledger.close()
}

#[cfg(test)]
mod tests;
