//! The lines of a Markdown workflow file, sorted into what they are: headings, prose, parameters, fenced blocks.
//!
//! Goes by lines and keeps every one of them: the formatter writes them back, the reader takes their meaning.
//! Never reads a value.

/// A run of lines that belong together.
#[derive(Clone, Debug)]
pub(super) struct Piece<'a> {
    /// The byte at which its first line begins.
    pub(super) start: usize,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) kind: Kind<'a>,
}

/// A line without its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The byte at which it begins.
    pub(super) start: usize,
    pub(super) text: &'a str,
}

/// What the lines are.
#[derive(Clone, Debug)]
pub(super) enum Kind<'a> {
    /// Between `---` and `---`, both among the lines.
    FrontMatter,
    /// `# Title`, `## Section`, `### id`.
    Heading {
        level: usize,
        text: &'a str,
        /// Where the text begins.
        offset: usize,
    },
    /// `- key: value`, and the lines that go on with it; no blank ones at the end.
    Param(Param<'a>),
    /// A bullet with `-` that is no parameter, where only parameters may be.
    StrayBullet,
    /// A line that goes on with a parameter, but by its indentation does not.
    Astray { tab: bool },
    /// A fenced block, with its fences.
    Fence(Fence<'a>),
    /// Everything else, blank lines included.
    Prose,
}

/// The first line of a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param<'a> {
    pub(super) key: &'a str,
    /// What stands behind the colon, without spaces around it.
    pub(super) value: &'a str,
    /// Where the key begins.
    pub(super) key_offset: usize,
    /// Where the value begins.
    pub(super) value_offset: usize,
    /// How far lines are indented that go on with it: by the bullet and two.
    pub(super) indent: usize,
}

/// A fenced block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence<'a> {
    /// The words behind the opening fence.
    pub(super) info: &'a str,
    pub(super) info_offset: usize,
    pub(super) indent: usize,
    pub(super) mark: char,
    pub(super) length: usize,
    pub(super) closed: bool,
}

impl<'a> Piece<'a> {
    /// The lines of a fenced block between the fences, without the indentation that the fence has.
    pub(super) fn body(&self) -> Vec<Line<'a>> {
        let Kind::Fence(fence) = &self.kind else {
            return Vec::new();
        };
        let end = self.lines.len() - usize::from(fence.closed && self.lines.len() > 1);
        self.lines[1..end]
            .iter()
            .map(|line| line.without_indent(fence.indent))
            .collect()
    }

    pub(super) fn is_blank(&self) -> bool {
        self.lines.iter().all(Line::is_blank)
    }
}

impl<'a> Line<'a> {
    /// The lines of a text, without line feeds and the carriage returns in front of them.
    pub(super) fn all(text: &'a str) -> Vec<Self> {
        let mut start = 0;
        let mut lines = Vec::new();
        for whole in text.split_inclusive('\n') {
            let line = whole.strip_suffix('\n').unwrap_or(whole);
            let text = line.strip_suffix('\r').unwrap_or(line);
            lines.push(Self { start, text });
            start += whole.len();
        }
        lines
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn indent(&self) -> usize {
        self.text.bytes().take_while(|byte| *byte == b' ').count()
    }

    /// Without as many spaces at the beginning as there are, `most` at most.
    pub(super) fn without_indent(&self, most: usize) -> Self {
        let indent = self.indent().min(most);
        Self {
            start: self.start + indent,
            text: &self.text[indent..],
        }
    }
}

/// The sections whose entries have parameters, by their headings in lower case.
pub(super) const SECTIONS: [&str; 4] = ["inputs", "steps", "outputs", "cache"];

/// Sorts the lines of a file. The byte order mark is not part of `text`.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let lines = Line::all(text);
    let mut reader = Reader {
        lines: &lines,
        next: 0,
        in_section: false,
        pieces: Vec::new(),
    };
    reader.front_matter();
    while reader.next < lines.len() {
        reader.piece();
    }
    reader.pieces
}

struct Reader<'a, 'l> {
    lines: &'l [Line<'a>],
    next: usize,
    /// Whether bullets are parameters here.
    in_section: bool,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Reader<'a, '_> {
    fn add(&mut self, count: usize, kind: Kind<'a>) {
        let lines = self.lines[self.next..self.next + count].to_vec();
        self.next += count;
        // Prose is one piece, however many lines it has.
        if let (Kind::Prose, Some(last)) = (&kind, self.pieces.last_mut())
            && matches!(last.kind, Kind::Prose)
        {
            last.lines.extend(lines);
            return;
        }
        if let Some(first) = lines.first() {
            self.pieces.push(Piece {
                start: first.start,
                lines,
                kind,
            });
        }
    }

    /// `---` in the first line, up to the next `---`; without that it is a line like any other.
    fn front_matter(&mut self) {
        let is_mark = |line: &Line<'_>| line.text.trim_end() == "---";
        if !self.lines.first().is_some_and(is_mark) {
            return;
        }
        if let Some(close) = self.lines[1..].iter().position(is_mark) {
            self.add(close + 2, Kind::FrontMatter);
        }
    }

    fn piece(&mut self) {
        let line = self.lines[self.next];
        if let Some(fence) = opening(line) {
            return self.fence(fence);
        }
        if let Some((level, text, offset)) = heading(line)
            && level <= 3
            && (level == 1 || !text.is_empty())
        {
            match level {
                2 => self.in_section = SECTIONS.contains(&text.to_lowercase().as_str()),
                3 if !self.in_section => return self.add(1, Kind::Prose),
                1 if self.pieces.iter().any(is_title) => return self.add(1, Kind::Prose),
                _ => {}
            }
            return self.add(1, Kind::Heading { level, text, offset });
        }
        if self.in_section
            && let Some(rest) = line.text.trim_start_matches(' ').strip_prefix('-')
            && (rest.is_empty() || rest.starts_with([' ', '\t']))
        {
            return match param(line) {
                Some(param) => self.param(param),
                None => self.add(1, Kind::StrayBullet),
            };
        }
        self.add(1, Kind::Prose);
    }

    fn fence(&mut self, mut fence: Fence<'a>) {
        let rest = &self.lines[self.next + 1..];
        let close = rest.iter().position(|line| closes(line, &fence));
        fence.closed = close.is_some();
        let count = close.map_or(rest.len() + 1, |close| close + 2);
        self.add(count, Kind::Fence(fence));
    }

    fn param(&mut self, param: Param<'a>) {
        let rest = &self.lines[self.next + 1..];
        let in_block = param.value.starts_with(['|', '>']);
        let mut count = 1;
        for (position, line) in rest.iter().enumerate() {
            if line.is_blank() {
                continue;
            }
            // A fence inside of YAML is text; elsewhere it is a block of its own.
            let is_inside = in_block || (param.value.is_empty() && count > 1 && line.indent() > param.indent);
            if line.indent() < param.indent || (!is_inside && opening(*line).is_some()) {
                break;
            }
            count = position + 2;
        }
        let is_last = count == 1;
        self.add(count, Kind::Param(param));
        if let Some(line) = self.lines.get(self.next)
            && let Some(tab) = is_astray(line, &param, is_last)
        {
            self.add(1, Kind::Astray { tab });
        }
    }
}

/// Whether a line behind a parameter was meant to go on with it: indented with a tab, or by too little and like
/// a `key: value`.
fn is_astray(line: &Line<'_>, param: &Param<'_>, is_alone: bool) -> Option<bool> {
    let body = line.text.trim_start();
    if body.is_empty() || body.len() == line.text.len() {
        return None;
    }
    let indent = &line.text[..line.text.len() - body.len()];
    if indent.contains('\t') {
        return Some(true);
    }
    let looks_meant = is_alone && param.value.is_empty() && !body.starts_with(['-', '#', '`', '~', '*']);
    (looks_meant && body.split_once(':').is_some_and(|(key, _)| is_key(key))).then_some(false)
}

fn is_title(piece: &Piece<'_>) -> bool {
    matches!(piece.kind, Kind::Heading { .. })
}

/// `# text`: level, text, and where the text begins.
fn heading(line: Line<'_>) -> Option<(usize, &str, usize)> {
    let body = line.text.trim_start_matches(' ');
    if line.text.len() - body.len() > 3 {
        return None;
    }
    let level = body.bytes().take_while(|byte| *byte == b'#').count();
    let rest = &body[level..];
    if level == 0 || level > 6 || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    let text = rest.trim_start();
    let offset = line.start + line.text.len() - text.len();
    let text = text.trim_end();
    // `## Steps ##` is another way to write it.
    let unclosed = text.trim_end_matches('#');
    let text = if unclosed.len() < text.len() && (unclosed.is_empty() || unclosed.ends_with([' ', '\t'])) {
        unclosed.trim_end()
    } else {
        text
    };
    Some((level, text, offset))
}

/// The opening fence of a block.
fn opening(line: Line<'_>) -> Option<Fence<'_>> {
    let body = line.text.trim_start_matches(' ');
    let indent = line.text.len() - body.len();
    let mark = body.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let rest = body.trim_start_matches(mark);
    let length = body.len() - rest.len();
    // Backticks in the words make it code within a line.
    if length < 3 || (mark == '`' && rest.contains('`')) {
        return None;
    }
    let info = rest.trim();
    let info_offset = line.start + indent + length + (rest.len() - rest.trim_start().len());
    Some(Fence {
        info,
        info_offset,
        indent,
        mark,
        length,
        closed: false,
    })
}

fn closes(line: &Line<'_>, fence: &Fence<'_>) -> bool {
    let body = line.text.trim();
    body.len() >= fence.length && !body.is_empty() && body.chars().all(|character| character == fence.mark)
}

pub(super) fn is_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn param(line: Line<'_>) -> Option<Param<'_>> {
    let body = line.text.trim_start_matches(' ');
    let bullet = line.text.len() - body.len();
    let rest = body.strip_prefix('-')?.trim_start();
    let (key, value) = rest.split_once(':')?;
    if !is_key(key) {
        return None;
    }
    let key_offset = line.start + line.text.len() - rest.len();
    let trimmed = value.trim_start();
    Some(Param {
        key,
        value: trimmed.trim_end(),
        key_offset,
        value_offset: line.start + line.text.len() - trimmed.len(),
        indent: bullet + 2,
    })
}
