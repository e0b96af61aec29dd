//! `cargo xtask bench`: finds the benches of the workspace and of the peers' package, and runs all or one of them.
//!
//! Never measures by itself, and never names a bench: what there is comes from cargo's metadata.

use anyhow::{Result, bail};

use crate::command::Step;
use crate::workspace::Workspace;

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
        print!("{}", listing(&workspace));
        return Ok(());
    }
    steps(&workspace, args.name.as_deref(), args.quick)?
        .iter()
        .try_for_each(Step::run)
}

/// One line for each bench: its name and its crate.
pub(crate) fn listing(workspace: &Workspace) -> String {
    let lines: String = workspace
        .packages()
        .flat_map(|package| package.benches.iter().map(|bench| (bench, &package.name)))
        .map(|(bench, package)| format!("  {bench:<14} {package}\n"))
        .collect();
    if lines.is_empty() {
        "  (none)\n".to_owned()
    } else {
        lines
    }
}

/// The commands that run the benches asked for.
fn steps(workspace: &Workspace, name: Option<&str>, quick: bool) -> Result<Vec<Step>> {
    let wanted = |bench: &&String| name.is_none_or(|name| name == bench.as_str());
    let of_members = workspace.members.iter().flat_map(|member| {
        let package = ["-p".to_owned(), member.name.clone()];
        member
            .benches
            .iter()
            .filter(wanted)
            .map(move |bench| step(bench, &package, quick))
    });
    let of_peers = workspace
        .peers
        .benches
        .iter()
        .filter(wanted)
        .map(|bench| step(bench, &workspace.peers_args(), quick));
    let steps: Vec<Step> = of_members.chain(of_peers).collect();
    match name {
        Some(name) if steps.is_empty() => {
            bail!(
                "there is no bench `{name}`; there are:\n{}",
                listing(workspace).trim_end()
            )
        }
        None if steps.is_empty() => bail!("there are no benches"),
        _ => Ok(steps),
    }
}

/// The command that runs one bench of the package that these words choose.
fn step(bench: &str, package: &[String], quick: bool) -> Step {
    let step = Step::cargo(bench, &["bench"])
        .args(package)
        .args(&["--bench".to_owned(), bench.to_owned()]);
    if quick {
        step.args(&["--".to_owned(), "--quick".to_owned()])
    } else {
        step
    }
}

#[cfg(test)]
mod tests;
