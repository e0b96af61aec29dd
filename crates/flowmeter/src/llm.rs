//! LLM calls: each request to a model is a span, a count, a usage and a cost, however it ends.
//!
//! Counted at the source: an answered call, a failed one that may have been billed, and one that was dropped
//! half-way. Never sends anything itself.

mod budgeted;
pub(crate) mod cached;
mod describe;
mod estimate;
mod known_rates;
mod limits;
mod plan;
mod response;
mod running;
mod saving;

use std::sync::Arc;

use flowmeter_engine::Ticks;
use flowmeter_model::{
    Attributes, Clock, Cost, SpanError, SpanKind, SpanStatus, SystemClock, TimestampNs, TokenUsage,
};
use flowmeter_pricing::{HAS_TOKENIZER, PricedCall};
use serde_json::{Value, json};
use smol_str::{SmolStr, format_smolstr};

use crate::aggregate::LlmSample;
use crate::budget::BudgetError;
use crate::meter::RunShared;
use crate::propagation::Carrier;
use crate::scope::{Numbers, SpanScope};
pub use cached::LlmCacheHit;

use budgeted::Reserved;
use estimate::AnswerText;
pub(crate) use known_rates::KnownRates;

/// What is known of an LLM call before it is sent.
#[derive(Clone, Debug, Default)]
pub struct LlmRequest {
    /// `chat`, `embeddings`, … (OpenTelemetry: `gen_ai.operation.name`).
    pub operation: SmolStr,
    /// `openai`, `anthropic`, … (OpenTelemetry: `gen_ai.provider.name`).
    pub provider: SmolStr,
    /// The model that is asked for.
    pub model: SmolStr,
    /// Host.
    pub server_address: Option<SmolStr>,
    /// Port.
    pub server_port: Option<u16>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// `gen_ai.request.*`.
    pub parameters: Attributes,
    /// `[{role, parts: [{type, content}]}]`.
    pub messages: Arc<Value>,
    /// Length of all that is sent, in UTF-8 bytes: the base of an estimate where nobody counts.
    pub input_text_bytes: u64,
    /// The texts that are sent, a message each, for the tokenizer: needed only where
    /// [`HAS_TOKENIZER`](crate::HAS_TOKENIZER), and of use only if they are all of what is sent.
    pub input_texts: Vec<Arc<str>>,
    /// Whether a response cache was asked first and had no answer: counted as a miss.
    pub cache_missed: bool,
    /// The most tokens that all of this can be, for a budget. Without it: a token for each byte, and an allowance for
    /// what providers put around messages.
    pub input_tokens_max: Option<u64>,
    /// The longest answer, in tokens, that the provider is told to give, for a budget. Without it: the longest that
    /// the model can give.
    pub output_tokens_max: Option<u64>,
    /// The service tier that is asked for. It sets the price where the answer names none.
    pub service_tier: Option<SmolStr>,
    /// How often the provider may search the web for it.
    pub web_searches_max: u64,
    /// Whether nothing but text is sent and asked for, which some models charge less for than for images or audio.
    pub is_text_only: bool,
}

impl LlmRequest {
    /// A chat request to this model of this provider; the other fields may be set afterwards.
    #[must_use]
    pub fn chat(provider: impl Into<SmolStr>, model: impl Into<SmolStr>) -> Self {
        Self {
            operation: SmolStr::new_static("chat"),
            provider: provider.into(),
            model: model.into(),
            ..Self::default()
        }
    }

    /// The same with this text as what the user says: shown in the trace where content is captured, and the base of
    /// an estimate where the provider does not count.
    #[must_use]
    pub fn prompt(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.input_text_bytes = text.len() as u64;
        if HAS_TOKENIZER {
            self.input_texts = vec![Arc::from(text.as_str())];
        }
        self.messages = Arc::new(json!([{"role": "user", "parts": [{"type": "text", "content": text}]}]));
        self
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct LlmResponse {
    /// The model that says it answered.
    pub model: Option<SmolStr>,
    /// The provider's id of the answer.
    pub response_id: Option<SmolStr>,
    /// The text, or the parsed object of a structured answer.
    pub text: Arc<Value>,
    /// `stop`, `length`, ….
    pub finish_reasons: Vec<SmolStr>,
    /// What it used.
    pub usage: TokenUsage,
    /// The provider's usage block as it came.
    pub raw_usage: Option<Arc<Value>>,
}

/// Why nothing came back, or not all of it.
#[derive(Clone, Debug, Default)]
pub struct LlmFailure {
    /// `http_429`, `timeout`, ….
    pub error_type: SmolStr,
    /// What happened.
    pub message: String,
    /// What the provider said it used before it failed.
    pub usage: TokenUsage,
    /// What came before a stream broke off.
    pub partial_text: String,
    /// Whether the provider took the request up, so that it may bill it.
    pub may_be_billed: bool,
}

struct Metered {
    run: Arc<RunShared>,
    span: Arc<SpanScope>,
    sent_at: TimestampNs,
}

/// An LLM call that is under way. Dropping it counts it as cancelled, with its usage estimated.
pub struct LlmCall {
    metered: Option<Metered>,
    request: LlmRequest,
    began: Ticks,
    first_token: Option<Ticks>,
    output_text_bytes: u64,
    /// What is reserved for it, where a budget is in force.
    reserved: Option<Box<Reserved>>,
    answer_text: AnswerText,
    /// The budget that its cost has exceeded.
    overrun: Option<BudgetError>,
}

struct Ended {
    status: SpanStatus,
    usage: TokenUsage,
    model: Option<SmolStr>,
    response_id: Option<SmolStr>,
    finish_reasons: Vec<SmolStr>,
    response: Option<Arc<Value>>,
    raw_usage: Option<Arc<Value>>,
    error: Option<SpanError>,
    billed: bool,
}

impl LlmCall {
    pub(crate) fn begin(scope: Option<&SpanScope>, request: LlmRequest) -> Self {
        Self::begin_with(scope, request, None)
    }

    fn begin_with(scope: Option<&SpanScope>, request: LlmRequest, reserved: Option<Box<Reserved>>) -> Self {
        let metered = scope.map(|scope| {
            let run = Arc::clone(&scope.run);
            // The price book takes long to decode and the model takes longer to answer.
            run.prices.warm_up();
            let operation = format_smolstr!("{} {}", request.operation, request.model);
            Metered {
                span: scope.open_inside(SpanKind::LlmCall, operation, Numbers::new(), None),
                run,
                sent_at: SystemClock.now(),
            }
        });
        Self {
            metered,
            request,
            began: Ticks::now(),
            first_token: None,
            output_text_bytes: 0,
            reserved,
            answer_text: AnswerText::default(),
            overrun: None,
        }
    }

    /// What a provider needs so that it joins the trace, as called by this call's span; `None` where nothing is
    /// metered.
    #[must_use]
    pub fn carrier(&self) -> Option<Carrier> {
        self.metered.as_ref().and_then(|metered| metered.span.carrier())
    }

    /// The first piece of the answer is here. Later calls do nothing.
    pub fn first_token(&mut self) {
        self.first_token.get_or_insert_with(Ticks::now);
    }

    /// A piece of the answer is here. `false` where a budget has no room for it: the piece is not taken, nothing more
    /// may be read, and [`LlmCall::over_budget`] says why. Then the call has failed with what came before.
    pub fn text(&mut self, piece: &str) -> bool {
        self.first_token();
        let taken = self.take(piece.len() as u64, None);
        if taken {
            self.answer_text.push(piece);
        }
        taken
    }

    /// The answer is complete. Returns what it cost.
    pub fn succeed(self, response: LlmResponse) -> Cost {
        self.succeed_within_budget(response).0
    }

    /// The same, and whether a budget is exceeded now although the call was agreed to stay within it: a provider may
    /// not heed what it was told.
    pub fn succeed_within_budget(mut self, response: LlmResponse) -> (Cost, Option<BudgetError>) {
        let cost = self.succeeded(response);
        (cost, self.overrun.take())
    }

    fn succeeded(&mut self, response: LlmResponse) -> Cost {
        if self.output_text_bytes == 0 {
            self.take_whole(&response.text);
        }
        self.finish(Ended {
            status: SpanStatus::Ok,
            usage: response.usage,
            model: response.model,
            response_id: response.response_id,
            finish_reasons: response.finish_reasons,
            response: Some(response.text),
            raw_usage: response.raw_usage,
            error: None,
            billed: true,
        })
    }

    /// There is no answer, or only part of one. Returns what it cost all the same.
    pub fn fail(mut self, failure: LlmFailure) -> Cost {
        self.output_text_bytes = self.output_text_bytes.max(failure.partial_text.len() as u64);
        self.answer_text.whole(&failure.partial_text);
        let error = SpanError {
            error_type: failure.error_type,
            message: failure.message,
            chain: Vec::new(),
        };
        let billed = failure.may_be_billed || failure.usage.is_known();
        self.finish(Ended {
            status: SpanStatus::Error,
            usage: failure.usage,
            model: None,
            response_id: None,
            finish_reasons: Vec::new(),
            response: (!failure.partial_text.is_empty())
                .then(|| Arc::new(Value::String(failure.partial_text))),
            raw_usage: None,
            error: Some(error),
            billed,
        })
    }

    fn finish(&mut self, mut ended: Ended) -> Cost {
        let Some(metered) = self.metered.take() else {
            return Cost::unpriced();
        };
        if ended.billed {
            self.estimate_missing(&mut ended);
            self.hold_to_reservation(&mut ended);
        }
        let priced = PricedCall {
            provider: Some(&self.request.provider),
            request_model: &self.request.model,
            response_model: ended.model.as_deref(),
            usage: &ended.usage,
            start: metered.sent_at,
            service_tier: self.request.service_tier.as_deref(),
        };
        let cost = if ended.billed {
            metered.run.prices.price(&priced)
        } else {
            Cost::not_billed()
        };
        let provider_cache_saved = saving::of_call(&metered.run.prices, &priced, &cost);
        let nanoseconds = |until: Ticks| {
            let passed = metered.run.duration_between(self.began, until);
            u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
        };
        // The name that was asked for: an answer may name a dated version, a failure names none.
        let sample = LlmSample {
            provider: &self.request.provider,
            failed: ended.status != SpanStatus::Ok,
            duration_ns: Some(nanoseconds(Ticks::now())),
            time_to_first_token_ns: self.first_token.filter(|_| self.request.stream).map(nanoseconds),
            cache_missed: self.request.cache_missed,
            provider_cache_saved,
            ..LlmSample::new(&self.request.model, &cost).with_usage(&ended.usage)
        };
        metered
            .run
            .collector
            .llm_call_ended(&metered.span.node_path, &sample);
        self.settle(&metered, &ended, &cost);
        let status = ended.status;
        metered.span.end(status, |details| {
            self.describe(&metered, ended, &cost, details);
            cached::describe_call(self.request.cache_missed, provider_cache_saved, details);
        });
        cost
    }
}

impl Drop for LlmCall {
    fn drop(&mut self) {
        if self.metered.is_some() {
            self.finish(Ended {
                status: SpanStatus::Cancelled,
                usage: TokenUsage::default(),
                model: None,
                response_id: None,
                finish_reasons: Vec::new(),
                response: None,
                raw_usage: None,
                error: None,
                billed: true,
            });
        }
    }
}
