//! One entry of a section (a step, an input, an output): its id, its prose and its parameters.
//!
//! Reads values; what a parameter means is not known here.

use smol_str::SmolStr;

use super::located::{Located, Spot};
use super::pieces::{Fence, Kind, Param, Piece, is_key};
use super::scalar::{self, BadScalar};
use super::yaml::{Complaint, YamlText};

/// Stands where there is nothing to say: a step without a purpose, an input without a description.
pub(super) const NO_DESCRIPTION: &str = "<!-- no description -->";

/// An entry of a section.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: SmolStr,
    /// Where the heading has the id.
    pub(super) offset: usize,
    pub(super) params: Vec<EntryParam>,
    /// All its prose; none where it says that there is none.
    pub(super) description: Option<String>,
    /// Where the prose begins.
    pub(super) description_offset: usize,
    /// Keys whose values cannot be read.
    pub(super) broken: Vec<SmolStr>,
}

/// A parameter of an entry.
#[derive(Debug)]
pub(super) struct EntryParam {
    pub(super) key: SmolStr,
    pub(super) value: Located,
    in_fence: bool,
    /// Nothing stands behind the colon.
    pub(super) is_empty: bool,
}

/// What entries are called in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Step,
    Input,
    Output,
}

impl EntryKind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// Reads an entry: its heading and all that follows up to the next one.
pub(super) fn read(
    kind: EntryKind,
    heading: &Piece<'_>,
    pieces: &[Piece<'_>],
    complaints: &mut Vec<Complaint>,
) -> Entry {
    let (text, offset) = match heading.kind {
        Kind::Heading { text, offset, .. } => (text, offset),
        _ => ("", heading.start),
    };
    let mut entry = Entry {
        id: SmolStr::new(text),
        offset,
        params: Vec::new(),
        description: None,
        description_offset: offset,
        broken: Vec::new(),
    };
    if !is_id(text) {
        let slug = slug(text);
        let help = format!(
            "ids begin with a small letter, then small letters, digits, `_` and `-`: write `### {slug}`"
        );
        complaints.push(Complaint::new(
            offset,
            format!("`{text}` is no valid id of a {}", article_free(kind)),
            help,
        ));
        entry.id = SmolStr::new(slug);
    }
    let mut prose: Vec<&Piece<'_>> = Vec::new();
    for piece in pieces {
        match &piece.kind {
            Kind::Param(param) => entry.read_param(piece, param, complaints),
            Kind::Fence(fence) => entry.read_fence(piece, fence, complaints),
            Kind::Prose if !piece.is_blank() => prose.push(piece),
            Kind::Heading { .. } => prose.push(piece),
            Kind::StrayBullet => complaints.push(stray_bullet(piece)),
            Kind::Astray { tab } => complaints.push(astray(piece, *tab, entry.params.last())),
            Kind::Prose | Kind::FrontMatter => {}
        }
    }
    entry.describe(kind, &prose, complaints);
    entry
}

fn article_free(kind: EntryKind) -> &'static str {
    kind.word()
}

/// `^[a-z][a-z0-9_-]*$`
pub(super) fn is_id(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
}

/// The nearest valid id.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.to_lowercase().chars() {
        if character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_' {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.starts_with(|first: char| first.is_ascii_lowercase()) {
        slug.to_owned()
    } else {
        format!("step-{slug}").trim_end_matches('-').to_owned()
    }
}

fn stray_bullet(piece: &Piece<'_>) -> Complaint {
    let line = piece.lines.first().map_or("", |line| line.text);
    let body = line.trim_start();
    let offset = piece.start + (line.len() - body.len());
    let text = body.trim_start_matches('-').trim();
    let shown: String = text.chars().take(40).collect();
    Complaint::new(
        offset,
        "a bullet with `-` is a parameter, and this one is no `key: value`",
        format!("write `- key: value`; a bullet that is prose begins with `*`: `* {shown}`"),
    )
}

fn astray(piece: &Piece<'_>, tab: bool, param: Option<&EntryParam>) -> Complaint {
    let key = param.map_or("key", |param| param.key.as_str());
    let line = piece.lines.first().map_or("", |line| line.text);
    let shown: String = line.trim().chars().take(40).collect();
    let message = if tab {
        "this line is indented with a tab".to_owned()
    } else {
        format!("this line is indented too little to belong to `{key}`")
    };
    let help = format!("indent with four spaces: `    {shown}`");
    Complaint::new(piece.start, message, help)
}

/// What a value with structure can be written as.
const QUOTE_HELP: &str = "a text that begins with `[` or `{` and is no list or object stands in quotes";

impl Entry {
    fn add(
        &mut self,
        key: &str,
        value: Located,
        in_fence: bool,
        is_empty: bool,
        at: usize,
        complaints: &mut Vec<Complaint>,
    ) {
        if let Some(there) = self.params.iter().find(|param| param.key == key) {
            let (message, help) = if there.in_fence == in_fence {
                (format!("`{key}` is given twice"), "keep one of them")
            } else {
                (
                    format!("`{key}` is given as `- {key}: …` and as a fenced block"),
                    "keep one of them; a block suits a long text",
                )
            };
            complaints.push(Complaint::new(at, message, help));
            return;
        }
        self.params.push(EntryParam {
            key: SmolStr::new(key),
            value: value.with_key(at),
            in_fence,
            is_empty,
        });
    }

    fn read_param(&mut self, piece: &Piece<'_>, param: &Param<'_>, complaints: &mut Vec<Complaint>) {
        let key = param.key;
        if piece.lines.len() > 1 {
            return self.read_lines(piece, param, complaints);
        }
        let value = param.value;
        let offset = param.value_offset;
        let read = if value.starts_with(['{', '[']) {
            read_yaml(&YamlText::one(value, offset), complaints).map_err(|complaint| {
                let mut complaint = complaint;
                complaint.help = complaint.help.or_else(|| Some(QUOTE_HELP.to_owned()));
                complaint
            })
        } else {
            scalar::of_line(value)
                .map(|read| {
                    let spot = match read.as_str() {
                        Some(text) => Spot::of_text(text, value, 0, |at| offset + at),
                        None => Spot::at(offset),
                    };
                    Located::new(read, spot)
                })
                .map_err(|BadScalar::OpenQuote(quote)| {
                    Complaint::new(
                        offset,
                        format!("this value begins with {quote} and does not end with it"),
                        format!(
                            "close it with {quote}; a text with such a quote in it stands in the other ones"
                        ),
                    )
                })
        };
        match read {
            Ok(located) => {
                self.add(
                    key,
                    located,
                    false,
                    value.is_empty(),
                    param.key_offset,
                    complaints,
                );
            }
            Err(complaint) => {
                complaints.push(complaint);
                self.broken.push(SmolStr::new(key));
            }
        }
    }

    /// A parameter of several lines is YAML; as in a YAML list its further lines may hold further keys.
    fn read_lines(&mut self, piece: &Piece<'_>, param: &Param<'_>, complaints: &mut Vec<Complaint>) {
        let mut yaml = YamlText::default();
        for (position, line) in piece.lines.iter().enumerate() {
            if position == 0 {
                yaml.push(&line.text[param.key_offset - line.start..], param.key_offset);
            } else {
                let line = line.without_indent(param.indent);
                yaml.push(line.text, line.start);
            }
        }
        let members = match read_yaml(&yaml, complaints) {
            Ok(located) if located.value.is_object() => located.into_members(),
            Ok(_) => {
                complaints.push(Complaint::new(
                    param.key_offset,
                    format!("`{}` cannot be read", param.key),
                    "write a space behind the colon: `- key: value`",
                ));
                self.broken.push(SmolStr::new(param.key));
                return;
            }
            Err(complaint) => {
                complaints.push(complaint);
                self.broken.push(SmolStr::new(param.key));
                return;
            }
        };
        let count = members.len();
        for (position, (key, value)) in members.into_iter().enumerate() {
            let at = value.spot.key;
            let is_empty = value.value.is_null() && position + 1 < count && position == 0;
            if is_empty {
                complaints.push(Complaint::warning(
                    at,
                    format!("`{key}` has no value: the lines below it are parameters of their own"),
                    "indent them by four spaces if they belong to it",
                ));
            }
            self.add(&key, value, false, is_empty, at, complaints);
        }
    }

    fn read_fence(&mut self, piece: &Piece<'_>, fence: &Fence<'_>, complaints: &mut Vec<Complaint>) {
        if !fence.closed {
            // Said once for the whole file.
            return;
        }
        let words: Vec<&str> = fence.info.split_whitespace().collect();
        let Some(key) = words.last() else {
            complaints.push(Complaint::new(
                piece.start + fence.indent,
                "this block does not say which parameter it is",
                "write its name behind the fence: ```shell command, ```markdown prompt, ```python code, ```yaml batch; \
                 a block that holds ``` itself has a longer fence",
            ));
            return;
        };
        let at = fence.info_offset + fence.info.len() - key.len();
        if !is_key(key) {
            let help = "the last word behind the fence is the parameter: ```shell command";
            complaints.push(Complaint::new(
                at,
                format!("`{key}` is no name of a parameter"),
                help,
            ));
            return;
        }
        let body = YamlText::of_lines(&piece.body());
        let is_yaml = words.len() > 1 && words[0].eq_ignore_ascii_case("yaml");
        let read = if is_yaml {
            read_yaml(&body, complaints)
        } else {
            let text = body.text();
            let mut spot = Spot::of_text(text, text, 0, |at| body.place(at));
            if text.is_empty() {
                spot.start = at;
            }
            Ok(Located::new(text, spot))
        };
        match read {
            Ok(mut located) => {
                if located.spot.start == 0 {
                    located.spot.start = at;
                }
                self.add(key, located, true, false, at, complaints);
            }
            Err(complaint) => {
                complaints.push(complaint);
                self.broken.push(SmolStr::new(key));
            }
        }
    }

    fn describe(&mut self, kind: EntryKind, prose: &[&Piece<'_>], complaints: &mut Vec<Complaint>) {
        let Some(first) = prose.first() else {
            let help = format!(
                "write a line of prose below `### {}` that says what it is for",
                self.id
            );
            let message = format!("{} `{}` has no description", kind.word(), self.id);
            complaints.push(Complaint::new(self.offset, message, help));
            return;
        };
        self.description_offset = first
            .lines
            .iter()
            .find(|line| !line.is_blank())
            .map_or(first.start, |line| line.start);
        let texts: Vec<String> = prose.iter().map(|piece| text_of(piece)).collect();
        let text = texts.join("\n\n");
        if text != NO_DESCRIPTION {
            self.description = Some(text);
        }
    }
}

/// Prose as a text: without blank lines around it and spaces at the ends of lines.
pub(super) fn text_of(piece: &Piece<'_>) -> String {
    let lines: Vec<&str> = piece.lines.iter().map(|line| line.text.trim_end()).collect();
    let first = lines
        .iter()
        .position(|line| !line.is_empty())
        .unwrap_or(lines.len());
    let last = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(first, |last| last + 1);
    let mut text = lines[first..last].join("\n");
    if let Some(trimmed) = text.get(..).map(str::trim_start)
        && trimmed.len() < text.len()
    {
        text = trimmed.to_owned();
    }
    text
}

/// The value; the last complaint where there is none.
fn read_yaml(yaml: &YamlText, complaints: &mut Vec<Complaint>) -> Result<Located, Complaint> {
    let before = complaints.len();
    match yaml.read(complaints) {
        Some(located) => Ok(located),
        None if complaints.len() > before => Err(complaints
            .pop()
            .unwrap_or_else(|| Complaint::new(yaml.place(0), "", ""))),
        None => Err(Complaint::new(yaml.place(0), "this is not valid YAML", "")),
    }
}
