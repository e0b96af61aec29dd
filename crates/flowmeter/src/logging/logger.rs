//! A logger for code that does not use `tracing`.
//!
//! Does nothing where nothing is metered.

use std::sync::Arc;

use flowmeter_model::{AttributeValue, Attributes, LogLevel};
use smol_str::SmolStr;

use crate::details::MESSAGE;
use crate::recorder::{RecordDraft, RecordedValue};
use crate::scope::SpanScope;

/// Writes log lines into whatever span is current where it is used, with a target and fields of its own.
///
/// ```
/// use flowmeter::ContextualLogger;
///
/// let log = ContextualLogger::new("billing").with("customer", "acme");
/// # let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
/// # let _entered = meter.enter();
/// log.info("invoice written");
/// log.log(flowmeter::LogLevel::Warn, "invoice is large", [("lines", 12_000_i64)]);
/// ```
#[derive(Clone, Debug)]
pub struct ContextualLogger {
    target: SmolStr,
    /// Shared with the clones.
    bound: Arc<Attributes>,
}

impl ContextualLogger {
    /// A logger whose lines have this target: the name by which filters know them.
    #[must_use]
    pub fn new(target: impl Into<SmolStr>) -> Self {
        Self {
            target: target.into(),
            bound: Arc::default(),
        }
    }

    /// The same with one more field on every line.
    #[must_use]
    pub fn with(mut self, key: impl Into<SmolStr>, value: impl Into<AttributeValue>) -> Self {
        Arc::make_mut(&mut self.bound).set(key, value);
        self
    }

    /// Whether a line of this level would be kept: a costly message need not be put together where it is not.
    #[must_use]
    pub fn is_enabled(&self, level: LogLevel) -> bool {
        SpanScope::with_current(|scope| self.is_kept(scope, level)).unwrap_or(false)
    }

    fn is_kept(&self, scope: &SpanScope, level: LogLevel) -> bool {
        scope.run.keeps_spans && scope.run.log_filter.keeps(&self.target, level)
    }

    fn write(&self, level: LogLevel, message: &str, more: impl FnOnce(&mut RecordDraft)) {
        SpanScope::with_current(|scope| {
            if self.is_kept(scope, level) {
                scope.log(level, &self.target, |draft| {
                    draft.attribute(MESSAGE, RecordedValue::Str(message));
                    for (key, value) in self.bound.iter() {
                        add(draft, key, value);
                    }
                    more(draft);
                });
            }
        });
    }

    /// Writes a line with fields of its own; they go before bound ones of the same name.
    pub fn log<K, V>(
        &self,
        level: LogLevel,
        message: impl AsRef<str>,
        fields: impl IntoIterator<Item = (K, V)>,
    ) where
        K: AsRef<str>,
        V: Into<AttributeValue>,
    {
        self.write(level, message.as_ref(), |draft| {
            for (key, value) in fields {
                add(draft, key.as_ref(), &value.into());
            }
        });
    }

    /// Writes a line for whoever follows the finest steps.
    pub fn trace(&self, message: impl AsRef<str>) {
        self.write(LogLevel::Trace, message.as_ref(), |_| ());
    }

    /// Writes a line for whoever looks for a fault.
    pub fn debug(&self, message: impl AsRef<str>) {
        self.write(LogLevel::Debug, message.as_ref(), |_| ());
    }

    /// Writes a line about the normal course.
    pub fn info(&self, message: impl AsRef<str>) {
        self.write(LogLevel::Info, message.as_ref(), |_| ());
    }

    /// Writes a line about something odd that did no harm.
    pub fn warn(&self, message: impl AsRef<str>) {
        self.write(LogLevel::Warn, message.as_ref(), |_| ());
    }

    /// Writes a line about something that failed.
    pub fn error(&self, message: impl AsRef<str>) {
        self.write(LogLevel::Error, message.as_ref(), |_| ());
    }
}

fn add(draft: &mut RecordDraft, key: &str, value: &AttributeValue) {
    // The empty key is the message's.
    let key = if key.is_empty() { "?" } else { key };
    match value {
        AttributeValue::Bool(flag) => draft.attribute(key, RecordedValue::Bool(*flag)),
        AttributeValue::I64(number) => draft.attribute(key, RecordedValue::I64(*number)),
        AttributeValue::F64(number) => draft.attribute(key, RecordedValue::F64(*number)),
        AttributeValue::Str(text) => draft.attribute(key, RecordedValue::Str(text)),
        AttributeValue::Json(value) => draft.attach(key, Arc::clone(value)),
    }
}
