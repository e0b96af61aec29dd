//! Reads templates: the grammar of `${…}`.
//!
//! Reports every mistake of a text at once. Never looks at values.

use serde_json::{Map, Value};
use smol_str::SmolStr;
use thiserror::Error;

use super::{Expression, Index, Operand, Part, Path, Segment, Template};

/// Something that begins like a template and is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct InvalidTemplate {
    /// Where it begins in its text, in bytes.
    pub offset: usize,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// What to do where nothing more specific is known.
const HELP: &str = "a template is `${node.key}` or `${input}`; index a list as `items[0]`; \
                    write `$${` for a literal `${`";

/// How much of a broken template a message shows.
const SHOWN_MAX: usize = 40;

/// The template, and what in the text is none; it is left out.
pub(super) fn parse(text: &str) -> (Template, Vec<InvalidTemplate>) {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut problems = Vec::new();
    let mut position = 0;
    while let Some(found) = text[position..].find("${") {
        let open = position + found;
        // `$${` stands for `${`; of several dollar signs the last one counts.
        if open > position && text.as_bytes()[open - 1] == b'$' {
            plain.push_str(&text[position..open - 1]);
            plain.push_str("${");
            position = open + 2;
            continue;
        }
        plain.push_str(&text[position..open]);
        match Reader::new(text, open + 2).expression() {
            Ok((operands, end)) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Expression(Expression {
                    operands,
                    written: text[open..end].to_owned(),
                    offset: open,
                }));
                position = end;
            }
            Err((message, help)) => {
                let help = help.unwrap_or(HELP).to_owned();
                problems.push(InvalidTemplate {
                    offset: open,
                    message: describe(text, open, &message),
                    help,
                });
                position = open + 2;
            }
        }
    }
    plain.push_str(&text[position..]);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    (Template { parts }, problems)
}

fn describe(text: &str, open: usize, message: &str) -> String {
    let rest = &text[open..];
    let shown = match rest.find('}') {
        Some(close) => &rest[..=close],
        None => rest.lines().next().unwrap_or(rest),
    };
    if shown.chars().count() > SHOWN_MAX {
        let cut: String = shown.chars().take(SHOWN_MAX).collect();
        format!("`{cut}…` is not a template: {message}")
    } else {
        format!("`{shown}` is not a template: {message}")
    }
}

type Refusal = (String, Option<&'static str>);

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

fn starts_name(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

fn continues_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '-'
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, position: usize) -> Self {
        Self { text, position }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.position += expected.len();
        }
        found
    }

    fn skip_spaces(&mut self) -> bool {
        let trimmed = self.rest().trim_start();
        let skipped = self.rest().len() - trimmed.len();
        self.position += skipped;
        skipped > 0
    }

    /// The operands up to `}`, and where the text goes on behind it.
    fn expression(mut self) -> Result<(Vec<Operand>, usize), Refusal> {
        let mut operands = Vec::new();
        match self.peek() {
            None => return Err(("it is never closed".to_owned(), None)),
            Some('}') => return Err(("it is empty".to_owned(), None)),
            Some(space) if space.is_whitespace() => return Err(no_spaces()),
            Some(_) => {}
        }
        loop {
            operands.push(self.operand()?);
            if self.take("}") {
                break;
            }
            let spaced = self.skip_spaces();
            if self.take("??") {
                self.skip_spaces();
                continue;
            }
            return Err(match self.peek() {
                None => ("it is never closed".to_owned(), Some("close it with `}`")),
                Some('}') if spaced => no_spaces(),
                Some(other) => (format!("`{other}` cannot stand there"), None),
            });
        }
        if !operands.iter().any(|operand| matches!(operand, Operand::Path(_))) {
            return Err((
                "it names no value".to_owned(),
                Some("begin with a node's output or an input: `${node.key ?? \"default\"}`"),
            ));
        }
        Ok((operands, self.position))
    }

    fn operand(&mut self) -> Result<Operand, Refusal> {
        let words = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ];
        for (word, value) in words {
            if self.rest().starts_with(word)
                && !self.rest()[word.len()..]
                    .starts_with(|next| continues_name(next) || next == '.' || next == '[')
            {
                self.position += word.len();
                return Ok(Operand::Literal(value));
            }
        }
        match self.peek() {
            Some(character) if starts_name(character) => self.path(true).map(Operand::Path),
            Some('"' | '-' | '0'..='9') => self.scalar().map(Operand::Literal),
            Some('[') if self.take("[]") => Ok(Operand::Literal(Value::Array(Vec::new()))),
            Some('{') if self.take("{}") => Ok(Operand::Literal(Value::Object(Map::new()))),
            Some('[' | '{') => Err((
                "of lists and objects only `[]` and `{}` can stand here".to_owned(),
                None,
            )),
            Some('}') => Err(("an alternative is missing behind `??`".to_owned(), None)),
            Some('\'') => Err(("a text stands in double quotes".to_owned(), None)),
            Some(other) => Err((format!("`{other}` cannot stand there"), None)),
            None => Err(("it is never closed".to_owned(), None)),
        }
    }

    /// A JSON text or number.
    fn scalar(&mut self) -> Result<Value, Refusal> {
        let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                self.position += values.byte_offset();
                Ok(value)
            }
            _ => Err(("a literal in it is not valid JSON".to_owned(), None)),
        }
    }

    fn name(&mut self) -> Result<SmolStr, Refusal> {
        let rest = self.rest();
        match rest.chars().next() {
            Some(first) if starts_name(first) => {}
            Some(digit) if digit.is_ascii_digit() => {
                return Err((
                    "a name cannot begin with a digit".to_owned(),
                    Some("index a list as `items[0]`, not `items.0`"),
                ));
            }
            Some('}') | None => return Err(("a name is missing behind the dot".to_owned(), None)),
            Some(other) => return Err((format!("`{other}` cannot stand there"), None)),
        }
        let end = rest
            .find(|character| !continues_name(character))
            .unwrap_or(rest.len());
        self.position += end;
        Ok(SmolStr::new(&rest[..end]))
    }

    fn path(&mut self, templates_allowed: bool) -> Result<Path, Refusal> {
        let mut segments = Vec::new();
        loop {
            let name = self.name()?;
            let index = if self.take("[") {
                Some(self.index(templates_allowed)?)
            } else {
                None
            };
            segments.push(Segment { name, index });
            if self.rest().starts_with('[') {
                return Err(("one index may follow a name, not two".to_owned(), None));
            }
            if !self.take(".") {
                return Ok(Path { segments });
            }
        }
    }

    fn index(&mut self, templates_allowed: bool) -> Result<Index, Refusal> {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let index = if digits > 0 {
            let number = self.rest()[..digits]
                .parse()
                .map_err(|_| ("the index is too large".to_owned(), None))?;
            self.position += digits;
            Index::Number(number)
        } else if templates_allowed && self.take("${") {
            let path = self.path(false)?;
            if !self.take("}") {
                return Err(("the template in brackets is not closed".to_owned(), None));
            }
            Index::Path(path)
        } else {
            let help = match self.peek() {
                Some('-') => "an index counts from 0; there are no negative ones",
                Some(first) if starts_name(first) => {
                    "write an index that is looked up as `items[${path}]`; name a member with a dot: `node.key`"
                }
                _ => "name a member with a dot: `node.key`",
            };
            return Err(("brackets hold a number or `${path}`".to_owned(), Some(help)));
        };
        if self.take("]") {
            Ok(index)
        } else {
            Err(("the bracket is not closed".to_owned(), None))
        }
    }
}

fn no_spaces() -> Refusal {
    (
        "there are spaces inside the braces".to_owned(),
        Some("write `${name}` without spaces; only `??` may stand between spaces"),
    )
}
