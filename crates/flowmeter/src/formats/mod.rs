//! Formats for the eye and for other programs, made from a trace that was read.
//!
//! Never decides where the output goes and whether it may be coloured.

mod graph;
mod human;
pub(crate) mod line;
mod live_tree;
mod planner;
pub(crate) mod summary;
pub(crate) mod wording;

pub use graph::{graph_mermaid, graph_text};
pub use human::{HumanStyle, write_human, write_summary};
pub use live_tree::{LiveTree, LiveView};
pub use planner::{planner_note, planner_part};
pub use wording::{cache_note, format_duration, grouped, provider_cache_note};
