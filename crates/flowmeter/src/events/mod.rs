//! Event lines, one JSON object a line: written while a run goes on, and read from any program that writes them.
//!
//! The shape is agreed; more fields stand beside it, so that a stream of ours loses nothing. Never decides where
//! lines come from and where they go.

mod wire;
mod write;

pub use wire::{InvalidEventLine, read_event};
pub use write::write_event;

#[cfg(test)]
mod tests;
