//! Reads an answer and keeps only what can tell of usage.
//!
//! Never builds the text of an answer: a value that cannot matter is passed over where it stands, and the
//! same reader serves for bytes and for parsed values, so that both give the same.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::{Block, ENTRIES_MAX, Node};

/// Longer texts in a usage block say nothing of usage.
const TEXT_BYTES_MAX: usize = 256;

/// Depth to which objects around the usage block are looked through.
const AROUND_DEPTH_MAX: u8 = 4;

/// Depth of a usage block.
const BLOCK_DEPTH_MAX: u8 = 6;

/// Items of a list that are looked at; a list of chunks may be long.
const ITEMS_MAX: usize = 16_384;

/// What to keep of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// An answer, an event or what is wrapped around one: what may be usage, and what leads to it.
    Around(u8),
    /// Output items, candidates or predictions: the few members that are charged for.
    Items(u8),
    /// Everything, within the limits.
    All(u8),
    /// A text, a number or nothing.
    Scalar,
}

impl Keep {
    /// One answer, or one chunk of one.
    const ANSWER: Self = Self::Around(AROUND_DEPTH_MAX);

    /// What to keep under this key of an object; `None` for nothing.
    fn under(self, key: &str) -> Option<Self> {
        match self {
            Self::Around(depth) => around(key, depth),
            Self::Items(depth) => of_item(key, depth),
            Self::All(depth) => depth.checked_sub(1).map(Self::All),
            Self::Scalar => None,
        }
    }

    /// What to keep of the items of a list.
    fn of_items(self) -> Option<Self> {
        match self {
            Self::Items(_) => Some(self),
            Self::All(depth) => depth.checked_sub(1).map(Self::All),
            Self::Around(_) | Self::Scalar => None,
        }
    }

    fn takes_objects(self) -> bool {
        !matches!(self, Self::Scalar)
    }

    /// Only Bedrock's wrapped chunks have a long text that matters.
    fn takes_text(self, text: &str) -> bool {
        matches!(self, Self::Scalar) || text.len() <= TEXT_BYTES_MAX
    }

    fn items_max(self) -> usize {
        if matches!(self, Self::All(_)) {
            ENTRIES_MAX
        } else {
            ITEMS_MAX
        }
    }
}

/// Members of an answer and of the objects around one. Told apart by their first letter first: most keys of an
/// answer matter nothing, and each is looked at.
fn around(key: &str, depth: u8) -> Option<Keep> {
    let further = || depth.checked_sub(1).map(Keep::Around);
    let items = || depth.checked_sub(1).map(Keep::Items);
    let all = || Some(Keep::All(BLOCK_DEPTH_MAX));
    let scalar = || Some(Keep::Scalar);
    match key.as_bytes().first()? {
        b'H' => match key {
            "HTTPHeaders" => further(),
            _ => by_ending(key),
        },
        b'R' => match key {
            "ResponseMetadata" => further(),
            _ => by_ending(key),
        },
        b'a' => match key {
            "amazon-bedrock-invocationMetrics" | "action" => all(),
            _ => by_ending(key),
        },
        b'b' => match key {
            "body" => further(),
            "billed_units" => all(),
            "bytes" | "billable_audio_seconds" => scalar(),
            _ => by_ending(key),
        },
        b'c' => match key {
            "chunk" => further(),
            "candidates" | "choices" => items(),
            "cost" | "cache_creation" => all(),
            "custom_id" | "cost_in_usd_ticks" => scalar(),
            _ => by_ending(key),
        },
        b'd' => match key {
            "delta" | "data" => further(),
            _ => by_ending(key),
        },
        b'e' => match key {
            "event" => further(),
            _ => by_ending(key),
        },
        b'h' => match key {
            "headers" => further(),
            _ => by_ending(key),
        },
        b'i' => match key {
            "item" => further(),
            "is_byok" | "inference_geo" => scalar(),
            _ => by_ending(key),
        },
        b'm' => match key {
            "message" | "metadata" | "modelOutput" => further(),
            "meta" | "metrics" => all(),
            "modelVersion" => scalar(),
            _ => by_ending(key),
        },
        b'n' => match key {
            "num_search_queries" => scalar(),
            _ => by_ending(key),
        },
        b'o' => match key {
            "output" => items(),
            "object" => scalar(),
            _ => by_ending(key),
        },
        b'p' => match key {
            "predictions" => items(),
            "prompt_audio_seconds" => scalar(),
            _ => by_ending(key),
        },
        b'r' => match key {
            "response" | "result" => further(),
            "results" => items(),
            "recordId" => scalar(),
            _ => by_ending(key),
        },
        b's' => match key {
            "serviceTier" | "server_tool_use" => all(),
            "service_tier" | "speed" | "seconds" => scalar(),
            _ => by_ending(key),
        },
        b't' => match key {
            "timings" | "tool_usage" | "tokenMetadata" | "tokens" => all(),
            "type" | "trafficType" | "tokens_evaluated" | "tokens_predicted" => scalar(),
            _ => by_ending(key),
        },
        b'u' => match key {
            "usage" | "usageMetadata" | "usage_metadata" | "usage_info" | "usageEvent" => all(),
            _ => by_ending(key),
        },
        b'x' => match key {
            "x_groq" => further(),
            _ => by_ending(key),
        },
        _ => by_ending(key),
    }
}

/// Counts and their details by how their names end, and headers.
fn by_ending(key: &str) -> Option<Keep> {
    if key.ends_with("okens") || key.ends_with("_count") || key.ends_with("Count") {
        return Some(Keep::Scalar);
    }
    if key.ends_with("etails") {
        return Some(Keep::All(BLOCK_DEPTH_MAX));
    }
    let may_be_header = key.len() > 9 && matches!(key.as_bytes()[0], b'x' | b'X');
    (may_be_header && super::bedrock::is_header(key)).then_some(Keep::Scalar)
}

/// Members of output items, candidates, choices, results and predictions.
fn of_item(key: &str, depth: u8) -> Option<Keep> {
    match key {
        "type" | "tokenCount" | "generated_token_count" | "input_token_count" | "token_count" => {
            Some(Keep::Scalar)
        }
        "action" | "usage" | "webSearchQueries" => Some(Keep::All(BLOCK_DEPTH_MAX)),
        "groundingMetadata" | "embeddings" | "statistics" => depth.checked_sub(1).map(Keep::Items),
        _ => None,
    }
}

/// Hands each answer on: the value itself, or each item of a list.
pub(crate) struct Absorb<F>(pub(crate) F);

impl<'de, F: FnMut(Node<'de>)> DeserializeSeed<'de> for Absorb<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Node<'de>)> Visitor<'de> for Absorb<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an answer")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut chunks: A) -> Result<(), A::Error> {
        while let Some(chunk) = chunks.next_element_seed(Keep::ANSWER)? {
            (self.0)(chunk);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, members: A) -> Result<(), A::Error> {
        (self.0)(Keep::ANSWER.visit_map(members)?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep {
    type Value = Node<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(u64::try_from(value).map_or(
            #[expect(clippy::cast_precision_loss, reason = "no count is negative")]
            Node::Real(value as f64),
            Node::Whole,
        ))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Real(value))
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(if self.takes_text(text) {
            Node::Text(Cow::Borrowed(text))
        } else {
            Node::Null
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(if self.takes_text(text) {
            Node::Text(Cow::Owned(text.to_owned()))
        } else {
            Node::Null
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let Some(keep) = self.of_items() else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Node::List(Vec::new()));
        };
        let mut kept = Vec::new();
        while kept.len() < self.items_max() {
            match items.next_element_seed(keep)? {
                Some(item) => kept.push(item),
                None => return Ok(Node::List(kept)),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::List(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node<'de>, A::Error> {
        let mut block = Block::default();
        while let Some((key, keep)) = members.next_key_seed(KeySeed(self))? {
            match keep.filter(|_| self.takes_objects()) {
                Some(keep) => {
                    let node = members.next_value_seed(keep)?;
                    block.set(key, node);
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Node::Object(block))
    }
}

/// Reads a key, and copies it only where its value will be kept.
struct KeySeed(Keep);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = (Cow<'de, str>, Option<Keep>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = (Cow<'de, str>, Option<Keep>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok((Cow::Borrowed(key), self.0.under(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(match self.0.under(key) {
            Some(keep) => (Cow::Owned(key.to_owned()), Some(keep)),
            None => (Cow::Borrowed(""), None),
        })
    }
}
