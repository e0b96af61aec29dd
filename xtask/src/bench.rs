//! `cargo xtask bench`: finds the benches of the workspace and runs all or one of them.
//!
//! Never measures by itself, and never names a bench: what there is comes from cargo's metadata.

use anyhow::{Result, bail};

use crate::command::Step;
use crate::workspace::{Member, Workspace};

/// The options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the bench of this name
    name: Option<String>,
    /// Fewer samples: a first impression in a short time (handed to each bench as `--quick`)
    #[arg(long)]
    quick: bool,
    /// List the benches and run none
    #[arg(long, conflicts_with_all = ["name", "quick"])]
    list: bool,
}

/// Runs or lists benches.
pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = Workspace::load()?;
    if args.list {
        print!("{}", listing(&workspace.members));
        return Ok(());
    }
    steps(&workspace.members, args.name.as_deref(), args.quick)?
        .iter()
        .try_for_each(Step::run)
}

/// One line for each bench: its name and its crate.
pub(crate) fn listing(members: &[Member]) -> String {
    let lines: String = benches(members)
        .map(|(package, name)| format!("  {name:<12} {package}\n"))
        .collect();
    if lines.is_empty() {
        "  (none)\n".to_owned()
    } else {
        lines
    }
}

/// The commands that run the benches asked for.
fn steps(members: &[Member], name: Option<&str>, quick: bool) -> Result<Vec<Step>> {
    let steps: Vec<Step> = benches(members)
        .filter(|(_, bench)| name.is_none_or(|name| name == *bench))
        .map(|(package, bench)| {
            let step = Step::cargo(bench, &["bench", "-p", package, "--bench", bench]);
            if quick {
                step.args(&["--".to_owned(), "--quick".to_owned()])
            } else {
                step
            }
        })
        .collect();
    match name {
        Some(name) if steps.is_empty() => {
            bail!(
                "there is no bench `{name}`; there are:\n{}",
                listing(members).trim_end()
            )
        }
        None if steps.is_empty() => bail!("the workspace has no benches"),
        _ => Ok(steps),
    }
}

/// Every bench as (crate, bench).
fn benches(members: &[Member]) -> impl Iterator<Item = (&str, &str)> {
    members.iter().flat_map(|member| {
        member
            .benches
            .iter()
            .map(|bench| (member.name.as_str(), bench.as_str()))
    })
}

#[cfg(test)]
mod tests;
