//! Only X knows Y: dependencies, macros and functions that belong to a few crates.
//!
//! Never looks at arrows between the crates of the workspace; `arrows` does.

use super::Finding;
use super::rust::lines_with;
use super::source::SourceFile;
use crate::workspace::Member;

/// Dependencies that only some crates may declare, under any heading.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("opentelemetry-proto", &["flowmeter-otlp", "flowmeter-server"]),
    ("clap", &["flowmeter-cli", "xtask"]),
    ("clap_complete", &["flowmeter-cli", "xtask"]),
    ("anyhow", &["flowmeter-cli", "xtask"]),
    (LLM_CLIENT, &[LLM_CRATE]),
];

/// The LLM client, and the one crate that knows it.
const LLM_CLIENT: &str = "genai";
const LLM_CRATE: &str = "flowmeter-workflow";

/// The crates that talk to the terminal and read the environment.
const TALKERS: &[&str] = &["flowmeter-cli", "xtask"];

/// What they alone may use in code that is shipped, and what others do instead.
const TALK: &[(&str, &str)] = &[
    ("println!", PRINT),
    ("print!", PRINT),
    ("eprintln!", PRINT),
    ("eprint!", PRINT),
    ("env::var", READ),
    ("env::vars", READ),
    ("env::var_os", READ),
    ("env::vars_os", READ),
    ("env::home_dir", READ),
];
const PRINT: &str = "return it or write it to a writer that is handed in";
const READ: &str = "take a lookup closure";

/// Dependencies stay with the crates they belong to.
pub(super) fn check_dependencies(members: &[Member]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        for dependency in &member.dependencies {
            let Some((name, owners)) = DEPENDENCIES.iter().find(|(name, _)| *name == dependency.name) else {
                continue;
            };
            if !owners.contains(&member.name.as_str()) {
                let message = format!(
                    "`{}` may not depend on `{name}`; crates that may: {}",
                    member.name,
                    owners.join(", ")
                );
                findings.push(Finding::error(
                    member.manifest_path(),
                    member.line_of(dependency),
                    message,
                ));
            }
        }
    }
    findings
}

/// Code that is shipped neither prints nor reads the environment, outside the crates that do.
pub(super) fn check_code(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.is_shipped() && !TALKERS.contains(&file.crate_name()))
    {
        for (word, instead) in TALK {
            for line in lines_with(&file.lexed.code, word) {
                let message = format!("`{word}` is for {} only; {instead}", TALKERS.join(" and "));
                findings.push(Finding::error(&file.path, line, message));
            }
        }
    }
    findings
}

/// The LLM client is named in exactly one file of its crate.
pub(super) fn check_llm_client(members: &[Member], files: &[SourceFile]) -> Vec<Finding> {
    let Some(member) = members.iter().find(|member| member.name == LLM_CRATE) else {
        return Vec::new();
    };
    let Some(dependency) = member
        .dependencies
        .iter()
        .find(|dependency| dependency.name == LLM_CLIENT)
    else {
        return Vec::new();
    };
    let named: Vec<(&str, usize)> = files
        .iter()
        .filter(|file| file.crate_name() == LLM_CRATE)
        .filter_map(|file| Some((file.path.as_str(), first_mention(file)?)))
        .collect();
    match named.as_slice() {
        [] => {
            let message = format!("`{LLM_CLIENT}` is a dependency, but no file of `{LLM_CRATE}` names it");
            vec![Finding::error(
                member.manifest_path(),
                member.line_of(dependency),
                message,
            )]
        }
        [_] => Vec::new(),
        several => {
            let paths: Vec<&str> = several.iter().map(|(path, _)| *path).collect();
            let message = format!(
                "`{LLM_CLIENT}` may be named in one file only, not in {}",
                paths.join(", ")
            );
            several
                .iter()
                .map(|&(path, line)| Finding::error(path, line, message.clone()))
                .collect()
        }
    }
}

/// The first line of code that names the LLM client.
fn first_mention(file: &SourceFile) -> Option<usize> {
    let words = [
        format!("{LLM_CLIENT}::"),
        format!("use {LLM_CLIENT}"),
        format!("use ::{LLM_CLIENT}"),
    ];
    words
        .iter()
        .flat_map(|word| lines_with(&file.lexed.code, word))
        .min()
}

#[cfg(test)]
mod tests;
