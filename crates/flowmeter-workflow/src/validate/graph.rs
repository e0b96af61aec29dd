//! Checks the edges: that they lead somewhere, and that every node can be reached.
//!
//! Also knows which nodes can have run before which. Never looks at parameters.

use std::collections::HashMap;

use crate::compile::is_end;
use crate::document::WorkflowDocument;
use crate::names;
use crate::nodes::find;
use crate::problem::{Anchor, Findings, Severity};

/// Which nodes can be reached, and which can have run before which.
pub(super) struct Reach {
    /// By position: whether the start leads to the node.
    reachable: Vec<bool>,
    /// By position: the component that the node is in; nodes of a circle share one.
    component: Vec<usize>,
    /// By component: the components from which it can be reached, as bits in `words` words each.
    before: Vec<u64>,
    words: usize,
    /// By component: whether it goes round.
    circular: Vec<bool>,
}

/// More nodes than this and the question who runs before whom is not asked: the answer takes too much room.
const NODES_MAX: usize = 20_000;

impl Reach {
    pub(super) fn is_reachable(&self, position: usize) -> bool {
        self.reachable[position]
    }

    /// Whether `earlier` can have run when `later` begins.
    pub(super) fn can_precede(&self, earlier: usize, later: usize) -> bool {
        if self.before.is_empty() {
            return true;
        }
        let (from, to) = (self.component[earlier], self.component[later]);
        if from == to {
            return self.circular[from];
        }
        self.before[to * self.words + from / 64] & (1 << (from % 64)) != 0
    }
}

pub(super) fn check(document: &WorkflowDocument, findings: &mut Findings) -> Reach {
    let positions = super::positions(document);
    let ids: Vec<&str> = document.nodes.iter().map(|node| node.id.as_str()).collect();
    let unknown = |findings: &mut Findings, at: String, id: &str| {
        let message = format!("there is no node `{id}`");
        findings.add(
            Severity::Error,
            at,
            Anchor::Value,
            message,
            names::suggestion(id, &ids, "nodes"),
        );
    };
    let mut targets: Vec<Vec<usize>> = vec![Vec::new(); document.nodes.len()];
    let mut seen: HashMap<(&str, &str, &str), ()> = HashMap::with_capacity(document.edges.len());
    for edge in &document.edges {
        let (from, to) = (positions.get(edge.from.as_str()), positions.get(edge.to.as_str()));
        if from.is_none() {
            unknown(findings, format!("{}/from", edge.pointer), &edge.from);
        }
        if to.is_none() && !is_end(&edge.to) {
            unknown(findings, format!("{}/to", edge.pointer), &edge.to);
        }
        if seen.insert((&edge.from, &edge.action, &edge.to), ()).is_some() {
            let message = format!("this edge from `{}` to `{}` is there twice", edge.from, edge.to);
            findings.add(
                Severity::Warning,
                edge.pointer.clone(),
                Anchor::Value,
                message,
                None,
            );
        }
        if let Some(from) = from {
            check_action(document, *from, edge, findings);
            targets[*from].extend(to);
        }
    }
    let start = match &document.start_node {
        Some(id) => {
            let position = positions.get(id.as_str()).copied();
            if position.is_none() {
                unknown(findings, "/start_node".to_owned(), id);
            }
            position
        }
        None => (!document.nodes.is_empty()).then_some(0),
    };
    let reach = reach(&targets, start);
    // Without a start, or with edges that lead nowhere, most nodes seem lost; one cause is enough to report.
    if start.is_some() && !findings.has_errors() {
        for (position, node) in document.nodes.iter().enumerate() {
            if !reach.reachable[position] {
                let message = format!("node `{}` is never reached: no edge leads to it", node.id);
                findings.add(
                    Severity::Warning,
                    format!("{}/id", node.pointer),
                    Anchor::Value,
                    message,
                    None,
                );
            }
        }
    }
    reach
}

fn check_action(
    document: &WorkflowDocument,
    from: usize,
    edge: &crate::document::EdgeEntry,
    findings: &mut Findings,
) {
    let node = &document.nodes[from];
    let Some(node_type) = find(&node.node_type) else {
        return;
    };
    let action = edge.action.as_str();
    let always = action == "default" || action == "error";
    if always || node_type.free_actions || node_type.actions.contains(&action) {
        return;
    }
    let known = ["default", "error"];
    let actions: Vec<&str> = known
        .into_iter()
        .chain(
            node_type
                .actions
                .iter()
                .copied()
                .filter(|action| !known.contains(action)),
        )
        .collect();
    let message = format!(
        "node `{}` ({}) never returns the action `{action}`",
        node.id, node_type.name
    );
    let help = names::suggestion(action, &actions, "its actions");
    findings.add(
        Severity::Warning,
        format!("{}/action", edge.pointer),
        Anchor::Value,
        message,
        help,
    );
}

fn reach(targets: &[Vec<usize>], start: Option<usize>) -> Reach {
    let mut reachable = vec![false; targets.len()];
    let mut waiting: Vec<usize> = start.into_iter().collect();
    while let Some(node) = waiting.pop() {
        if !std::mem::replace(&mut reachable[node], true) {
            waiting.extend(&targets[node]);
        }
    }
    if targets.len() > NODES_MAX {
        return Reach {
            reachable,
            component: Vec::new(),
            before: Vec::new(),
            words: 0,
            circular: Vec::new(),
        };
    }
    let (component, count) = components(targets);
    let mut circular = vec![false; count];
    let mut size = vec![0_usize; count];
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (node, next) in targets.iter().enumerate() {
        size[component[node]] += 1;
        for target in next {
            if component[*target] == component[node] {
                circular[component[node]] = true;
            } else {
                outgoing[component[node]].push(component[*target]);
            }
        }
    }
    let words = count.div_ceil(64);
    let mut before = vec![0_u64; words * count];
    // Components are numbered in reverse topological order: whoever leads on has the higher number.
    for from in (0..count).rev() {
        let (lower, own) = before.split_at_mut(from * words);
        let own = &mut own[..words];
        own[from / 64] |= 1 << (from % 64);
        for to in &outgoing[from] {
            let inherited = &mut lower[to * words..(to + 1) * words];
            for (word, bits) in inherited.iter_mut().zip(&*own) {
                *word |= bits;
            }
        }
    }
    Reach {
        reachable,
        component,
        before,
        words,
        circular,
    }
}

/// Numbers the strongly connected components, those that lead nowhere first (Tarjan, without recursion).
fn components(targets: &[Vec<usize>]) -> (Vec<usize>, usize) {
    const UNSEEN: usize = usize::MAX;
    let mut order = vec![UNSEEN; targets.len()];
    let mut lowest = vec![0; targets.len()];
    let mut component = vec![UNSEEN; targets.len()];
    let mut open = Vec::new();
    let (mut next_order, mut count) = (0, 0);
    for root in 0..targets.len() {
        if order[root] != UNSEEN {
            continue;
        }
        let mut work = vec![(root, 0)];
        while let Some((node, edge)) = work.pop() {
            if edge == 0 {
                order[node] = next_order;
                lowest[node] = next_order;
                next_order += 1;
                open.push(node);
            }
            if let Some(target) = targets[node].get(edge) {
                work.push((node, edge + 1));
                if order[*target] == UNSEEN {
                    work.push((*target, 0));
                } else if component[*target] == UNSEEN {
                    lowest[node] = lowest[node].min(order[*target]);
                }
                continue;
            }
            if lowest[node] == order[node] {
                while let Some(member) = open.pop() {
                    component[member] = count;
                    if member == node {
                        break;
                    }
                }
                count += 1;
            }
            if let Some((parent, _)) = work.last() {
                lowest[*parent] = lowest[*parent].min(lowest[node]);
            }
        }
    }
    (component, count)
}
