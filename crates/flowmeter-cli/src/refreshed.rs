//! The refreshed price file in the home folder: which one applies, and how another one takes its place.
//!
//! Never reads the file itself before a price is needed: a small note beside it says what it is.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowmeter_pricing::RefreshedPrices;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::replace::replace;

/// The note's name.
const NOTE: &str = "refreshed.json";
/// How the names of price files begin.
const FILE_PREFIX: &str = "prices-";

/// What is known of the price file without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refreshed {
    /// Its name in the same folder.
    pub(crate) file: String,
    /// `genai-prices` or `litellm`.
    pub(crate) format: String,
    /// The path or address that it came from.
    pub(crate) from: String,
    /// The day that it is of.
    pub(crate) date: String,
    /// Models with a price.
    pub(crate) models: usize,
}

impl Refreshed {
    /// How explanations name a file of this format.
    pub(crate) fn source(format: &str) -> String {
        format!("refreshed {format} file")
    }

    /// The prices of the file, which is read when the first of them is needed.
    fn prices(&self, folder: &Path) -> RefreshedPrices {
        let path = folder.join(&self.file);
        let load = move || fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
        RefreshedPrices::on_demand(&Self::source(&self.format), load).dated(&self.date)
    }
}

/// The file that applies, or why the note about it cannot be read.
///
/// # Errors
/// What to say about it.
pub(crate) fn current(home: &Home) -> Result<Option<Refreshed>, String> {
    let path = home.refreshed_prices().join(NOTE);
    let told = |why: &dyn std::fmt::Display| {
        format!(
            "{} cannot be read ({why}); going on without refreshed prices; `flowmeter pricing refresh` makes it anew",
            path.display()
        )
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(told(&error)),
    };
    let note: Refreshed = serde_json::from_str(&text).map_err(|error| told(&error))?;
    if !is_ours(&note.file) {
        return Err(told(&"the file that it names is none of ours"));
    }
    Ok(Some(note))
}

/// The refreshed prices, if there are any.
///
/// # Errors
/// As [`current`].
pub(crate) fn prices(home: &Home) -> Result<Option<RefreshedPrices>, String> {
    let note = current(home)?;
    Ok(note.map(|note| note.prices(&home.refreshed_prices())))
}

/// Puts a text in the place of what applied before. A process that reads meanwhile has the one or the other whole.
pub(crate) fn store(home: &Home, text: &str, note: Refreshed) -> Result<Refreshed> {
    let folder = home.refreshed_prices();
    fs::create_dir_all(&folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let before = current(home).ok().flatten();
    let file = tempfile::Builder::new()
        .prefix(FILE_PREFIX)
        .suffix(".json")
        .tempfile_in(&folder)
        .and_then(|file| file.keep().map_err(|error| error.error))
        .with_context(|| format!("{} cannot be written", folder.display()))?;
    let (_, path) = file;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let note = Refreshed {
        file: name.unwrap_or_default(),
        ..note
    };
    let stored = replace(&path, text).and_then(|()| {
        let text = serde_json::to_string_pretty(&note).context("the note cannot be written")?;
        replace(&folder.join(NOTE), &text)
    });
    if let Err(error) = stored {
        let _nobody_reads_it = fs::remove_file(&path);
        return Err(error);
    }
    if let Some(before) = before {
        let _another_process_may_have = fs::remove_file(folder.join(before.file));
    }
    Ok(note)
}

/// Forgets the refreshed prices; says what they were.
pub(crate) fn reset(home: &Home) -> Result<Option<Refreshed>> {
    let folder = home.refreshed_prices();
    // A note that cannot be read goes as well.
    let before = current(home).ok().flatten();
    remove(&folder.join(NOTE))
        .with_context(|| format!("{} cannot be removed", folder.join(NOTE).display()))?;
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_ours) {
            let _another_process_may_have = fs::remove_file(entry.path());
        }
    }
    Ok(before)
}

fn remove(path: &PathBuf) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        outcome => outcome,
    }
}

/// Whether it is the name of a price file that was stored here, and leads nowhere else.
fn is_ours(name: &str) -> bool {
    name.starts_with(FILE_PREFIX) && name.ends_with(".json") && !name.contains(['/', '\\'])
}
