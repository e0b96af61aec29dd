//! The fields of an event line: where each stands in its text, and what shape its value has.
//!
//! Places, not copies: one set of fields is used again for every line. Never judges what a value means.

use std::borrow::Cow;

macro_rules! fields {
    ($($field:ident = $name:literal),* ; in node: $($inner:ident = $key:literal as $path:literal),*) => {
        /// What a line may say.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Field {
            $($field,)*
            $($inner,)*
        }

        const ALL: &[Field] = &[$(Field::$field,)* $(Field::$inner,)*];

        impl Field {
            /// The field with this name on the line itself.
            pub(super) fn of_line(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$field),)*
                    _ => None,
                }
            }

            /// The field with this name inside `node`.
            pub(super) fn of_node(name: &str) -> Option<Self> {
                match name {
                    $($key => Some(Self::$inner),)*
                    _ => None,
                }
            }

            /// Its name, as a message gives it.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                    $(Self::$inner => $path,)*
                }
            }
        }
    };
}

fields! {
    Type = "type",
    Timestamp = "timestamp",
    TraceId = "trace_id",
    SpanId = "span_id",
    ParentSpanId = "parent_span_id",
    Attributes = "attributes",
    WorkflowId = "workflow_id",
    Node = "node",
    Level = "level",
    Message = "message",
    Result = "result",
    Error = "error",
    Name = "name",
    DurationMs = "duration_ms",
    StartTime = "start_time",
    Kind = "kind",
    Operation = "operation",
    Status = "status",
    Target = "target",
    Params = "params",
    Templates = "templates",
    Mutations = "mutations",
    Events = "events",
    Usage = "usage",
    Cost = "cost",
    TraceState = "trace_state",
    Sampled = "sampled",
    Resource = "resource",
    Format = "format",
    Spans = "spans";
    in node:
    NodeId = "id" as "node.id",
    NodeType = "type" as "node.type",
    NodeConfig = "config" as "node.config"
}

impl Field {
    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// What a value looks like. Of a text, whether it can be shown as it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text of printable ASCII, without escapes.
    Plain,
    /// A text without escapes.
    Unicode,
    /// A text with escapes.
    Escaped,
    /// A number.
    Number,
    /// An object.
    Object,
    /// A list.
    Array,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    #[default]
    Null,
}

impl Shape {
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Plain | Self::Unicode | Self::Escaped)
    }

    /// What a message calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain | Self::Unicode | Self::Escaped => "a text",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::Array => "a list",
            Self::True => "true",
            Self::False => "false",
            Self::Null => "null",
        }
    }
}

/// Where a value stands in its line; a text without its quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) shape: Shape,
}

/// What a line says, by places in its text. A field that is null is not there.
#[derive(Debug)]
pub(super) struct Fields {
    places: [Place; ALL.len()],
    there: u64,
    /// Fields that were given more than once; the last one counts.
    twice: u64,
    /// Fields that are not in the list, by the places of their names and values.
    others: Vec<(Place, Place)>,
    /// The same for names with escapes, which stand nowhere as they are meant.
    named: Vec<(String, Place)>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            places: [Place::default(); ALL.len()],
            there: 0,
            twice: 0,
            others: Vec::new(),
            named: Vec::new(),
        }
    }
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.there = 0;
        self.twice = 0;
        self.others.clear();
        self.named.clear();
    }

    pub(super) fn set(&mut self, field: Field, place: Place) {
        self.twice |= self.there & field.bit();
        self.there |= field.bit();
        self.places[field as usize] = place;
    }

    pub(super) fn add_other(&mut self, name: Place, value: Place) {
        self.others.push((name, value));
    }

    /// Takes back what an earlier `node` said.
    pub(super) fn forget_node(&mut self) {
        self.there &= !(Field::NodeId.bit() | Field::NodeType.bit() | Field::NodeConfig.bit());
    }

    pub(super) fn get(&self, field: Field) -> Option<Place> {
        let place = self.places[field as usize];
        (self.there & field.bit() != 0 && place.shape != Shape::Null).then_some(place)
    }

    pub(super) fn add_named(&mut self, name: String, value: Place) {
        self.named.push((name, value));
    }

    /// Fields that are not in the list: their names and where their values stand.
    pub(super) fn others<'f>(&'f self, line: &'f str) -> impl Iterator<Item = (&'f str, Place)> {
        let placed = self.others.iter().map(|(name, value)| (name.text(line), *value));
        placed.chain(self.named.iter().map(|(name, value)| (name.as_str(), *value)))
    }

    /// The first field that was given more than once.
    pub(super) fn given_twice(&self) -> Option<Field> {
        if self.twice == 0 {
            return None;
        }
        ALL.iter().copied().find(|field| self.twice & field.bit() != 0)
    }

    /// The fields that are there, for comparison.
    #[cfg(test)]
    pub(super) fn said(&self) -> Vec<(Field, Place, bool)> {
        let there = ALL.iter().copied().filter(|field| self.there & field.bit() != 0);
        there
            .map(|field| (field, self.places[field as usize], self.twice & field.bit() != 0))
            .collect()
    }
}

impl Place {
    /// Its text, as it stands in the line.
    pub(super) fn text(self, line: &str) -> &str {
        line.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// A value with its quotes, as JSON has it.
    pub(super) fn json(self, line: &str) -> &str {
        let (start, end) = (self.start as usize, self.end as usize);
        if self.shape.is_text() {
            line.get(start.saturating_sub(1)..end + 1).unwrap_or_default()
        } else {
            line.get(start..end).unwrap_or_default()
        }
    }

    /// A text with its escapes resolved; `None` where an escape stands for half a character.
    pub(super) fn decoded<'a>(self, line: &'a str) -> Option<Cow<'a, str>> {
        match self.shape {
            Shape::Escaped => serde_json::from_str::<String>(self.json(line))
                .ok()
                .map(Cow::Owned),
            _ => Some(Cow::Borrowed(self.text(line))),
        }
    }
}
