//! The groups of an answer, while they are added up.
//!
//! Never reads the file, but for names at the end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use flowmeter_model::TimestampNs;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::columns::Counting;
use super::entry::{self, Making};
use super::place::Level;
use super::plan::{Named, Plan};
use super::section::{Key, MODEL, NODE, PROVIDER, WORKFLOW};
use crate::rules::calendar::begin_of;
use crate::rules::sums::{self, SLOT_NS, Steps};
use crate::{GroupBy, StatsRow, StatsSums, StoreError};

/// How the sums of a trend are kept apart.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trend {
    /// There is none.
    None,
    /// By periods of this length, to be put into steps when it is known from when to when they go.
    Periods(Level),
    /// By steps that are known.
    Steps(Steps),
}

/// Groups that are remembered.
const LATELY: usize = 64;

/// A group: two numbers, or a time.
type Group = (i64, i64);

/// Groups and their sums.
pub(super) struct Tally<'p, 'q> {
    plan: &'p Plan<'q>,
    trend: Trend,
    places: FxHashMap<Group, usize>,
    sums: Vec<Making>,
    /// The sums of a trend, by group and period or step.
    steps: FxHashMap<(usize, u64), Making>,
    /// Groups that were met lately, each in the place that its numbers give it.
    lately: [Option<(Group, usize)>; LATELY],
    /// The first and the last moment that anything was added of, as far as they are known.
    extent: Option<(u64, u64)>,
}

impl<'p, 'q> Tally<'p, 'q> {
    pub(super) fn new(plan: &'p Plan<'q>, trend: Trend) -> Self {
        let trend = if sums::period_ns(plan.query.by.as_ref()).is_some() {
            Trend::None
        } else {
            trend
        };
        Self {
            plan,
            trend,
            places: FxHashMap::default(),
            sums: Vec::new(),
            steps: FxHashMap::default(),
            lately: [None; LATELY],
            extent: None,
        }
    }

    /// How the sums of the trend are kept apart.
    pub(super) fn trend(&self) -> Trend {
        self.trend
    }

    /// The first and the last moment; of sums, when their period begins.
    pub(super) fn extent(&self) -> Option<(u64, u64)> {
        self.extent
    }

    fn group_of(&self, key: &Key, time_ns: u64, tag: i64) -> Group {
        let query = self.plan.query;
        match &query.by {
            None => (0, 0),
            Some(GroupBy::Model) => (key[MODEL], 0),
            Some(GroupBy::Provider) => (key[PROVIDER], 0),
            Some(GroupBy::Workflow) => (key[WORKFLOW], 0),
            Some(GroupBy::Node) => (key[WORKFLOW], key[NODE]),
            Some(GroupBy::Tag(_)) => (tag, 0),
            Some(GroupBy::Hour | GroupBy::Day) => {
                let length = sums::period_ns(query.by.as_ref()).unwrap_or(SLOT_NS);
                let begins = begin_of(TimestampNs(time_ns), length, query.utc_offset_seconds);
                (begins.0.cast_signed(), 0)
            }
        }
    }

    fn place_of(&mut self, group: Group) -> usize {
        let mixed = (group.0 ^ group.1.rotate_left(32)).cast_unsigned();
        let lately = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % LATELY;
        if let Some((known, place)) = self.lately[lately]
            && known == group
        {
            return place;
        }
        let place = *self.places.entry(group).or_insert_with(|| {
            self.sums.push(Making::default());
            self.sums.len() - 1
        });
        self.lately[lately] = Some((group, place));
        place
    }

    fn see(&mut self, time_ns: u64) {
        self.extent = Some(match self.extent {
            Some((first, last)) => (first.min(time_ns), last.max(time_ns)),
            None => (time_ns, time_ns),
        });
    }

    fn step_of(&self, time_ns: u64) -> Option<u64> {
        match self.trend {
            Trend::None => None,
            Trend::Periods(level) => Some(level.around(time_ns / SLOT_NS)),
            Trend::Steps(steps) => steps.of_time(TimestampNs(time_ns)).map(|step| step as u64),
        }
    }

    /// Adds a span that lies in the interval; `tag` is the number of its run's value.
    #[inline]
    pub(super) fn add_span(&mut self, counting: &Counting, tag: i64) {
        let parts = counting.parts.among(self.plan.parts);
        if !parts.any() || !self.plan.holds_for(&counting.key) {
            return;
        }
        let time_ns = counting.start.0;
        let group = self.group_of(&counting.key, time_ns, tag);
        let place = self.place_of(group);
        self.see(time_ns);
        if let Some(making) = self.sums.get_mut(place) {
            making.add(parts, &counting.figures);
        }
        if let Some(step) = self.step_of(time_ns) {
            let step = self.steps.entry((place, step)).or_default();
            step.add(parts, &counting.figures);
        }
    }

    /// Adds what was added up elsewhere for the same question.
    pub(super) fn absorb(&mut self, other: Self) {
        let mut places = vec![0; other.sums.len()];
        for (group, theirs) in other.places {
            if let Some(place) = places.get_mut(theirs) {
                *place = self.place_of(group);
            }
        }
        for (place, making) in places.iter().zip(other.sums) {
            if let Some(ours) = self.sums.get_mut(*place) {
                ours.merge(super::section::ALL_PARTS, &making.finish());
            }
        }
        for ((theirs, step), making) in other.steps {
            if let Some(place) = places.get(theirs) {
                let ours = self.steps.entry((*place, step)).or_default();
                ours.merge(super::section::ALL_PARTS, &making.finish());
            }
        }
        if let Some((first, last)) = other.extent {
            self.see(first);
            self.see(last);
        }
    }

    /// Adds the sums of a period that begins with this half-hour, and for whose key the conditions hold; moves `bytes`
    /// behind them. `None` where they are damaged.
    pub(super) fn add_entry(&mut self, slot: u64, key: &Key, bytes: &mut &[u8]) -> Option<()> {
        let parts = self.plan.parts;
        if !entry::Entry::bytes_have(parts, bytes) {
            return entry::Entry::skip(bytes);
        }
        let time_ns = slot * SLOT_NS;
        let group = self.group_of(key, time_ns, 0);
        let place = self.place_of(group);
        self.see(time_ns);
        if let Some(step) = self.step_of(time_ns) {
            let step = self.steps.entry((place, step)).or_default();
            step.merge_bytes(parts, &mut &**bytes)?;
        }
        self.sums.get_mut(place)?.merge_bytes(parts, bytes)
    }

    /// The rows, with these steps.
    pub(super) fn rows(
        self,
        steps: Option<Steps>,
        named: Named<'_>,
        tags: &[SmolStr],
    ) -> Result<Vec<StatsRow>, StoreError> {
        let query = self.plan.query;
        let steps = steps.filter(|_| !matches!(self.trend, Trend::None));
        let mut trends: FxHashMap<usize, Vec<Making>> = FxHashMap::default();
        if let Some(steps) = steps {
            for ((place, number), making) in self.steps {
                let step = match self.trend {
                    Trend::Periods(level) => {
                        let begins = TimestampNs(level.slots(number).0.saturating_mul(SLOT_NS));
                        // An interval may begin within a period.
                        steps.of_time(begins.max(steps.begins))
                    }
                    _ => usize::try_from(number).ok(),
                };
                let trend = trends
                    .entry(place)
                    .or_insert_with(|| vec![Making::default(); steps.count]);
                if let Some(sum) = step.and_then(|step| trend.get_mut(step)) {
                    sum.merge(super::section::ALL_PARTS, &making.finish());
                }
            }
        }
        // Groups may have one name: a workflow's may have a slash in it.
        let mut rows: BTreeMap<(Option<TimestampNs>, SmolStr), (Making, Vec<Making>)> = BTreeMap::new();
        let mut sums: Vec<Option<Making>> = self.sums.into_iter().map(Some).collect();
        for (group, place) in self.places {
            let Some(making) = sums.get_mut(place).and_then(Option::take) else {
                continue;
            };
            let name = match &query.by {
                None => (None, SmolStr::default()),
                Some(GroupBy::Tag(_)) => {
                    let value = usize::try_from(group.0).ok().and_then(|place| tags.get(place));
                    (None, value.cloned().unwrap_or_default())
                }
                Some(GroupBy::Node) => (None, sums::node_group(&named(group.0)?, &named(group.1)?)),
                Some(GroupBy::Hour | GroupBy::Day) => {
                    let begins = TimestampNs(group.0.cast_unsigned());
                    (Some(begins), sums::period_name(query, begins))
                }
                Some(GroupBy::Model | GroupBy::Provider | GroupBy::Workflow) => (None, named(group.0)?),
            };
            let steps = trends.remove(&place).unwrap_or_default();
            match rows.entry(name) {
                Entry::Vacant(row) => {
                    row.insert((making, steps));
                }
                Entry::Occupied(mut row) => {
                    let (all, trend) = row.get_mut();
                    all.merge(super::section::ALL_PARTS, &making.finish());
                    for (sum, step) in trend.iter_mut().zip(steps) {
                        sum.merge(super::section::ALL_PARTS, &step.finish());
                    }
                }
            }
        }
        if query.by.is_none() && rows.is_empty() {
            rows.insert((None, SmolStr::default()), Default::default());
        }
        Ok(rows
            .into_iter()
            .map(|((begins, group), (sums, trend))| StatsRow {
                group,
                begins,
                sums: answer_of(sums),
                trend: trend.into_iter().map(answer_of).collect(),
            })
            .collect())
    }
}

fn answer_of(making: Making) -> StatsSums {
    making.finish().into_answer()
}
