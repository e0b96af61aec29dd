//! From what a provider says it used to what that costs.
//!
//! [`extract_usage`] and [`UsageStream`] bring every provider's usage block into the one canonical form
//! of [`TokenUsage`](flowmeter_model::TokenUsage); [`PriceBook`] turns usage into a
//! [`Cost`](flowmeter_model::Cost) that can say why it is what it is.
//!
//! This crate never does I/O (the text of `pricing.json` is handed in), never asks for the time (the
//! call's start is handed in), never panics on what a provider or a user wrote, and never turns an
//! unknown price into zero.

#![forbid(unsafe_code)]

mod bill;
mod book;
mod bound;
mod bundled;
mod catalogue;
mod decimal;
mod edition;
mod estimate;
mod host;
mod limits;
mod model_name;
mod overrides;
mod refresh;
mod remembered;
mod stream;
mod usage;

pub use bill::{RateKind, RateUnit};
pub use book::{PriceBook, PricedCall};
pub use bound::{BoundRates, BoundedCall, CallBound, OutputLimit, OutputLimitSource};
pub use catalogue::{DatedRates, DayWindow, ListedModel, Rate, ServiceTier, Shown, ShownModel, SizeTier};
pub use estimate::{HAS_TOKENIZER, estimate_bytes, estimate_input, estimate_output, estimate_tokens};
pub use overrides::{
    EditError, Finding, OverrideRates, Overrides, PriceUnit, PricingFileError, RateChange, Severity,
    edit_prices, remove_price,
};
pub use refresh::{PriceChange, PriceFile, PriceFileChanges, PriceFileFormat, RefreshError, RefreshedPrices};
pub use stream::UsageStream;
pub use usage::{extract_usage, extract_usage_from_headers, extract_usage_from_slice};
