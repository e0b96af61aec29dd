//! `flowmeter completions`: the script that teaches a shell the command line.
//!
//! Never installs it.

use anyhow::Result;
use clap::CommandFactory;

use crate::args::{CommandLine, CompletionsArgs};
use crate::exit::Exit;
use crate::output::Output;

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs, output: &Output) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "flowmeter", &mut script);
    output.write(|out| out.write_all(&script))?;
    Ok(Exit::Success)
}
