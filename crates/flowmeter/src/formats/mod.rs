//! Formats for the eye and for other programs, made from a trace that was read.
//!
//! Never decides where the output goes and whether it may be coloured.

mod graph;
mod human;

pub use graph::{graph_mermaid, graph_text};
pub use human::{HumanStyle, format_duration, write_human};
