//! `flowmeter pricing list`: models and their rates, one a line.
//!
//! Never cuts a line that goes into a pipe; on a terminal, columns that have no room are left out.

use std::collections::BTreeSet;

use anyhow::Result;
use flowmeter_model::{Clock, SystemClock};
use flowmeter_pricing::{ListedModel, RateKind};
use serde_json::{Value, json};

use super::{arithmetic::aligned, rates};
use crate::args::ListPricesArgs;
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::prices;
use flowmeter::grouped;

/// Columns between two of them.
const GAP: usize = 2;

/// Lists the models.
pub(super) fn run(args: &ListPricesArgs, home: &Home, output: &Output) -> Result<Exit> {
    let book = prices::told_book(home, output);
    let (text, provider) = (args.text.as_deref(), args.provider.as_deref());
    let models = book.list(text, provider, SystemClock.now());
    if args.view.is_json() {
        output.json(&models.iter().map(as_json).collect())?;
    } else if !models.is_empty() {
        output.text(&table(&models, output.width_out()))?;
        let plural = if models.len() == 1 { "" } else { "s" };
        output.note(&format!(
            "{} model{plural}; dollars per million tokens; `flowmeter pricing show MODEL` shows every rate",
            grouped(models.len() as u64)
        ));
    }
    if !models.is_empty() {
        return Ok(Exit::Success);
    }
    output.say(&nothing_found(text, provider, &book));
    Ok(Exit::Flawed)
}

fn nothing_found(text: Option<&str>, provider: Option<&str>, book: &flowmeter_pricing::PriceBook) -> String {
    let of_provider = provider.map_or_else(String::new, |provider| format!(" of provider `{provider}`"));
    let with_text = text.map_or_else(String::new, |text| format!(" with `{text}` in its name"));
    let mut told = format!("there is no model{of_provider}{with_text}");
    let near = text.map_or_else(Vec::new, |text| prices::nearest_models(book, text));
    if !near.is_empty() {
        told.push_str(&format!("; near it are {}", near.join(", ")));
    } else if provider.is_some() {
        let all = book.list(None, None, SystemClock.now());
        let known: BTreeSet<&str> = all.iter().map(|model| model.provider.as_str()).collect();
        let known: Vec<&str> = known
            .into_iter()
            .filter(|provider| !provider.is_empty())
            .collect();
        told.push_str(&format!("; the providers are {}", known.join(", ")));
    }
    told
}

/// `provider/model`, as far as either is known.
fn name_of(model: &ListedModel) -> String {
    if model.provider.is_empty() {
        model.model.to_string()
    } else {
        format!("{}/{}", model.provider, model.model)
    }
}

/// One column: what stands above it, its cells, and how early it has to go where there is no room.
struct Column {
    cells: Vec<String>,
    is_number: bool,
    /// 0 stays in any case.
    leaves: u8,
}

impl Column {
    fn new(title: &str, leaves: u8, is_number: bool, cells: Vec<String>) -> Self {
        let mut cells = if is_number {
            aligned(&cells.iter().map(String::as_str).collect::<Vec<_>>())
        } else {
            cells
        };
        cells.insert(0, title.to_owned());
        Self {
            cells,
            is_number,
            leaves,
        }
    }

    fn width(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    }
}

fn table(models: &[ListedModel], width: Option<usize>) -> String {
    let rates = |kind| {
        models
            .iter()
            .map(|model| rates::cell(&model.rates, kind))
            .collect()
    };
    let count = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
    let limits = models
        .iter()
        .map(|model| count(model.output_limit.map(|limit| limit.tokens)));
    let contexts = models.iter().map(|model| count(model.context_window));
    let sources = models.iter().map(|model| model.source.to_string());
    let mut columns = vec![
        Column::new("MODEL", 0, false, models.iter().map(name_of).collect()),
        Column::new("INPUT", 0, true, rates(RateKind::Input)),
        Column::new("OUTPUT", 0, true, rates(RateKind::Output)),
        Column::new("CACHE READ", 1, true, rates(RateKind::CacheRead)),
        Column::new("CACHE WRITE", 2, true, rates(RateKind::CacheWrite5m)),
        Column::new("CONTEXT", 4, true, contexts.collect()),
        Column::new("MAX OUTPUT", 5, true, limits.collect()),
        Column::new("SOURCE", 3, false, sources.collect()),
    ];
    if let Some(width) = width {
        let needed = |columns: &[Column]| columns.iter().map(|column| column.width() + GAP).sum::<usize>();
        while needed(&columns) > width + GAP {
            let goes = columns.iter().map(|column| column.leaves).max().unwrap_or(0);
            if goes == 0 {
                break;
            }
            columns.retain(|column| column.leaves != goes);
        }
        let over = needed(&columns).saturating_sub(width + GAP);
        if over > 0
            && let Some(names) = columns.first_mut()
        {
            let room = names.width().saturating_sub(over).max(8);
            for name in &mut names.cells {
                shorten(name, room);
            }
        }
    }
    lines_of(&columns, models.len() + 1)
}

/// Cuts a name from its beginning: what tells models apart stands at the end.
fn shorten(name: &mut String, room: usize) {
    let count = name.chars().count();
    if count > room {
        let end: String = name.chars().skip(count - room + 1).collect();
        *name = format!("…{end}");
    }
}

fn lines_of(columns: &[Column], rows: usize) -> String {
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let mut text = String::new();
    for row in 0..rows {
        let mut line = String::new();
        for (column, width) in columns.iter().zip(&widths) {
            let cell = column.cells.get(row).map_or("", String::as_str);
            if column.is_number {
                line.push_str(&format!("{cell:>width$}"));
            } else {
                line.push_str(&format!("{cell:<width$}"));
            }
            line.push_str(&" ".repeat(GAP));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn as_json(model: &ListedModel) -> Value {
    json!({
        "provider": model.provider.as_str(),
        "model": model.model.as_str(),
        "name": model.name,
        "rates": rates::json(&model.rates),
        "context_window": model.context_window,
        "max_output": rates::limit_json(model.output_limit),
        "source": model.source.as_str(),
    })
}

#[cfg(test)]
mod tests;
