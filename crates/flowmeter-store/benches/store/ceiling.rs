//! What compressing alone takes on this machine: no store that compresses can be faster.
//!
//! Never writes anything.

use flowmeter_model::{AttributeValue, TelemetryEvent};
use flowmeter_store::Append;

use crate::machine;
use crate::writing::{Maker, SPANS_PER_RUN};

/// Spans of a block.
const BLOCK_SPANS: usize = 32;
/// Blocks that there are.
const BLOCKS: usize = 100;
/// Blocks that are compressed at a time.
const BLOCKS_AT_ONCE: usize = 4;

/// Blocks of spans, to be compressed again and again.
pub(crate) struct Ceiling {
    blocks: Vec<Vec<u8>>,
    compressor: zstd::bulk::Compressor<'static>,
    next: usize,
    spans: usize,
    bytes: usize,
    cpu_ns: u64,
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
            next: 0,
            spans: 0,
            bytes: 0,
            cpu_ns: 0,
        }
    }

    /// Compresses some of the blocks. The machine has quicker and slower moments, so this is done again and again while
    /// spans are written.
    pub(crate) fn sample(&mut self) {
        let before = machine::cpu_ns_of_this_thread();
        for _ in 0..BLOCKS_AT_ONCE {
            self.bytes += self.compressor.compress(&self.blocks[self.next]).unwrap().len();
            self.next = (self.next + 1) % self.blocks.len();
        }
        self.cpu_ns += machine::cpu_ns_of_this_thread() - before;
        self.spans += BLOCKS_AT_ONCE * BLOCK_SPANS;
    }

    /// Microseconds of CPU time that zstd at level 1 took for a span since this was last asked, and the bytes that it
    /// made of it.
    pub(crate) fn zstd_us_and_bytes(&mut self) -> (f64, f64) {
        let spans = self.spans as f64;
        let told = (self.cpu_ns as f64 / 1e3 / spans, self.bytes as f64 / spans);
        (self.spans, self.bytes, self.cpu_ns) = (0, 0, 0);
        told
    }
}
