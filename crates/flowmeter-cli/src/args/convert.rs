//! `flowmeter convert` and `flowmeter fmt` on the command line.
//!
//! Never acts on an argument.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

const CONVERT_EXAMPLES: &str = "\
Examples:
  flowmeter convert report.json > report.pflow.md
  flowmeter convert report.pflow.md -o report.json
  flowmeter convert report.json -o report.pflow.md

Nothing is lost unsaid. What Markdown has no words for (edges that `next` cannot say, a start
node, …) goes into its front matter below `flowmeter:`; what it has no place for at all is
refused, each thing with its name. What JSON has no place for (other sections, comments) is told
on stderr. Files that a Markdown workflow names, such as `- prompt: ./prompt.txt`, are taken in.";

/// `flowmeter convert`.
#[derive(Debug, Args)]
#[command(after_help = CONVERT_EXAMPLES)]
pub(crate) struct ConvertArgs {
    /// The workflow file: Markdown where its name ends with .md, else JSON
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Write to this file instead of standard output
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// The form to write [default: the one of OUT's name, else the other one]
    #[arg(long, value_name = "FORM")]
    pub(crate) to: Option<FormArg>,
}

/// A form of workflow files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormArg {
    /// JSON
    Json,
    /// Markdown
    Md,
}

const FMT_EXAMPLES: &str = "\
Examples:
  flowmeter fmt report.pflow.md
  flowmeter fmt workflows/*.pflow.md --check      (writes nothing; exit 1 where a file would change)
  flowmeter fmt report.pflow.md --stdout

Blank lines, bullets, headings and indentation become uniform. Words, comments and order stay, and
so does the meaning: the file is read again and compared before anything is written.";

/// `flowmeter fmt`.
#[derive(Debug, Args)]
#[command(after_help = FMT_EXAMPLES)]
pub(crate) struct FmtArgs {
    /// The workflow files, Markdown or JSON
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write nothing; name the files that would change, and leave with 1 if there are any
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the formatted text instead of writing the file
    #[arg(long, conflicts_with = "check")]
    pub(crate) stdout: bool,
}
