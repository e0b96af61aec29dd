//! `flowmeter pricing set`: one model's price in the user's price file.
//!
//! Never touches what else is in the file, and never leaves it half-written: several processes may set at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flowmeter_model::{Clock, SystemClock, UsdFemtos, UsdNanos};
use flowmeter_pricing::{
    EditError, OverrideRates, Overrides, PriceUnit, RateChange, Severity, edit_prices, remove_price,
};
use serde_json::{Map, Value, json};

use super::check::text_of;
use crate::args::{RatePer, SetPriceArgs};
use crate::config::did_you_mean;
use crate::exit::{BadUsage, Exit};
use crate::home::Home;
use crate::output::Output;
use crate::prices;
use crate::replace::replace;

/// How long another process may take that writes the file.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked for.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Sets or removes a price.
pub(super) fn run(args: &SetPriceArgs, home: &Home, output: &Output) -> Result<Exit> {
    if args.model.trim().is_empty() {
        bail!(BadUsage(
            "no model is named: give the name that the provider uses, such as gpt-4o".to_owned()
        ));
    }
    let changed = with_locked(home, |path, text, notes| change(args, path, text, notes))?;
    let (book, _) = prices::book(home);
    let doubts: Vec<String> = book
        .check(&changed.text, SystemClock.now())
        .into_iter()
        .filter(|finding| finding.severity <= Severity::Warning)
        .filter(|finding| {
            finding
                .model
                .as_deref()
                .is_some_and(|model| is_same(model, &args.model))
        })
        .map(|finding| finding.message)
        .collect();
    if args.view.is_json() {
        output.json(&changed.json(&doubts))?;
    } else {
        output.text(&changed.told())?;
    }
    for note in &changed.notes {
        output.note(note);
    }
    for doubt in &doubts {
        output.warn(doubt);
    }
    Ok(Exit::Success)
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// What was done.
struct Changed {
    path: PathBuf,
    model: String,
    action: &'static str,
    before: Option<OverrideRates>,
    after: Option<OverrideRates>,
    text: String,
    notes: Vec<String>,
}

/// Makes the change while nobody else does.
fn with_locked(
    home: &Home,
    change: impl FnOnce(&Path, &str, Vec<String>) -> Result<Changed>,
) -> Result<Changed> {
    let own = home.own_price_file();
    if let Some(folder) = own.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    let _lock = lock(&own.with_extension("json.lock"))?;
    let mut notes = Vec::new();
    // The first file that is there is the one that applies: ours would hide another one's prices.
    let text = match home.price_files().find(|path| path.exists()) {
        None => String::new(),
        Some(path) => {
            if path != own {
                notes.push(format!("note: the prices of {} were taken over", path.display()));
            }
            text_of(&path)?
        }
    };
    let changed = change(&own, &text, notes)?;
    if changed.text != text || !own.exists() {
        replace(&own, &changed.text)?;
    }
    Ok(changed)
}

/// Waits for the lock, which goes with the file's handle, also where the process is killed.
fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("the lock file {} cannot be made", path.display()))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PAUSE),
            Err(fs::TryLockError::WouldBlock) => bail!(
                "another process has been changing the prices for 10 s; try again, or remove {} if there is none",
                path.display()
            ),
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
            }
        }
    }
}

fn change(args: &SetPriceArgs, path: &Path, text: &str, notes: Vec<String>) -> Result<Changed> {
    let rates_in = |text: &str| {
        let parsed = Overrides::parse(text).ok();
        parsed.and_then(|(overrides, _)| overrides.get(args.model.trim()).copied())
    };
    let before = rates_in(text);
    let edited = if args.remove {
        let edited = remove_price(text, &args.model).map_err(|error| refused(path, error))?;
        edited.ok_or_else(|| not_there(args, path, text))?
    } else {
        let given = changes(args);
        let changes: Vec<RateChange<'_>> = given
            .iter()
            .map(|(key, value)| RateChange {
                key,
                value: Some(value.as_str()),
            })
            .collect();
        let unit = match args.per {
            RatePer::Thousand => PriceUnit::PerThousand,
            RatePer::Million => PriceUnit::PerMillion,
        };
        edit_prices(text, &args.model, &changes, unit).map_err(|error| refused(path, error))?
    };
    Ok(Changed {
        path: path.to_path_buf(),
        model: args.model.trim().to_owned(),
        action: match (args.remove, before.is_some()) {
            (true, _) => "removed",
            (false, true) => "changed",
            (false, false) => "added",
        },
        before,
        after: rates_in(&edited),
        text: edited,
        notes,
    })
}

/// The rates that flags give, by their keys in the file.
fn changes(args: &SetPriceArgs) -> Vec<(&'static str, String)> {
    let given = [
        ("input", &args.input),
        ("output", &args.output),
        ("cache_read", &args.cache_read),
        ("cache_write", &args.cache_write),
        ("cache_write_1h", &args.cache_write_1h),
        ("reasoning", &args.reasoning),
        ("input_audio", &args.input_audio),
        ("input_image", &args.input_image),
        ("output_audio", &args.output_audio),
        ("output_image", &args.output_image),
        ("web_search", &args.web_search),
        ("request", &args.request),
    ];
    let rates = given.into_iter().filter_map(|(key, value)| {
        let value = value.as_ref()?.trim();
        let value = value.strip_prefix('$').unwrap_or(value);
        // People write `.6`; JSON does not.
        let zero = if value.starts_with('.') { "0" } else { "" };
        Some((key, format!("{zero}{value}")))
    });
    let limit = args
        .max_output_tokens
        .map(|tokens| ("max_output_tokens", tokens.to_string()));
    rates.chain(limit).collect()
}

fn refused(path: &Path, error: EditError) -> anyhow::Error {
    BadUsage(match error {
        EditError::Before(_) => format!(
            "{}: {error}; `flowmeter pricing check` shows everything that is wrong",
            path.display()
        ),
        error => error.to_string(),
    })
    .into()
}

fn not_there(args: &SetPriceArgs, path: &Path, text: &str) -> anyhow::Error {
    let overrides = Overrides::parse(text)
        .map(|(overrides, _)| overrides)
        .unwrap_or_default();
    let known: Vec<&str> = overrides.iter().map(|(model, _)| model).collect();
    let near = did_you_mean(&args.model, known.iter().copied());
    BadUsage(format!(
        "`{}` is not in {}{near}",
        args.model.trim(),
        path.display()
    ))
    .into()
}

/// Key, rate in nano-dollars, and what it is for, of all that are set.
fn rates_of(rates: &OverrideRates) -> Vec<(&'static str, i64, u32)> {
    let of_tokens = [
        ("input", rates.input),
        ("output", rates.output),
        ("cache_read", rates.cache_read),
        ("cache_write", rates.cache_write),
        ("cache_write_1h", rates.cache_write_1h),
        ("reasoning", rates.reasoning),
        ("input_audio", rates.input_audio),
        ("input_image", rates.input_image),
        ("output_audio", rates.output_audio),
        ("output_image", rates.output_image),
    ];
    let of_units = [("web_search", rates.web_search), ("request", rates.request)];
    let tokens = of_tokens.into_iter().map(|(key, rate)| (key, rate, 1_000_000));
    let units = of_units.into_iter().map(|(key, rate)| (key, rate, 1_000));
    tokens
        .chain(units)
        .filter_map(|(key, rate, per)| Some((key, rate?, per)))
        .collect()
}

fn line_of(rates: &OverrideRates) -> String {
    let told = rates_of(rates).into_iter().map(|(key, rate, per)| {
        let per = if per == 1_000 { " per 1K" } else { "" };
        format!("{key} {}{per}", UsdFemtos::from(UsdNanos(rate)))
    });
    let limit = rates
        .max_output_tokens
        .map(|tokens| format!("at most {tokens} output tokens"));
    told.chain(limit).collect::<Vec<_>>().join(", ")
}

fn json_of(rates: &OverrideRates) -> Value {
    let mut object = Map::new();
    for (key, rate, per) in rates_of(rates) {
        let rate = json!({"rate_usd": UsdNanos(rate).to_usd(), "rate_nanos": rate, "per": per});
        object.insert(key.to_owned(), rate);
    }
    if let Some(tokens) = rates.max_output_tokens {
        object.insert("max_output_tokens".to_owned(), tokens.into());
    }
    object.into()
}

impl Changed {
    fn told(&self) -> String {
        let place = self.path.display();
        let before = self.before.as_ref().map(line_of);
        match (&self.after, before) {
            (Some(after), Some(before)) => format!(
                "{} {} in {place}, per million tokens: {}\n  before: {before}",
                self.action,
                self.model,
                line_of(after)
            ),
            (Some(after), None) => {
                let rates = line_of(after);
                format!(
                    "{} {} in {place}, per million tokens: {rates}",
                    self.action, self.model
                )
            }
            (None, _) => format!("{} {} from {place}", self.action, self.model),
        }
    }

    fn json(&self, warnings: &[String]) -> Value {
        json!({
            "file": self.path,
            "model": self.model,
            "action": self.action,
            "before": self.before.as_ref().map(json_of),
            "after": self.after.as_ref().map(json_of),
            "warnings": warnings,
        })
    }
}
