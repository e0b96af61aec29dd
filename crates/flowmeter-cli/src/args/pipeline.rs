//! `flowmeter pipeline` on the command line.
//!
//! Never acts on an argument.

use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  flowmeter pipeline --graph                    as Mermaid, for a Markdown page
  flowmeter pipeline --graph text               one edge a line

Every run, event file and stream of events goes through this flow. It is printed from the flow
object that runs, not from a drawing.";

/// `flowmeter pipeline`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PipelineArgs {
    /// Print the flow as a graph in this form; `--graph` alone is Mermaid, without the flag it is text
    #[arg(long, value_name = "FORM", num_args = 0..=1, default_missing_value = "mermaid", default_value = "text")]
    pub(crate) graph: GraphForm,
}

/// How a graph is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphForm {
    /// A Mermaid flowchart
    Mermaid,
    /// One edge a line: `A >> B`, or `A - action >> B`
    Text,
}
