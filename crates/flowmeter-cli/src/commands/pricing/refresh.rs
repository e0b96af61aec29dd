//! `flowmeter pricing refresh`: a newer price file from disk or an address takes the place of the one before.
//!
//! Never replaces anything before the new file was read through, and never sends anything but the request.

use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use flowmeter_model::{Clock, SystemClock, TimestampNs, UsdFemtos, UsdNanos};
use flowmeter_pricing::{PriceChange, PriceFile, PriceFileChanges, RefreshedPrices};
use flowmeter_workflow::http_client::HttpClient;
use serde_json::{Value, json};

use super::check::text_of;
use super::show::date;
use crate::args::RefreshPricesArgs;
use crate::exit::{BadUsage, Exit, MissingFile};
use crate::home::Home;
use crate::output::Output;
use crate::progress::BytesLine;
use crate::refreshed::{self, Refreshed};
use crate::{prices, signals};
use flowmeter::grouped;

/// A price file has some megabytes.
const DOWNLOAD_BYTES_MAX: usize = 64 << 20;
/// Changes that are named, of each kind.
const NAMED_MAX: usize = 10;

/// Refreshes or resets the prices.
pub(super) fn run(args: &RefreshPricesArgs, home: &Home, output: &Output) -> Result<Exit> {
    let Some(source) = &args.source else {
        return reset(args, home, output);
    };
    let fetched = fetch(source.trim(), args.timeout, output)?;
    let newer = RefreshedPrices::new(fetched.text.clone(), "newer file");
    let refused = |error: &dyn std::fmt::Display| BadUsage(format!("{source}: {error}"));
    let file = newer.inspect().map_err(|error| refused(&error))?;
    let (book, _) = prices::book(home);
    let changes = book
        .changes_by(&newer, SystemClock.now())
        .map_err(|error| refused(&error))?;
    let note = Refreshed {
        file: String::new(),
        format: file.format.as_str().to_owned(),
        from: fetched.from,
        date: fetched.date,
        models: file.models,
    };
    let note = refreshed::store(home, &fetched.text, note)?;
    if args.view.is_json() {
        output.json(&as_json(&note, &file, &changes))?;
    } else {
        output.text(&as_text(&note, &file, &changes))?;
    }
    Ok(Exit::Success)
}

fn reset(args: &RefreshPricesArgs, home: &Home, output: &Output) -> Result<Exit> {
    let before = refreshed::reset(home)?;
    if args.view.is_json() {
        output.json(&json!({"reset": before.is_some(), "before": before}))?;
    } else {
        output.text(&match before {
            Some(before) => format!(
                "the prices of {} ({}) are forgotten: the bundled ones apply again",
                before.from, before.date
            ),
            None => "there were no refreshed prices: the bundled ones apply".to_owned(),
        })?;
    }
    Ok(Exit::Success)
}

/// A file as it came.
struct Fetched {
    text: String,
    from: String,
    date: String,
}

fn fetch(source: &str, patience: Duration, output: &Output) -> Result<Fetched> {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| source.to_lowercase().starts_with(scheme));
    if is_web {
        return Ok(Fetched {
            text: download(source, patience, output)?,
            from: source.to_owned(),
            date: date(SystemClock.now()),
        });
    }
    if let Some((scheme, _)) = source.split_once("://").filter(|(scheme, _)| *scheme != "file") {
        let text =
            format!("`{scheme}://` is no address that prices can be fetched from; give http:// or https://");
        return Err(BadUsage(text).into());
    }
    let path = Path::new(source.strip_prefix("file://").unwrap_or(source));
    let text = text_of(path)?;
    let changed = fs::metadata(path).and_then(|found| found.modified()).ok();
    let changed = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let changed = changed.and_then(|time| u64::try_from(time.as_nanos()).ok());
    let from = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    Ok(Fetched {
        text,
        from: from.display().to_string(),
        date: date(changed.map_or_else(|| SystemClock.now(), TimestampNs)),
    })
}

fn download(address: &str, patience: Duration, output: &Output) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the download cannot be set up")?;
    let bytes = runtime.block_on(async {
        tokio::time::timeout(patience, downloaded(address, output))
            .await
            .unwrap_or_else(|_| {
                let seconds = patience.as_secs_f64();
                let text =
                    format!("{address} did not answer within {seconds} s; give it longer with --timeout");
                Err(MissingFile(text).into())
            })
    })?;
    String::from_utf8(bytes).map_err(|_| {
        let text = format!("what {address} gave is no UTF-8 text: that is no price file");
        BadUsage(text).into()
    })
}

async fn downloaded(address: &str, output: &Output) -> Result<Vec<u8>> {
    let client = HttpClient::new();
    let unreachable = |error: &dyn std::error::Error| {
        let causes = crate::report::with_causes(error);
        MissingFile(format!(
            "{address} cannot be fetched: {causes}; fetch the file by other means and give its path"
        ))
    };
    let mut answer = client
        .get()?
        .get(address)
        .send()
        .await
        .map_err(|error| unreachable(&error))?;
    if !answer.status().is_success() {
        let text = format!(
            "{address} answered {}; look whether the address is right",
            answer.status()
        );
        return Err(MissingFile(text).into());
    }
    let is_shown = !output.is_quiet() && std::io::stderr().is_terminal();
    let line = BytesLine::new(answer.content_length().filter(|_| is_shown));
    signals::leave_on_signal(line.remover()).context("signals cannot be listened for")?;
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(&error))? {
        if bytes.len() + piece.len() > DOWNLOAD_BYTES_MAX {
            line.clear();
            let text = format!("{address} gives more than 64 MiB: that is no price file");
            return Err(anyhow!(BadUsage(text)));
        }
        bytes.extend_from_slice(&piece);
        line.update(bytes.len() as u64);
    }
    line.clear();
    Ok(bytes)
}

fn as_text(note: &Refreshed, file: &PriceFile, changes: &PriceFileChanges) -> String {
    let skipped = match file.skipped {
        0 => String::new(),
        skipped => format!(
            "; {} entries have no price that can be used",
            grouped(skipped as u64)
        ),
    };
    let mut text = format!(
        "prices of {} apply from now on ({}, {}): {} models of {} providers{skipped}\n",
        note.from,
        note.format,
        note.date,
        grouped(file.models as u64),
        file.providers
    );
    text.push_str(&format!(
        "{} models are new, {} rates are dearer, {} cheaper, {} models cost the same; {} that it does not have keep \
         their price\n",
        grouped(changes.added.len() as u64),
        grouped(changes.dearer.len() as u64),
        grouped(changes.cheaper.len() as u64),
        grouped(changes.unchanged as u64),
        grouped(changes.missing.len() as u64)
    ));
    for (name, changed) in [("dearer", &changes.dearer), ("cheaper", &changes.cheaper)] {
        for change in changed.iter().take(NAMED_MAX) {
            let dollars = |nanos| UsdFemtos::from(UsdNanos(nanos));
            text.push_str(&format!(
                "  {name:7}  {} {} {} -> {}\n",
                change.model,
                change.kind.as_str(),
                dollars(change.before),
                dollars(change.after)
            ));
        }
        if changed.len() > NAMED_MAX {
            text.push_str(&format!("  {name:7}  and {} more\n", changed.len() - NAMED_MAX));
        }
    }
    text
}

fn as_json(note: &Refreshed, file: &PriceFile, changes: &PriceFileChanges) -> Value {
    let names = |models: &[smol_str::SmolStr]| models.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rates = |changed: &[PriceChange]| {
        let rates = changed.iter().map(|change| {
            json!({
                "model": change.model.as_str(),
                "kind": change.kind.as_str(),
                "per": change.kind.unit().per(),
                "before_usd": UsdNanos(change.before).to_usd(),
                "after_usd": UsdNanos(change.after).to_usd(),
            })
        });
        rates.collect::<Vec<_>>()
    };
    json!({
        "from": note.from,
        "format": note.format,
        "date": note.date,
        "models": file.models,
        "providers": file.providers,
        "skipped": file.skipped,
        "added": names(&changes.added),
        "missing": names(&changes.missing),
        "dearer": rates(&changes.dearer),
        "cheaper": rates(&changes.cheaper),
        "unchanged": changes.unchanged,
    })
}
