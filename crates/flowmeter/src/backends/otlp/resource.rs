//! The resource that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES describe.
//!
//! Never reads the environment itself: a lookup is handed in.
//! Source: OpenTelemetry specification, resource SDK, and environment variables.

use flowmeter_model::Attributes;
use percent_encoding::percent_decode_str;

use super::environment::{Variables, value_of};

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The attributes that the environment gives to the resource, and what looks wrong.
///
/// OTEL_SERVICE_NAME wins over a `service.name` in OTEL_RESOURCE_ATTRIBUTES. If anything in the latter cannot be
/// read, all of it is left out.
#[must_use]
pub fn resource_from_environment(variables: Variables<'_>) -> (Attributes, Vec<String>) {
    let mut warnings = Vec::new();
    let mut attributes = Attributes::new();
    if let Some(text) = value_of(variables, ATTRIBUTES) {
        match parse(&text) {
            Ok(parsed) => attributes = parsed,
            Err(problem) => warnings.push(format!(
                "{ATTRIBUTES}: {problem}; all of it is left out: `key1=value1,key2=value2` is wanted"
            )),
        }
    }
    if let Some(name) = value_of(variables, "OTEL_SERVICE_NAME") {
        attributes.set("service.name", name);
    }
    (attributes, warnings)
}

fn parse(text: &str) -> Result<Attributes, String> {
    let mut attributes = Attributes::new();
    for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let (key, value) = member
            .split_once('=')
            .ok_or_else(|| format!("`{member}` has no `=`"))?;
        let key = decoded(key)?;
        if key.is_empty() {
            return Err(format!("`{member}` has no key"));
        }
        attributes.set(key, decoded(value)?);
    }
    Ok(attributes)
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text.trim()).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| format!("`{text}` is no percent-encoded UTF-8"))
}

#[cfg(test)]
mod tests;
