//! Names of attributes: OpenTelemetry's GenAI conventions, OpenInference's, and our own where there is none.
//!
//! Source: the semantic conventions for generative AI (status: development; no cost attribute exists there) and
//! the OpenInference semantic conventions. Never a rule about values: those stand in the encoder.

/// What the call does: `chat`, `embeddings`, `invoke_workflow`, ….
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// Who answers: `openai`, `anthropic`, `gcp.gemini`, ….
pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The model that was asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// Whether the answer is streamed; set only when true.
pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
/// Limit of output tokens.
pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// How many answers were asked for.
pub const REQUEST_CHOICE_COUNT: &str = "gen_ai.request.choice.count";
/// Seed.
pub const REQUEST_SEED: &str = "gen_ai.request.seed";
/// Sampling among the k best tokens.
pub const REQUEST_TOP_K: &str = "gen_ai.request.top_k";
/// Sampling within this probability mass.
pub const REQUEST_TOP_P: &str = "gen_ai.request.top_p";
/// Temperature.
pub const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
/// Frequency penalty.
pub const REQUEST_FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
/// Presence penalty.
pub const REQUEST_PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
/// Texts that end the answer.
pub const REQUEST_STOP_SEQUENCES: &str = "gen_ai.request.stop_sequences";
/// The encodings of embeddings that were asked for.
pub const REQUEST_ENCODING_FORMATS: &str = "gen_ai.request.encoding_formats";
/// The form of the output that was asked for: `text`, `json`, ….
pub const OUTPUT_TYPE: &str = "gen_ai.output.type";
/// The model that says it answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// The provider's id of the answer.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// Why the answer ended, one per choice.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds from the request to the first piece of the answer.
pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// All input tokens, those of the cache included.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// All output tokens, reasoning included.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Input tokens read from the provider's cache.
pub const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Input tokens written to the provider's cache.
pub const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
/// [`CACHE_WRITE_TOKENS`] as it was called up to 1.41.
pub const CACHE_WRITE_TOKENS_V1_41: &str = "gen_ai.usage.cache_creation.input_tokens";
/// Output tokens spent on reasoning.
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// What was sent (content).
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// What came back (content).
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// The system prompt where it stands apart from the messages (content).
pub const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
/// The tools offered to the model (content).
pub const TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";
/// Arguments of a tool call (content).
pub const TOOL_CALL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
/// Result of a tool call (content).
pub const TOOL_CALL_RESULT: &str = "gen_ai.tool.call.result";
/// Id of a tool call.
pub const TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
/// Name of a tool.
pub const TOOL_NAME: &str = "gen_ai.tool.name";
/// Type of a tool.
pub const TOOL_TYPE: &str = "gen_ai.tool.type";
/// Id of an agent.
pub const AGENT_ID: &str = "gen_ai.agent.id";
/// Name of an agent.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
/// Name of a workflow.
pub const WORKFLOW_NAME: &str = "gen_ai.workflow.name";
/// Id of a conversation; never made up.
pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// Metrics only: `input` or `output` (up to 1.41).
pub const TOKEN_TYPE: &str = "gen_ai.token.type";
/// Metrics only: `text`, `audio`, `image`, ….
pub const TOKEN_MODALITY: &str = "gen_ai.token.modality";
/// Host.
pub const SERVER_ADDRESS: &str = "server.address";
/// Port.
pub const SERVER_PORT: &str = "server.port";
/// A short, stable class of an error.
pub const ERROR_TYPE: &str = "error.type";

/// Name of the event that describes an error.
pub const EXCEPTION_EVENT: &str = "exception";
/// Class of the error in an exception event.
pub const EXCEPTION_TYPE: &str = "exception.type";
/// Message of the error in an exception event.
pub const EXCEPTION_MESSAGE: &str = "exception.message";
/// The chain of causes in an exception event.
pub const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";

/// Which token figures were estimated: an array of `input`, `output`.
pub const USAGE_ESTIMATED: &str = "flowmeter.usage.estimated";
/// The provider's usage block as it came.
pub const USAGE_RAW: &str = "flowmeter.usage.raw";
/// The cost in US dollars, a double: for the eye and for queries.
pub const COST_USD: &str = "flowmeter.cost.usd";
/// The cost in billionths of a US dollar, an int: exact.
pub const COST_NANOS: &str = "flowmeter.cost.nanos";
/// How the cost is known: `reported`, `priced`, `estimated`, `partial`, `unpriced`.
pub const COST_STATUS: &str = "flowmeter.cost.status";
/// The key of the price book that matched.
pub const COST_MATCHED: &str = "flowmeter.cost.matched";
/// Where the price is from.
pub const COST_SOURCE: &str = "flowmeter.cost.source";
/// The date of that source: of its release, or of the file.
pub const COST_SOURCE_DATE: &str = "flowmeter.cost.source_date";
/// Since when the price applies, where its source says so.
pub const COST_APPLIES_SINCE: &str = "flowmeter.cost.applies_since";
/// What besides the model decided the rates: a tier of size, a service tier, a time of day.
pub const COST_TERMS: &str = "flowmeter.cost.terms";
/// Which matching rule led to the price.
pub const COST_RULE: &str = "flowmeter.cost.rule";
/// The exact sum of the lines, as a text of dollars.
pub const COST_SUM: &str = "flowmeter.cost.sum";
/// What the one rounding to a nano-dollar added to the sum or took from it, as a text of dollars.
pub const COST_ROUNDING: &str = "flowmeter.cost.rounding";
/// The arithmetic behind the cost: a list of `kind`, `quantity`, `rate_nanos` for every `per`, exact `amount`.
pub const COST_LINES: &str = "flowmeter.cost.lines";
/// Warnings about the price.
pub const COST_WARNINGS: &str = "flowmeter.cost.warnings";
/// The most that the call could have cost, reserved in its budget before it began, in dollars.
pub const BUDGET_RESERVED_USD: &str = "flowmeter.budget.reserved_usd";
/// The longest answer, in tokens, that was asked for because a budget has a limit and the model has none.
pub const BUDGET_IMPOSED_MAX_TOKENS: &str = "flowmeter.budget.imposed_max_tokens";
/// How long the call waited for others to leave room in its budget, in milliseconds.
pub const BUDGET_WAITED_MS: &str = "flowmeter.budget.waited_ms";
/// What the span stands for: `run`, `node`, `attempt`, `llm_call`, ….
pub const SPAN_KIND: &str = "flowmeter.span.kind";
/// True when the span's end was never seen; its end time is then its start.
pub const SPAN_UNFINISHED: &str = "flowmeter.span.unfinished";
/// A node's parameters as written, JSON (content).
pub const NODE_CONFIG: &str = "flowmeter.node.config";
/// A node's parameters with templates resolved, JSON (content).
pub const NODE_PARAMS: &str = "flowmeter.node.params";
/// What a node's templates became, JSON (content).
pub const NODE_TEMPLATES: &str = "flowmeter.node.templates";
/// What a node wrote to the shared store, JSON (content).
pub const NODE_MUTATIONS: &str = "flowmeter.node.mutations";

/// The operation of a run and of a nested workflow.
pub const INVOKE_WORKFLOW: &str = "invoke_workflow";
/// The operation of an embedding call.
pub const EMBEDDINGS: &str = "embeddings";
/// `error.type` where nothing better is known. Source: the semantic conventions for errors.
pub const ERROR_TYPE_OTHER: &str = "_OTHER";

/// The well-known value of `gen_ai.provider.name` for a provider as model clients call it; others stay as they
/// are.
#[must_use]
pub fn provider_name(provider: &str) -> &str {
    match provider {
        "gemini" | "google" => "gcp.gemini",
        "vertex" | "vertexai" | "vertex_ai" => "gcp.vertex_ai",
        "bedrock" | "aws_bedrock" => "aws.bedrock",
        "azure" | "azure_openai" => "azure.ai.openai",
        "mistral" | "mistralai" => "mistral_ai",
        "xai" | "grok" => "x_ai",
        "moonshot" => "moonshot_ai",
        "watsonx" => "ibm.watsonx.ai",
        other => other,
    }
}

/// The names of OpenInference, which Arize Phoenix reads.
pub mod openinference {
    /// `CHAIN`, `LLM`, `TOOL`, `EMBEDDING`, ….
    pub const SPAN_KIND: &str = "openinference.span.kind";
    /// Resource attribute: the project that a trace belongs to.
    pub const PROJECT_NAME: &str = "openinference.project.name";
    /// The model that answered, else the one that was asked for.
    pub const MODEL_NAME: &str = "llm.model_name";
    /// The model that was asked for.
    pub const REQUEST_MODEL_NAME: &str = "llm.request.model_name";
    /// The model that answered.
    pub const RESPONSE_MODEL_NAME: &str = "llm.response.model_name";
    /// Who hosts the model.
    pub const PROVIDER: &str = "llm.provider";
    /// Whose model or interface it is.
    pub const SYSTEM: &str = "llm.system";
    /// Parameters of the request, JSON.
    pub const INVOCATION_PARAMETERS: &str = "llm.invocation_parameters";
    /// Why the answer ended.
    pub const FINISH_REASON: &str = "llm.finish_reason";
    /// Input tokens.
    pub const TOKENS_PROMPT: &str = "llm.token_count.prompt";
    /// Output tokens.
    pub const TOKENS_COMPLETION: &str = "llm.token_count.completion";
    /// Both.
    pub const TOKENS_TOTAL: &str = "llm.token_count.total";
    /// Input tokens read from the cache.
    pub const TOKENS_CACHE_READ: &str = "llm.token_count.prompt_details.cache_read";
    /// Input tokens written to the cache.
    pub const TOKENS_CACHE_WRITE: &str = "llm.token_count.prompt_details.cache_write";
    /// Audio tokens in the input.
    pub const TOKENS_PROMPT_AUDIO: &str = "llm.token_count.prompt_details.audio";
    /// Reasoning tokens.
    pub const TOKENS_REASONING: &str = "llm.token_count.completion_details.reasoning";
    /// Audio tokens in the output.
    pub const TOKENS_COMPLETION_AUDIO: &str = "llm.token_count.completion_details.audio";
    /// Cost of the call in US dollars.
    pub const COST_TOTAL: &str = "llm.cost.total";
    /// Prefix of the messages that were sent.
    pub const INPUT_MESSAGES: &str = "llm.input_messages";
    /// Prefix of the messages that came back.
    pub const OUTPUT_MESSAGES: &str = "llm.output_messages";
    /// Prefix of the tools that were offered.
    pub const TOOLS: &str = "llm.tools";
    /// The embedding model.
    pub const EMBEDDING_MODEL_NAME: &str = "embedding.model_name";
    /// Parameters of the embedding request, JSON.
    pub const EMBEDDING_INVOCATION_PARAMETERS: &str = "embedding.invocation_parameters";
    /// Prefix of what was embedded.
    pub const EMBEDDINGS: &str = "embedding.embeddings";
    /// What went in.
    pub const INPUT_VALUE: &str = "input.value";
    /// `text/plain` or `application/json`.
    pub const INPUT_MIME_TYPE: &str = "input.mime_type";
    /// What came out.
    pub const OUTPUT_VALUE: &str = "output.value";
    /// `text/plain` or `application/json`.
    pub const OUTPUT_MIME_TYPE: &str = "output.mime_type";
    /// Name of a tool.
    pub const TOOL_NAME: &str = "tool.name";
    /// The conversation.
    pub const SESSION_ID: &str = "session.id";
}
