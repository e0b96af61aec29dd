//! `flowmeter runs`: the runs of the history, the newest first.
//!
//! Never reads settings, prices or traces: a list is there at once.

use anyhow::Result;
use flowmeter_store::Store;
use serde_json::{Value, json};

use crate::args::RunsArgs;
use crate::exit::Exit;
use crate::history;
use crate::history_view::run_list::run_table;
use crate::history_view::run_words::run_json;
use crate::home::Home;
use crate::output::Output;
use crate::screen::Screen;
use crate::table::TableStyle;
use crate::times::TimeWords;

/// What is said where no run was recorded.
pub(super) const NOTHING_YET: &str =
    "no run is recorded yet; `flowmeter run FILE` and `flowmeter demo` make one";
/// How many runs are listed where nobody says how many have room.
const LIMIT: usize = 50;
/// How many are listed however small the screen is.
const LIMIT_MIN: usize = 10;
/// Lines of the screen that are for the titles, the note and the prompt.
const OTHER_LINES: usize = 4;

/// Lists them.
pub(super) fn run(args: &RunsArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    if !home.has_history() {
        return nothing_yet(args.json, output);
    }
    let store = history::open(home)?;
    let listed = list(&store, args, &times, output)?;
    if store.lacks_parts() {
        output.warn("the history is damaged, and runs may be missing here; `flowmeter db check` says more");
    }
    Ok(listed)
}

/// Says that nothing ran yet: that is no failure.
pub(super) fn nothing_yet(is_json: bool, output: &Output) -> Result<Exit> {
    if is_json {
        output.json(&json!([]))?;
    }
    output.note(NOTHING_YET);
    Ok(Exit::Success)
}

/// How a table goes to standard output.
pub(super) fn table_style(output: &Output) -> TableStyle {
    TableStyle {
        width: output.width_out(),
        colour: output.colour_out(),
        indent: 0,
    }
}

fn list(store: &dyn Store, args: &RunsArgs, times: &TimeWords, output: &Output) -> Result<Exit> {
    let filter = args.runs.filter(times);
    let limit = match (args.limit, output.width_out()) {
        (Some(0), _) => usize::MAX - 1,
        (Some(limit), _) => limit,
        (None, Some(_)) if !args.json => Screen::size().1.saturating_sub(OTHER_LINES).max(LIMIT_MIN),
        (None, _) => LIMIT,
    };
    // One more tells whether there are more.
    let mut rows = store.runs(&filter, args.sort.order(), limit + 1, 0)?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    if args.json {
        let runs: Vec<Value> = rows.iter().map(|row| run_json(row, times)).collect();
        output.json(&runs.into())?;
    } else if !rows.is_empty() {
        output.text(&run_table(&rows, times, table_style(output)))?;
    }
    if has_more {
        output.note(&format!(
            "{} shown, there are more; `--limit 0` shows all",
            if limit == 1 {
                "1 run is".to_owned()
            } else {
                format!("{limit} runs are")
            }
        ));
    } else if rows.is_empty() {
        if args.runs.is_empty() {
            return nothing_yet(false, output);
        }
        output.note("no run fits; `flowmeter runs` lists the newest ones");
    }
    Ok(Exit::Success)
}
