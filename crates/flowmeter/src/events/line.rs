//! What an event line says: its fields with their meaning, and what is wrong with them.
//!
//! A field that is wrong is reported and left out; the line counts without it. Never knows what lines came before.

use std::borrow::Cow;

use flowmeter_model::{LogLevel, SpanError, SpanKind, SpanStatus};

use super::fields::{Field, Fields, Place, Shape};
use super::problem::{EventProblemKind, quoted};
use super::wire::ErrorWire;
use super::words::{kind_named, level_named, status_named, whole_number};

/// A text from a line.
#[derive(Clone, Debug)]
pub(super) struct Text<'a> {
    pub(super) text: Cow<'a, str>,
    /// Printable ASCII on one line, so that it can be shown as it stands.
    pub(super) is_plain: bool,
}

impl<'a> Text<'a> {
    pub(super) fn plain(text: &'static str) -> Self {
        Self::of(text, true)
    }

    pub(super) fn of(text: &'a str, is_plain: bool) -> Self {
        Self {
            text: Cow::Borrowed(text),
            is_plain,
        }
    }
}

/// Where and when, as any line may say.
#[derive(Debug, Default)]
pub(super) struct Whereabouts<'a> {
    pub(super) at_ns: Option<u64>,
    pub(super) trace_id: Option<Cow<'a, str>>,
    pub(super) span_id: Option<Cow<'a, str>>,
    pub(super) parent_span_id: Option<Cow<'a, str>>,
}

/// Which kind of span a line begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Workflow,
    Node,
    Span,
}

impl Subject {
    /// The type of the line that begins one.
    pub(super) fn start_line(self) -> &'static str {
        match self {
            Self::Workflow => "workflow_start",
            Self::Node => "node_start",
            Self::Span => "span_start",
        }
    }

    /// The type of the line that ends one.
    pub(super) fn end_line(self) -> &'static str {
        match self {
            Self::Workflow => "workflow_end",
            Self::Node => "node_end",
            Self::Span => "span_end",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Node => "node",
            Self::Span => "span",
        }
    }

    /// What a message calls one, by its name if it has one.
    pub(super) fn named(self, name: &str) -> String {
        match name {
            "" => format!("the {}", self.word()),
            name => format!("{} `{}`", self.word(), quoted(name)),
        }
    }

    /// What a message says where one should be open.
    pub(super) fn is_not_open(self, name: &str) -> String {
        match name {
            "" => format!("no {} is open", self.word()),
            name => format!("{} `{}` is not open", self.word(), quoted(name)),
        }
    }
}

/// What begins.
#[derive(Debug)]
pub(super) struct Beginning<'a> {
    pub(super) subject: Subject,
    pub(super) kind: SpanKind,
    /// The id of the workflow or node.
    pub(super) name: Option<Text<'a>>,
    /// The type of the node, or the whole name of another span.
    pub(super) operation: Text<'a>,
}

/// What ends.
#[derive(Debug)]
pub(super) struct End<'a> {
    pub(super) beginning: Beginning<'a>,
    /// Whether the line names the span that it ends.
    pub(super) names_operation: bool,
    /// Whether it says which kind of span that is.
    pub(super) names_kind: bool,
    pub(super) status: SpanStatus,
    pub(super) duration_ns: Option<u64>,
    /// When it began: such a line is complete without the one of the beginning.
    pub(super) start_ns: Option<u64>,
    pub(super) error: Option<SpanError>,
}

/// What a line says.
#[allow(clippy::large_enum_variant, reason = "it lives for one line, on the stack")]
#[derive(Debug)]
pub(super) enum What<'a> {
    Begins(Beginning<'a>),
    Ends(End<'a>),
    Log {
        level: LogLevel,
        message: Text<'a>,
    },
    Fails {
        message: Text<'a>,
        error_type: Option<Cow<'a, str>>,
        node: Option<Text<'a>>,
    },
    Custom {
        name: Text<'a>,
    },
}

/// A line that was split into its fields.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) fields: &'a Fields,
    pub(super) number: u64,
}

/// Takes what is wrong with a line.
pub(super) type Report<'r> = &'r mut dyn FnMut(EventProblemKind);

const ID: &str = "a text of up to 256 bytes";
const ID_BYTES_MAX: usize = 256;
/// What `attributes` should be.
pub(super) const ATTRIBUTES: &str = "an object";
const TEXT: &str = "a text";
const NANOSECONDS: &str = "a number of nanoseconds since 1970";
const MILLISECONDS: &str = "a number of milliseconds";

impl<'a> Line<'a> {
    pub(super) fn place(&self, field: Field) -> Option<Place> {
        self.fields.get(field)
    }

    /// The value of a field as JSON.
    pub(super) fn json(&self, field: Field) -> Option<&'a str> {
        Some(self.place(field)?.json(self.text))
    }

    fn wrong(&self, field: Field, wanted: &'static str, place: Place, report: Report<'_>) {
        let json = place.json(self.text);
        report(EventProblemKind::wrong_field(
            field.name(),
            wanted,
            place.shape,
            json,
        ));
    }

    fn text(&self, field: Field, report: Report<'_>) -> Option<Text<'a>> {
        let place = self.place(field)?;
        if !place.shape.is_text() {
            self.wrong(field, TEXT, place, report);
            return None;
        }
        let is_plain = place.shape == Shape::Plain;
        let text = place.decoded(self.text).unwrap_or_else(|| {
            self.wrong(field, "a text of whole characters", place, report);
            Cow::Borrowed(place.text(self.text))
        });
        Some(Text { text, is_plain })
    }

    fn id(&self, field: Field, report: Report<'_>) -> Option<Cow<'a, str>> {
        let place = self.place(field)?;
        let text = self.text(field, report)?.text;
        if text.is_empty() || text.len() > ID_BYTES_MAX {
            self.wrong(field, ID, place, report);
            return None;
        }
        Some(text)
    }

    fn time(&self, field: Field, report: Report<'_>) -> Option<u64> {
        let place = self.place(field)?;
        let text = place.text(self.text);
        let time = match place.shape {
            Shape::Number => whole_number(text).or_else(|| {
                let real: f64 = text.parse().ok()?;
                let fits = real >= 0.0 && real < u64::MAX as f64;
                fits.then_some(real as u64)
            }),
            Shape::Plain => whole_number(text),
            _ => None,
        };
        if time.is_none() {
            self.wrong(field, NANOSECONDS, place, report);
        }
        time
    }

    fn duration_ns(&self, report: Report<'_>) -> Option<u64> {
        let place = self.place(Field::DurationMs)?;
        let duration_ns = match place.shape {
            Shape::Number => {
                let milliseconds: f64 = place.text(self.text).parse().ok()?;
                let nanoseconds = (milliseconds * 1e6).round();
                (nanoseconds >= 0.0 && nanoseconds < u64::MAX as f64).then_some(nanoseconds as u64)
            }
            _ => None,
        };
        if duration_ns.is_none() {
            self.wrong(Field::DurationMs, MILLISECONDS, place, report);
        }
        duration_ns
    }

    /// Where and when.
    #[inline]
    pub(super) fn whereabouts(&self, report: Report<'_>) -> Whereabouts<'a> {
        Whereabouts {
            at_ns: self.time(Field::Timestamp, report),
            trace_id: self.id(Field::TraceId, report),
            span_id: self.id(Field::SpanId, report),
            parent_span_id: self.id(Field::ParentSpanId, report),
        }
    }

    /// What the line says. `None` where nobody can tell; that is reported.
    pub(super) fn what(&self, report: Report<'_>) -> Option<What<'a>> {
        if let Some(field) = self.fields.given_twice() {
            report(EventProblemKind::GivenTwice { field: field.name() });
        }
        let Some(place) = self.place(Field::Type) else {
            report(EventProblemKind::MissingType);
            return None;
        };
        if !place.shape.is_text() {
            report(EventProblemKind::unknown_type(place.json(self.text)));
            return None;
        }
        if let Some(attributes) = self.place(Field::Attributes)
            && attributes.shape != Shape::Object
        {
            self.wrong(Field::Attributes, ATTRIBUTES, attributes, report);
        }
        let given = place.decoded(self.text).unwrap_or_default();
        Some(match given.as_ref() {
            "workflow_start" => What::Begins(self.workflow(report)),
            "workflow_end" => {
                let workflow = self.workflow(report);
                What::Ends(self.end(workflow, report))
            }
            "node_start" => What::Begins(self.node(report)),
            "node_end" => {
                let node = self.ending_node(report);
                What::Ends(self.end(node, report))
            }
            "span_start" => What::Begins(self.span(report)),
            "span_end" => {
                let span = self.span(report);
                What::Ends(self.end(span, report))
            }
            "log" => What::Log {
                level: self.level(report),
                message: self.needed("log", Field::Message, report),
            },
            "error" => self.failure(report),
            "custom" => What::Custom {
                name: self.needed("custom", Field::Name, report),
            },
            unknown => {
                report(EventProblemKind::unknown_type(unknown));
                return None;
            }
        })
    }

    fn needed(&self, line_type: &'static str, field: Field, report: Report<'_>) -> Text<'a> {
        if self.place(field).is_none() {
            report(EventProblemKind::MissingField {
                line_type,
                field: field.name(),
                wanted: TEXT,
            });
        }
        self.text(field, report).unwrap_or(Text::plain("?"))
    }

    fn workflow(&self, report: Report<'_>) -> Beginning<'a> {
        Beginning {
            subject: Subject::Workflow,
            kind: SpanKind::Run,
            name: self.text(Field::WorkflowId, report),
            operation: self
                .text(Field::Operation, report)
                .unwrap_or(Text::plain("workflow.start")),
        }
    }

    fn node(&self, report: Report<'_>) -> Beginning<'a> {
        match self.place(Field::Node) {
            Some(place) if place.shape != Shape::Object => {
                self.wrong(Field::Node, "an object with `id` and `type`", place, report);
            }
            Some(_) => {}
            None => report(EventProblemKind::MissingField {
                line_type: "node_start",
                field: "node",
                wanted: "an object with `id` and `type`",
            }),
        }
        let (name, operation) = if self
            .place(Field::Node)
            .is_some_and(|node| node.shape == Shape::Object)
        {
            (
                self.needed("node_start", Field::NodeId, report),
                self.needed("node_start", Field::NodeType, report),
            )
        } else {
            (Text::plain("?"), Text::plain("?"))
        };
        Beginning {
            subject: Subject::Node,
            kind: SpanKind::Node,
            name: Some(name),
            operation,
        }
    }

    /// The node of a line that ends it: nothing of it is needed.
    fn ending_node(&self, report: Report<'_>) -> Beginning<'a> {
        let name = match self.place(Field::Node) {
            // Some programs name the node by its id alone.
            Some(place) if place.shape.is_text() => self.text(Field::Node, report),
            Some(place) if place.shape != Shape::Object => {
                self.wrong(Field::Node, "an object with `id`", place, report);
                None
            }
            _ => self.text(Field::NodeId, report),
        };
        Beginning {
            subject: Subject::Node,
            kind: SpanKind::Node,
            name,
            operation: self.text(Field::NodeType, report).unwrap_or(Text::plain("?")),
        }
    }

    fn span(&self, report: Report<'_>) -> Beginning<'a> {
        let kind = self.text(Field::Kind, report).map(|kind| {
            kind_named(&kind.text).unwrap_or_else(|| {
                report(EventProblemKind::UnknownKind {
                    given: quoted(&kind.text),
                });
                SpanKind::Custom
            })
        });
        let operation = self.text(Field::Operation, report);
        Beginning {
            subject: Subject::Span,
            kind: kind.unwrap_or(SpanKind::Custom),
            name: None,
            operation: operation
                .or_else(|| self.text(Field::Name, report))
                .unwrap_or(Text::plain("span")),
        }
    }

    fn end(&self, beginning: Beginning<'a>, report: Report<'_>) -> End<'a> {
        let error = self.error(report);
        let duration_ns = self.duration_ns(report);
        let start_ns = self.time(Field::StartTime, report);
        let status = self.status(error.is_some(), report);
        let message =
            (error.is_none() && status == SpanStatus::Error && self.place(Field::Message).is_some())
                .then(|| self.text(Field::Message, report))
                .flatten();
        let error = error.or_else(|| {
            Some(SpanError {
                error_type: "error".into(),
                message: message?.text.into_owned(),
                chain: Vec::new(),
            })
        });
        let names = |fields: &[Field]| fields.iter().any(|field| self.place(*field).is_some());
        End {
            beginning,
            names_operation: names(&[Field::Operation, Field::Name]),
            names_kind: names(&[Field::Kind]),
            status,
            duration_ns,
            start_ns,
            error,
        }
    }

    fn status(&self, failed: bool, report: Report<'_>) -> SpanStatus {
        for field in [Field::Result, Field::Status] {
            let Some(place) = self.place(field) else {
                continue;
            };
            match place.shape {
                Shape::True => return SpanStatus::Ok,
                Shape::False => return SpanStatus::Error,
                _ => {}
            }
            if !place.shape.is_text() {
                self.wrong(field, "`success`, `error` or `cancelled`", place, report);
                return SpanStatus::Error;
            }
            return place
                .decoded(self.text)
                .map_or(SpanStatus::Error, |text| status_named(&text));
        }
        if failed { SpanStatus::Error } else { SpanStatus::Ok }
    }

    fn error(&self, report: Report<'_>) -> Option<SpanError> {
        let place = self.place(Field::Error)?;
        match serde_json::from_str::<ErrorWire<'_>>(place.json(self.text)) {
            Ok(error) => Some(error.into_error()),
            Err(_) => {
                self.wrong(Field::Error, "a text, or an object with `message`", place, report);
                None
            }
        }
    }

    fn failure(&self, report: Report<'_>) -> What<'a> {
        let node = self.ending_node(report).name;
        let told = match self.place(Field::Message) {
            Some(_) => None,
            None => self.error(report),
        };
        let (message, error_type) = match told {
            Some(error) => {
                let message = Text {
                    text: Cow::Owned(error.message),
                    is_plain: false,
                };
                (message, Some(Cow::Owned(error.error_type.to_string())))
            }
            None => (self.needed("error", Field::Message, report), None),
        };
        What::Fails {
            message,
            error_type,
            node,
        }
    }

    fn level(&self, report: Report<'_>) -> LogLevel {
        let Some(place) = self.place(Field::Level) else {
            return LogLevel::Info;
        };
        if !place.shape.is_text() {
            self.wrong(Field::Level, "trace, debug, info, warn or error", place, report);
            return LogLevel::Info;
        }
        let given = place.text(self.text);
        level_named(given).unwrap_or_else(|| {
            report(EventProblemKind::UnknownLevel { given: quoted(given) });
            LogLevel::Info
        })
    }
}
