//! Which answers are fit to be used again: whole ones.
//!
//! An answer that was cut off at `max_tokens`, filtered or refused is a mishap, not the answer: used again it would
//! repeat the mishap for as long as it is kept, for no gain but the money it takes to find out.

/// Why an answer ended, where it is not whole: the words of OpenAI, Anthropic, Gemini, Mistral, Cohere and others,
/// in small letters.
const NOT_WHOLE: &[&str] = &[
    "length",
    "max_tokens",
    "max_output_tokens",
    "model_length",
    "model_context_window_exceeded",
    "incomplete",
    "content_filter",
    "content_filtered",
    "guardrail_intervened",
    "refusal",
    "safety",
    "recitation",
    "language",
    "blocklist",
    "prohibited_content",
    "spii",
    "other",
    "malformed_function_call",
    "pause_turn",
    "error",
    "error_toxic",
    "error_limit",
    "user_cancel",
];

/// Whether an answer that ended for this reason is all that the model had to say.
pub(crate) fn is_whole(text: &str, finish_reason: Option<&str>) -> bool {
    let reason = finish_reason.unwrap_or_default().to_ascii_lowercase();
    !text.is_empty() && !NOT_WHOLE.contains(&reason.as_str())
}

#[cfg(test)]
mod tests;
