//! The layer for `tracing`: events of any library become logs, and spans become spans, under the span of ours
//! that is current.
//!
//! Writes straight into the recorder's records. Does nothing outside a run, and never decides for other layers
//! what is enabled.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use flowmeter_engine::EnteredScope;
use flowmeter_model::LogLevel;
use tracing::field::{Field, Visit};
use tracing::metadata::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::active;
use crate::details::MESSAGE;
use crate::recorder::{RecordDraft, RecordedValue};
use crate::scope::SpanScope;

/// Turns events and spans of `tracing` into logs and spans of the run that they happen in.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry().with(flowmeter::FlowmeterLayer::new());
/// tracing::subscriber::with_default(subscriber, || {
///     let meter = flowmeter::RunMeter::builder("nightly").start().unwrap();
///     let _entered = meter.enter();
///     tracing::info!(rows = 3, "loaded");
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct FlowmeterLayer {
    /// It is the only layer: it decides what is enabled.
    decides: bool,
}

impl FlowmeterLayer {
    /// The layer beside others: it looks at all that happens, keeps what the run's filter keeps, and leaves to the
    /// others what they want to see.
    #[must_use]
    pub fn new() -> Self {
        Self { decides: false }
    }

    /// The layer as the only one of its subscriber: what no run keeps is not enabled at all, and costs next to
    /// nothing. Beside other layers [`RunFilter`] does the same for this layer alone, at a price for each span.
    #[must_use]
    pub fn alone() -> Self {
        active::layer_made();
        Self { decides: true }
    }
}

/// A filter for [`FlowmeterLayer`] beside other layers, by which `tracing` knows at the call site what no run keeps:
/// `FlowmeterLayer::new().with_filter(RunFilter::new())`.
#[derive(Clone, Debug)]
pub struct RunFilter(());

impl RunFilter {
    /// The filter.
    #[must_use]
    pub fn new() -> Self {
        active::layer_made();
        Self(())
    }
}

impl Default for RunFilter {
    fn default() -> Self {
        Self::new()
    }
}

fn level_of(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        Level::TRACE => LogLevel::Trace,
        Level::DEBUG => LogLevel::Debug,
        Level::INFO => LogLevel::Info,
        Level::WARN => LogLevel::Warn,
        Level::ERROR => LogLevel::Error,
    }
}

fn interest_in(metadata: &Metadata<'_>) -> Interest {
    if active::some_filter_keeps(metadata.target(), level_of(metadata)) {
        Interest::sometimes()
    } else {
        Interest::never()
    }
}

fn finest_level() -> LevelFilter {
    match active::finest() {
        None => LevelFilter::OFF,
        Some(LogLevel::Error) => LevelFilter::ERROR,
        Some(LogLevel::Warn) => LevelFilter::WARN,
        Some(LogLevel::Info) => LevelFilter::INFO,
        Some(LogLevel::Debug) => LevelFilter::DEBUG,
        Some(LogLevel::Trace) => LevelFilter::TRACE,
    }
}

impl<S> Filter<S> for RunFilter {
    fn enabled(&self, _metadata: &Metadata<'_>, _cx: &Context<'_, S>) -> bool {
        // Asked only where some run's filter keeps target and level.
        active::any_run()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        interest_in(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(finest_level())
    }
}

/// What the registry keeps of a span that became one of ours.
struct OurSpan(Arc<SpanScope>);

thread_local! {
    /// The spans that this thread is in, so that leaving one finds it again.
    static ENTERED: RefCell<Vec<(Id, EnteredScope)>> = const { RefCell::new(Vec::new()) };
}

/// Our span behind a span of `tracing`, if there is one. Cloned, so that nothing is locked while fields are
/// formatted.
fn our_span<S>(cx: &Context<'_, S>, id: &Id) -> Option<Arc<SpanScope>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let span = cx.span(id)?;
    let extensions = span.extensions();
    extensions.get::<OurSpan>().map(|ours| Arc::clone(&ours.0))
}

/// Looks at the span that something with this explicit parent is inside of: the parent's where that is one of
/// ours, else the current one.
fn with_parent<S, T>(
    cx: &Context<'_, S>,
    explicit: Option<&Id>,
    look: impl FnOnce(&SpanScope) -> T,
) -> Option<T>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match explicit.and_then(|id| our_span(cx, id)) {
        Some(scope) if scope.run.is_over() => None,
        Some(scope) => Some(look(&scope)),
        None => SpanScope::with_current(look),
    }
}

impl<S> Layer<S> for FlowmeterLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.decides {
            interest_in(metadata)
        } else {
            Interest::always()
        }
    }

    fn enabled(&self, _metadata: &Metadata<'_>, _cx: Context<'_, S>) -> bool {
        !self.decides || active::any_run()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.decides.then(finest_level)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let metadata = attributes.metadata();
        let opened = with_parent(&cx, attributes.parent(), |parent| {
            if !parent.run.log_filter.keeps(metadata.target(), level_of(metadata)) {
                return None;
            }
            parent.open_drafted(metadata.name(), |draft| {
                draft.attribute("tracing.target", RecordedValue::Str(metadata.target()));
                describe_place(metadata, draft);
                attributes.record(&mut DraftVisitor { draft });
            })
        });
        if let Some(scope) = opened.flatten()
            && let Some(span) = cx.span(id)
        {
            span.extensions_mut().insert(OurSpan(scope));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        if let Some(scope) = our_span(&cx, id) {
            scope.describe_draft(|draft| values.record(&mut DraftVisitor { draft }));
        }
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let metadata = event.metadata();
        let level = level_of(metadata);
        with_parent(&cx, event.parent(), |scope| {
            if scope.run.log_filter.keeps(metadata.target(), level) {
                scope.log(level, metadata.target(), |draft| {
                    event.record(&mut DraftVisitor { draft });
                    describe_place(metadata, draft);
                });
            }
        });
    }

    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        if let Some(scope) = our_span(&cx, id) {
            let entered = EnteredScope::enter(scope);
            let _ = ENTERED.try_with(|all| {
                if let Ok(mut all) = all.try_borrow_mut() {
                    all.push((id.clone(), entered));
                }
            });
        }
    }

    fn on_exit(&self, id: &Id, _cx: Context<'_, S>) {
        let _ = ENTERED.try_with(|all| {
            let mut all = all.try_borrow_mut().ok()?;
            let position = all.iter().rposition(|(entered, _)| entered == id)?;
            Some(all.remove(position))
        });
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        let ours = cx
            .span(&id)
            .and_then(|span| span.extensions_mut().remove::<OurSpan>());
        if let Some(OurSpan(scope)) = ours {
            scope.end_well();
        }
    }
}

/// Where in the source it is, by the names of OpenTelemetry's conventions for code.
fn describe_place(metadata: &Metadata<'_>, draft: &mut RecordDraft) {
    if let Some(file) = metadata.file() {
        draft.attribute("code.file.path", RecordedValue::Str(file));
    }
    if let Some(line) = metadata.line() {
        draft.attribute("code.line.number", RecordedValue::I64(i64::from(line)));
    }
    // As a rule the target is the module.
    if let Some(module) = metadata.module_path()
        && module != metadata.target()
    {
        draft.attribute("code.namespace", RecordedValue::Str(module));
    }
}

/// Writes fields into a record.
struct DraftVisitor<'a> {
    draft: &'a mut RecordDraft,
}

fn key_of(field: &Field) -> &'static str {
    match field.name() {
        "message" => MESSAGE,
        name => name.strip_prefix("r#").unwrap_or(name),
    }
}

impl Visit for DraftVisitor<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.draft.attribute(key_of(field), RecordedValue::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(number) => self.record_i64(field, number),
            Err(_) => self.draft.attribute_displayed(key_of(field), &value),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(number) => self.record_i64(field, number),
            Err(_) => self.draft.attribute_displayed(key_of(field), &value),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match i64::try_from(value) {
            Ok(number) => self.record_i64(field, number),
            Err(_) => self.draft.attribute_displayed(key_of(field), &value),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.draft.attribute(key_of(field), RecordedValue::F64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.draft.attribute(key_of(field), RecordedValue::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.draft.attribute(key_of(field), RecordedValue::Str(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let key = key_of(field);
        self.draft.attribute_displayed(key, &value);
        let mut chain = String::new();
        let mut next = value.source();
        for _ in 0..CAUSES_MAX {
            let Some(cause) = next else { break };
            let colon = if chain.is_empty() { "" } else { ": " };
            let _ = write!(chain, "{colon}{cause}");
            next = cause.source();
        }
        if !chain.is_empty() {
            let key = format!("{}.chain", field.name());
            self.draft.attribute(&key, RecordedValue::Str(&chain));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.draft
            .attribute_displayed(key_of(field), &format_args!("{value:?}"));
    }
}

/// A chain of causes that goes round in a circle is cut.
const CAUSES_MAX: usize = 32;

#[cfg(test)]
mod tests;
