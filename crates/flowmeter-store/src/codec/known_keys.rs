//! Keys that most payloads hold: each is written as one byte instead of its letters.
//!
//! The numbers are part of the file's format: names are added at the end, never moved and never taken away.

use std::sync::LazyLock;

use smol_str::SmolStr;

use super::Damaged;
use super::pack::{Reader, Token, write_text};

/// At most 128, what one byte of MessagePack holds.
const KEYS: &[&str] = &[
    "role",
    "parts",
    "type",
    "content",
    "text",
    "finish_reason",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "gen_ai.request.max_tokens",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.request.top_k",
    "gen_ai.request.seed",
    "gen_ai.request.stop_sequences",
    "gen_ai.request.choice.count",
    "gen_ai.request.frequency_penalty",
    "gen_ai.request.presence_penalty",
    "gen_ai.request.encoding_formats",
    "gen_ai.output.type",
    "gen_ai.response.model",
    "gen_ai.response.id",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.call.id",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.agent.id",
    "gen_ai.agent.name",
    "gen_ai.workflow.name",
    "gen_ai.conversation.id",
    "server.address",
    "server.port",
    "error.type",
    "exception.type",
    "exception.message",
    "exception.stacktrace",
    "flowmeter.usage.estimated",
    "flowmeter.usage.raw",
    "flowmeter.cost.usd",
    "flowmeter.cost.nanos",
    "flowmeter.cost.status",
    "flowmeter.cost.matched",
    "flowmeter.cost.source",
    "flowmeter.cost.source_date",
    "flowmeter.cost.applies_since",
    "flowmeter.cost.terms",
    "flowmeter.cost.rule",
    "flowmeter.cost.sum",
    "flowmeter.cost.rounding",
    "flowmeter.cost.lines",
    "flowmeter.cost.warnings",
    "flowmeter.budget.reserved_usd",
    "flowmeter.budget.imposed_max_tokens",
    "flowmeter.budget.waited_ms",
    "flowmeter.span.kind",
    "flowmeter.cache.hit",
    "flowmeter.cache.age_s",
    "flowmeter.cache.saved_input_tokens",
    "flowmeter.cache.saved_output_tokens",
    "flowmeter.cache.saved_usd",
    "flowmeter.cache.saved_nanos",
    "flowmeter.cache.saved_status",
    "flowmeter.cache.provider_saved_nanos",
    "flowmeter.node.path",
    "node.id",
    "node.type",
    "node.attempts",
    "node.cpu_ns",
    "node.config",
    "attempt.number",
    "attempt.max",
    "batch.index",
    "batch.count",
    "batch.queue_ns",
    "kind",
    "quantity",
    "rate_nanos",
    "per",
    "rate_usd",
    "amount",
    "amount_usd",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
    "cached_tokens",
    "reasoning_tokens",
    "input_tokens",
    "output_tokens",
    "model",
    "prompt",
    "system",
    "id",
    "name",
    "arguments",
    "url",
    "service.name",
    "service.version",
    "host.name",
    "process.pid",
    "process.runtime.name",
    "tokens",
    "input",
    "output",
    "total",
    "llm_calls",
    "failed_llm_calls",
    "cost_usd",
    "cost_nanos",
    "cost_status",
    "count",
    "sum",
    "min",
    "max",
];

/// No known key is so long.
const LENGTHS: usize = 48;

/// A known key, its last byte first: most lengths have a few keys, and their last bytes tell most of these apart.
struct Numbered {
    last: u8,
    key: &'static str,
    number: u8,
}

/// The known keys by their lengths.
static NUMBERS: LazyLock<[Vec<Numbered>; LENGTHS]> = LazyLock::new(|| {
    let mut numbers = [const { Vec::new() }; LENGTHS];
    for (number, key) in KEYS.iter().enumerate() {
        if let (Some(of_length), Some(last)) = (numbers.get_mut(key.len()), key.bytes().last()) {
            let number = number as u8;
            of_length.push(Numbered { last, key, number });
        }
    }
    numbers
});

fn number_of(key: &str) -> Option<u8> {
    let (of_length, last) = (NUMBERS.get(key.len())?, key.bytes().last()?);
    let mut of_last = of_length.iter().filter(|known| known.last == last);
    of_last.find(|known| known.key == key).map(|known| known.number)
}

/// Writes a key, as one byte where it is known.
pub(super) fn write_key(out: &mut Vec<u8>, key: &str) {
    match number_of(key) {
        Some(number) => out.push(number),
        None => write_text(out, key),
    }
}

/// A key as it stands in a payload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    Known(&'static str),
    Spelled(&'a str),
}

impl<'a> Key<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Damaged> {
        match reader.token()? {
            Token::Uint(number) => usize::try_from(number)
                .ok()
                .and_then(|number| KEYS.get(number))
                .map(|key| Self::Known(key))
                .ok_or(Damaged("a payload names a key that is not known")),
            Token::Text(key) => Ok(Self::Spelled(key)),
            _ => Err(Damaged("a payload holds something else where a key belongs")),
        }
    }

    pub(super) fn as_str(&self) -> &'a str {
        match self {
            Self::Known(key) => key,
            Self::Spelled(key) => key,
        }
    }

    pub(super) fn to_smol(self) -> SmolStr {
        match self {
            Self::Known(key) => SmolStr::new_static(key),
            Self::Spelled(key) => SmolStr::new(key),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Tests of the table itself.

    use super::*;

    #[test]
    fn every_key_has_one_number_of_one_byte() {
        assert!(KEYS.len() <= 128);
        for (number, key) in KEYS.iter().enumerate() {
            assert_eq!(
                number_of(key),
                Some(number as u8),
                "{key} stands twice, or is too long"
            );
        }
        assert_eq!(number_of(""), None);
        assert_eq!(number_of("contenT"), None);
        assert_eq!(number_of(&"k".repeat(LENGTHS)), None);
    }
}
