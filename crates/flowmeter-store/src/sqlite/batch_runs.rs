//! The list of a batch's runs: their numbers, keys, workflows, and how many spans each has there.
//!
//! Never holds a span.

use flowmeter_model::{SpanId, TraceId};

use crate::RunKey;
use crate::codec::Damaged;

/// A run with spans in a batch. Spans stand run by run, in the order of this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BatchRun {
    /// The number of its row.
    pub(super) id: i64,
    /// Which.
    pub(super) key: RunKey,
    /// The number of its workflow's name.
    pub(super) workflow: i64,
    /// Its spans in the batch.
    pub(super) count: usize,
}

/// Bytes of one entry.
const ENTRY_BYTES: usize = 16 + 8 + 6 + 4 + 2;

/// Packs the list: entries of equal length.
pub(super) fn encode_runs(runs: &[BatchRun]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(runs.len() * ENTRY_BYTES);
    for run in runs {
        bytes.extend_from_slice(&run.key.trace_id.to_bytes());
        bytes.extend_from_slice(&run.key.root_span_id.to_u64().to_le_bytes());
        bytes.extend_from_slice(&run.id.to_le_bytes()[..6]);
        bytes.extend_from_slice(&run.workflow.to_le_bytes()[..4]);
        bytes.extend_from_slice(&(run.count as u64).to_le_bytes()[..2]);
    }
    bytes
}

/// Unpacks the list.
pub(super) fn decode_runs(bytes: &[u8]) -> Result<Vec<BatchRun>, Damaged> {
    let damaged = Damaged("the list of a batch's runs is damaged");
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(damaged);
    }
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    entries
        .iter()
        .map(|entry| {
            let trace: [u8; 16] = entry[..16].try_into().map_err(|_| damaged)?;
            Ok(BatchRun {
                key: RunKey {
                    trace_id: TraceId::from_bytes(trace).ok_or(damaged)?,
                    root_span_id: SpanId::from_u64(number(&entry[16..24])).ok_or(damaged)?,
                },
                id: number(&entry[24..30]) as i64,
                workflow: number(&entry[30..34]) as i64,
                count: number(&entry[34..36]) as usize,
            })
        })
        .collect()
}
