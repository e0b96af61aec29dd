//! `flowmeter pipeline`: the flow that all telemetry goes through, as a graph.
//!
//! Never draws anything itself: the library prints the flow object.

use anyhow::{Context, Result};
use flowmeter::{graph_mermaid, graph_text, pipeline_flow};

use crate::args::{GraphForm, PipelineArgs};
use crate::exit::Exit;
use crate::output::Output;

/// Prints the graph.
pub(super) fn run(args: &PipelineArgs, output: &Output) -> Result<Exit> {
    let flow = pipeline_flow().context("the pipeline's flow cannot be built")?;
    let graph = match args.graph {
        GraphForm::Mermaid => graph_mermaid(&flow),
        GraphForm::Text => graph_text(&flow),
    };
    output.text(graph.trim_end())?;
    Ok(Exit::Success)
}
