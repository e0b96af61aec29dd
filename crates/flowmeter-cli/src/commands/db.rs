//! `flowmeter db`: looks after the history's file.
//!
//! Never changes what is in it but by `retain`, and never shows any of it.

use anyhow::{Context, Result};
use flowmeter::grouped;
use flowmeter_store::{Forgotten, Retention, Store, StoreError, Upkeep};
use serde_json::json;

use crate::amounts::shown_size;
use crate::args::{DbAction, DbArgs, DbBackupArgs, DbCheckArgs, DbRetainArgs, DbVacuumArgs};
use crate::exit::{BadUsage, Exit};
use crate::history;
use crate::home::Home;
use crate::output::Output;
use crate::progress::TaskLine;

/// Does what was asked for.
pub(super) fn run(args: &DbArgs, home: &Home, output: &Output) -> Result<Exit> {
    match &args.action {
        DbAction::Check(args) => check(args, home, output),
        DbAction::Vacuum(args) => vacuum(args, home, output),
        DbAction::Backup(args) => backup(args, home, output),
        DbAction::Retain(args) => retain(args, home, output),
        DbAction::Path(_) => {
            output.text(&home.history().display().to_string())?;
            Ok(Exit::Success)
        }
    }
}

fn check(args: &DbCheckArgs, home: &Home, output: &Output) -> Result<Exit> {
    let store = history::open(home)?;
    let found = match turning(output, "looking through the history", || store.check()) {
        // Nothing of it can be read, not even what is wrong.
        Err(StoreError::Damaged { what }) => Upkeep {
            file_bytes: std::fs::metadata(store.path()).map_or(0, |file| file.len()),
            problems: vec![format!(
                "the file cannot be read at all ({what}): put a backup in its place, or move it away to begin anew"
            )],
            ..Upkeep::default()
        },
        found => found?,
    };
    if args.json {
        output.json(&json!({
            "file": store.path(),
            "bytes": found.file_bytes,
            "free_bytes": found.free_bytes,
            "runs": found.runs,
            "spans": found.spans,
            "problems": found.problems,
        }))?;
    } else {
        for problem in &found.problems {
            output.error(problem);
        }
        output.text(&told(&found))?;
    }
    if found.problems.is_empty() {
        return Ok(Exit::Success);
    }
    output.say(
        "what can be read can be saved: `flowmeter export` writes runs into a file, `flowmeter db backup` copies the \
         history",
    );
    Ok(Exit::Flawed)
}

/// `all is well: 120 runs, 3,400 spans; 4.2 MiB, of which 0.1 MiB free`.
fn told(found: &Upkeep) -> String {
    let verdict = match found.problems.len() {
        0 => "all is well".to_owned(),
        1 => "1 problem".to_owned(),
        problems => format!("{problems} problems"),
    };
    let free = match found.free_bytes {
        0 => String::new(),
        free => format!(", of which {} free", shown_size(free)),
    };
    format!(
        "{verdict}: {} runs, {} spans; {}{free}",
        grouped(found.runs),
        grouped(found.spans),
        shown_size(found.file_bytes)
    )
}

fn vacuum(args: &DbVacuumArgs, home: &Home, output: &Output) -> Result<Exit> {
    let store = history::open(home)?;
    let size = || std::fs::metadata(store.path()).map_or(0, |file| file.len());
    let before = size();
    turning(output, "making the history smaller", || store.vacuum())?;
    let after = size();
    if args.json {
        output.json(&json!({ "bytes_before": before, "bytes": after }))?;
    } else {
        output.text(&format!(
            "{} before, {} now",
            shown_size(before),
            shown_size(after)
        ))?;
    }
    Ok(Exit::Success)
}

fn backup(args: &DbBackupArgs, home: &Home, output: &Output) -> Result<Exit> {
    let file = &args.file;
    if file.is_dir() {
        return Err(BadUsage(format!("{} is a folder; name a file", file.display())).into());
    }
    let is_itself = file.canonicalize().ok().is_some_and(|file| {
        let history = home.history().canonicalize();
        history.is_ok_and(|history| history == file)
    });
    if is_itself {
        let message = "the copy cannot replace the history itself; name another file";
        return Err(BadUsage(message.to_owned()).into());
    }
    if file.exists() && !args.force {
        return Err(BadUsage(format!(
            "{} exists already; name another file, or add --force to replace it",
            file.display()
        ))
        .into());
    }
    let store = history::open(home)?;
    turning(output, "copying the history", || store.backup(file))
        .with_context(|| format!("the history could not be copied to {}", file.display()))?;
    let size = std::fs::metadata(file).map_or(0, |file| file.len());
    output.text(&format!("copied to {} ({})", file.display(), shown_size(size)))?;
    Ok(Exit::Success)
}

fn retain(args: &DbRetainArgs, home: &Home, output: &Output) -> Result<Exit> {
    let retention = super::settings(home)?.history.retention;
    if retention == Retention::default() {
        let message = "the history is kept for ever: config.toml has no [retention]; for example\n  \
                       [retention]\n  payloads = \"30d\"\n  runs = \"400d\"\n  max_size = \"5GB\"";
        return Err(BadUsage(message.to_owned()).into());
    }
    let store = history::open(home)?;
    let line = TaskLine::new(output, None, "removing what has had its time");
    line.turn();
    let mut sum = Forgotten::default();
    loop {
        let gone = store.retain(&retention)?;
        if gone == Forgotten::default() {
            break;
        }
        sum.runs += gone.runs;
        sum.spans += gone.spans;
        sum.logs += gone.logs;
        sum.payloads += gone.payloads;
        sum.bytes += gone.bytes;
    }
    line.clear();
    if args.json {
        output.json(&json!({
            "runs": sum.runs,
            "spans": sum.spans,
            "logs": sum.logs,
            "payloads": sum.payloads,
            "bytes": sum.bytes,
        }))?;
    } else {
        output.text(&format!(
            "removed {} runs with {} spans and {} log lines, and the payloads of {} spans: {} are free again",
            grouped(sum.runs),
            grouped(sum.spans),
            grouped(sum.logs),
            grouped(sum.payloads),
            shown_size(sum.bytes)
        ))?;
    }
    Ok(Exit::Success)
}

/// Does something long, with a line that turns on a terminal.
fn turning<T, E>(output: &Output, what: &'static str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let line = TaskLine::new(output, None, what);
    line.turn();
    let done = work();
    line.clear();
    done
}
