//! What an answer, or the frames of a stream so far, have told of usage.
//!
//! Never sums what is cumulative: of a stream the last block counts, and for those who tell some counts only
//! at the start, the last of each count.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowmeter_model::TokenUsage;

use super::fields::{count, object, text};
use super::node::{Block, Node};
use super::{Found, Shape, Speaker, bedrock, find, gemini, read, read_whole};

/// The block that counts, and what stands around it.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    speaker: Speaker,
    kept: Option<Kept<'a>>,
    /// Bedrock's own counts, for what the model's native block leaves out.
    metrics: Option<TokenUsage>,
    service_tier: Option<Cow<'static, str>>,
    searches: Searches,
}

#[derive(Debug)]
struct Kept<'a> {
    shape: Shape,
    block: Block<'a>,
    is_list: bool,
}

/// Searches told outside of the usage block.
#[derive(Clone, Copy, Debug, Default)]
struct Searches {
    web: Option<u64>,
    file: Option<u64>,
}

impl<'a> Told<'a> {
    pub(crate) fn new(speaker: Speaker) -> Self {
        Self {
            speaker,
            kept: None,
            metrics: None,
            service_tier: None,
            searches: Searches::default(),
        }
    }

    /// Takes in an answer, an event, or response headers.
    pub(crate) fn take(&mut self, answer: Node<'a>) {
        let Node::Object(answer) = answer else {
            return;
        };
        // Bedrock's raw chunks wrap the model's own in base64.
        let wrapped = answer
            .get("bytes")
            .or_else(|| object(&answer, "chunk")?.get("bytes"));
        if let Some(Node::Text(wrapped)) = wrapped
            && let Ok(chunk) = STANDARD.decode(&**wrapped)
        {
            read_whole(&chunk, |node| {
                if let Node::Object(chunk) = node.into_owned() {
                    self.take_object(chunk);
                }
            });
        }
        self.take_object(answer);
    }

    fn take_object(&mut self, body: Block<'a>) {
        self.note_metrics(&body);
        self.note_searches(&body);
        let Some(found) = find(&body, self.speaker) else {
            return;
        };
        let Found { shape, block, around } = found;
        if let Some(tier) = tier_beside(&body, around) {
            self.service_tier = Some(tier);
        }
        if shape == Shape::Headers {
            return;
        }
        let is_list = text(around, "object") == Some("list");
        let merges = self
            .kept
            .as_ref()
            .is_some_and(|kept| kept.shape.takes_more_from(shape));
        // Some gateways end a stream with a block of nulls or zeros, which takes nothing back.
        if !merges && self.kept.as_ref().is_some_and(|kept| counts(&kept.block)) && !counts(block) {
            return;
        }
        // Two of three answers are one object of which the block can be taken out; but it is small.
        let block = block.clone();
        match &mut self.kept {
            Some(kept) if merges => overwrite(&mut kept.block, block),
            kept => {
                *kept = Some(Kept {
                    shape,
                    block,
                    is_list,
                });
            }
        }
    }

    /// Bedrock's own counts beside or instead of a native block.
    fn note_metrics(&mut self, body: &Block<'_>) {
        let metrics = object(body, "amazon-bedrock-invocationMetrics").map(bedrock::invocation_metrics);
        let nested = ["headers", "ResponseMetadata"].iter().find_map(|key| {
            let headers = object(body, key)?;
            Some(object(headers, "HTTPHeaders").unwrap_or(headers))
        });
        let headers = [Some(body), nested].into_iter().flatten();
        let mut headers = headers.filter(|block| block.entries().any(|(name, _)| bedrock::is_header(name)));
        let told = metrics.or_else(|| headers.next().map(bedrock::headers));
        self.metrics = told.or(self.metrics.take());
    }

    fn note_searches(&mut self, body: &Block<'_>) {
        let response = object(body, "response").unwrap_or(body);
        let named = object(response, "tool_usage").and_then(|tools| object(tools, "web_search"));
        let named = named.and_then(|search| count(search, "num_requests"));
        let items = response.get("output").and_then(Node::as_list).unwrap_or_default();
        let whole = Searches {
            web: named.or_else(|| hosted(items, is_web_search)),
            file: hosted(items, is_file_search),
        };
        // A finished item of a stream; the whole response at the end has all of them once more.
        if text(body, "type") == Some("response.output_item.done")
            && let Some(item) = body.get("item")
        {
            let item = std::slice::from_ref(item);
            let more = |so_far: Option<u64>, this: Option<u64>| {
                this.map_or(so_far, |this| Some(so_far.unwrap_or(0).saturating_add(this)))
            };
            self.searches.web = more(self.searches.web, hosted(item, is_web_search));
            self.searches.file = more(self.searches.file, hosted(item, is_file_search));
        }
        self.searches.web = whole.web.or(self.searches.web);
        self.searches.file = whole.file.or(self.searches.file);
        if let Some(candidates) = response.get("candidates").and_then(Node::as_list)
            && let Some(searches) = gemini::searches(candidates, text(response, "modelVersion"))
        {
            self.searches.web = Some(self.searches.web.map_or(searches, |so_far| so_far.max(searches)));
        }
    }

    /// The usage as far as it was told.
    pub(crate) fn usage(&self) -> TokenUsage {
        let native = self
            .kept
            .as_ref()
            .map(|kept| read(kept.shape, &kept.block, self.speaker, kept.is_list));
        let mut usage = match (native, &self.metrics) {
            (Some(native), Some(metrics)) => filled(native, metrics),
            (Some(usage), None) => usage,
            (None, Some(metrics)) => metrics.clone(),
            (None, None) => TokenUsage::default(),
        };
        if usage.service_tier.is_none() || self.service_tier.as_deref() == Some("batch") {
            usage.service_tier = self
                .service_tier
                .as_deref()
                .map(str::to_owned)
                .or(usage.service_tier);
        }
        usage.web_searches = usage.web_searches.or(self.searches.web);
        usage.file_searches = usage.file_searches.or(self.searches.file);
        usage
    }
}

/// Whether a block has any number above zero.
fn counts(block: &Block<'_>) -> bool {
    block.entries().any(|(_, node)| match node {
        Node::Whole(count) => *count > 0,
        Node::Real(count) => *count > 0.0,
        Node::Object(inner) => counts(inner),
        Node::List(items) => items.iter().filter_map(Node::as_object).any(counts),
        _ => false,
    })
}

/// What the native block leaves out is what Bedrock itself counted.
fn filled(mut native: TokenUsage, metrics: &TokenUsage) -> TokenUsage {
    if native.input.is_none() {
        native.input = metrics.input;
        native.cache_read = native.cache_read.or(metrics.cache_read);
        if native.cache_write_5m.is_none() && native.cache_write_1h.is_none() {
            native.cache_write_5m = metrics.cache_write_5m;
        }
    }
    native.output = native.output.or(metrics.output);
    if native.service_tier.is_none() {
        native.service_tier.clone_from(&metrics.service_tier);
    }
    native
}

/// The tier named beside the block. A line of a batch's results says so by its form alone.
fn tier_beside(body: &Block<'_>, around: &Block<'_>) -> Option<Cow<'static, str>> {
    let of_batch = (body.contains_key("custom_id")
        && object(body, "response").is_some_and(|response| response.contains_key("body")))
        || (body.contains_key("recordId") && body.contains_key("modelOutput"));
    if of_batch {
        return Some(Cow::Borrowed("batch"));
    }
    let named = |block: &Block<'_>| {
        let tier = text(block, "service_tier").or_else(|| text(object(block, "serviceTier")?, "type"));
        tier.map(|tier| Cow::Owned(tier.to_owned()))
    };
    named(around).or_else(|| named(body))
}

/// The items that are charged apart. Opening or reading a page that was found is not a search.
fn hosted(items: &[Node<'_>], is: fn(&Block<'_>) -> bool) -> Option<u64> {
    let items = items.iter().filter_map(Node::as_object);
    Some(items.filter(|item| is(item)).count() as u64).filter(|count| *count > 0)
}

fn is_web_search(item: &Block<'_>) -> bool {
    let action = object(item, "action").and_then(|action| text(action, "type"));
    text(item, "type") == Some("web_search_call") && action.is_none_or(|action| action == "search")
}

fn is_file_search(item: &Block<'_>) -> bool {
    text(item, "type") == Some("file_search_call")
}

/// Takes over each newer value, and keeps what the newer block does not name. A count of a whole call never
/// falls back to zero: some servers send such zeros at the end for what they told at the start.
fn overwrite<'a>(kept: &mut Block<'a>, newer: Block<'a>) {
    for (key, value) in newer.into_entries() {
        if value.is_null() {
            continue;
        }
        let zero = matches!(value, Node::Whole(0)) && key != "output_tokens";
        match (kept.get_mut(&key), value) {
            (Some(Node::Object(inner)), Node::Object(newer_inner)) => {
                overwrite(inner, newer_inner);
            }
            (Some(Node::Whole(_)), Node::Whole(_)) if zero => {}
            (_, value) => kept.set(key, value),
        }
    }
}
