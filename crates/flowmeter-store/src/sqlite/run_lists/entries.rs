//! A row of a list as bytes: its runs from the newest to the oldest.
//!
//! Each is the time by which it began before the one above it, its number within the segment, and its amount, as
//! numbers of seven bits a byte. Never looks at the table.

use std::cmp::Reverse;

use super::super::failure::damaged;
use crate::StoreError;
use crate::codec::columns::{unzigzag, zigzag};
use crate::codec::sketch::{read_varint, write_varint};

/// A run in a list. The order is that of time, and of numbers among those of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sqlite) struct Listed {
    /// When it began, as its row has it.
    pub(in crate::sqlite) started: i64,
    /// The number of its row.
    pub(in crate::sqlite) run: i64,
    /// What it is listed by within its class; 0 in lists without classes.
    pub(in crate::sqlite) amount: i64,
}

/// Sorts runs, whose numbers begin at `first`, and gives their bytes.
pub(super) fn encode(listed: &mut [Listed], first: i64) -> Vec<u8> {
    listed.sort_unstable_by_key(|run| Reverse(*run));
    let mut bytes = Vec::with_capacity(listed.len() * 10);
    let mut above = 0_i64;
    for run in listed {
        write_varint(&mut bytes, zigzag(above.wrapping_sub(run.started)));
        write_varint(&mut bytes, zigzag(run.run - first));
        write_varint(&mut bytes, zigzag(run.amount));
        above = run.started;
    }
    bytes
}

fn next(bytes: &mut &[u8], above: i64, first: i64) -> Result<Listed, StoreError> {
    let mut number = || {
        read_varint(bytes)
            .map(unzigzag)
            .ok_or_else(|| damaged("a list of runs"))
    };
    Ok(Listed {
        started: above.wrapping_sub(number()?),
        run: first.wrapping_add(number()?),
        amount: number()?,
    })
}

/// The runs of a row, the newest first.
pub(in crate::sqlite) fn decode(mut bytes: &[u8], first: i64) -> Result<Vec<Listed>, StoreError> {
    let mut listed: Vec<Listed> = Vec::with_capacity(bytes.len() / 8);
    while !bytes.is_empty() {
        let above = listed.last().map_or(0, |run| run.started);
        listed.push(next(&mut bytes, above, first)?);
    }
    Ok(listed)
}

/// The newest run of a row.
pub(in crate::sqlite) fn newest_of(mut bytes: &[u8], first: i64) -> Result<Option<Listed>, StoreError> {
    (!bytes.is_empty())
        .then(|| next(&mut bytes, 0, first))
        .transpose()
}
