//! Where the flow goes on: `next` and `on-error` as edges.
//!
//! Knows ids only; whether there is such a step is for the validator to say.

use std::collections::HashMap;

use serde_json::Value;
use smol_str::SmolStr;

use super::located::{Located, Spot};
use super::yaml::Complaint;
use crate::compile::END;

/// A step, as far as edges go.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    pub(super) id: SmolStr,
    /// Where its heading has the id.
    pub(super) offset: usize,
    /// What `next` names; `None` where it is not written.
    pub(super) next: Option<Vec<Target>>,
    /// What `on-error` names.
    pub(super) on_error: Option<Target>,
}

/// A step that is named, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: SmolStr,
    pub(super) offset: usize,
}

/// An edge, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: SmolStr,
    pub(super) to: SmolStr,
    /// `None` for the default.
    pub(super) action: Option<SmolStr>,
    pub(super) offset: usize,
}

/// The action of failures.
const ERROR: &str = "error";

/// The steps that a value of `next` or `on-error` names: one id, several between commas, or a list.
pub(super) fn targets(written: &Located, key: &str, complaints: &mut Vec<Complaint>) -> Vec<Target> {
    let start = written.spot.start;
    let texts: Vec<&str> = match &written.value {
        Value::Null => return Vec::new(),
        Value::String(text) => text.split(',').collect(),
        Value::Array(elements) if elements.iter().all(Value::is_string) => {
            elements.iter().filter_map(Value::as_str).collect()
        }
        _ => {
            let help = format!("write `- {key}: step-id`");
            complaints.push(Complaint::new(start, format!("`{key}` names no step"), help));
            return Vec::new();
        }
    };
    let is_text = written.value.is_string();
    let mut at = start;
    let mut targets = Vec::new();
    for text in texts {
        let id = text.trim();
        let offset = if is_text {
            at + (text.len() - text.trim_start().len())
        } else {
            start
        };
        at += text.len() + 1;
        if id.is_empty() {
            let help = format!("write `- {key}: one, other`");
            complaints.push(Complaint::new(
                offset,
                format!("a step is missing in `{key}`"),
                help,
            ));
            continue;
        }
        targets.push(Target {
            id: SmolStr::new(id),
            offset,
        });
    }
    targets
}

/// The edges of the steps, in their order, and what is unclear about the branches.
pub(super) fn edges(ways: &[Way], complaints: &mut Vec<Complaint>) -> Vec<Edge> {
    let mut edges = Vec::new();
    for (position, way) in ways.iter().enumerate() {
        let mut add = |target: &Target, action: Option<SmolStr>| {
            edges.push(Edge {
                from: way.id.clone(),
                to: target.id.clone(),
                action,
                offset: target.offset,
            });
        };
        match way.next.as_deref() {
            None => {
                if let Some(following) = ways.get(position + 1) {
                    let target = Target {
                        id: following.id.clone(),
                        offset: way.offset,
                    };
                    add(&target, None);
                }
            }
            Some([only]) if only.id == END => {}
            Some([only]) => add(only, None),
            Some(several) => {
                for (index, target) in several.iter().enumerate() {
                    if index == 0 {
                        add(target, None);
                    }
                    add(target, Some(target.id.clone()));
                }
            }
        }
        if let Some(target) = &way.on_error {
            add(target, Some(SmolStr::new_static(ERROR)));
        }
    }
    check_branches(ways, complaints);
    edges
}

/// A step that others branch to says itself where it goes on: else a branch would run on into the next one.
fn check_branches(ways: &[Way], complaints: &mut Vec<Complaint>) {
    // By the step that is branched to: the first one that does, and whether by `on-error`.
    let mut branches: HashMap<&str, (&Way, bool)> = HashMap::new();
    for way in ways {
        for target in way.next.iter().filter(|next| next.len() > 1).flatten() {
            branches.entry(&target.id).or_insert((way, false));
        }
        if let Some(target) = &way.on_error {
            branches.entry(&target.id).or_insert((way, true));
        }
    }
    let branch_to = |id: &str| branches.get(id);
    for (position, way) in ways.iter().enumerate() {
        if way.next.is_some() {
            continue;
        }
        let following = ways.get(position + 1);
        if let Some((from, on_error)) = branch_to(&way.id) {
            let by = if *on_error { "`on-error`" } else { "`next`" };
            let message = format!(
                "step `{}` is a branch (by {by} of `{}`) and does not say where it goes on",
                way.id, from.id
            );
            let further = following
                .map(|following| format!(", or `- next: {}` to go on there", following.id))
                .unwrap_or_default();
            let help = format!("write `- next: end` to end the flow behind it{further}");
            complaints.push(Complaint::new(way.offset, message, help));
        } else if let Some(following) = following
            && let Some((from, _)) = branch_to(&following.id)
        {
            let message = format!(
                "step `{}` would run on into `{}`, which is a branch of `{}`",
                way.id, following.id, from.id
            );
            let help = format!(
                "write `- next: end` to end the flow behind it, or `- next: {}` if that is meant",
                following.id
            );
            complaints.push(Complaint::new(way.offset, message, help));
        }
    }
}

/// Edges as the member `edges` of a workflow.
pub(super) fn located(edges: Vec<Edge>, offset: usize) -> Located {
    let edges = edges.into_iter().map(|edge| {
        let at = edge.offset;
        let text = |text: SmolStr| Located::new(text.as_str(), Spot::at(at));
        let mut members = vec![
            (SmolStr::new_static("from"), text(edge.from)),
            (SmolStr::new_static("to"), text(edge.to)),
        ];
        if let Some(action) = edge.action {
            members.push((SmolStr::new_static("action"), text(action)));
        }
        Located::object(members, at)
    });
    Located::array(edges, offset)
}

#[cfg(test)]
mod tests;
