//! Planted effects, each alone, and years without any.

mod planted;
