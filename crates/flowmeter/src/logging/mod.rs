//! Logs: where they come from, which are kept, and how they are shown while the run goes on.
//!
//! Every line belongs to the span that is current where it is written. Never prints: lines go through the
//! recorder to the pipeline, which cuts and masks them.

mod active;
mod filter;
mod layer;
mod lines;
mod logger;

pub(crate) use active::ActiveRun;
pub use filter::{InvalidLogFilter, LogFilter};
pub use layer::{FlowmeterLayer, RunFilter};
pub use lines::{LogLineFormat, LogLines, LogLinesConfig};
pub use logger::ContextualLogger;
