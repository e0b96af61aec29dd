//! Flows: nodes joined by edges, run by following the action each node returns.
//!
//! A flow is a node, so flows nest. Never retries (that is [`crate::drive`]'s work) and never decides what an
//! action means.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use smol_str::SmolStr;
use thiserror::Error;

use crate::halt::Halt;
use crate::{Action, Node, NodeContext, NodeError};

/// How often one node may run in one run of a flow, unless the flow says otherwise.
pub const VISITS_MAX: u32 = 100;

/// Why a flow cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidFlow {
    /// There is no node at all.
    #[error("the flow `{0}` has no nodes")]
    NoNodes(String),
    /// Two nodes have one id.
    #[error("the node id `{0}` is used twice")]
    DuplicateNode(String),
    /// An edge or the start names a node that is not there.
    #[error("there is no node `{0}`")]
    UnknownNode(String),
}

struct Edge {
    action: Action,
    targets: Vec<usize>,
    /// Where parallel targets meet again; `None` with one target, or when they never meet.
    join: Option<usize>,
}

struct Member {
    id: SmolStr,
    node: Box<dyn Node>,
    edges: Vec<Edge>,
}

/// Nodes joined by edges.
pub struct Flow {
    name: SmolStr,
    members: Vec<Member>,
    start: usize,
    visits_max: u32,
}

/// How a flow ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowEnd {
    /// The last node's action.
    pub action: Action,
    /// The last node's id.
    pub last_node: SmolStr,
}

/// Collects nodes and edges; [`FlowBuilder::build`] checks them.
pub struct FlowBuilder {
    name: SmolStr,
    nodes: Vec<(SmolStr, Box<dyn Node>)>,
    edges: Vec<(SmolStr, Action, SmolStr)>,
    start: Option<SmolStr>,
    visits_max: u32,
}

impl FlowBuilder {
    /// Adds a node. The first one is the start unless [`FlowBuilder::start`] says otherwise.
    #[must_use]
    pub fn node(mut self, id: impl Into<SmolStr>, node: impl Node) -> Self {
        self.nodes.push((id.into(), Box::new(node)));
        self
    }

    /// Adds an edge for the action `default`.
    #[must_use]
    pub fn edge(self, from: impl Into<SmolStr>, to: impl Into<SmolStr>) -> Self {
        self.edge_on(from, Action::default(), to)
    }

    /// Adds an edge for an action. Several edges for one action of a node run their targets side by side.
    #[must_use]
    pub fn edge_on(
        mut self,
        from: impl Into<SmolStr>,
        action: impl Into<Action>,
        to: impl Into<SmolStr>,
    ) -> Self {
        self.edges.push((from.into(), action.into(), to.into()));
        self
    }

    /// Names the node to begin with.
    #[must_use]
    pub fn start(mut self, id: impl Into<SmolStr>) -> Self {
        self.start = Some(id.into());
        self
    }

    /// How often one node may run in one run of the flow. Default [`VISITS_MAX`]; `u32::MAX` for a flow that is
    /// meant to go round.
    #[must_use]
    pub fn visits_max(mut self, visits: u32) -> Self {
        self.visits_max = visits;
        self
    }

    /// Checks that every name leads somewhere.
    ///
    /// # Errors
    /// [`InvalidFlow`].
    pub fn build(self) -> Result<Flow, InvalidFlow> {
        if self.nodes.is_empty() {
            return Err(InvalidFlow::NoNodes(self.name.to_string()));
        }
        let mut index_of = HashMap::new();
        let mut members = Vec::with_capacity(self.nodes.len());
        for (index, (id, node)) in self.nodes.into_iter().enumerate() {
            if index_of.insert(id.clone(), index).is_some() {
                return Err(InvalidFlow::DuplicateNode(id.to_string()));
            }
            members.push(Member {
                id,
                node,
                edges: Vec::new(),
            });
        }
        let find = |id: &SmolStr| {
            index_of
                .get(id)
                .copied()
                .ok_or_else(|| InvalidFlow::UnknownNode(id.to_string()))
        };
        let start = self.start.as_ref().map_or(Ok(0), find)?;
        for (from, action, to) in &self.edges {
            let (from, to) = (find(from)?, find(to)?);
            let edges = &mut members[from].edges;
            match edges.iter_mut().find(|edge| edge.action == *action) {
                Some(edge) if edge.targets.contains(&to) => {}
                Some(edge) => edge.targets.push(to),
                None => edges.push(Edge {
                    action: action.clone(),
                    targets: vec![to],
                    join: None,
                }),
            }
        }
        let mut flow = Flow {
            name: self.name,
            members,
            start,
            visits_max: self.visits_max,
        };
        flow.find_joins();
        Ok(flow)
    }
}

impl Flow {
    /// Begins a flow of this name.
    #[must_use]
    pub fn builder(name: impl Into<SmolStr>) -> FlowBuilder {
        FlowBuilder {
            name: name.into(),
            nodes: Vec::new(),
            edges: Vec::new(),
            start: None,
            visits_max: VISITS_MAX,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ids of its nodes, in the order in which they were added.
    pub fn node_ids(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.id.as_str())
    }

    /// Every edge as (from, action, to).
    pub fn edges(&self) -> impl Iterator<Item = (&str, &Action, &str)> {
        self.members.iter().flat_map(move |member| {
            member.edges.iter().flat_map(move |edge| {
                edge.targets.iter().map(move |target| {
                    (
                        member.id.as_str(),
                        &edge.action,
                        self.members[*target].id.as_str(),
                    )
                })
            })
        })
    }

    fn find_joins(&mut self) {
        let mut joins = Vec::new();
        for (from, member) in self.members.iter().enumerate() {
            for (position, edge) in member.edges.iter().enumerate() {
                if edge.targets.len() > 1 {
                    joins.push((from, position, self.nearest_common(&edge.targets)));
                }
            }
        }
        for (from, position, join) in joins {
            self.members[from].edges[position].join = join;
        }
    }

    /// The node that all branches reach, with the fewest steps in all.
    fn nearest_common(&self, branches: &[usize]) -> Option<usize> {
        let distances: Vec<Vec<Option<u32>>> = branches
            .iter()
            .map(|branch| self.distances_from(*branch))
            .collect();
        (0..self.members.len())
            .filter_map(|node| {
                let steps: Option<Vec<u32>> = distances.iter().map(|distance| distance[node]).collect();
                steps.map(|steps| (steps.iter().sum::<u32>(), node))
            })
            .min()
            .map(|(_, node)| node)
    }

    fn distances_from(&self, origin: usize) -> Vec<Option<u32>> {
        let mut distances = vec![None; self.members.len()];
        let mut queue = VecDeque::from([(origin, 0)]);
        while let Some((node, steps)) = queue.pop_front() {
            if distances[node].is_some() {
                continue;
            }
            distances[node] = Some(steps);
            let targets = self.members[node].edges.iter().flat_map(|edge| &edge.targets);
            queue.extend(targets.map(|target| (*target, steps + 1)));
        }
        distances
    }

    /// Runs the flow from its start to a node from which no edge leads on.
    ///
    /// # Errors
    /// The failure of a node, a routing failure, the visit guard, or cancellation.
    pub async fn run_to_end(&self, cx: &NodeContext) -> Result<FlowEnd, NodeError> {
        let visits: Vec<AtomicU32> = self.members.iter().map(|_| AtomicU32::new(0)).collect();
        let cx = &cx.with_halt(Halt::within(cx.halt()));
        let chain = self.run_chain(cx, self.start, &[], &visits).await?;
        Ok(FlowEnd {
            action: chain.action,
            last_node: self.members[chain.last].id.clone(),
        })
    }

    fn run_chain<'a>(
        &'a self,
        cx: &'a NodeContext,
        start: usize,
        stops: &'a [usize],
        visits: &'a [AtomicU32],
    ) -> Pin<Box<dyn Future<Output = Result<ChainEnd, NodeError>> + Send + 'a>> {
        Box::pin(async move {
            let mut current = start;
            let mut end = ChainEnd {
                action: Action::default(),
                last: start,
                stopped_at: None,
            };
            loop {
                if stops.contains(&current) {
                    return Ok(ChainEnd {
                        stopped_at: Some(current),
                        ..end
                    });
                }
                end.action = self.visit(cx, current, visits).await?;
                end.last = current;
                let Some(edge) = self.edge_for(current, &end.action)? else {
                    return Ok(end);
                };
                if let [next] = edge.targets[..] {
                    current = next;
                    continue;
                }
                // Branches stop where they meet, and wherever a fork around this one meets: what lies behind such
                // a point is run once, by the fork it belongs to.
                let inner_stops: Vec<usize> = stops.iter().copied().chain(edge.join).collect();
                let branches = edge
                    .targets
                    .iter()
                    .map(|target| self.run_chain(cx, *target, &inner_stops, visits));
                let ends = join_branches(cx, branches).await?;
                let reached = |point: &usize| ends.iter().any(|end| end.stopped_at == Some(*point));
                if let Some(outer) = stops.iter().copied().find(reached) {
                    return Ok(ChainEnd {
                        stopped_at: Some(outer),
                        ..end
                    });
                }
                match edge.join.filter(reached) {
                    Some(join) => current = join,
                    None => return Ok(ends.into_iter().next_back().unwrap_or(end)),
                }
            }
        })
    }

    async fn visit(&self, cx: &NodeContext, index: usize, visits: &[AtomicU32]) -> Result<Action, NodeError> {
        let member = &self.members[index];
        if cx.cancellation().is_cancelled() {
            return Err(NodeError::cancelled());
        }
        if cx.is_halting() {
            return Err(NodeError::halted_elsewhere().in_node(&member.id));
        }
        let visits_max = self.visits_max;
        if visits[index].fetch_add(1, Ordering::Relaxed) >= visits_max && visits_max < u32::MAX {
            let message = format!(
                "node `{}` was visited {visits_max} times: the flow goes round in a circle; give it a way out",
                member.id
            );
            return Err(NodeError::visit_limit(message).in_node(&member.id));
        }
        member
            .node
            .run(cx)
            .await
            .map_err(|error| error.in_node(&member.id))
    }

    fn edge_for(&self, index: usize, action: &Action) -> Result<Option<&Edge>, NodeError> {
        let member = &self.members[index];
        if member.edges.is_empty() {
            return Ok(None);
        }
        if let Some(edge) = member.edges.iter().find(|edge| edge.action == *action) {
            return Ok(Some(edge));
        }
        let known: Vec<&str> = member.edges.iter().map(|edge| edge.action.as_str()).collect();
        let message = format!(
            "node `{}` returned the action `{action}`, for which no edge leads on; it has edges for: {}",
            member.id,
            known.join(", ")
        );
        Err(NodeError::routing(message).in_node(&member.id))
    }
}

/// Runs branches side by side. The first failure stops the others, but one that halts the flow lets them end what
/// they are at.
async fn join_branches<B>(
    cx: &NodeContext,
    branches: impl Iterator<Item = B>,
) -> Result<Vec<ChainEnd>, NodeError>
where
    B: Future<Output = Result<ChainEnd, NodeError>>,
{
    let mut running: FuturesUnordered<_> = branches
        .enumerate()
        .map(|(index, branch)| async move { (index, branch.await) })
        .collect();
    let mut ends: Vec<Option<ChainEnd>> = (0..running.len()).map(|_| None).collect();
    let mut halted = None;
    while let Some((index, end)) = running.next().await {
        match end {
            Ok(end) => ends[index] = Some(end),
            Err(error) if error.is_halted() => {
                if let Some(halt) = cx.halt() {
                    halt.set();
                }
                halted.get_or_insert(error);
            }
            // Why the flow halted says more than what came of it.
            Err(error) if error.is_cancelled() || halted.is_none() => return Err(error),
            Err(_) => {}
        }
    }
    match halted {
        Some(error) => Err(error),
        None => Ok(ends.into_iter().flatten().collect()),
    }
}

struct ChainEnd {
    action: Action,
    last: usize,
    /// The point at which it stopped before it came to an end.
    stopped_at: Option<usize>,
}

#[async_trait]
impl Node for Flow {
    async fn run(&self, cx: &NodeContext) -> Result<Action, NodeError> {
        Ok(self.run_to_end(cx).await?.action)
    }
}
