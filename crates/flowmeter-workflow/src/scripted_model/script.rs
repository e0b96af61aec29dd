//! Which reply a request gets.
//!
//! Rules come first, then the queue, then the function for all other requests.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::{DemoModel, Reply};

/// A request for an answer, whatever protocol it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which request this is, from 1.
    pub number: usize,
    /// The model that is asked for.
    pub model: String,
    /// The text of all messages but the system prompt, in order.
    pub prompt: String,
    /// The system prompt.
    pub system: String,
    /// The JSON Schema that the answer must follow.
    pub schema: Option<Value>,
    /// The body as it came.
    pub body: Value,
}

impl Asked {
    /// The bytes of text that count as input.
    pub(super) fn input_bytes(&self) -> usize {
        self.prompt.len() + self.system.len()
    }
}

type Matcher = Box<dyn Fn(&Asked) -> bool + Send>;
type Answering = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

struct Rule {
    matches: Matcher,
    reply: Reply,
    once: bool,
}

/// What a server answers.
pub struct Script {
    rules: Vec<Rule>,
    queue: VecDeque<Reply>,
    otherwise: Answering,
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl From<DemoModel> for Script {
    fn from(demo: DemoModel) -> Self {
        Self::new().otherwise(move |asked| demo.answer(asked))
    }
}

impl Script {
    /// A script that answers like [`DemoModel`], at once and without a failure, until it is told more.
    #[must_use]
    pub fn new() -> Self {
        let demo = DemoModel::new();
        Self {
            rules: Vec::new(),
            queue: VecDeque::new(),
            otherwise: Arc::new(move |asked| demo.answer(asked)),
        }
    }

    /// The next request that no rule matches gets this reply.
    #[must_use]
    pub fn reply(mut self, reply: Reply) -> Self {
        self.queue.push_back(reply);
        self
    }

    /// Every request that `matches` gets this reply.
    #[must_use]
    pub fn on(mut self, matches: impl Fn(&Asked) -> bool + Send + 'static, reply: Reply) -> Self {
        self.rules.push(Rule {
            matches: Box::new(matches),
            reply,
            once: false,
        });
        self
    }

    /// The first request that `matches` gets this reply.
    #[must_use]
    pub fn once(mut self, matches: impl Fn(&Asked) -> bool + Send + 'static, reply: Reply) -> Self {
        self.rules.push(Rule {
            matches: Box::new(matches),
            reply,
            once: true,
        });
        self
    }

    /// What all other requests get.
    #[must_use]
    pub fn otherwise(mut self, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        self.otherwise = Arc::new(answer);
        self
    }

    pub(super) fn answer(&mut self, asked: &Asked) -> Reply {
        if let Some(index) = self.rules.iter().position(|rule| (rule.matches)(asked)) {
            return if self.rules[index].once {
                self.rules.remove(index).reply
            } else {
                self.rules[index].reply.clone()
            };
        }
        self.queue.pop_front().unwrap_or_else(|| (self.otherwise)(asked))
    }
}

/// All text in a message's content, which is a text or a list of parts.
pub(super) fn content_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The texts of the messages: those of the system, and those of everybody else.
pub(super) fn message_texts(body: &Value) -> (String, String) {
    let mut system = Vec::new();
    let mut others = Vec::new();
    for message in body
        .get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = content_text(message.get("content").unwrap_or(&Value::Null));
        match message.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => system.push(text),
            _ => others.push(text),
        }
    }
    (system.join("\n"), others.join("\n"))
}
