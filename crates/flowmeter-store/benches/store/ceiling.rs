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
/// How often.
const ROUNDS: usize = 4;

/// Blocks of spans, to be compressed again and again.
pub(crate) struct Ceiling {
    blocks: Vec<Vec<u8>>,
    compressor: zstd::bulk::Compressor<'static>,
}

impl Ceiling {
    /// Of the spans that are made there.
    pub(crate) fn of(mut made: Maker) -> Self {
        let mut blocks = Vec::new();
        let mut block = Vec::new();
        let mut in_block = 0;
        for number in 0.. {
            let [_, events, _] = made.run(number, SPANS_PER_RUN);
            let Append::Events(_, events) = events else {
                continue;
            };
            for event in events {
                let TelemetryEvent::SpanEnded(span) = event else {
                    continue;
                };
                for (key, value) in span.attributes.iter() {
                    block.extend_from_slice(key.as_bytes());
                    match value {
                        AttributeValue::Str(text) => block.extend_from_slice(text.as_bytes()),
                        AttributeValue::Json(json) => serde_json::to_writer(&mut block, json).unwrap(),
                        AttributeValue::I64(number) => block.extend_from_slice(&number.to_le_bytes()),
                        AttributeValue::F64(number) => block.extend_from_slice(&number.to_le_bytes()),
                        AttributeValue::Bool(flag) => block.push(u8::from(*flag)),
                    }
                }
                in_block += 1;
                if in_block == BLOCK_SPANS {
                    blocks.push(std::mem::take(&mut block));
                    in_block = 0;
                }
            }
            if blocks.len() >= BLOCKS {
                break;
            }
        }
        Self {
            blocks,
            compressor: zstd::bulk::Compressor::new(1).unwrap(),
        }
    }

    /// Microseconds of CPU time that zstd at level 1 takes for a span, and the bytes that it makes of it.
    pub(crate) fn zstd_us_and_bytes(&mut self) -> (f64, f64) {
        let spans = (self.blocks.len() * BLOCK_SPANS) as f64;
        let before = machine::cpu_ns_of_this_thread();
        let mut bytes = 0;
        for _ in 0..ROUNDS {
            for block in &self.blocks {
                bytes += self.compressor.compress(block).unwrap().len();
            }
        }
        let cpu_ns = machine::cpu_ns_of_this_thread() - before;
        let rounds = ROUNDS as f64;
        (
            cpu_ns as f64 / 1e3 / spans / rounds,
            bytes as f64 / spans / rounds,
        )
    }
}
