//! A column of names: the numbers of the names that occur, and for each span which of them.
//!
//! A query for one name looks at the few numbers first, and passes by a batch that does not hold it. Never holds a text.

use rustc_hash::FxHashMap;

use super::super::Damaged;
use super::super::checked::{add_checksum, checked};
use super::super::sketch::{read_varint, write_varint};
use super::{integers, unzigzag, zigzag};

/// Packs a column of names.
pub(super) fn encode(names: &[i64]) -> Vec<u8> {
    let mut distinct: Vec<i64> = Vec::new();
    let mut places: FxHashMap<i64, u64> = FxHashMap::default();
    let mut last: Option<(i64, u64)> = None;
    let indexes: Vec<u64> = names
        .iter()
        .map(|name| match last {
            Some((same, index)) if same == *name => index,
            _ => {
                let index = *places.entry(*name).or_insert_with(|| {
                    distinct.push(*name);
                    distinct.len() as u64 - 1
                });
                last = Some((*name, index));
                index
            }
        })
        .collect();
    let mut out = Vec::new();
    write_varint(&mut out, distinct.len() as u64);
    for name in &distinct {
        write_varint(&mut out, zigzag(*name));
    }
    integers::encode_to(&indexes, &mut out);
    add_checksum(&mut out);
    out
}

/// A column of names, unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DictionaryColumn {
    /// The names that occur, each once, in the order in which they do.
    pub(crate) names: Vec<i64>,
    /// For each span which of them; each is less than their number.
    pub(crate) indexes: Vec<u64>,
}

impl DictionaryColumn {
    /// Unpacks the names of `count` spans.
    ///
    /// # Errors
    /// When the column is damaged.
    pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Self, Damaged> {
        let damaged = Damaged("a column of names is damaged");
        let (names, rest) = Self::split(bytes, count)?;
        let mut indexes = Vec::new();
        integers::decode_part(rest, count, &mut indexes)?;
        let most = indexes.iter().copied().max().unwrap_or(0);
        if count > 0 && most >= names.len() as u64 {
            return Err(damaged);
        }
        Ok(Self { names, indexes })
    }

    /// The names that occur in such a column, without unpacking more.
    ///
    /// # Errors
    /// When the column is damaged.
    pub(crate) fn names_of(bytes: &[u8], count: usize) -> Result<Vec<i64>, Damaged> {
        Self::split(bytes, count).map(|(names, _)| names)
    }

    fn split(bytes: &[u8], count: usize) -> Result<(Vec<i64>, &[u8]), Damaged> {
        let damaged = Damaged("a column of names is damaged");
        let mut rest = checked(bytes)?;
        let length = read_varint(&mut rest).and_then(|length| usize::try_from(length).ok());
        let length = length
            .filter(|length| *length <= count.min(rest.len()))
            .ok_or(damaged)?;
        let mut names = Vec::with_capacity(length);
        for _ in 0..length {
            names.push(unzigzag(read_varint(&mut rest).ok_or(damaged)?));
        }
        Ok((names, rest))
    }

    /// The name of the span at this place.
    pub(crate) fn name(&self, place: usize) -> Option<i64> {
        let index = usize::try_from(*self.indexes.get(place)?).ok()?;
        self.names.get(index).copied()
    }

    /// The index of a name, where it occurs.
    pub(crate) fn index_of(&self, name: i64) -> Option<u64> {
        self.names
            .iter()
            .position(|known| *known == name)
            .map(|index| index as u64)
    }
}
