//! The user's price file and the price book made of it.
//!
//! Never fails a run: a file that cannot be used is said to be so, and the bundled prices apply.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use flowmeter_pricing::{OverrideRates, Overrides, PriceBook};

use time::OffsetDateTime;

use crate::home::Home;
use crate::output::Output;
use crate::refreshed;

/// The model of the demo.
pub(crate) const DEMO_MODEL: &str = "demo-small";

/// The user's own prices, and what is wrong with their file.
fn read_overrides(home: &Home) -> (Overrides, Vec<String>) {
    for path in home.price_files() {
        let shown = path.display();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // A folder that is no folder holds no file either.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(error) => {
                let warning = format!("{shown} cannot be read ({error}); going on with the bundled prices");
                return (Overrides::default(), vec![warning]);
            }
        };
        return match Overrides::parse(&text) {
            Ok((overrides, warnings)) => {
                let overrides = overrides.of_source("pricing.json", day_of(&path).as_deref());
                let warnings = warnings.into_iter().map(|warning| format!("{shown}: {warning}"));
                (overrides, warnings.collect())
            }
            Err(error) => {
                let warning = format!("{shown}: {error}; going on with the bundled prices");
                (Overrides::default(), vec![warning])
            }
        };
    }
    (Overrides::default(), Vec::new())
}

/// The day on which a file was last written, in UTC.
fn day_of(path: &Path) -> Option<String> {
    let written = std::fs::metadata(path).and_then(|found| found.modified()).ok()?;
    Some(OffsetDateTime::from(written).date().to_string())
}

/// The price book of a run, and warnings about the user's price file.
pub(crate) fn book(home: &Home) -> (Arc<PriceBook>, Vec<String>) {
    let (overrides, mut warnings) = read_overrides(home);
    let mut book = PriceBook::with_overrides(overrides);
    match refreshed::prices(home) {
        Ok(Some(newer)) => book = book.refreshed_by(newer),
        Ok(None) => {}
        Err(warning) => warnings.push(warning),
    }
    (Arc::new(book), warnings)
}

/// The same for a command that says at once what is wrong with the files.
pub(crate) fn told_book(home: &Home, output: &Output) -> Arc<PriceBook> {
    let (book, warnings) = book(home);
    for warning in warnings {
        output.warn(&warning);
    }
    if let Some(fault) = book.refresh_fault() {
        output.warn(&format!(
            "the refreshed prices cannot be used ({fault}); the bundled ones apply: `flowmeter pricing refresh` again"
        ));
    }
    book
}

/// Models with a price whose names are most like this one's.
pub(crate) fn nearest_models(book: &PriceBook, model: &str) -> Vec<String> {
    book.nearest(model).iter().map(ToString::to_string).collect()
}

/// The price book of the demo: its model costs $0.10 per million input tokens and $0.40 per million output tokens.
pub(crate) fn demo_book() -> Arc<PriceBook> {
    let mut overrides = Overrides::default();
    let rates = OverrideRates {
        input: Some(100_000_000),
        output: Some(400_000_000),
        ..OverrideRates::default()
    };
    overrides.insert(DEMO_MODEL, rates);
    let overrides = overrides.of_source("the demo's own price", None);
    Arc::new(PriceBook::with_overrides(overrides))
}
