//! `flowmeter fmt`: workflow files in the house style.
//!
//! Never changes what a file means: the library compares before it hands a text out.

use anyhow::Result;
use flowmeter_workflow::Form;
use flowmeter_workflow::convert;

use super::convert::{in_file, replace, text_of};
use crate::args::FmtArgs;
use crate::exit::Exit;
use crate::output::Output;

/// Formats the files.
pub(super) fn run(args: &FmtArgs, output: &Output) -> Result<Exit> {
    let mut differing = 0;
    for path in &args.files {
        let text = text_of(path)?;
        let formatted = convert::format(&text, Form::of_path(path)).map_err(|error| in_file(error, path))?;
        if args.stdout {
            output.text(&formatted)?;
        } else if formatted != text {
            differing += 1;
            if args.check {
                output.text(&format!("{}\n", path.display()))?;
            } else {
                replace(path, &formatted)?;
                output.note(&format!("formatted {}", path.display()));
            }
        }
    }
    if args.check && differing > 0 {
        return Ok(Exit::Flawed);
    }
    Ok(Exit::Success)
}
