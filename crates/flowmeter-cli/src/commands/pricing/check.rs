//! `flowmeter pricing check`: what is wrong or doubtful in a price file, each finding with its place.
//!
//! Never changes the file.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowmeter_model::{Clock, SystemClock};
use flowmeter_pricing::{Finding, Severity};
use owo_colors::{OwoColorize, Style};
use serde_json::{Value, json};

use crate::args::CheckPricesArgs;
use crate::commands::no_such_file;
use crate::exit::{BadUsage, Exit, MissingFile};
use crate::home::Home;
use crate::output::Output;
use crate::prices;

/// A price file may be large, but not without end.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Checks a file.
pub(super) fn run(args: &CheckPricesArgs, home: &Home, output: &Output) -> Result<Exit> {
    let (shown, text) = read(args.file.as_deref(), home)?;
    // The user's own prices do not matter to the check: a broken file of his is no reason to warn here.
    let (book, _) = prices::book(home);
    let findings = book.check(&text, SystemClock.now());
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if args.view.is_json() {
        output.json(&json!({
            "file": shown,
            "valid": errors == 0,
            "errors": errors,
            "warnings": warnings,
            "findings": findings.iter().map(as_json).collect::<Vec<_>>(),
        }))?;
    } else if findings.is_empty() {
        output.text(&format!("{shown}: ok"))?;
    } else {
        let lines: String = findings
            .iter()
            .map(|finding| line(&shown, finding, output.colour_out()))
            .collect();
        output.text(&lines)?;
        output.note(&format!(
            "{shown}: {}, {}",
            counted(errors, "error"),
            counted(warnings, "warning")
        ));
    }
    Ok(if errors > 0 { Exit::Invalid } else { Exit::Success })
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The file's name for people, and its text.
fn read(file: Option<&Path>, home: &Home) -> Result<(String, String)> {
    match file {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = String::new();
            let stdin = io::stdin().lock().take(FILE_BYTES_MAX);
            io::BufReader::new(stdin)
                .read_to_string(&mut text)
                .context("standard input cannot be read")?;
            Ok(("(standard input)".to_owned(), text))
        }
        Some(path) => Ok((path.display().to_string(), text_of(path)?)),
        None => {
            let path: PathBuf = home.price_files().find(|path| path.exists()).ok_or_else(|| {
                MissingFile(format!(
                    "there is no price file {} to check; `flowmeter pricing set MODEL …` makes one",
                    home.own_price_file().display()
                ))
            })?;
            Ok((path.display().to_string(), text_of(&path)?))
        }
    }
}

/// The text of a price file.
pub(super) fn text_of(path: &Path) -> Result<String> {
    let found = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if found.is_dir() {
        return Err(BadUsage(format!(
            "{} is a folder; name a price file, or `-`",
            path.display()
        ))
        .into());
    }
    if found.len() > FILE_BYTES_MAX {
        let text = format!("{} is larger than 64 MiB: that is no price file", path.display());
        return Err(BadUsage(text).into());
    }
    let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
    String::from_utf8(bytes)
        .map_err(|_| BadUsage(format!("{} is no UTF-8 text: save it as one", path.display())).into())
}

fn unreadable(path: &Path, error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound => no_such_file("price file", path).into(),
        _ => anyhow::Error::new(error).context(format!("{} cannot be read", path.display())),
    }
}

fn line(shown: &str, finding: &Finding, colour: bool) -> String {
    let severity = finding.severity.as_str();
    let severity = if colour {
        let style = match finding.severity {
            Severity::Error => Style::new().red().bold(),
            Severity::Warning => Style::new().yellow().bold(),
            Severity::Hint => Style::new().dimmed(),
        };
        severity.style(style).to_string()
    } else {
        severity.to_owned()
    };
    format!(
        "{shown}:{}:{}: {severity}: {}\n",
        finding.line, finding.column, finding.message
    )
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.as_str(),
        "line": finding.line,
        "column": finding.column,
        "model": finding.model,
        "message": finding.message,
    })
}
