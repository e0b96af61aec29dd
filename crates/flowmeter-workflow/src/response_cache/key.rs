//! What two requests must have in common to have one answer: a SHA-256 over all that the model is told.
//!
//! Never contains a key of a provider, a header, or how the answer is to come (streamed, in what time). Every part
//! goes in with a tag and its length, so that no two requests look alike; [`FORMAT`] goes in first, so that a
//! change of this file makes other keys.

use std::fmt;
use std::io;
use std::path::Path;

use ring::digest::{Context, SHA256, digest};
use serde_json::Value;

use crate::chat::{ChatRequest, ChatTarget};

/// The version of this encoding.
const FORMAT: &str = "flowmeter response key 1";

/// What names an answer: the SHA-256 of the request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey([u8; 32]);

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl CacheKey {
    /// The key of this request to this model. Images that are files are read: their bytes count, not their paths.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub fn of(request: &ChatRequest, target: &ChatTarget) -> io::Result<Self> {
        // Named one by one, so that a new field is not forgotten here.
        let ChatRequest {
            model: _as_written,
            system,
            prompt,
            images,
            temperature,
            max_tokens,
            output_schema,
            reasoning_effort,
            model_options,
            stream: _,
            timeout: _,
            headers: _,
        } = request;
        let ChatTarget {
            provider,
            model,
            server_address,
            server_port,
            server_path,
        } = target;
        let mut parts = Parts(Context::new(&SHA256));
        parts.text("format", FORMAT);
        parts.text("provider", provider);
        parts.text("model", model);
        parts.optional("address", server_address.as_deref().map(str::as_bytes));
        parts.optional(
            "port",
            server_port
                .map(u16::to_be_bytes)
                .as_ref()
                .map(<[u8; 2]>::as_slice),
        );
        parts.optional("path", server_path.as_deref().map(str::as_bytes));
        parts.optional("system", system.as_deref().map(str::as_bytes));
        parts.text("prompt", prompt);
        parts.part("images", &(images.len() as u64).to_be_bytes());
        for image in images {
            parts.image(image)?;
        }
        let temperature = temperature.map(|temperature| (temperature + 0.0).to_bits().to_be_bytes());
        parts.optional("temperature", temperature.as_ref().map(<[u8; 8]>::as_slice));
        let max_tokens = max_tokens.map(u32::to_be_bytes);
        parts.optional("max_tokens", max_tokens.as_ref().map(<[u8; 4]>::as_slice));
        parts.optional("reasoning", reasoning_effort.as_deref().map(str::as_bytes));
        parts.json("output_schema", output_schema.as_ref());
        // Tools stand in here, as the provider names them.
        parts.json("model_options", model_options.as_ref());
        Ok(parts.key())
    }

    /// The key in hex.
    #[must_use]
    pub fn hex(&self) -> String {
        self.to_string()
    }
}

/// The parts of a request, one after another.
struct Parts(Context);

impl Parts {
    fn part(&mut self, tag: &str, bytes: &[u8]) {
        self.0.update(&(tag.len() as u64).to_be_bytes());
        self.0.update(tag.as_bytes());
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, tag: &str, text: &str) {
        self.part(tag, text.as_bytes());
    }

    /// What is absent is not the same as what is empty.
    fn optional(&mut self, tag: &str, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            self.part(tag, bytes);
        }
    }

    /// JSON as it is sent: the order of members is what the model sees.
    fn json(&mut self, tag: &str, value: Option<&Value>) {
        if let Some(value) = value {
            self.text(tag, &value.to_string());
        }
    }

    fn image(&mut self, image: &str) -> io::Result<()> {
        if !crate::nodes::llm::is_file(image) {
            self.text("image", image);
            return Ok(());
        }
        let bytes = std::fs::read(image)?;
        // A server is told what kind of image it is by the name's ending.
        let ending = Path::new(image).extension().unwrap_or_default();
        self.text("image kind", &ending.to_string_lossy().to_lowercase());
        self.part("image bytes", digest(&SHA256, &bytes).as_ref());
        Ok(())
    }

    fn key(self) -> CacheKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.finish().as_ref());
        CacheKey(key)
    }
}

#[cfg(test)]
mod tests;
