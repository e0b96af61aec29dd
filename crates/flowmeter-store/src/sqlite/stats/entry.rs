//! What a group came to, as roll-ups keep it: sums that hold any number of spans exactly, and that can be taken from.
//!
//! Never holds a name.

use flowmeter_model::{CostStatus, CostTotal, SpanStatus, UsdNanos};

use super::durations::Durations;
use crate::codec::sketch::{read_varint, skip_varints, write_varint};
use crate::rules::sums::{Figures, Parts};
use crate::{LatencySketch, StatsSums, TokenSums};

/// Runs, nodes or calls: how many, how many of them ended badly, how long they took.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted<D> {
    pub(super) count: u64,
    pub(super) failed: u64,
    pub(super) durations: D,
}

/// A sum of costs; the number of calls stands elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Money {
    known: i128,
    unpriced: u64,
    partial: u64,
    estimated: u64,
    reported: u64,
}

/// Sums whose durations are `D`: a sketch as it is kept, or one in the making.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums<D> {
    pub(super) runs: Counted<D>,
    pub(super) nodes: Counted<D>,
    pub(super) calls: Counted<D>,
    tokens: [u128; 5],
    cost: Money,
    hits: u64,
    saved: Money,
    /// What the providers' own caches saved.
    provider_saved: i128,
}

/// Sums as they are kept.
pub(super) type Entry = Sums<LatencySketch>;
/// Sums in the making.
pub(super) type Making = Sums<Durations>;

impl Money {
    #[inline]
    fn add(&mut self, status: Option<CostStatus>, amount: Option<UsdNanos>) {
        self.known += amount.map_or(0, |amount| i128::from(amount.0));
        match status {
            Some(CostStatus::Priced) => {}
            Some(CostStatus::Reported) => self.reported += 1,
            Some(CostStatus::Estimated) => self.estimated += 1,
            Some(CostStatus::Partial) => self.partial += 1,
            Some(CostStatus::Unpriced) | None => self.unpriced += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.known += other.known;
        self.unpriced += other.unpriced;
        self.partial += other.partial;
        self.estimated += other.estimated;
        self.reported += other.reported;
    }

    fn subtract(&mut self, other: &Self) {
        self.known -= other.known;
        for (count, less) in [
            (&mut self.unpriced, other.unpriced),
            (&mut self.partial, other.partial),
            (&mut self.estimated, other.estimated),
            (&mut self.reported, other.reported),
        ] {
            *count = count.saturating_sub(less);
        }
    }

    fn total(&self, calls: u64) -> CostTotal {
        CostTotal {
            known: held(self.known),
            calls,
            unpriced_calls: self.unpriced,
            partial_calls: self.partial,
            estimated_calls: self.estimated,
            reported_calls: self.reported,
            ..CostTotal::default()
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_signed(out, self.known);
        for count in [self.unpriced, self.partial, self.estimated, self.reported] {
            write_varint(out, count);
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            known: read_signed(bytes)?,
            unpriced: read_varint(bytes)?,
            partial: read_varint(bytes)?,
            estimated: read_varint(bytes)?,
            reported: read_varint(bytes)?,
        })
    }
}

/// An amount, held at the limits of its type.
fn held(nanos: i128) -> UsdNanos {
    let limit = if nanos < 0 { i64::MIN } else { i64::MAX };
    UsdNanos(i64::try_from(nanos).unwrap_or(limit))
}

fn write_signed(out: &mut Vec<u8>, number: i128) {
    write_wide(out, ((number << 1) ^ (number >> 127)).cast_unsigned());
}

fn read_signed(bytes: &mut &[u8]) -> Option<i128> {
    let zigzag = read_wide(bytes)?;
    Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

/// Seven bits a byte, the lowest first, of numbers that 64 bits may not hold.
fn write_wide(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn read_wide(bytes: &mut &[u8]) -> Option<u128> {
    // Nearly all are small.
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        *bytes = rest;
        return Some(u128::from(*first));
    }
    let mut number = 0_u128;
    for shift in (0..128).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u128::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl Counted<Durations> {
    #[inline]
    fn add(&mut self, failed: u64, duration_ns: u64) {
        self.count += 1;
        self.failed += failed;
        self.durations.add(duration_ns);
    }

    fn merge(&mut self, other: &Counted<LatencySketch>) {
        self.count += other.count;
        self.failed += other.failed;
        self.durations.merge(&other.durations);
    }

    /// The same of what [`Counted::write`] wrote.
    fn merge_bytes(&mut self, bytes: &mut &[u8]) -> Option<()> {
        self.failed += read_varint(bytes)?;
        self.count += self.durations.merge_bytes(bytes)?;
        Some(())
    }

    fn finish(self) -> Counted<LatencySketch> {
        Counted {
            count: self.count,
            failed: self.failed,
            durations: self.durations.sketch(),
        }
    }
}

impl Counted<LatencySketch> {
    fn subtract(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        self.failed = self.failed.saturating_sub(other.failed);
        self.durations.subtract(&other.durations);
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_varint(out, self.failed);
        self.durations.write(out);
    }

    /// Moves `bytes` behind what [`Counted::write`] wrote.
    fn skip(bytes: &mut &[u8]) -> Option<()> {
        skip_varints(bytes, 1)?;
        LatencySketch::skip(bytes)
    }

    /// The count is that of the sketch.
    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let failed = read_varint(bytes)?;
        let durations = LatencySketch::read(bytes)?;
        Some(Self {
            count: durations.count(),
            failed,
            durations,
        })
    }
}

impl Making {
    /// Adds a span.
    #[inline]
    pub(super) fn add(&mut self, parts: Parts, figures: &Figures) {
        let failed = u64::from(figures.status != SpanStatus::Ok);
        if parts.run {
            self.runs.add(failed, figures.duration_ns);
        }
        if parts.node {
            self.nodes.add(failed, figures.duration_ns);
        }
        if !parts.call {
            return;
        }
        if figures.cache_hit {
            self.hits += 1;
            self.saved.add(figures.saved_status, figures.saved);
        } else {
            self.calls.add(failed, figures.duration_ns);
            let tokens = &figures.tokens;
            let counts = [
                tokens.input,
                tokens.cache_read,
                tokens.cache_write,
                tokens.output,
                tokens.reasoning,
            ];
            for (sum, count) in self.tokens.iter_mut().zip(counts) {
                *sum += u128::from(count);
            }
            self.cost.add(figures.cost_status, figures.cost);
            self.provider_saved += figures.provider_saved.map_or(0, |saved| i128::from(saved.0));
        }
    }

    /// Adds those parts of sums that are wanted.
    pub(super) fn merge(&mut self, parts: Parts, other: &Entry) {
        if parts.run {
            self.runs.merge(&other.runs);
        }
        if parts.node {
            self.nodes.merge(&other.nodes);
        }
        if parts.call {
            self.calls.merge(&other.calls);
            for (sum, more) in self.tokens.iter_mut().zip(&other.tokens) {
                *sum += more;
            }
            self.cost.merge(&other.cost);
            self.hits += other.hits;
            self.saved.merge(&other.saved);
            self.provider_saved += other.provider_saved;
        }
    }

    /// The same of what [`Entry::write`] wrote, without making an entry of it; moves `bytes` behind it.
    pub(super) fn merge_bytes(&mut self, parts: Parts, bytes: &mut &[u8]) -> Option<()> {
        let (flags, rest) = bytes.split_first()?;
        *bytes = rest;
        for (flag, is_wanted, counted) in [
            (RUNS, parts.run, &mut self.runs),
            (NODES, parts.node, &mut self.nodes),
            (CALLS, parts.call, &mut self.calls),
        ] {
            if flags & flag == 0 {
            } else if is_wanted {
                counted.merge_bytes(bytes)?;
            } else {
                Counted::<LatencySketch>::skip(bytes)?;
            }
        }
        if !parts.call {
            return skip_money(*flags, bytes);
        }
        if flags & CALLS != 0 {
            for sum in &mut self.tokens {
                *sum += read_wide(bytes)?;
            }
            self.cost.merge(&Money::read(bytes)?);
        }
        if flags & HITS != 0 {
            self.hits += read_varint(bytes)?;
            self.saved.merge(&Money::read(bytes)?);
        }
        if flags & PROVIDER_SAVED != 0 {
            self.provider_saved += read_signed(bytes)?;
        }
        Some(())
    }

    /// The sums as they are kept.
    pub(super) fn finish(self) -> Entry {
        Entry {
            runs: self.runs.finish(),
            nodes: self.nodes.finish(),
            calls: self.calls.finish(),
            tokens: self.tokens,
            cost: self.cost,
            hits: self.hits,
            saved: self.saved,
            provider_saved: self.provider_saved,
        }
    }
}

/// Numbers that [`Money`] is written as.
const MONEY_NUMBERS: usize = 5;

/// Moves behind what stands in an entry after its counts and durations.
fn skip_money(flags: u8, bytes: &mut &[u8]) -> Option<()> {
    let of_calls = if flags & CALLS != 0 { 5 + MONEY_NUMBERS } else { 0 };
    let of_hits = if flags & HITS != 0 { 1 + MONEY_NUMBERS } else { 0 };
    let of_providers = usize::from(flags & PROVIDER_SAVED != 0);
    skip_varints(bytes, of_calls + of_hits + of_providers)
}

/// What stands in an entry.
const RUNS: u8 = 1;
const NODES: u8 = 2;
const CALLS: u8 = 4;
const HITS: u8 = 8;
const PROVIDER_SAVED: u8 = 16;

impl Entry {
    /// Whether nothing counts in it.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.count == 0 && self.nodes.count == 0 && self.calls.count == 0 && self.hits == 0
    }

    /// Whether something of these parts counts in it.
    pub(super) fn has(&self, parts: Parts) -> bool {
        parts.run && self.runs.count > 0
            || parts.node && self.nodes.count > 0
            || parts.call && (self.calls.count > 0 || self.hits > 0)
    }

    /// The same of what [`Entry::write`] wrote.
    pub(super) fn bytes_have(parts: Parts, bytes: &[u8]) -> bool {
        let flags = bytes.first().copied().unwrap_or(0);
        parts.run && flags & RUNS != 0
            || parts.node && flags & NODES != 0
            || parts.call && flags & (CALLS | HITS) != 0
    }

    /// Whether it holds at least what another one does: no sum is smaller.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.runs.count >= other.runs.count
            && self.nodes.count >= other.nodes.count
            && self.calls.count >= other.calls.count
            && self.hits >= other.hits
            && self
                .tokens
                .iter()
                .zip(&other.tokens)
                .all(|(ours, theirs)| ours >= theirs)
    }

    /// Takes away what was added before.
    pub(super) fn subtract(&mut self, other: &Self) {
        self.runs.subtract(&other.runs);
        self.nodes.subtract(&other.nodes);
        self.calls.subtract(&other.calls);
        for (sum, less) in self.tokens.iter_mut().zip(&other.tokens) {
            *sum = sum.saturating_sub(*less);
        }
        self.cost.subtract(&other.cost);
        self.hits = self.hits.saturating_sub(other.hits);
        self.saved.subtract(&other.saved);
        self.provider_saved -= other.provider_saved;
    }

    /// What is answered: held at the limits of its types.
    pub(super) fn into_answer(self) -> StatsSums {
        let [input, cache_read, cache_write, output, reasoning] =
            self.tokens.map(|sum| u64::try_from(sum).unwrap_or(u64::MAX));
        StatsSums {
            runs: self.runs.count,
            runs_failed: self.runs.failed,
            nodes: self.nodes.count,
            nodes_failed: self.nodes.failed,
            llm_calls: self.calls.count,
            llm_calls_failed: self.calls.failed,
            cache_hits: self.hits,
            tokens: TokenSums {
                input,
                cache_read,
                cache_write,
                output,
                reasoning,
            },
            cost: self.cost.total(self.calls.count),
            saved: self.saved.total(self.hits),
            provider_saved: held(self.provider_saved),
            run_duration: self.runs.durations,
            node_duration: self.nodes.durations,
            llm_duration: self.calls.durations,
        }
    }

    /// As bytes: only what there is.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let present = |bit: u8, count: u64| if count > 0 { bit } else { 0 };
        out.push(
            present(RUNS, self.runs.count)
                | present(NODES, self.nodes.count)
                | present(CALLS, self.calls.count)
                | present(HITS, self.hits)
                | present(PROVIDER_SAVED, u64::from(self.provider_saved != 0)),
        );
        if self.runs.count > 0 {
            self.runs.write(out);
        }
        if self.nodes.count > 0 {
            self.nodes.write(out);
        }
        if self.calls.count > 0 {
            self.calls.write(out);
            for sum in self.tokens {
                write_wide(out, sum);
            }
            self.cost.write(out);
        }
        if self.hits > 0 {
            write_varint(out, self.hits);
            self.saved.write(out);
        }
        if self.provider_saved != 0 {
            write_signed(out, self.provider_saved);
        }
    }

    /// Reads what [`Entry::write`] wrote, and moves `bytes` behind it.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        *bytes = rest;
        let mut entry = Self::default();
        if flags & RUNS != 0 {
            entry.runs = Counted::read(bytes)?;
        }
        if flags & NODES != 0 {
            entry.nodes = Counted::read(bytes)?;
        }
        if flags & CALLS != 0 {
            entry.calls = Counted::read(bytes)?;
            for sum in &mut entry.tokens {
                *sum = read_wide(bytes)?;
            }
            entry.cost = Money::read(bytes)?;
        }
        if flags & HITS != 0 {
            entry.hits = read_varint(bytes)?;
            entry.saved = Money::read(bytes)?;
        }
        if flags & PROVIDER_SAVED != 0 {
            entry.provider_saved = read_signed(bytes)?;
        }
        Some(entry)
    }

    /// Moves `bytes` behind an entry without reading it.
    pub(super) fn skip(bytes: &mut &[u8]) -> Option<()> {
        let (flags, rest) = bytes.split_first()?;
        *bytes = rest;
        for counted in [RUNS, NODES, CALLS] {
            if flags & counted != 0 {
                Counted::<LatencySketch>::skip(bytes)?;
            }
        }
        skip_money(*flags, bytes)
    }
}

#[cfg(test)]
mod tests;
