//! Names of attributes: OpenTelemetry's GenAI conventions, and our own where there is none.
//!
//! Source: the semantic conventions for generative AI; no cost attribute exists there.

pub(crate) const OPERATION_NAME: &str = "gen_ai.operation.name";
pub(crate) const PROVIDER_NAME: &str = "gen_ai.provider.name";
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(crate) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(crate) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(crate) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
pub(crate) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
pub(crate) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub(crate) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub(crate) const SERVER_ADDRESS: &str = "server.address";
pub(crate) const SERVER_PORT: &str = "server.port";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const USAGE_ESTIMATED: &str = "flowmeter.usage.estimated";
pub(crate) const USAGE_RAW: &str = "flowmeter.usage.raw";
pub(crate) const COST_USD: &str = "flowmeter.cost.usd";
pub(crate) const COST_STATUS: &str = "flowmeter.cost.status";
pub(crate) const COST_MATCHED: &str = "flowmeter.cost.matched";
pub(crate) const COST_SOURCE: &str = "flowmeter.cost.source";
pub(crate) const COST_RULE: &str = "flowmeter.cost.rule";
pub(crate) const COST_LINES: &str = "flowmeter.cost.lines";
pub(crate) const COST_WARNINGS: &str = "flowmeter.cost.warnings";
