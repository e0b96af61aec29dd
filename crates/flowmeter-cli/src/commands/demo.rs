//! `flowmeter demo`: a whole run without key or network, against a model server inside this process.
//!
//! Never passes the demo model for anything else, and asks no server but its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use flowmeter_workflow::response_cache::Caching;
use flowmeter_workflow::scripted_model::{DemoModel, ScriptedModel};
use serde_json::{Map, Value};

use super::run::load_with;
use crate::args::{DemoArgs, RunOutputArgs};
use crate::execution::{self, Execution, TraceWish};
use crate::exit::Exit;
use crate::home::Home;
use crate::output::Output;
use crate::{prices, report};

/// The workflow and what it reads; examples/demo holds the same for a look.
const FILES: &[(&str, &str)] = &[
    ("demo.json", include_str!("../../../../examples/demo/demo.json")),
    (
        "answer.json",
        include_str!("../../../../examples/demo/answer.json"),
    ),
    (
        "guidelines.md",
        include_str!("../../../../examples/demo/guidelines.md"),
    ),
    (
        "reviews.json",
        include_str!("../../../../examples/demo/reviews.json"),
    ),
];

/// The call that the model refuses, so that there is a retry to see.
const FAILING_CALL: usize = 3;
/// How long the model takes, so that there is something to watch.
const FIRST_TOKEN: Duration = Duration::from_millis(120);
const BETWEEN_PIECES: Duration = Duration::from_millis(8);

/// Runs the demo.
pub(super) fn run(args: DemoArgs, home: &Home, output: &Output) -> Result<Exit> {
    let flags = RunOutputArgs {
        output_format: args.output_format,
        quiet: args.quiet,
        ..RunOutputArgs::default()
    };
    let config = super::settings(home)?.with_flags(&flags);
    for warning in &config.warnings {
        output.warn(warning);
    }
    let folder = tempfile::Builder::new()
        .prefix("flowmeter-demo-")
        .tempdir()
        .context("the demo needs a temporary folder for its files")?;
    write_files(folder.path())?;
    let runtime = execution::runtime()?;
    let model = DemoModel::new()
        .latency(FIRST_TOKEN, BETWEEN_PIECES)
        .failing_call(FAILING_CALL);
    let server = runtime
        .block_on(ScriptedModel::start(model.into()))
        .context("the demo model needs a port on the loopback address")?;
    output.note(&format!(
        "The demo runs examples/demo/demo.json. Its model, {}, is no language model but a server inside this\n\
         process (http://{}) that counts words; its price is made up. No key, no network.\n",
        prices::DEMO_MODEL,
        server.address()
    ));
    let address = server.openai_base_url();
    let variable = Arc::new(move |name: &str| (name == "OPENAI_BASE_URL").then(|| address.clone()));
    let file = folder.path().join("demo.json");
    let workflow = load_with(&file, None, home, variable, Caching::default())?;
    let inputs = Map::from_iter([("folder".to_owned(), Value::from(folder.path().to_string_lossy()))]);
    let warnings = config.warnings.clone();
    let execution = Execution {
        workflow,
        file,
        inputs,
        wanted_output: None,
        config,
        prices: prices::demo_book(),
        budget: flowmeter::Budget::default(),
        // Its price is made up.
        shares_budgets: false,
        trace: TraceWish {
            tree: !args.quiet,
            file: args.trace_file,
            planner: false,
        },
        responses: None,
        // The demonstration stays on this machine.
        telemetry: crate::args::TelemetryArgs::of_demo(),
        warnings,
    };
    let finished = execution::run_in(&runtime, execution, home, output)?;
    runtime.block_on(server.stop());
    runtime.shutdown_background();
    let exit = report::run(&finished, output);
    finished.tidy_up();
    exit
}

fn write_files(folder: &Path) -> Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}
