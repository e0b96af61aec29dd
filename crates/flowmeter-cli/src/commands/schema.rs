//! `flowmeter schema`: the JSON Schema of workflow files, the one that also validates them.
//!
//! Never holds a schema of its own.

use anyhow::Result;

use crate::exit::Exit;
use crate::output::Output;

/// Prints the schema.
pub(super) fn run(output: &Output) -> Result<Exit> {
    output.json(&flowmeter_workflow::json_schema())?;
    Ok(Exit::Success)
}
