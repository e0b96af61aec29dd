//! Tables for the terminal: columns that fit its width, texts cut with `…`, numbers to the right.
//!
//! Never cuts where nobody said how wide the screen is: what is piped has everything.

use std::borrow::Cow;

use owo_colors::{OwoColorize, Style};

use crate::printable::{columns_of, cut_end, cut_start, one_line};

/// Between two columns.
const GAP: usize = 2;

/// Where a text is cut that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Never,
    /// Down to so many columns, at its end.
    End(usize),
    /// Down to so many columns, at its beginning: of paths the end tells most.
    Start(usize),
}

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    title: Cow<'static, str>,
    is_right: bool,
    cut: Cut,
    /// 0: always there. The higher, the sooner it goes where there is no room.
    drop_rank: u8,
}

impl Column {
    /// A column of texts that are always shown whole.
    pub(crate) fn text(title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            title: title.into(),
            is_right: false,
            cut: Cut::Never,
            drop_rank: 0,
        }
    }

    /// A column of numbers.
    pub(crate) fn number(title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            is_right: true,
            ..Self::text(title)
        }
    }

    /// Its texts may be cut at their end, down to so many columns.
    pub(crate) fn cut_end(self, columns_min: usize) -> Self {
        Self {
            cut: Cut::End(columns_min),
            ..self
        }
    }

    /// Its texts may be cut at their beginning, down to so many columns.
    pub(crate) fn cut_start(self, columns_min: usize) -> Self {
        Self {
            cut: Cut::Start(columns_min),
            ..self
        }
    }

    /// It is left out where there is no room: the column with the highest rank first. Rank 0 always stays.
    pub(crate) fn drops(self, rank: u8) -> Self {
        Self {
            drop_rank: rank,
            ..self
        }
    }

    fn columns_min(&self, columns: usize) -> usize {
        match self.cut {
            Cut::Never => columns,
            Cut::End(least) | Cut::Start(least) => least.max(columns_of(&self.title)).min(columns),
        }
    }
}

/// A cell of a table: one line of text in a colour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text in a colour.
    pub(crate) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self {
            text: one_line(text.as_ref()).into_owned(),
            style,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::styled(text, Style::new())
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(text, Style::new())
    }
}

/// How a table is to look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TableStyle {
    /// Columns of the screen; `None`: nothing is cut or left out.
    pub(crate) width: Option<usize>,
    /// Whether escape codes for colour are written.
    pub(crate) colour: bool,
    /// Columns of nothing before each line.
    pub(crate) indent: usize,
}

/// A table that is being put together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table of these columns without rows.
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row: a cell for each column, in their order. Cells that are missing are empty.
    pub(crate) fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines of the table, titles first, each with its line end; nothing where there are no rows.
    pub(crate) fn render(&self, style: TableStyle) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let shown = self.fit(style);
        let mut text = String::new();
        let titles: Vec<Cell> = self
            .columns
            .iter()
            .map(|column| Cell::styled(&column.title, Style::new().dimmed()))
            .collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            self.line(row, &shown, style, &mut text);
        }
        text
    }

    /// Which columns are shown, and how wide.
    fn fit(&self, style: TableStyle) -> Vec<(usize, usize)> {
        let mut shown: Vec<(usize, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                let widest = cells.map(|cell| columns_of(&cell.text)).max().unwrap_or(0);
                (widest > 0).then(|| (index, widest.max(columns_of(&column.title))))
            })
            .collect();
        let Some(width) = style.width else {
            return shown;
        };
        let room = width.saturating_sub(style.indent);
        loop {
            let gaps = GAP * shown.len().saturating_sub(1);
            let least: usize = shown
                .iter()
                .map(|(index, columns)| self.columns[*index].columns_min(*columns))
                .sum();
            if least + gaps <= room {
                self.shrink(&mut shown, room - gaps);
                return shown;
            }
            let droppable = shown.iter().enumerate();
            let first_to_go = droppable
                .max_by_key(|(_, (index, _))| self.columns[*index].drop_rank)
                .filter(|(_, (index, _))| self.columns[*index].drop_rank > 0)
                .map(|(place, _)| place);
            match first_to_go {
                Some(place) => {
                    shown.remove(place);
                }
                None => {
                    // Even what must be there is too wide: the lines are cut.
                    self.shrink(&mut shown, 0);
                    return shown;
                }
            }
        }
    }

    /// Makes columns narrower, always the widest one that may be, until all have room or nothing more can be done.
    fn shrink(&self, shown: &mut [(usize, usize)], room: usize) {
        loop {
            let total: usize = shown.iter().map(|(_, columns)| columns).sum();
            if total <= room {
                return;
            }
            let mut widest: Option<usize> = None;
            let mut second = 0;
            for (place, (index, columns)) in shown.iter().enumerate() {
                if self.columns[*index].columns_min(*columns) >= *columns {
                    continue;
                }
                match widest {
                    Some(best) if shown[best].1 >= *columns => second = second.max(*columns),
                    _ => {
                        second = widest.map_or(second, |best| shown[best].1);
                        widest = Some(place);
                    }
                }
            }
            let Some(place) = widest else { return };
            let (index, columns) = shown[place];
            let least = self.columns[index].columns_min(columns);
            // In one step down to the next one in width, or to what is needed.
            let wanted = columns
                .saturating_sub(total - room)
                .max(second.min(columns - 1))
                .max(least);
            shown[place].1 = wanted.min(columns - 1);
        }
    }

    fn line(&self, row: &[Cell], shown: &[(usize, usize)], style: TableStyle, text: &mut String) {
        let empty = Cell::default();
        let mut left = style
            .width
            .map_or(usize::MAX, |width| width.saturating_sub(style.indent));
        let start = text.len();
        text.push_str(&" ".repeat(style.indent));
        for (place, (index, columns)) in shown.iter().enumerate() {
            let column = &self.columns[*index];
            let cell = row.get(*index).unwrap_or(&empty);
            let gap = if place > 0 { GAP } else { 0 };
            if left <= gap {
                break;
            }
            left -= gap;
            let columns = (*columns).min(left);
            let fitting = match column.cut {
                Cut::Start(_) => cut_start(&cell.text, columns),
                _ => cut_end(&cell.text, columns),
            };
            let missing = columns.saturating_sub(columns_of(&fitting));
            left -= columns;
            text.push_str(&" ".repeat(gap));
            if column.is_right {
                text.push_str(&" ".repeat(missing));
            }
            if style.colour && !fitting.is_empty() {
                text.push_str(&fitting.style(cell.style).to_string());
            } else {
                text.push_str(&fitting);
            }
            if !column.is_right {
                text.push_str(&" ".repeat(missing));
            }
        }
        text.truncate(start + text[start..].trim_end_matches(' ').len());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests;
