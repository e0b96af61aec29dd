//! The pieces of a Markdown file put together: the same members that a JSON workflow file has, each with its place.
//!
//! Knows which parameters are members of a step. Never judges values: the validator does, as for JSON.

use std::path::Path;

use smol_str::SmolStr;

use super::edges::{self, Way};
use super::entries::{self, Entry, EntryKind, EntryParam};
use super::located::{Located, Spot};
use super::pieces::{Kind, Piece, SECTIONS, pieces};
use super::references;
use super::yaml::{Complaint, YamlText};
use crate::names;

/// What a Markdown file says, as a JSON workflow file would say it.
pub(super) struct Assembled {
    /// None where the file lacks what nothing can be said without.
    pub(super) top: Option<Located>,
    pub(super) complaints: Vec<Complaint>,
    /// Pointers to what is missing because it could not be read: nothing more is to be said about it.
    pub(super) broken: Vec<Broken>,
    /// What JSON has no place for, and which files were taken in.
    pub(super) notes: Vec<String>,
    /// The files that were taken in, as they are named.
    pub(super) inlined: Vec<String>,
}

/// The member of the front matter that is about the workflow. All else there is the author's.
pub(super) const FRONT_KEY: &str = "flowmeter";

/// What stands below it.
pub(super) const FRONT_MEMBERS: [&str; 9] = [
    "$schema",
    "ir_version",
    "title",
    "description",
    "start_node",
    "edges",
    "enable_namespacing",
    "template_resolution_mode",
    "budget",
];

/// Parameters of a step that are members of the node.
pub(super) const LIFTED: [&str; 7] = ["type", "purpose", "batch", "loop", "retry", "cache", "budget"];

/// Those that are its edges.
pub(super) const NEXT: &str = "next";
pub(super) const ON_ERROR: &str = "on-error";

/// A section of the file, with its pieces.
struct Section<'p, 't> {
    name: String,
    /// Where the name stands.
    offset: usize,
    pieces: &'p [Piece<'t>],
}

/// Reads a file. Referenced files are looked for in `folder`; without one references stay as they are.
pub(super) fn assemble(text: &str, folder: Option<&Path>) -> Assembled {
    let pieces = pieces(text);
    let mut assembler = Assembler {
        folder,
        complaints: Vec::new(),
        broken: Vec::new(),
        notes: Vec::new(),
        inlined: Vec::new(),
    };
    let top = assembler.file(&pieces, text);
    Assembled {
        top,
        complaints: assembler.complaints,
        broken: assembler.broken,
        notes: assembler.notes,
        inlined: assembler.inlined,
    }
}

struct Assembler<'f> {
    folder: Option<&'f Path>,
    complaints: Vec<Complaint>,
    broken: Vec<Broken>,
    notes: Vec<String>,
    inlined: Vec<String>,
}

type Members = Vec<(SmolStr, Located)>;

/// Adds a member that is not there yet.
fn add_absent(members: &mut Members, name: &'static str, value: Option<Located>) {
    if let Some(value) = value
        && !members.iter().any(|(known, _)| known == name)
    {
        members.push((SmolStr::new_static(name), value));
    }
}

impl Assembler<'_> {
    fn complain(&mut self, offset: usize, message: impl Into<String>, help: impl Into<String>) {
        self.complaints.push(Complaint::new(offset, message, help));
    }

    fn warn(&mut self, offset: usize, message: impl Into<String>, help: impl Into<String>) {
        self.complaints.push(Complaint::warning(offset, message, help));
    }

    fn file(&mut self, pieces: &[Piece<'_>], text: &str) -> Option<Located> {
        let is_open = |piece: &&Piece<'_>| matches!(&piece.kind, Kind::Fence(fence) if !fence.closed);
        let open = pieces.iter().find(is_open);
        if let Some(open) = open
            && let Kind::Fence(fence) = &open.kind
        {
            let mark: String = std::iter::repeat_n(fence.mark, fence.length).collect();
            let help = format!("close it with {mark} on a line of its own");
            self.complain(open.start + fence.indent, "this block is never closed", help);
        }
        let mut members = self.front_matter(pieces.first());
        if pieces.iter().any(|piece| {
            piece
                .lines
                .iter()
                .any(|line| line.text.contains("<!--") && line.text.trim() != entries::NO_DESCRIPTION)
        }) {
            self.notes
                .push("comments are kept only where they are in prose that is kept".to_owned());
        }
        let sections = sections(pieces);
        let head = sections.first().map_or(pieces.len(), |section| {
            pieces.len() - section_len(pieces, section)
        });
        self.head(&pieces[..head], &mut members);
        let mut known: Vec<&Section<'_, '_>> = Vec::new();
        for section in &sections {
            let name = section.name.as_str();
            if let Some(first) = known.iter().find(|known| known.name == name) {
                let line = text[..first.offset].matches('\n').count() + 1;
                let help = format!("line {line} has the first one: put both together");
                self.complain(
                    section.offset,
                    format!("the section `## {}` is there twice", title_case(name)),
                    help,
                );
            } else if SECTIONS.contains(&name) {
                known.push(section);
                continue;
            }
            self.notes
                .push(format!("the section `## {}` is left out", section.title(text)));
            if SECTIONS.contains(&name) {
                continue;
            }
            if let Some(near) = names::nearest_name(name, SECTIONS) {
                let help = format!("did you mean `## {}`?", title_case(near));
                self.warn(
                    section.offset,
                    format!("the section `## {}` is not read", section.title(text)),
                    help,
                );
            }
        }
        let find = |name: &str| known.iter().find(|section| section.name == name);
        if let Some(inputs) = find("inputs") {
            let inputs = self.declarations(EntryKind::Input, inputs);
            members.push((SmolStr::new_static("inputs"), inputs));
        }
        if let Some(cache) = find("cache") {
            self.notes.push("the section `## Cache` is left out".to_owned());
            self.cache(cache);
        }
        let steps = find("steps").map(|section| (section.offset, self.entries(EntryKind::Step, section)));
        if let Some(outputs) = find("outputs") {
            let outputs = self.declarations(EntryKind::Output, outputs);
            members.push((SmolStr::new_static("outputs"), outputs));
        }
        const STEP: &str = "write `### my-step`, a line of prose about it, and `- type: shell`";
        let Some((offset, steps)) = steps else {
            let help = match sections.iter().find(|section| is_like_steps(&section.name)) {
                Some(section) => {
                    let line = text[..section.offset].matches('\n').count() + 1;
                    format!("line {line} has `## {}`: write `## Steps`", section.title(text))
                }
                None => format!("write `## Steps`; below it, {}", &STEP["write ".len()..]),
            };
            if open.is_none() {
                self.complain(first_heading(pieces), "the section `## Steps` is missing", help);
            }
            return None;
        };
        if steps.is_empty() {
            if open.is_none() {
                self.complain(offset, "the section `## Steps` has no steps", STEP);
            }
            return None;
        }
        self.steps(steps, offset, &mut members);
        if open.is_some() {
            return None;
        }
        Some(Located::object(members, 0))
    }

    /// The member of the front matter that is ours, as members of the workflow.
    fn front_matter(&mut self, first: Option<&Piece<'_>>) -> Members {
        let Some(piece) = first.filter(|piece| matches!(piece.kind, Kind::FrontMatter)) else {
            return Vec::new();
        };
        let lines = &piece.lines[1..piece.lines.len() - 1];
        let before = self.complaints.len();
        let read = YamlText::of_lines(lines).read(&mut self.complaints);
        let Some(front) = read else {
            for complaint in &mut self.complaints[before..] {
                complaint.message = format!("front matter: {}", complaint.message);
            }
            return Vec::new();
        };
        if !front.value.is_object() {
            if !front.value.is_null() {
                self.warn(
                    front.spot.start,
                    "the front matter is no `key: value`",
                    "write `key: value` in each line between `---` and `---`",
                );
            }
            return Vec::new();
        }
        let (ours, others): (Members, Members) = front
            .into_members()
            .into_iter()
            .partition(|(name, _)| name == FRONT_KEY);
        if !others.is_empty() {
            let keys = names::list(others.iter().map(|(name, _)| name.as_str()));
            self.notes.push(format!("the front matter's {keys} is left out"));
        }
        let ours = ours.into_iter().next();
        let Some((_, ours)) = ours else {
            return Vec::new();
        };
        if !ours.value.is_object() {
            let help = format!("it takes {}", names::list(FRONT_MEMBERS));
            self.complain(ours.spot.start, format!("`{FRONT_KEY}` is an object"), help);
            return Vec::new();
        }
        let mut members = Vec::new();
        for (name, value) in ours.into_members() {
            if FRONT_MEMBERS.contains(&name.as_str()) {
                members.push((name, value));
            } else {
                let help = names::suggestion(&name, &FRONT_MEMBERS, "valid").unwrap_or_default();
                self.complain(
                    value.spot.key,
                    format!("unknown key `{name}` in `{FRONT_KEY}`"),
                    help,
                );
            }
        }
        members
    }

    /// Title and description: what stands before the first section.
    fn head(&mut self, pieces: &[Piece<'_>], members: &mut Members) {
        let mut title = None;
        let mut texts: Vec<String> = Vec::new();
        let mut start = None;
        for piece in pieces {
            match &piece.kind {
                Kind::Heading {
                    level: 1,
                    text,
                    offset,
                } if title.is_none() => {
                    title = (!text.is_empty()).then(|| Located::implied(*text, *offset));
                }
                Kind::FrontMatter => {}
                _ if piece.is_blank() => {}
                _ => {
                    let first = piece.lines.iter().find(|line| !line.is_blank());
                    start = start.or(first.map(|line| line.start));
                    texts.push(entries::text_of(piece));
                }
            }
        }
        add_absent(members, "title", title);
        let description = start.map(|start| Located::implied(texts.join("\n\n"), start));
        add_absent(members, "description", description);
    }

    fn entries(&mut self, kind: EntryKind, section: &Section<'_, '_>) -> Vec<Entry> {
        let is_entry = |piece: &Piece<'_>| matches!(piece.kind, Kind::Heading { level: 3, .. });
        let pieces = section.pieces;
        let first = pieces.iter().position(is_entry).unwrap_or(pieces.len());
        self.before_entries(kind, &pieces[..first]);
        if pieces[..first].iter().any(|piece| !piece.is_blank()) {
            let title = format!("{}s", kind.word());
            self.notes.push(format!(
                "the prose at the beginning of `## {}` is left out",
                title_case(&title)
            ));
        }
        let mut entries = Vec::new();
        let mut at = first;
        while at < pieces.len() {
            let rest = &pieces[at + 1..];
            let length = rest.iter().position(is_entry).unwrap_or(rest.len());
            entries.push(entries::read(
                kind,
                &pieces[at],
                &rest[..length],
                &mut self.complaints,
            ));
            at += length + 1;
        }
        entries
    }

    /// What stands in a section before its first entry is prose; what looks like more was probably meant as such.
    fn before_entries(&mut self, kind: EntryKind, pieces: &[Piece<'_>]) {
        for piece in pieces {
            match &piece.kind {
                Kind::Param(param) => {
                    let message = format!("`{}` belongs to no {}", param.key, kind.word());
                    let help = format!(
                        "write `### my-{}` above it; a bullet that is prose begins with `*`",
                        kind.word()
                    );
                    self.warn(param.key_offset, message, help);
                }
                Kind::Prose => {
                    let tight = |line: &&super::pieces::Line<'_>| {
                        line.text
                            .strip_prefix("###")
                            .is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_alphabetic()))
                    };
                    if let Some(line) = piece.lines.iter().find(tight) {
                        let help = format!("write `### {}`", line.text.trim_start_matches('#').trim());
                        self.complain(line.start, "a space is missing behind `###`", help);
                    }
                }
                _ => {}
            }
        }
    }

    /// Inputs or outputs.
    fn declarations(&mut self, kind: EntryKind, section: &Section<'_, '_>) -> Located {
        let entries = self.entries(kind, section);
        let mut declared: Members = Vec::new();
        let mut first: Vec<(SmolStr, usize)> = Vec::new();
        for entry in entries {
            if first.iter().any(|(id, _)| *id == entry.id) {
                let message = format!("the {} `{}` is there twice", kind.word(), entry.id);
                self.complain(entry.offset, message, "ids are unique in their section");
                continue;
            }
            first.push((entry.id.clone(), entry.offset));
            let pointer = format!("/{}s/{}", kind.word(), entry.id);
            self.note_broken(&pointer, &entry);
            let mut members: Members = Vec::new();
            let offset = entry.offset;
            let description = entry
                .description
                .clone()
                .map(|text| Located::implied(text, entry.description_offset));
            for param in entry.params {
                if param.is_empty && param.key != "default" {
                    self.no_value(&param.key, param.value.spot.key);
                    continue;
                }
                let value = self.resolved(&param.key, param.value, &pointer);
                members.push((param.key, value));
            }
            add_absent(&mut members, "description", description);
            declared.push((entry.id, Located::object(members, offset)));
        }
        Located::object(declared, section.offset)
    }

    fn no_value(&mut self, key: &str, offset: usize) {
        let said = self.complaints.iter().any(|complaint| complaint.offset == offset);
        if !said {
            self.warn(
                offset,
                format!("`{key}` has no value"),
                format!("write one behind the colon, or remove the line; an empty text is `- {key}: \"\"`"),
            );
        }
    }

    fn note_broken(&mut self, pointer: &str, entry: &Entry) {
        for key in &entry.broken {
            let mut add = |pointer: String, deep| self.broken.push(Broken { pointer, deep });
            add(pointer.to_owned(), false);
            // Without its batch or loop a step has no variables.
            add(
                format!("{pointer}/params"),
                matches!(key.as_str(), "batch" | "loop"),
            );
            add(format!("{pointer}/params/{key}"), true);
            add(format!("{pointer}/{key}"), true);
        }
    }

    /// The value, from its file where it names one.
    fn resolved(&mut self, key: &str, value: Located, pointer: &str) -> Located {
        let Some(folder) = self
            .folder
            .filter(|_| references::is_reference(key, &value.value))
        else {
            return value;
        };
        let key_offset = value.spot.key;
        let start = value.spot.start;
        let named = value.value.as_str().unwrap_or_default().to_owned();
        match references::inlined(key, value, folder) {
            Ok(located) => {
                self.notes
                    .push(format!("`{key}` now holds what the file `{named}` says"));
                self.inlined.push(named);
                located.with_key(key_offset)
            }
            Err(complaint) => {
                self.complaints.push(complaint);
                // What stands for the file is not what was meant: nothing more is said about it.
                let mut add = |pointer: String, deep| self.broken.push(Broken { pointer, deep });
                add(format!("{pointer}/{key}"), true);
                add(format!("{pointer}/params/{key}"), true);
                add(format!("{pointer}/params"), key == "batch");
                Located::new(named, Spot::at(start)).with_key(key_offset)
            }
        }
    }

    fn steps(&mut self, entries: Vec<Entry>, offset: usize, members: &mut Members) {
        let mut ways = Vec::with_capacity(entries.len());
        let mut nodes = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            self.note_broken(&format!("/nodes/{index}"), &entry);
            let mut way = Way {
                id: entry.id.clone(),
                offset: entry.offset,
                ..Way::default()
            };
            nodes.push(self.node(entry, &mut way, format!("/nodes/{index}")));
            ways.push(way);
        }
        members.push((SmolStr::new_static("nodes"), Located::array(nodes, offset)));
        if members.iter().any(|(name, _)| name == "edges") {
            for way in &ways {
                let written = way.next.as_ref().and_then(|next| next.first());
                if let Some(target) = written.or(way.on_error.as_ref()) {
                    let help = format!("remove it, or `edges` below `{FRONT_KEY}`");
                    self.complain(target.offset, "the edges are in the front matter already", help);
                }
            }
            return;
        }
        let drawn = edges::edges(&ways, &mut self.complaints);
        members.push((SmolStr::new_static("edges"), edges::located(drawn, offset)));
    }

    fn node(&mut self, entry: Entry, way: &mut Way, pointer: String) -> Located {
        let offset = entry.offset;
        let mut members: Members = vec![(
            SmolStr::new_static("id"),
            Located::implied(entry.id.as_str(), offset),
        )];
        let mut params: Members = Vec::new();
        let purpose = entry
            .description
            .map(|text| Located::implied(text, entry.description_offset));
        for param in entry.params {
            let EntryParam {
                key, value, is_empty, ..
            } = param;
            match key.as_str() {
                NEXT => {
                    let targets = edges::targets(&value, NEXT, &mut self.complaints);
                    way.next = Some(targets).filter(|targets| !targets.is_empty());
                }
                ON_ERROR => {
                    let mut targets = edges::targets(&value, ON_ERROR, &mut self.complaints);
                    if targets.len() > 1 {
                        self.complain(
                            targets[1].offset,
                            "a failure leads to one step only",
                            format!("write `- on-error: {}`", targets[0].id),
                        );
                        targets.truncate(1);
                    }
                    way.on_error = targets.pop();
                }
                name if is_empty && name != "type" => self.no_value(name, value.spot.key),
                name if LIFTED.contains(&name) => {
                    if !value.value.is_null() {
                        let value = self.resolved(&key, value, &pointer);
                        members.push((key, value));
                    }
                }
                _ => {
                    let value = self.resolved(&key, value, &pointer);
                    params.push((key, value));
                }
            }
        }
        add_absent(&mut members, "purpose", purpose);
        members.push((SmolStr::new_static("params"), Located::object(params, offset)));
        Located::object(members, offset)
    }

    /// `## Cache` names values that a provider may keep between calls: a time and a block of them.
    fn cache(&mut self, section: &Section<'_, '_>) {
        const HELP: &str =
            "`## Cache` takes `- ttl: 5m` and a block ```cache that names values such as ${node.key}";
        let mut has_block = false;
        for piece in section.pieces {
            match &piece.kind {
                Kind::Fence(fence)
                    if fence.closed && fence.info.split_whitespace().last() == Some("cache") =>
                {
                    has_block |= piece.lines.iter().any(|line| line.text.contains("${"));
                }
                Kind::Param(param) if param.key != "ttl" => {
                    let message = format!("unknown key `{}` in `## Cache`", param.key);
                    self.complain(param.key_offset, message, HELP);
                }
                Kind::StrayBullet => {
                    let help = format!("{HELP}; a bullet that is prose begins with `*`");
                    self.complain(piece.start, "this bullet is no `key: value`", help);
                }
                _ => {}
            }
        }
        if has_block {
            self.warn(
                section.offset,
                "the section `## Cache` has no effect",
                "write `- cache: true` in the steps whose answers may be used again",
            );
        } else {
            let help = format!("{HELP}; for the answers of one step write `- cache: true` in it");
            self.complain(
                section.offset,
                "the section `## Cache` has no block ```cache",
                help,
            );
        }
    }
}

impl Section<'_, '_> {
    /// The heading as it is written.
    fn title<'t>(&self, text: &'t str) -> &'t str {
        let rest = text.get(self.offset..).unwrap_or_default();
        rest.lines().next().unwrap_or_default().trim()
    }
}

fn sections<'p, 't>(pieces: &'p [Piece<'t>]) -> Vec<Section<'p, 't>> {
    let starts: Vec<usize> = pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| matches!(piece.kind, Kind::Heading { level: 2, .. }))
        .map(|(position, _)| position)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([pieces.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| match pieces[*start].kind {
            Kind::Heading { text, offset, .. } => Some(Section {
                name: text.to_lowercase(),
                offset,
                pieces: &pieces[start + 1..end],
            }),
            _ => None,
        })
        .collect()
}

/// How many pieces there are from the heading of the first section on.
fn section_len(pieces: &[Piece<'_>], first: &Section<'_, '_>) -> usize {
    let before = pieces.iter().position(
        |piece| matches!(piece.kind, Kind::Heading { level: 2, offset, .. } if offset == first.offset),
    );
    pieces.len() - before.unwrap_or(pieces.len())
}

/// A heading as this format has it, where it is one of its own.
pub(super) fn section_title(heading: &str) -> String {
    let name = heading.to_lowercase();
    if SECTIONS.contains(&name.as_str()) {
        title_case(&name)
    } else {
        heading.to_owned()
    }
}

fn title_case(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// What people call the steps instead.
fn is_like_steps(name: &str) -> bool {
    matches!(name, "nodes" | "workflow" | "tasks" | "actions")
        || names::nearest_name(name, ["steps"]).is_some()
}

/// The place to speak of what is missing in the whole file.
fn first_heading(pieces: &[Piece<'_>]) -> usize {
    pieces
        .iter()
        .find(|piece| matches!(piece.kind, Kind::Heading { .. }))
        .map_or(0, |piece| piece.start)
}

/// Something that could not be read.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    pointer: String,
    /// Whether what is in it is not worth speaking of either.
    deep: bool,
}

/// Whether a pointer leads to what could not be read: it is missing for that reason only.
pub(super) fn is_broken(broken: &[Broken], pointer: &str) -> bool {
    broken.iter().any(|broken| {
        pointer
            .strip_prefix(broken.pointer.as_str())
            .is_some_and(|rest| rest.is_empty() || (broken.deep && rest.starts_with('/')))
    })
}
