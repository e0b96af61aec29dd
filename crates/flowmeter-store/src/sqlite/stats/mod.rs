//! Sums over many runs: kept ready by half-hours, days and months, and made over spans where a question needs that.
//!
//! A batch is folded into the sums once, in the transaction that marks it so; what is not folded yet is summed over its
//! columns when somebody asks. So an answer is exact at any moment, whoever folds, and after any kill. Never reads a
//! payload.

mod answer;
mod check;
mod columns;
mod durations;
mod entry;
mod fold;
mod place;
mod plan;
mod runs;
mod section;
mod tally;

pub(in crate::sqlite) use answer::stats;
pub(in crate::sqlite) use check::check;
pub(in crate::sqlite) use fold::{Renaming, fold_batch, fold_some, has_much_to_fold, take_out};
pub(in crate::sqlite) use place::visit_names;
