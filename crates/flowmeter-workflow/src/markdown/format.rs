//! The house style of Markdown workflow files: `flowmeter fmt`.
//!
//! Keeps the words, the order and the comments; changes blank lines, bullets, headings and the indentation around
//! them. Never changes what a file means: whoever calls it compares.

use super::assemble::section_title;
use super::pieces::{Kind, Piece, pieces};

/// The text in the house style; the byte order mark is not part of it.
pub(super) fn format(text: &str) -> String {
    let mut formatted = String::with_capacity(text.len());
    let mut previous: Option<&Kind<'_>> = None;
    let pieces = pieces(text);
    for piece in &pieces {
        let Some(lines) = lines_of(piece) else {
            continue;
        };
        let both_params = matches!((previous, &piece.kind), (Some(Kind::Param(_)), Kind::Param(_)));
        if previous.is_some() && !both_params {
            formatted.push('\n');
        }
        for line in lines {
            formatted.push_str(&line);
            formatted.push('\n');
        }
        previous = Some(&piece.kind);
    }
    formatted
}

/// The lines of a piece; none for blank ones alone.
fn lines_of(piece: &Piece<'_>) -> Option<Vec<String>> {
    let written = || piece.lines.iter().map(|line| line.text.to_owned());
    Some(match &piece.kind {
        Kind::FrontMatter => written().collect(),
        Kind::Heading { level, text, .. } => {
            let text = if *level == 2 {
                section_title(text)
            } else {
                (*text).to_owned()
            };
            vec![format!("{} {text}", "#".repeat(*level)).trim_end().to_owned()]
        }
        Kind::Param(param) => {
            let first = format!("- {}: {}", param.key, param.value);
            let shift = param.indent - 2;
            let further = piece.lines[1..].iter().map(|line| {
                if line.is_blank() && line.text.len() <= param.indent {
                    String::new()
                } else {
                    line.without_indent(shift).text.to_owned()
                }
            });
            std::iter::once(first.trim_end().to_owned())
                .chain(further)
                .collect()
        }
        Kind::Fence(fence) => {
            let mark = fence.mark.to_string().repeat(fence.length);
            let words: Vec<&str> = fence.info.split_whitespace().collect();
            let mut lines = vec![format!("{mark}{}", words.join(" "))];
            lines.extend(piece.body().iter().map(|line| line.text.to_owned()));
            if fence.closed {
                lines.push(mark);
            }
            lines
        }
        Kind::Prose | Kind::StrayBullet | Kind::Astray { .. } => {
            let lines: Vec<String> = written().collect();
            let is_text = |line: &String| !line.trim().is_empty();
            let first = lines.iter().position(is_text)?;
            let last = lines.iter().rposition(is_text)?;
            lines[first..=last].to_vec()
        }
    })
}
