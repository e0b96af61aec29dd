//! Packed columns: the narrow parts of up to 65,535 spans, each column bytes of its own.
//!
//! A query reads the columns that it needs and no others. Never trusts what it reads: damaged columns are errors.

mod dictionary;
mod integers;
mod parents;

use flowmeter_model::{CostStatus, SpanId, SpanKind, SpanStatus, TimestampNs, UsdNanos};

pub(crate) use dictionary::DictionaryColumn;
pub(crate) use integers::{decode_into as decode_integers, encode as encode_integers};

use super::Damaged;
use super::narrow::NarrowSpan;
use crate::TokenSums;

/// Spans in one batch at most: what an index of two bytes reaches.
pub(crate) const SPANS_MAX: usize = 65_535;

/// A column. The ones that sums and filters need come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    /// When it began: nanoseconds.
    Start,
    /// Kind, status, whether the response cache had the answer, and whether it is its run's root ([`SpanClass`]).
    Class,
    /// Its run, as an index into the batch's list of runs.
    Run,
    /// Nanoseconds from start to end ([`decode_option`]).
    Duration,
    /// The model: a name's number.
    Model,
    /// The provider: a name's number.
    Provider,
    /// The node: a name's number.
    Node,
    /// How the cost is known ([`decode_cost_status`]).
    CostStatus,
    /// The cost ([`decode_money`]).
    Cost,
    /// Tokens.
    Input,
    /// Tokens.
    Output,
    /// Tokens.
    CacheRead,
    /// Tokens.
    CacheWrite,
    /// Tokens.
    Reasoning,
    /// How it is known what was saved ([`decode_cost_status`]).
    SavedStatus,
    /// What was saved ([`decode_money`]).
    Saved,
    /// The class of the error: a name's number.
    ErrorType,
    /// The operation: a name's number.
    Operation,
    /// Writes to the shared store.
    Mutations,
    /// The prompt's hash.
    PromptHash,
    /// The span's id.
    SpanId,
    /// The id of the span around it ([`decode_parents`]).
    Parent,
}

impl Column {
    /// All columns, in the order in which they are best stored.
    pub(crate) const ALL: [Self; 22] = [
        Self::Start,
        Self::Class,
        Self::Run,
        Self::Duration,
        Self::Model,
        Self::Provider,
        Self::Node,
        Self::CostStatus,
        Self::Cost,
        Self::Input,
        Self::Output,
        Self::CacheRead,
        Self::CacheWrite,
        Self::Reasoning,
        Self::SavedStatus,
        Self::Saved,
        Self::ErrorType,
        Self::Operation,
        Self::Mutations,
        Self::PromptHash,
        Self::SpanId,
        Self::Parent,
    ];

    /// The name, as a column of a table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Class => "class",
            Self::Run => "run",
            Self::Duration => "duration",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Node => "node",
            Self::CostStatus => "cost_status",
            Self::Cost => "cost",
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::Reasoning => "reasoning",
            Self::SavedStatus => "saved_status",
            Self::Saved => "saved",
            Self::ErrorType => "error_type",
            Self::Operation => "operation",
            Self::Mutations => "mutations",
            Self::PromptHash => "prompt_hash",
            Self::SpanId => "span_id",
            Self::Parent => "parent",
        }
    }
}

const KINDS: [SpanKind; 8] = [
    SpanKind::Run,
    SpanKind::Node,
    SpanKind::Attempt,
    SpanKind::BatchItem,
    SpanKind::Iteration,
    SpanKind::Workflow,
    SpanKind::LlmCall,
    SpanKind::Custom,
];
const STATUSES: [Option<SpanStatus>; 4] = [
    None,
    Some(SpanStatus::Ok),
    Some(SpanStatus::Error),
    Some(SpanStatus::Cancelled),
];
const COST_STATUSES: [Option<CostStatus>; 6] = [
    None,
    Some(CostStatus::Reported),
    Some(CostStatus::Priced),
    Some(CostStatus::Estimated),
    Some(CostStatus::Partial),
    Some(CostStatus::Unpriced),
];

/// A value of [`Column::Class`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanClass(pub(crate) u64);

impl SpanClass {
    /// Packs it.
    pub(crate) fn of(kind: SpanKind, status: Option<SpanStatus>, cache_hit: bool) -> Self {
        let kind = KINDS.iter().position(|known| *known == kind).unwrap_or(0) as u64;
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(0) as u64;
        Self(kind | status << 3 | u64::from(cache_hit) << 5)
    }

    /// What the span stands for.
    pub(crate) fn kind(self) -> SpanKind {
        KINDS[self.0 as usize & 7]
    }

    /// How it ended.
    pub(crate) fn status(self) -> Option<SpanStatus> {
        STATUSES[(self.0 >> 3) as usize & 3]
    }

    /// Whether the response cache had the answer.
    pub(crate) fn is_cache_hit(self) -> bool {
        self.0 & 1 << 5 != 0
    }

    /// The same of a run's root span, or of another.
    pub(crate) fn with_root(self, is_root: bool) -> Self {
        Self(self.0 & !(1 << 6) | u64::from(is_root) << 6)
    }

    /// Whether it is its run's root span: sums count runs by these, and need not look at ids.
    pub(crate) fn is_root(self) -> bool {
        self.0 & 1 << 6 != 0
    }
}

/// What an optional number is as a column's value: one more, and zero for none. The largest number is held one lower;
/// the payload knows better.
pub(crate) fn encode_option(number: Option<u64>) -> u64 {
    number.map_or(0, |number| number.saturating_add(1))
}

/// What [`encode_option`] packed.
pub(crate) fn decode_option(value: u64) -> Option<u64> {
    value.checked_sub(1)
}

/// An optional amount as a column's value; small amounts, small values.
pub(crate) fn encode_money(amount: Option<UsdNanos>) -> u64 {
    encode_option(amount.map(|amount| zigzag(amount.0)))
}

/// What [`encode_money`] packed.
pub(crate) fn decode_money(value: u64) -> Option<UsdNanos> {
    decode_option(value).map(|value| UsdNanos(unzigzag(value)))
}

/// How a cost is known, as a column's value.
pub(crate) fn encode_cost_status(status: Option<CostStatus>) -> u64 {
    COST_STATUSES
        .iter()
        .position(|known| *known == status)
        .unwrap_or(0) as u64
}

/// What [`encode_cost_status`] packed.
pub(crate) fn decode_cost_status(value: u64) -> Option<CostStatus> {
    usize::try_from(value)
        .ok()
        .and_then(|value| COST_STATUSES.get(value).copied())
        .flatten()
}

/// Signed numbers near zero become small ones.
pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// What [`zigzag`] made.
pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The parents' ids of all spans, `None` where there is none.
///
/// # Errors
/// When the column is damaged.
pub(crate) fn decode_parents(bytes: &[u8], span_ids: &[u64]) -> Result<Vec<Option<SpanId>>, Damaged> {
    parents::decode(bytes, span_ids)
}

/// Spans whose columns are to be packed.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnsWriter {
    values: [Vec<u64>; Column::ALL.len()],
    names: [Vec<i64>; 5],
    parents: Vec<u64>,
    count: usize,
}

/// The packed columns of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodedColumns {
    columns: [Vec<u8>; Column::ALL.len()],
}

impl EncodedColumns {
    /// The bytes of one column.
    pub(crate) fn bytes(&self, column: Column) -> &[u8] {
        &self.columns[column as usize]
    }

    /// Bytes of all columns.
    pub(crate) fn total_bytes(&self) -> usize {
        self.columns.iter().map(Vec::len).sum()
    }
}

impl ColumnsWriter {
    /// How many spans it holds.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a span of the run with this index in the batch, and whether it is that run's root.
    ///
    /// # Errors
    /// When it is full.
    pub(crate) fn push(&mut self, run: u16, is_root: bool, span: &NarrowSpan<i64>) -> Result<(), Damaged> {
        if self.count >= SPANS_MAX {
            return Err(Damaged("a batch holds too many spans"));
        }
        self.count += 1;
        let tokens = &span.tokens;
        let numbers = [
            (Column::Start, span.start.0),
            (
                Column::Class,
                SpanClass::of(span.kind, span.status, span.cache_hit)
                    .with_root(is_root)
                    .0,
            ),
            (Column::Run, u64::from(run)),
            (Column::Duration, encode_option(span.duration_ns)),
            (Column::CostStatus, encode_cost_status(span.cost_status)),
            (Column::Cost, encode_money(span.cost)),
            (Column::Input, tokens.input),
            (Column::Output, tokens.output),
            (Column::CacheRead, tokens.cache_read),
            (Column::CacheWrite, tokens.cache_write),
            (Column::Reasoning, tokens.reasoning),
            (Column::SavedStatus, encode_cost_status(span.saved_status)),
            (Column::Saved, encode_money(span.saved)),
            (Column::Mutations, u64::from(span.mutations)),
            (Column::PromptHash, span.prompt_hash),
            (Column::SpanId, span.span_id.to_u64()),
        ];
        for (column, number) in numbers {
            self.values[column as usize].push(number);
        }
        let names = [
            span.operation,
            span.node,
            span.model,
            span.provider,
            span.error_type,
        ];
        for (column, name) in self.names.iter_mut().zip(names) {
            column.push(name);
        }
        self.parents.push(span.parent_span_id.map_or(0, SpanId::to_u64));
        Ok(())
    }

    /// Packs all columns, and begins anew.
    pub(crate) fn finish(&mut self) -> EncodedColumns {
        let mut encoded = EncodedColumns::default();
        encoded.columns[Column::Parent as usize] =
            parents::encode(&self.parents, &self.values[Column::SpanId as usize]);
        for (column, names) in NAME_COLUMNS.into_iter().zip(&self.names) {
            encoded.columns[column as usize] = dictionary::encode(names);
        }
        for column in NUMBER_COLUMNS {
            encoded.columns[column as usize] = integers::encode(&self.values[column as usize]);
        }
        self.values.iter_mut().for_each(Vec::clear);
        self.names.iter_mut().for_each(Vec::clear);
        self.parents.clear();
        self.count = 0;
        encoded
    }
}

/// Columns of names, in the order of [`ColumnsWriter::names`].
const NAME_COLUMNS: [Column; 5] = [
    Column::Operation,
    Column::Node,
    Column::Model,
    Column::Provider,
    Column::ErrorType,
];
const NUMBER_COLUMNS: [Column; 16] = [
    Column::Start,
    Column::Class,
    Column::Run,
    Column::Duration,
    Column::CostStatus,
    Column::Cost,
    Column::Input,
    Column::Output,
    Column::CacheRead,
    Column::CacheWrite,
    Column::Reasoning,
    Column::SavedStatus,
    Column::Saved,
    Column::Mutations,
    Column::PromptHash,
    Column::SpanId,
];

/// All columns of a batch, unpacked: span by span.
#[derive(Clone, Debug, Default)]
pub(crate) struct DecodedColumns {
    values: [Vec<u64>; Column::ALL.len()],
    names: [DictionaryColumn; 5],
    parents: Vec<Option<SpanId>>,
    count: usize,
}

impl DecodedColumns {
    /// Unpacks the columns of `count` spans.
    ///
    /// # Errors
    /// When a column is damaged.
    pub(crate) fn decode<'a>(
        count: usize,
        mut bytes: impl FnMut(Column) -> &'a [u8],
    ) -> Result<Self, Damaged> {
        let mut decoded = Self {
            count,
            ..Self::default()
        };
        for column in NUMBER_COLUMNS {
            integers::decode_into(bytes(column), count, &mut decoded.values[column as usize])?;
        }
        for (place, column) in NAME_COLUMNS.into_iter().enumerate() {
            decoded.names[place] = DictionaryColumn::decode(bytes(column), count)?;
        }
        decoded.parents = parents::decode(bytes(Column::Parent), &decoded.values[Column::SpanId as usize])?;
        Ok(decoded)
    }

    /// How many spans.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The run of the span at this place, as an index into the batch's list of runs.
    pub(crate) fn run(&self, place: usize) -> Option<u16> {
        u16::try_from(*self.values[Column::Run as usize].get(place)?).ok()
    }

    /// The span at this place, its names as numbers; `None` behind the last, and for one without an id.
    pub(crate) fn span(&self, place: usize) -> Option<NarrowSpan<i64>> {
        let number = |column: Column| self.values[column as usize].get(place).copied();
        let class = SpanClass(number(Column::Class)?);
        let [operation, node, model, provider, error_type] = &self.names;
        Some(NarrowSpan {
            span_id: SpanId::from_u64(number(Column::SpanId)?)?,
            parent_span_id: *self.parents.get(place)?,
            kind: class.kind(),
            status: class.status(),
            start: TimestampNs(number(Column::Start)?),
            duration_ns: decode_option(number(Column::Duration)?),
            operation: operation.name(place)?,
            node: node.name(place)?,
            model: model.name(place)?,
            provider: provider.name(place)?,
            error_type: error_type.name(place)?,
            tokens: TokenSums {
                input: number(Column::Input)?,
                cache_read: number(Column::CacheRead)?,
                cache_write: number(Column::CacheWrite)?,
                output: number(Column::Output)?,
                reasoning: number(Column::Reasoning)?,
            },
            cost_status: decode_cost_status(number(Column::CostStatus)?),
            cost: decode_money(number(Column::Cost)?),
            saved_status: decode_cost_status(number(Column::SavedStatus)?),
            saved: decode_money(number(Column::Saved)?),
            prompt_hash: number(Column::PromptHash)?,
            mutations: u32::try_from(number(Column::Mutations)?).ok()?,
            cache_hit: class.is_cache_hit(),
        })
    }

    /// All spans with their runs' indexes, in order.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (u16, NarrowSpan<i64>)> {
        (0..self.count).filter_map(|place| Some((self.run(place)?, self.span(place)?)))
    }
}

#[cfg(test)]
mod tests;
