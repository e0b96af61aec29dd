//! The crate as others use it: encoder, both encodings, and the way back.

#![allow(clippy::unwrap_used, reason = "what a probe does not find fails its test")]

mod content;
mod golden;
mod openinference;
mod properties;
mod round_trip;
mod sample;
