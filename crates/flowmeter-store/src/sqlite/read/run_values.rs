//! A small number for each of many runs, by the numbers of their rows.
//!
//! These mostly follow each other, so that a row of values does for what would be a large hash table. Never holds
//! more than some bytes for each run that has a value.

/// Places for each run that has a value, at most: where runs lie farther apart, they are looked for.
const PLACES_A_RUN: usize = 4;

/// Values of runs; what has none has 0.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct RunValues {
    /// The run of the first value in `row`.
    first: i64,
    row: Vec<u32>,
    /// In the order of the runs, where `row` would be too long.
    sparse: Vec<(i64, u32)>,
}

impl RunValues {
    /// Of runs and their values; of several for one run, the last.
    pub(in crate::sqlite) fn of(mut values: Vec<(i64, u32)>) -> Self {
        let runs = values.iter().map(|(run, _)| *run);
        let (Some(first), Some(last)) = (runs.clone().min(), runs.max()) else {
            return Self::default();
        };
        let length = last
            .checked_sub(first)
            .and_then(|length| usize::try_from(length).ok());
        let Some(length) = length.filter(|length| *length < PLACES_A_RUN * values.len()) else {
            values.sort_by_key(|(run, _)| *run);
            return Self {
                first: 0,
                row: Vec::new(),
                sparse: values,
            };
        };
        let mut row = vec![0; length + 1];
        for (run, value) in values {
            if let Some(place) = row.get_mut((run - first) as usize) {
                *place = value;
            }
        }
        Self {
            first,
            row,
            sparse: Vec::new(),
        }
    }

    /// The value of a run.
    #[inline]
    pub(in crate::sqlite) fn get(&self, run: i64) -> u32 {
        if self.sparse.is_empty() {
            let place = run.wrapping_sub(self.first).cast_unsigned();
            return usize::try_from(place)
                .ok()
                .and_then(|place| self.row.get(place).copied())
                .unwrap_or(0);
        }
        let behind = self.sparse.partition_point(|(other, _)| *other <= run);
        match behind.checked_sub(1).and_then(|place| self.sparse.get(place)) {
            Some((found, value)) if *found == run => *value,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
