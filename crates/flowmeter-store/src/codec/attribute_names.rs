//! Names of the attributes that the store itself looks at.
//!
//! Source: OpenTelemetry's semantic conventions for generative AI; `node.*` and `flowmeter.*` are flowmeter's own, as
//! its recorder writes them. Never a rule about values.

/// The id of a node within its workflow.
pub(crate) const NODE_ID: &str = "node.id";
/// The node that a span belonged to, told by a run that was not sampled: `outer/inner`.
pub(crate) const NODE_PATH: &str = "flowmeter.node.path";
/// The model that was asked for.
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that says it answered.
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Who answers.
pub(crate) const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// What was sent.
pub(crate) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// What came back.
pub(crate) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// The system prompt where it stands apart from the messages.
pub(crate) const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// The class of an error.
pub(crate) const ERROR_TYPE: &str = "error.type";
/// Whether the response cache had the answer.
pub(crate) const CACHE_HIT: &str = "flowmeter.cache.hit";
/// What a response from the cache saved, nano-dollars.
pub(crate) const SAVED_NANOS: &str = "flowmeter.cache.saved_nanos";
/// How that is known.
pub(crate) const SAVED_STATUS: &str = "flowmeter.cache.saved_status";
