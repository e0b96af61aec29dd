//! `flowmeter state`: the shared store of a run as it was, what a node changed, and who wrote a key.
//!
//! Never shows a store that may be wrong without saying so.

use anyhow::Result;
use flowmeter_model::{SpanId, SpanKind};
use flowmeter_store::{RunRow, Store};
use flowmeter_workflow::nearest_name;

use super::runs::table_style;
use crate::args::StateArgs;
use crate::exit::{BadUsage, Exit, MissingRun};
use crate::history;
use crate::history_view::key_change::changes_of;
use crate::history_view::places::{FoundSpan, PlacedSpan, Places};
use crate::history_view::state_view::{
    StateLook, StateMoment, changes_json, changes_text, state_json, state_text, who_json, who_text, writes_to,
};
use crate::history_view::store_state::StoreJournal;
use crate::history_view::stored_trace::RunSpans;
use crate::home::Home;
use crate::output::Output;
use crate::run_selector::select;
use crate::times::TimeWords;

/// Shows it.
pub(super) fn run(args: &StateArgs, home: &Home, output: &Output) -> Result<Exit> {
    let times = TimeWords::here();
    let store = history::open(home)?;
    show(&store, args, &times, output)
}

fn show(store: &dyn Store, args: &StateArgs, times: &TimeWords, output: &Output) -> Result<Exit> {
    let row = select(store, &args.run, times)?.row;
    refuse_without_writes(&row)?;
    let detail = store
        .run(&row.key)?
        .ok_or_else(|| MissingRun(format!("the run {} has just been removed", row.key)))?;
    let run = RunSpans::stored(store, detail)?;
    let places = run.places();
    let at = args
        .at
        .as_deref()
        .map(|node| places.find(node, args.nth))
        .transpose()?;
    let at = at.map(|found| moment_span(places, found, args.diff));
    let workflow = store_span(places, at)?;
    let around = workflow.node.clone();
    let moment = StateMoment { at, store: &around };
    let mut journal = StoreJournal::of(&run, workflow.span_id)?;
    let until = at.and_then(|found| found.span.end);
    journal.note_open(places, workflow.span_id, until);
    if !row.sampled {
        journal
            .notes
            .push("the run was not sampled: of most nodes it is not known what they wrote".to_owned());
    }
    let look = StateLook {
        table: table_style(output),
        is_full: args.full,
        times,
    };
    if let Some(key) = &args.who {
        return who(&run, moment, &journal, key, args, look, output);
    }
    if args.diff
        && let Some(found) = at
    {
        let is_whole = matches!(found.span.kind, SpanKind::Run | SpanKind::Workflow);
        let own = |id: SpanId| is_whole || id == found.span.span_id;
        let changes = changes_of(journal.writes.iter().filter(|write| own(write.writer.span_id)));
        if args.json {
            output.json(&changes_json(&run, moment, &changes, &journal.notes))?;
        } else {
            output.text(&changes_text(&run, moment, &changes, look))?;
            tell(&journal.notes, output);
        }
        return Ok(Exit::Success);
    }
    let state = journal.state_at(until, at.map(|found| found.span.span_id));
    let mut notes = journal.notes.clone();
    if !state.lost.is_empty() {
        notes.push(format!(
            "some writes lead into values that were cut when they were recorded: {}",
            state.lost.join(", ")
        ));
    }
    if args.json {
        output.json(&state_json(&run, moment, &state, &notes))?;
    } else {
        output.text(&state_text(&run, moment, &state, look))?;
        tell(&notes, output);
    }
    Ok(Exit::Success)
}

/// Of a run whose payloads are gone nothing can be rebuilt: an empty store would be a lie.
fn refuse_without_writes(row: &RunRow) -> Result<()> {
    if row.payloads_gone {
        return Err(MissingRun(format!(
            "the writes of the run {} have had their time (retention) and are gone: its store cannot be rebuilt; a trace \
             file of it may have them",
            row.key
        ))
        .into());
    }
    Ok(())
}

/// What a node changed is asked of nodes: what happens in one stands for it.
fn moment_span<'a>(places: &'a Places, found: FoundSpan<'a>, wants_changes: bool) -> FoundSpan<'a> {
    let mut span = found.span;
    while wants_changes && !matches!(span.kind, SpanKind::Node | SpanKind::Workflow | SpanKind::Run) {
        match span.parent.and_then(|parent| places.get(parent)) {
            Some(parent) => span = parent,
            None => break,
        }
    }
    FoundSpan { span, ..found }
}

/// The span whose workflow's store is meant: around the node, or the run's own.
fn store_span<'a>(places: &'a Places, at: Option<FoundSpan<'a>>) -> Result<&'a PlacedSpan> {
    let root = || places.all().iter().find(|span| span.kind == SpanKind::Run);
    let span = match at {
        Some(found) if matches!(found.span.kind, SpanKind::Run | SpanKind::Workflow) => Some(found.span),
        Some(found) => places.workflow_around(found.span.span_id).or_else(root),
        None => root(),
    };
    span.ok_or_else(|| {
        MissingRun("the run's root span is not kept, so its store cannot be told".to_owned()).into()
    })
}

fn who(
    run: &RunSpans<'_>,
    moment: StateMoment<'_>,
    journal: &StoreJournal,
    key: &str,
    args: &StateArgs,
    look: StateLook<'_>,
    output: &Output,
) -> Result<Exit> {
    let until = moment.at.and_then(|found| found.span.end);
    let writes = writes_to(journal, key, until);
    if args.json {
        output.json(&who_json(run, moment, key, &writes, &journal.notes))?;
        return Ok(Exit::Success);
    }
    if writes.is_empty() {
        return Err(BadUsage(nobody(run, moment, journal, key)?).into());
    }
    output.text(&who_text(key, &writes, look))?;
    tell(&journal.notes, output);
    Ok(Exit::Success)
}

/// Says that nobody wrote a key, and where one like it is.
fn nobody(run: &RunSpans<'_>, moment: StateMoment<'_>, journal: &StoreJournal, key: &str) -> Result<String> {
    let elsewhere = elsewhere(run, moment, key)?;
    let when = if moment.at.is_some() { " by then" } else { "" };
    let mut text = format!("nobody wrote `{key}`{when}");
    let near = nearest_name(key, journal.writes.iter().map(|write| write.path.as_str()));
    if let Some(node) = elsewhere {
        text.push_str(&format!(
            " in this store; a nested workflow did in its own: add `--at {node}`"
        ));
    } else if let Some(near) = near {
        text.push_str(&format!("; did you mean `{near}`?"));
    } else {
        text.push_str(&format!("; `flowmeter state {}` lists the keys", run.run_id()));
    }
    Ok(text)
}

/// The node of a nested workflow that wrote the key, if one did.
fn elsewhere(run: &RunSpans<'_>, moment: StateMoment<'_>, key: &str) -> Result<Option<String>> {
    let nested = run
        .places()
        .all()
        .iter()
        .filter(|span| span.kind == SpanKind::Workflow);
    for workflow in nested.filter(|span| span.node != moment.store) {
        let journal = StoreJournal::of(run, workflow.span_id)?;
        let writer = writes_to(&journal, key, None)
            .last()
            .map(|write| write.writer.node.to_string());
        if let Some(node) = writer.filter(|node| !node.is_empty()) {
            return Ok(Some(node));
        }
    }
    Ok(None)
}

fn tell(notes: &[String], output: &Output) {
    for note in notes {
        output.note(&format!("note: {note}"));
    }
}
