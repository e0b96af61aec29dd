//! What a search found: hits under their runs, the text around each in one line, what matched in colour.
//!
//! Never cuts away what matched.

use flowmeter_store::{RunKey, SearchHit, SearchPlace};
use owo_colors::{OwoColorize, Style};
use serde_json::{Value, json};

use crate::printable::{columns_of, one_line};
use crate::run_selector::short_ids;
use crate::times::{TimeWords, rfc3339};

/// How hits are to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HitLook<'a> {
    pub(crate) colour: bool,
    /// Columns of the screen; `None`: nothing is cut.
    pub(crate) width: Option<usize>,
    pub(crate) times: &'a TimeWords,
}

/// The hits under their runs, in the order in which each run was first met: the newest first.
pub(crate) fn hits_text(hits: &[SearchHit], look: HitLook<'_>) -> String {
    let mut runs: Vec<(RunKey, Vec<&SearchHit>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for hit in hits {
        let place = *index.entry(hit.run).or_insert_with(|| {
            runs.push((hit.run, Vec::new()));
            runs.len() - 1
        });
        runs[place].1.push(hit);
    }
    let keys: Vec<RunKey> = runs.iter().map(|(key, _)| *key).collect();
    let mut text = String::new();
    for ((_, hits), id) in runs.iter().zip(short_ids(&keys)) {
        let Some(first) = hits.first() else { continue };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!(
            "{}  {}  {}\n",
            paint(&id, Style::new().yellow(), look),
            paint(&one_line(&first.workflow), Style::new().bold(), look),
            paint(&look.times.relative(first.time), Style::new().dimmed(), look)
        ));
        for hit in hits {
            text.push_str(&hit_line(hit, look));
        }
    }
    text
}

/// `  summarize  answer  … the text around what was found …`.
fn hit_line(hit: &SearchHit, look: HitLook<'_>) -> String {
    let node = if hit.node.is_empty() {
        "(run)"
    } else {
        hit.node.as_str()
    };
    let place = match hit.place {
        // The places that have but one field say enough by themselves.
        SearchPlace::Prompt | SearchPlace::Response | SearchPlace::Error => hit.place.as_str().to_owned(),
        SearchPlace::Log => "log".to_owned(),
        SearchPlace::Attribute | SearchPlace::Mutation => hit.field.clone(),
    };
    let (node, place) = (one_line(node), one_line(&place));
    let head = columns_of(&node) + columns_of(&place) + 6;
    let room = look.width.map(|width| width.saturating_sub(head).max(24));
    format!(
        "  {}  {}  {}\n",
        paint(&node, Style::new().cyan(), look),
        paint(&place, Style::new().dimmed(), look),
        context(hit, room, look)
    )
}

/// The context with what matched in colour, around the first match where it is too long.
fn context(hit: &SearchHit, room: Option<usize>, look: HitLook<'_>) -> String {
    let text = hit.context.as_str();
    // Matches that are no places in the text would be a fault of the store: then the text stands alone.
    let matches: Vec<(usize, usize)> = hit
        .matches
        .iter()
        .copied()
        .filter(|(from, to)| from < to && text.get(*from..*to).is_some())
        .collect();
    let (from, to) = window(text, matches.first().copied(), room);
    let mut shown = String::new();
    if from > 0 {
        shown.push('…');
    }
    let mut at = from;
    for (begin, end) in matches {
        let (begin, end) = (begin.max(at), end.min(to));
        if begin >= end {
            continue;
        }
        shown.push_str(&inline(&text[at..begin]));
        shown.push_str(&paint(
            &inline(&text[begin..end]),
            Style::new().red().bold(),
            look,
        ));
        at = end;
    }
    shown.push_str(&inline(&text[at..to]));
    if to < text.len() {
        shown.push('…');
    }
    shown
}

/// The part of a text that has room, around what matched first.
fn window(text: &str, matched: Option<(usize, usize)>, room: Option<usize>) -> (usize, usize) {
    let Some(room) = room.filter(|room| columns_of(text) > *room) else {
        return (0, text.len());
    };
    let room = room.saturating_sub(2);
    let (mut from, mut to) = matched.unwrap_or((0, 0));
    let mut used = columns_of(&text[from..to]);
    // What matched alone is longer than the line: its beginning is shown.
    if used >= room {
        to = from;
        used = 0;
        for (at, c) in text[from..].char_indices() {
            let columns = columns_of(c.encode_utf8(&mut [0; 4]));
            if used + columns > room {
                break;
            }
            used += columns;
            to = from + at + c.len_utf8();
        }
        return (from, to);
    }
    let mut before = text[..from].chars().rev();
    let mut after = text[to..].chars();
    // A third of the room stands before what matched, the rest behind it, or the other way where there is no more.
    let mut ahead = (room - used) / 3;
    loop {
        let next = if ahead > 0 {
            before.next().map(|c| (c, true))
        } else {
            None
        };
        let next = next.or_else(|| after.next().map(|c| (c, false)));
        let next = next.or_else(|| before.next().map(|c| (c, true)));
        let Some((c, is_before)) = next else { break };
        let columns = columns_of(c.encode_utf8(&mut [0; 4]));
        if used + columns > room {
            break;
        }
        used += columns;
        if is_before {
            from -= c.len_utf8();
            ahead = ahead.saturating_sub(columns);
        } else {
            to += c.len_utf8();
        }
    }
    (from, to)
}

/// The text on one line, with the spaces at its ends.
fn inline(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .collect()
}

fn paint(text: &str, style: Style, look: HitLook<'_>) -> String {
    if look.colour && !text.is_empty() {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}

/// A hit as JSON. `matches` are bytes of `context`, first and last, the last one excluded.
pub(crate) fn hit_json(hit: &SearchHit) -> Value {
    json!({
        "run": hit.run.to_string(),
        "workflow": hit.workflow.as_str(),
        "node": (!hit.node.is_empty()).then_some(hit.node.as_str()),
        "span_id": hit.span_id.map(|id| id.to_string()),
        "time": rfc3339(hit.time),
        "place": hit.place.as_str(),
        "field": hit.field,
        "context": hit.context,
        "matches": hit.matches,
    })
}

#[cfg(test)]
mod tests;
