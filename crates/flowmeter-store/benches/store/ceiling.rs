//! What compressing alone takes on this machine: no store that compresses can be faster.
//!
//! Never writes anything.

use flowmeter_model::{AttributeValue, TelemetryEvent};
use flowmeter_store::Append;

use crate::machine;
use crate::writing::{Maker, SPANS_PER_RUN};

/// Spans of a block.
const BLOCK_SPANS: usize = 32;
/// Blocks that are compressed.
const BLOCKS: usize = 100;
/// How often: the quickest time counts.
const ROUNDS: usize = 5;

/// Microseconds of CPU time that zstd at level 1 takes for a span in blocks of 32, and the bytes that it makes of it.
pub(crate) fn zstd_us_and_bytes(mut made: Maker) -> (f64, f64) {
    let mut blocks = vec![Vec::new()];
    let mut in_block = 0;
    for number in 0..(BLOCKS * BLOCK_SPANS) as u64 / SPANS_PER_RUN {
        let [_, events, _] = made.run(number, SPANS_PER_RUN);
        let Append::Events(_, events) = events else {
            continue;
        };
        for event in events {
            if let TelemetryEvent::SpanEnded(span) = event
                && let Some(block) = blocks.last_mut()
            {
                for (key, value) in span.attributes.iter() {
                    block.extend_from_slice(key.as_bytes());
                    match value {
                        AttributeValue::Str(text) => block.extend_from_slice(text.as_bytes()),
                        AttributeValue::Json(json) => serde_json::to_writer(&mut *block, json).unwrap(),
                        AttributeValue::I64(number) => block.extend_from_slice(&number.to_le_bytes()),
                        AttributeValue::F64(number) => block.extend_from_slice(&number.to_le_bytes()),
                        AttributeValue::Bool(flag) => block.push(u8::from(*flag)),
                    }
                }
                in_block += 1;
            }
            if in_block == BLOCK_SPANS {
                blocks.push(Vec::new());
                in_block = 0;
            }
        }
    }
    let spans = ((blocks.len() - 1) * BLOCK_SPANS + in_block) as f64;
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    let mut least = u64::MAX;
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let before = machine::cpu_ns_of_this_thread();
        bytes = blocks
            .iter()
            .map(|block| compressor.compress(block).unwrap().len())
            .sum();
        least = least.min(machine::cpu_ns_of_this_thread() - before);
    }
    (least as f64 / 1e3 / spans, bytes as f64 / spans)
}
