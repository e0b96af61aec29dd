//! In which order the nodes of a workflow run, and how certain it is that each does.
//!
//! Never looks at parameters: edges alone decide.

use std::collections::HashMap;

use serde::Serialize;

use crate::compile::is_end;
use crate::document::WorkflowDocument;

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Only where a node before it failed.
    OnError,
    /// Where the actions of the nodes before it lead to it.
    Perhaps,
    /// In every run in which nothing fails.
    Always,
}

/// The positions of the nodes that can run, in the order in which they do; circles are followed once.
pub(super) fn order(document: &WorkflowDocument) -> Vec<(usize, Certainty)> {
    let positions: HashMap<&str, usize> = document
        .nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (node.id.as_str(), position))
        .collect();
    let Some(start) = document.start_id().and_then(|id| positions.get(id.as_str())) else {
        return Vec::new();
    };
    let mut ways: Vec<Vec<(usize, Way)>> = vec![Vec::new(); document.nodes.len()];
    let mut chooses = vec![false; document.nodes.len()];
    for edge in &document.edges {
        let Some(&from) = positions.get(edge.from.as_str()) else {
            continue;
        };
        let way = match edge.action.as_str() {
            "error" => Way::Error,
            "default" => Way::Default,
            _ => Way::Named,
        };
        chooses[from] |= way == Way::Named;
        if let Some(&to) = positions.get(edge.to.as_str()).filter(|_| !is_end(&edge.to)) {
            ways[from].push((to, way));
        }
    }
    let mut certainty: Vec<Option<Certainty>> = vec![None; document.nodes.len()];
    certainty[*start] = Some(Certainty::Always);
    // What becomes known of a node spreads along its edges until nothing rises any more.
    let mut waiting = vec![*start];
    while let Some(from) = waiting.pop() {
        let Some(here) = certainty[from] else { continue };
        for (to, way) in &ways[from] {
            let there = match way {
                Way::Error => Certainty::OnError,
                Way::Default if !chooses[from] => here,
                Way::Default | Way::Named => here.min(Certainty::Perhaps),
            };
            if certainty[*to].is_none_or(|known| known < there) {
                certainty[*to] = Some(there);
                waiting.push(*to);
            }
        }
    }
    reverse_postorder(&ways, *start)
        .into_iter()
        .filter_map(|position| Some((position, certainty[position]?)))
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Default,
    Named,
    Error,
}

/// Each node after those that lead to it, circles aside; of several ways the first in the file goes first.
fn reverse_postorder(ways: &[Vec<(usize, Way)>], start: usize) -> Vec<usize> {
    let mut seen = vec![false; ways.len()];
    let mut left = Vec::with_capacity(ways.len());
    // Position, and how many of its edges are still to be followed: the last one of the file first.
    let mut open = vec![(start, ways[start].len())];
    seen[start] = true;
    while let Some((position, edges_left)) = open.last_mut() {
        if *edges_left == 0 {
            left.push(*position);
            open.pop();
            continue;
        }
        *edges_left -= 1;
        let (to, _) = ways[*position][*edges_left];
        if !seen[to] {
            seen[to] = true;
            open.push((to, ways[to].len()));
        }
    }
    left.reverse();
    left
}

#[cfg(test)]
mod tests;
