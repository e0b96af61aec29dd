//! YAML in a Markdown workflow file: values with their places in the Markdown, and mistakes in plain words.
//!
//! Reads YAML 1.1's scalars and hides bare templates from the parser. Knows nothing of workflows.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::Value;
use smol_str::SmolStr;

use super::located::{Located, Spot};
use super::mask::Masked;
use super::pieces::Line;
use super::scalar;
use crate::problem::Severity;

/// How deep lists and objects may be nested, those in braces and those by indentation each.
const NESTING_MAX: usize = 60;

/// How much all aliases together may repeat, in bytes and values.
const REPEATED_MAX: usize = 1_000_000;

/// Lines of a file that are YAML, without their indentation.
#[derive(Debug, Default)]
pub(super) struct YamlText {
    text: String,
    /// For each line: where it begins in `text`, and where in the file.
    lines: Vec<(usize, usize)>,
}

/// Something that is wrong with a text, at a byte of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) offset: usize,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Complaint {
    pub(super) fn new(offset: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            offset,
            severity: Severity::Error,
            message: message.into(),
            help: Some(help.into()).filter(|help| !help.is_empty()),
        }
    }

    pub(super) fn warning(offset: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::new(offset, message, help)
        }
    }
}

impl YamlText {
    pub(super) fn one(line: &str, offset: usize) -> Self {
        let mut text = Self::default();
        text.push(line, offset);
        text
    }

    /// Adds a line that stands at `offset` in the file.
    pub(super) fn push(&mut self, line: &str, offset: usize) {
        if !self.lines.is_empty() {
            self.text.push('\n');
        }
        self.lines.push((self.text.len(), offset));
        self.text.push_str(line);
    }

    /// Lines of a file, one below the other.
    pub(super) fn of_lines(lines: &[Line<'_>]) -> Self {
        let mut text = Self::default();
        for line in lines {
            text.push(line.text, line.start);
        }
        text
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where a byte of the YAML stands in the file.
    pub(super) fn place(&self, at: usize) -> usize {
        let line = self.lines.partition_point(|(start, _)| *start <= at);
        match self.lines.get(line.saturating_sub(1)) {
            Some((start, offset)) => offset + (at - start),
            None => 0,
        }
    }

    /// The value; null where there is none. All that is wrong with it goes to `complaints`; what the parser cannot
    /// read past is the last of them, and then there is no value.
    pub(super) fn read(&self, complaints: &mut Vec<Complaint>) -> Option<Located> {
        let masked = Masked::new(&self.text);
        let mut builder = Builder {
            yaml: self,
            masked: &masked,
            open: Vec::new(),
            root: None,
            anchored: HashMap::new(),
            repeated: 0,
            complaints,
        };
        let mut options = Options::default();
        options.flow_nesting_limit = NESTING_MAX;
        options.block_nesting_limit = NESTING_MAX;
        let mut documents = 0;
        for step in Parser::new_from_str_with_options(&masked.text, options) {
            let (event, span) = match step {
                Ok(step) => step,
                Err(error) => {
                    let complaint = self.explain(&error);
                    complaints.push(complaint);
                    return None;
                }
            };
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents > 1 {
                    let at = self.place(span.start.byte_offset().unwrap_or(0));
                    let help = "remove the line `---`, or quote the text";
                    complaints.push(Complaint::new(at, "a second YAML document begins here", help));
                    return None;
                }
            }
            if let Err(complaint) = builder.take(event, &span) {
                complaints.push(complaint);
                return None;
            }
        }
        let start = self.place(0);
        Some(
            builder
                .root
                .unwrap_or_else(|| Located::implied(Value::Null, start)),
        )
    }

    /// A mistake in plain words, with what to write instead.
    fn explain(&self, error: &ScanError) -> Complaint {
        let marker = error.marker();
        // The parser stops behind the last line when something is missing there: the last line shows it.
        let last = self.text.trim_end().len();
        let offset = self.place(marker.byte_offset().unwrap_or(0).min(last));
        const BLOCK: &str = "quote the value, or write a longer text into a fenced block: ```text NAME … ```";
        let (message, help) = match error.kind() {
            ErrorKind::UnexpectedEofFlowSequence | ErrorKind::UnclosedFlowCollection { open: '[' } => {
                ("a `[` is never closed".to_owned(), "close the list with `]`")
            }
            ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnclosedFlowCollection { open: '{' } => {
                ("a `{` is never closed".to_owned(), "close the object with `}`")
            }
            ErrorKind::ExpectedFlowSequenceSeparator => (
                "a comma or `]` is missing here".to_owned(),
                "a text that begins with `[` or `{` and is no list or object stands in quotes",
            ),
            ErrorKind::ExpectedFlowMappingSeparator => (
                "a comma or `}` is missing here".to_owned(),
                "a text that begins with `[` or `{` and is no list or object stands in quotes",
            ),
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation => (
                "a tab indents this line".to_owned(),
                "YAML is indented with spaces: replace the tab by spaces",
            ),
            ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
                ("a `key: value` is expected here".to_owned(), BLOCK)
            }
            ErrorKind::InvalidIndentation | ErrorKind::ExpectedBlockMappingKey => (
                "this line is indented as no line above it".to_owned(),
                "lines that belong together begin in one column; what is inside is indented further",
            ),
            ErrorKind::ExpectedBlockSequenceEntry => (
                "an element of the list is expected here".to_owned(),
                "begin each element with `- ` in one column",
            ),
            ErrorKind::UnknownAnchor => (
                "this alias names no anchor above it".to_owned(),
                "quote a text that begins with `*`",
            ),
            ErrorKind::ExpectedDocumentStart => (
                "something follows the end of the value".to_owned(),
                "a text that begins with `[`, `{` or a quote and goes on behind it stands in quotes as a whole",
            ),
            ErrorKind::UnclosedQuotedScalar => ("this quote is never closed".to_owned(), "close it"),
            ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
                "a second colon in one line".to_owned(),
                "quote a value that has `: ` in it",
            ),
            ErrorKind::UnexpectedCharacter { character } => {
                (format!("a value cannot begin with `{character}`"), "quote it")
            }
            ErrorKind::RecursionLimitExceeded => ("values are nested too deeply".to_owned(), ""),
            kind => (format!("this is not valid YAML: {kind}"), BLOCK),
        };
        Complaint::new(offset, message, help)
    }
}

/// A list or object that is not closed yet.
enum Open {
    List {
        start: usize,
        anchor: usize,
        elements: Vec<Located>,
    },
    Object {
        start: usize,
        anchor: usize,
        /// A key that waits for its value.
        key: Option<(SmolStr, usize)>,
        members: Vec<(SmolStr, Located)>,
        /// What `<<` brings in.
        merged: Vec<Located>,
    },
}

struct Builder<'a, 'c> {
    yaml: &'a YamlText,
    masked: &'a Masked<'a>,
    open: Vec<Open>,
    root: Option<Located>,
    anchored: HashMap<usize, Located>,
    repeated: usize,
    complaints: &'c mut Vec<Complaint>,
}

impl Builder<'_, '_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Complaint> {
        let from = span.start.byte_offset().unwrap_or(0);
        let start = self.yaml.place(from);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut text = self.masked.unmask(text, from);
                let to = span.end.byte_offset().unwrap_or(from).max(from);
                let rest = self.yaml.text.get(to..).unwrap_or_default();
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                // The last line has no line feed behind it, and none is to be added.
                if is_block && rest.is_empty() && !self.yaml.text.ends_with('\n') && text.ends_with('\n') {
                    text.pop();
                }
                if let Some(key) = self.missing_key() {
                    *key = Some((SmolStr::new(&text), start));
                    return Ok(());
                }
                let value = self.scalar(&text, style, tag, start)?;
                let written = self.yaml.text.get(from..to).unwrap_or_default();
                let spot = Spot::of_text(&text, written, from, |at| self.yaml.place(at));
                self.add(Located::new(value, spot), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag, "seq", start)?;
                self.refuse_as_key(start)?;
                self.open.push(Open::List {
                    start,
                    anchor,
                    elements: Vec::new(),
                });
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag, "map", start)?;
                self.refuse_as_key(start)?;
                self.open.push(Open::Object {
                    start,
                    anchor,
                    key: None,
                    members: Vec::new(),
                    merged: Vec::new(),
                });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List {
                    start,
                    anchor,
                    elements,
                }) => self.add(Located::array(elements, start), anchor),
                Some(Open::Object {
                    start,
                    anchor,
                    mut members,
                    merged,
                    ..
                }) => {
                    for (name, member) in merged.into_iter().flat_map(Located::into_members) {
                        if !members.iter().any(|(known, _)| *known == name) {
                            members.push((name, member));
                        }
                    }
                    self.add(Located::object(members, start), anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, start),
            _ => Ok(()),
        }
    }

    /// Where the next scalar is a key: the place for it.
    fn missing_key(&mut self) -> Option<&mut Option<(SmolStr, usize)>> {
        match self.open.last_mut() {
            Some(Open::Object { key: key @ None, .. }) => Some(key),
            _ => None,
        }
    }

    fn refuse_as_key(&mut self, start: usize) -> Result<(), Complaint> {
        match self.missing_key() {
            Some(_) => Err(Complaint::new(
                start,
                "a list or object cannot be a key",
                "a template as a value stands in quotes here: \"${node.key}\"",
            )),
            None => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize, start: usize) -> Result<(), Complaint> {
        self.refuse_as_key(start)?;
        let Some(there) = self.anchored.get(&anchor) else {
            return Err(Complaint::new(start, "this alias is inside its own anchor", ""));
        };
        self.repeated += weight(&there.value);
        if self.repeated > REPEATED_MAX {
            return Err(Complaint::new(
                start,
                "the aliases repeat too much",
                "write out what is meant",
            ));
        }
        let value = there.clone();
        self.add(value, 0)
    }

    fn add(&mut self, located: Located, anchor: usize) -> Result<(), Complaint> {
        if anchor != 0 {
            self.anchored.insert(anchor, located.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(located),
            Some(Open::List { elements, .. }) => elements.push(located),
            Some(Open::Object {
                key, members, merged, ..
            }) => {
                let Some((name, offset)) = key.take() else {
                    return Ok(());
                };
                if name == "<<" && !located.value.is_string() {
                    let bases = match &located.value {
                        Value::Array(_) => located.into_elements(),
                        _ => vec![located],
                    };
                    if !bases.iter().all(|base| base.value.is_object()) {
                        return Err(Complaint::new(offset, "`<<` takes in objects only", ""));
                    }
                    merged.extend(bases);
                    return Ok(());
                }
                if members.iter().any(|(known, _)| *known == name) {
                    self.complaints.push(Complaint::new(
                        offset,
                        format!("the key `{name}` is given twice"),
                        "",
                    ));
                }
                members.push((name, located.with_key(offset)));
            }
        }
        Ok(())
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<Cow<'_, Tag>>,
        start: usize,
    ) -> Result<Value, Complaint> {
        let Some(tag) = tag else {
            return Ok(if style == ScalarStyle::Plain {
                scalar::of_yaml(text)
            } else {
                Value::from(text)
            });
        };
        let plain = scalar::of_yaml(text);
        let fits = match core_name(&tag) {
            Some("str") | None if is_local(&tag) => return Ok(Value::from(text)),
            Some("int") => plain.is_i64() || plain.is_u64(),
            Some("float") => plain.is_number(),
            Some("bool") => plain.is_boolean(),
            Some("null") => plain.is_null(),
            _ => false,
        };
        if fits {
            return Ok(plain);
        }
        Err(foreign_tag(start))
    }

    fn check_tag(&self, tag: Option<Cow<'_, Tag>>, wanted: &str, start: usize) -> Result<(), Complaint> {
        match tag {
            Some(tag) if core_name(&tag) != Some(wanted) => Err(foreign_tag(start)),
            _ => Ok(()),
        }
    }
}

fn foreign_tag(start: usize) -> Complaint {
    Complaint::new(
        start,
        "this YAML tag has no meaning here",
        "quote a text that begins with `!`",
    )
}

/// `!!str` and the lone `!` make a text of anything.
fn is_local(tag: &Tag) -> bool {
    core_name(tag) == Some("str")
        || (tag.handle().is_empty() || tag.handle() == "!") && tag.suffix().is_empty()
}

/// The name of a tag of YAML's own.
fn core_name(tag: &Tag) -> Option<&str> {
    (tag.handle() == "tag:yaml.org,2002:").then(|| tag.suffix())
}

/// Roughly how much a value holds.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 1,
        Value::Array(elements) => elements.iter().map(weight).sum::<usize>() + 1,
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| name.len() + weight(member))
            .sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
