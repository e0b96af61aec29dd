//! The column of parents: mostly spans of the same batch, which two bytes name.
//!
//! Never takes a parent outside the batch for one inside.

use flowmeter_model::SpanId;
use rustc_hash::FxHashMap;

use super::super::Damaged;
use super::super::checked::{add_checksum, checked};
use super::super::sketch::{read_varint, write_varint};
use super::integers;

/// Packs the parents' ids, 0 for none.
pub(super) fn encode(parents: &[u64], span_ids: &[u64]) -> Vec<u8> {
    let mut places: FxHashMap<u64, u64> =
        FxHashMap::with_capacity_and_hasher(span_ids.len(), rustc_hash::FxBuildHasher);
    for (place, span_id) in span_ids.iter().enumerate() {
        places.entry(*span_id).or_insert(place as u64 + 1);
    }
    let mut outside: Vec<u64> = Vec::new();
    let references: Vec<u64> = parents
        .iter()
        .map(|parent| match parent {
            0 => 0,
            parent => *places.entry(*parent).or_insert_with(|| {
                outside.push(*parent);
                (span_ids.len() + outside.len()) as u64
            }),
        })
        .collect();
    let mut out = Vec::new();
    write_varint(&mut out, outside.len() as u64);
    for span_id in &outside {
        out.extend_from_slice(&span_id.to_le_bytes());
    }
    integers::encode_to(&references, &mut out);
    add_checksum(&mut out);
    out
}

/// Unpacks the parents' ids of the spans with these ids.
pub(super) fn decode(bytes: &[u8], span_ids: &[u64]) -> Result<Vec<Option<SpanId>>, Damaged> {
    let damaged = Damaged("a column of parents is damaged");
    let mut rest = checked(bytes)?;
    let length = read_varint(&mut rest).and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| *length <= span_ids.len()).ok_or(damaged)?;
    let (outside, packed) = rest.split_at_checked(length * 8).ok_or(damaged)?;
    let (outside, _) = outside.as_chunks::<8>();
    let mut references = Vec::new();
    integers::decode_part(packed, span_ids.len(), &mut references)?;
    let resolve = |reference: u64| -> Option<Option<SpanId>> {
        let Some(place) = usize::try_from(reference).ok()?.checked_sub(1) else {
            return Some(None);
        };
        let span_id = match span_ids.get(place) {
            Some(span_id) => *span_id,
            None => u64::from_le_bytes(*outside.get(place - span_ids.len())?),
        };
        SpanId::from_u64(span_id).map(Some)
    };
    references
        .into_iter()
        .map(|reference| resolve(reference).ok_or(damaged))
        .collect()
}
