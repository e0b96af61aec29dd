//! `flowmeter save`, `list`, `describe` and `delete` on the command line.
//!
//! Never acts on an argument.

use std::path::PathBuf;

use clap::Args;

const SAVE_EXAMPLES: &str = "\
Examples:
  flowmeter save report.json
  flowmeter save report.json --name weekly-report
  flowmeter run weekly-report week=12
  flowmeter save weekly-report@2 --name weekly-report    (version 2 becomes the newest again)

The file is checked, then kept in ~/.flowmeter/workflows with a version and a checksum, together
with the files that it names by relative paths. Saving again makes the next version; the ten
newest are kept, and NAME@VERSION means one of them. A saved file may be edited where it lies.

Names have lower-case letters, digits, `-` and `_`, and begin with a letter.";

/// `flowmeter save`.
#[derive(Debug, Args)]
#[command(after_help = SAVE_EXAMPLES)]
pub(crate) struct SaveArgs {
    /// The workflow file, or a saved workflow
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The name to save it under [default: the file's, without its extension]
    #[arg(long, short = 'n', value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Save over a file that was changed by hand since it was saved
    #[arg(long, short = 'f')]
    pub(crate) force: bool,
    /// Print what was saved as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const LIST_EXAMPLES: &str = "\
Examples:
  flowmeter list
  flowmeter list report                          those with the word in name or description
  flowmeter list --json | jq -r '.workflows[].name'";

/// `flowmeter list`.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {
    /// Only workflows that have all these words in their name, title or description
    #[arg(value_name = "TEXT")]
    pub(crate) words: Vec<String>,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  flowmeter describe weekly-report
  flowmeter describe weekly-report@2
  flowmeter describe weekly-report --json | jq .inputs

Cost and time are those of earlier runs whose traces are there (`flowmeter run … --trace` keeps
one).";

/// `flowmeter describe`.
#[derive(Debug, Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
pub(crate) struct DescribeArgs {
    /// The saved workflow, or one of its versions
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const DELETE_EXAMPLES: &str = "\
Examples:
  flowmeter delete weekly-report
  flowmeter delete weekly-report --yes           without being asked

All its versions go with it. On a terminal it asks first.";

/// `flowmeter delete`.
#[derive(Debug, Args)]
#[command(after_help = DELETE_EXAMPLES)]
pub(crate) struct DeleteArgs {
    /// The saved workflow
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Do not ask
    #[arg(short = 'y', long)]
    pub(crate) yes: bool,
}
