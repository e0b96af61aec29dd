//! Planted effects, each alone, years without any, and histories that are not as they should be.

mod planted;
mod strange;
