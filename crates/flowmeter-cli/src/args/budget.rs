//! The flags that say what a run may spend.
//!
//! Never keeps a limit: the meter's accounts do.

use clap::Args;
use flowmeter_model::UsdNanos;

use crate::amounts;

/// What a run may spend.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Budget")]
pub(crate) struct BudgetArgs {
    /// Spend no more than this, in dollars, such as 0.50: a call that might break the limit is not made, and the run
    /// ends with exit code 3 and with what there is by then. 0 allows free models only
    #[arg(long, value_name = "USD", value_parser = amounts::usd, allow_hyphen_values = true)]
    pub(crate) max_cost: Option<UsdNanos>,
    /// Use no more tokens than this, input and output together, such as 50000 or 50k
    #[arg(long, value_name = "TOKENS", value_parser = amounts::count, allow_hyphen_values = true)]
    pub(crate) max_tokens: Option<u64>,
    /// Make no more LLM calls than this, further attempts included
    #[arg(long, value_name = "CALLS", value_parser = amounts::count, allow_hyphen_values = true)]
    pub(crate) max_llm_calls: Option<u64>,
    /// Call models without a price although there is a limit on money, which such calls escape
    #[arg(long)]
    pub(crate) allow_unpriced: bool,
}
