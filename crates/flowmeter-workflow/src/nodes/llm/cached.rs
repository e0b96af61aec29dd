//! Where an `llm` node uses an answer again: looked up before the model is asked, kept after it has answered.
//!
//! Never asks a model, and does nothing where the node does not want it: no hash, no file.

use std::sync::Arc;
use std::time::Duration;

use flowmeter::{CurrentSpan, LlmCacheHit};
use flowmeter_model::{Cost, CostStatus, Figure, LogLevel, TokenUsage};
use jsonschema::Validator;
use serde_json::{Value, json};
use smol_str::SmolStr;

use super::super::Services;
use super::super::leaf::Outputs;
use super::answer::{structured, usage_output};
use super::request::{is_file, traced_request};
use crate::chat::{ChatRequest, ChatTarget};
use crate::document::CacheEntry;
use crate::response_cache::{CacheKey, CachedAnswer, Fresh, LookedUp, NewAnswer, ResponseCache, is_whole};

/// What a node asks, and who.
pub(super) struct Asked<'a> {
    pub(super) request: &'a ChatRequest,
    pub(super) target: &'a ChatTarget,
    pub(super) checker: Option<&'a Validator>,
}

/// What is to be done now.
pub(super) enum Next {
    /// Nothing: the outputs are there.
    Done,
    /// To ask the model.
    Ask(Keeping),
}

/// Keeps the answer of a call that was looked up in vain; does nothing for a call that was not looked up.
pub(super) struct Keeping(Option<Fresh>);

/// Looks for the answer, where the node wants that. With a hit the outputs are filled and the hit is counted.
pub(super) async fn look_up(
    services: &Services,
    wish: Option<CacheEntry>,
    asked: &Asked<'_>,
    span: CurrentSpan<'_>,
    outputs: &mut Outputs,
) -> Next {
    let Some((cache, ttl)) = services.caching.of_node(wish) else {
        return Next::Ask(Keeping(None));
    };
    let key = match key_of(asked).await {
        Some(key) => key,
        // Asking will say what is wrong with the image.
        None => return Next::Ask(Keeping(None)),
    };
    let model = &asked.target.model;
    match cache.look_up(key, model, ttl, asked.request.timeout).await {
        LookedUp::Miss(fresh) => Next::Ask(Keeping(Some(fresh))),
        LookedUp::Hit(answer, age) => answered(cache, key, (&answer, age), asked, span, outputs),
    }
}

/// Images are read where waiting for a disk holds nobody up.
async fn key_of(asked: &Asked<'_>) -> Option<CacheKey> {
    if asked.request.images.iter().any(|image| is_file(image)) {
        let (request, target) = (asked.request.clone(), asked.target.clone());
        let key = tokio::task::spawn_blocking(move || CacheKey::of(&request, &target));
        return key.await.ok()?.ok();
    }
    CacheKey::of(asked.request, asked.target).ok()
}

fn answered(
    cache: &Arc<ResponseCache>,
    key: CacheKey,
    (answer, age): (&CachedAnswer, Duration),
    asked: &Asked<'_>,
    span: CurrentSpan<'_>,
    outputs: &mut Outputs,
) -> Next {
    let text = Value::String(answer.text.clone());
    let response = match asked.checker.map(|checker| structured(checker, &text)) {
        None => text.clone(),
        Some(Ok(value)) => value,
        // It followed the schema when it was kept: what says that it does not is a file that was tampered with.
        Some(Err(_)) => return Next::Ask(Keeping(Some(Fresh::of_broken(cache, key)))),
    };
    let about = &answer.about;
    let cost = about.cost();
    span.log(LogLevel::Info, told(&about.usage, &cost));
    span.llm_cache_hit(
        traced_request(asked.request, asked.target, span.is_recording()),
        LlmCacheHit {
            text: Arc::new(text),
            model: about.model.clone(),
            finish_reasons: about.finish_reason.iter().cloned().collect(),
            usage: about.usage.clone(),
            cost,
            age,
        },
    );
    let model = about.model.as_ref().unwrap_or(&about.request_model);
    outputs.insert(
        "llm_usage".to_owned(),
        cached_usage(usage_output(model, &about.usage, &Cost::not_billed())),
    );
    outputs.insert("response".to_owned(), response);
    Next::Done
}

/// What the call used once, at no cost now.
fn cached_usage(mut usage: Value) -> Value {
    usage["cost_usd"] = json!(0);
    usage["cached"] = json!(true);
    usage
}

fn told(usage: &TokenUsage, cost: &Cost) -> String {
    let shown = |figure: Option<Figure>| {
        figure.map_or_else(|| "unknown".to_owned(), |figure| figure.tokens.to_string())
    };
    let amount = match (cost.amount, cost.status) {
        (None, _) => "an unknown cost".to_owned(),
        (Some(amount), CostStatus::Estimated) => format!("~{amount}"),
        (Some(amount), CostStatus::Partial) => format!("≥ {amount}"),
        (Some(amount), _) => amount.to_string(),
    };
    format!(
        "Answered from the response cache: saved {} input tokens, {} output tokens, {amount}",
        shown(usage.input),
        shown(usage.output)
    )
}

/// What the model said, as far as it matters for keeping it.
pub(super) struct Said<'a> {
    pub(super) text: &'a Value,
    pub(super) model: Option<&'a SmolStr>,
    pub(super) finish_reason: Option<&'a SmolStr>,
    pub(super) usage: &'a TokenUsage,
    pub(super) cost: &'a Cost,
}

impl Keeping {
    /// Whether the call was looked up, in vain.
    pub(super) fn has_missed(&self) -> bool {
        self.0.is_some()
    }

    /// Keeps an answer that is whole and of use. A call that failed keeps nothing: this is then just dropped.
    pub(super) async fn keep(self, target: &ChatTarget, said: Said<'_>) {
        let Some(fresh) = self.0 else { return };
        let text = said.text.as_str().unwrap_or_default();
        if !is_whole(text, said.finish_reason.map(SmolStr::as_str)) {
            return fresh.refuse();
        }
        let new = NewAnswer {
            provider: target.provider.clone(),
            request_model: target.model.clone(),
            model: said.model.cloned(),
            finish_reason: said.finish_reason.cloned(),
            usage: said.usage.clone(),
            cost: said.cost.clone(),
            text: text.to_owned(),
        };
        fresh.keep(new).await;
    }

    /// The answer was of no use.
    pub(super) fn refuse(self) {
        if let Some(fresh) = self.0 {
            fresh.refuse();
        }
    }
}
