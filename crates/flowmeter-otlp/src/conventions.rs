//! Which edition of the GenAI conventions is written, and how each known attribute is to be typed.
//!
//! Never reads or writes bytes.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::names;

/// The edition of OpenTelemetry's GenAI conventions that spans and metrics follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SemanticConventions {
    /// The newest names.
    #[default]
    Latest,
    /// The names of semantic conventions 1.41, the last edition before they moved.
    V1_41,
    /// Both: where a name changed, the value stands under each.
    Both,
}

/// Why a text names no edition of the conventions.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no edition of the GenAI conventions: latest, 1.41 or both is wanted")]
pub struct InvalidSemanticConventions(pub String);

impl SemanticConventions {
    /// Reads `latest`, `1.41` or `both`.
    ///
    /// # Errors
    /// [`InvalidSemanticConventions`] for anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidSemanticConventions> {
        match text {
            "latest" => Ok(Self::Latest),
            "1.41" => Ok(Self::V1_41),
            "both" => Ok(Self::Both),
            _ => Err(InvalidSemanticConventions(text.to_owned())),
        }
    }

    /// The name as [`SemanticConventions::parse`] reads it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::V1_41 => "1.41",
            Self::Both => "both",
        }
    }

    /// Whether the newest names are written.
    #[must_use]
    pub fn writes_latest(self) -> bool {
        self != Self::V1_41
    }

    /// Whether the names of 1.41 are written.
    #[must_use]
    pub fn writes_v1_41(self) -> bool {
        self != Self::Latest
    }

    /// The schema that all attributes follow. The newest GenAI conventions have none yet, nor has a mixture.
    pub(crate) fn schema_url(self) -> &'static str {
        match self {
            Self::V1_41 => "https://opentelemetry.io/schemas/1.41.0",
            Self::Latest | Self::Both => "",
        }
    }
}

impl FromStr for SemanticConventions {
    type Err = InvalidSemanticConventions;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for SemanticConventions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type that the conventions give to an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As it comes.
    Any,
    /// A whole number.
    Int,
    /// A real number.
    Double,
    /// A flag that is set only when it is true.
    OnlyTrue,
    /// An array of texts.
    Texts,
    /// JSON in a text.
    Json,
    /// A provider, by its well-known name.
    Provider,
}

/// What is known of an attribute by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) slot: Slot,
    pub(crate) shape: Shape,
    /// Prompts, answers, parameters: written only with content on.
    pub(crate) is_content: bool,
}

/// The attributes that the encoder adds itself where a span lacks them; the number is a bit of [`Slots`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Operation,
    Provider,
    RequestModel,
    InputTokens,
    OutputTokens,
    CacheRead,
    CacheWrite,
    Reasoning,
    ErrorType,
    CostUsd,
    CostNanos,
    CostStatus,
    Workflow,
    SpanKind,
    NodeConfig,
    NodeParams,
    NodeTemplates,
    NodeMutations,
    UsageEstimated,
    OpenInference,
    /// Nothing that the encoder adds.
    None,
}

/// A set of [`Slot`]s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slots(u32);

impl Slots {
    /// Puts `slot` in; false if it was there already.
    pub(crate) fn insert(&mut self, slot: Slot) -> bool {
        if slot == Slot::None {
            return true;
        }
        let bit = 1 << slot as u32;
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new
    }

    pub(crate) fn contains(self, slot: Slot) -> bool {
        self.0 & (1 << slot as u32) != 0
    }
}

impl Known {
    const fn new(slot: Slot, shape: Shape) -> Self {
        Self {
            slot,
            shape,
            is_content: false,
        }
    }

    const fn content(slot: Slot) -> Self {
        Self {
            slot,
            shape: Shape::Json,
            is_content: true,
        }
    }

    /// What is known of `key`; `None` for an attribute that goes out as it comes.
    pub(crate) fn of(key: &str) -> Option<Self> {
        if key.starts_with("gen_ai.") {
            Self::of_gen_ai(key)
        } else if key.starts_with("flowmeter.") {
            Self::of_ours(key)
        } else {
            match key {
                names::ERROR_TYPE => Some(Self::new(Slot::ErrorType, Shape::Any)),
                names::SERVER_PORT => Some(Self::new(Slot::None, Shape::Int)),
                "workflow.name" => Some(Self::new(Slot::Workflow, Shape::Any)),
                "node.config" => Some(Self::content(Slot::NodeConfig)),
                names::openinference::SPAN_KIND => Some(Self::new(Slot::OpenInference, Shape::Any)),
                _ => None,
            }
        }
    }

    fn of_gen_ai(key: &str) -> Option<Self> {
        Some(match key {
            names::OPERATION_NAME => Self::new(Slot::Operation, Shape::Any),
            names::PROVIDER_NAME => Self::new(Slot::Provider, Shape::Provider),
            names::REQUEST_MODEL => Self::new(Slot::RequestModel, Shape::Any),
            names::WORKFLOW_NAME => Self::new(Slot::Workflow, Shape::Any),
            names::INPUT_TOKENS => Self::new(Slot::InputTokens, Shape::Int),
            names::OUTPUT_TOKENS => Self::new(Slot::OutputTokens, Shape::Int),
            names::CACHE_READ_TOKENS => Self::new(Slot::CacheRead, Shape::Int),
            names::CACHE_WRITE_TOKENS | names::CACHE_WRITE_TOKENS_V1_41 => {
                Self::new(Slot::CacheWrite, Shape::Int)
            }
            names::REASONING_TOKENS => Self::new(Slot::Reasoning, Shape::Int),
            names::REQUEST_MAX_TOKENS
            | names::REQUEST_CHOICE_COUNT
            | names::REQUEST_SEED
            | names::REQUEST_TOP_K => Self::new(Slot::None, Shape::Int),
            names::REQUEST_TEMPERATURE
            | names::REQUEST_TOP_P
            | names::REQUEST_FREQUENCY_PENALTY
            | names::REQUEST_PRESENCE_PENALTY
            | names::TIME_TO_FIRST_CHUNK => Self::new(Slot::None, Shape::Double),
            names::REQUEST_STREAM => Self::new(Slot::None, Shape::OnlyTrue),
            names::REQUEST_STOP_SEQUENCES | names::FINISH_REASONS | names::REQUEST_ENCODING_FORMATS => {
                Self::new(Slot::None, Shape::Texts)
            }
            names::INPUT_MESSAGES
            | names::OUTPUT_MESSAGES
            | names::SYSTEM_INSTRUCTIONS
            | names::TOOL_DEFINITIONS
            | names::TOOL_CALL_ARGUMENTS
            | names::TOOL_CALL_RESULT => Self::content(Slot::None),
            _ => return None,
        })
    }

    fn of_ours(key: &str) -> Option<Self> {
        Some(match key {
            names::COST_USD => Self::new(Slot::CostUsd, Shape::Double),
            names::COST_NANOS => Self::new(Slot::CostNanos, Shape::Int),
            names::COST_STATUS => Self::new(Slot::CostStatus, Shape::Any),
            names::SPAN_KIND => Self::new(Slot::SpanKind, Shape::Any),
            names::USAGE_ESTIMATED => Self::new(Slot::UsageEstimated, Shape::Texts),
            names::USAGE_RAW | names::COST_LINES => Self::new(Slot::None, Shape::Json),
            names::NODE_CONFIG => Self::content(Slot::NodeConfig),
            names::NODE_PARAMS => Self::content(Slot::NodeParams),
            names::NODE_TEMPLATES => Self::content(Slot::NodeTemplates),
            names::NODE_MUTATIONS => Self::content(Slot::NodeMutations),
            _ => return None,
        })
    }
}
