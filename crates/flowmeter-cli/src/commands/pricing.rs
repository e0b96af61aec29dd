//! `flowmeter pricing`: what models cost, and why a call cost what it cost.
//!
//! Never computes a price: the price book does, and recorded costs are shown as they were recorded.

mod arithmetic;
mod call;
mod check;
mod explain;
mod list;
mod rates;
mod refresh;
mod set;
mod show;

pub(crate) use arithmetic::explained;

use anyhow::Result;

use crate::args::{PricingArgs, PricingCommand};
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;

/// Does what is asked about prices.
pub(super) fn run(args: &PricingArgs, home: &Home, output: &Output) -> Result<Exit> {
    match &args.command {
        PricingCommand::Explain(args) => explain::run(args, home, output),
        PricingCommand::List(args) => list::run(args, home, output),
        PricingCommand::Show(args) => show::run(args, home, output),
        PricingCommand::Check(args) => check::run(args, home, output),
        PricingCommand::Set(args) => set::run(args, home, output),
        PricingCommand::Refresh(args) => refresh::run(args, home, output),
    }
}
