//! The list of a batch's runs: their numbers, keys, workflows, and how many spans each has there.
//!
//! Never holds a span.

use flowmeter_model::{SpanId, TraceId};

use crate::RunKey;
use crate::codec::Damaged;
use crate::codec::checked::{add_checksum, checked};

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
    add_checksum(&mut bytes);
    bytes
}

/// Unpacks the list.
pub(super) fn decode_runs(bytes: &[u8]) -> Result<Vec<BatchRun>, Damaged> {
    let damaged = Damaged("the list of a batch's runs is damaged");
    let (entries, rest) = checked(bytes)?.as_chunks::<ENTRY_BYTES>();
    if !rest.is_empty() {
        return Err(damaged);
    }
    entries
        .iter()
        .map(|entry| {
            let trace = entry.first_chunk::<16>().ok_or(damaged)?;
            // The numbers lie in eight bytes and in the last eight behind them, four of these in both.
            let root = entry[16..].first_chunk::<8>().ok_or(damaged)?;
            let middle = u64::from_le_bytes(*entry[24..].first_chunk::<8>().ok_or(damaged)?);
            let last = u64::from_le_bytes(*entry.last_chunk::<8>().ok_or(damaged)?);
            Ok(BatchRun {
                key: RunKey {
                    trace_id: TraceId::from_bytes(*trace).ok_or(damaged)?,
                    root_span_id: SpanId::from_u64(u64::from_le_bytes(*root)).ok_or(damaged)?,
                },
                id: (middle & 0xffff_ffff_ffff) as i64,
                workflow: (last >> 16 & 0xffff_ffff) as i64,
                count: (last >> 48) as usize,
            })
        })
        .collect()
}
