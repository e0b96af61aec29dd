//! `flowmeter delete`: removes a saved workflow with all its versions.
//!
//! Asks first where somebody sits at a terminal; never removes the file that it was saved from.

use std::io::{self, BufRead, IsTerminal};

use anyhow::Result;
use flowmeter_workflow::SavedReference;

use crate::args::DeleteArgs;
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::saved::{plain, reference, version_text, workflows};

/// Removes it.
pub(super) fn run(args: &DeleteArgs, home: &Home, output: &Output) -> Result<Exit> {
    let SavedReference { name, version } = reference(&args.name)?;
    if version.is_some() {
        let message = format!("versions are removed with their workflow only: flowmeter delete {name}");
        return Err(BadUsage(message).into());
    }
    let saved = workflows(home);
    let found = saved.find(&name.clone().into()).map_err(plain)?;
    let users: Vec<String> = saved
        .list()
        .map_err(plain)?
        .iter()
        .filter(|other| other.name != name)
        .filter(|other| {
            other
                .uses
                .iter()
                .any(|used| used.split('@').next() == Some(name.as_str()))
        })
        .map(|other| format!("`{}`", other.name))
        .collect();
    if !users.is_empty() {
        output.warn(&format!("`{name}` is run by {}", users.join(", ")));
    }
    let what = version_text(&found.entry);
    if !args.yes && io::stdin().is_terminal() && io::stderr().is_terminal() {
        output.ask(&format!("Delete {name} ({what}) with all its versions? [y/N] "));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            output.say("nothing was deleted");
            return Ok(Exit::Interrupted);
        }
    }
    saved.delete(&name).map_err(plain)?;
    output.text(&format!("deleted {name} ({what})"))?;
    Ok(Exit::Success)
}
