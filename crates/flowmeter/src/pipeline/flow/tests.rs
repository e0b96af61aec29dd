//! The pipeline's way through its nodes: as drawn, round for each full buffer, aside for each failure.

use std::sync::Arc;

use expect_test::expect;
use parking_lot::Mutex;

use super::{Collected, ExportOutcome, StageError, Tracing, pipeline_flow, run};
use crate::formats::graph_text;

#[derive(Default)]
struct Scripted {
    /// Buffers that fill before the source ends.
    full: u32,
    fails_in: Option<&'static str>,
    way: Vec<&'static str>,
}

impl Scripted {
    fn step(&mut self, name: &'static str) -> Result<(), StageError> {
        self.way.push(name);
        if self.fails_in == Some(name) {
            return Err("as the test wants".into());
        }
        Ok(())
    }
}

impl Tracing for Scripted {
    fn init(&mut self) -> Result<(), StageError> {
        self.step("init")
    }
    fn configure_handlers(&mut self) -> Result<(), StageError> {
        self.step("configure")
    }
    fn attach(&mut self) -> Result<(), StageError> {
        self.step("attach")
    }
    fn collect(&mut self) -> Result<Collected, StageError> {
        self.step("collect")?;
        if self.full == 0 {
            return Ok(Collected::Ended);
        }
        self.full -= 1;
        Ok(Collected::BufferFull)
    }
    fn flush(&mut self) -> Result<(), StageError> {
        self.step("flush")
    }
    fn aggregate(&mut self) -> Result<(), StageError> {
        self.step("aggregate")
    }
    fn format(&mut self) -> Result<(), StageError> {
        self.step("format")
    }
    fn export(&mut self) -> ExportOutcome {
        self.way.push("export");
        ExportOutcome::PartialSuccess
    }
}

#[test]
fn it_goes_round_as_often_as_the_buffer_fills() {
    let tracing = Arc::new(Mutex::new(Scripted {
        full: 250,
        ..Scripted::default()
    }));
    run(&tracing).unwrap();
    let way = std::mem::take(&mut tracing.lock().way);
    assert_eq!(way.iter().filter(|step| **step == "flush").count(), 250);
    assert_eq!(way[..5], ["init", "configure", "attach", "collect", "flush"]);
    assert_eq!(way[way.len() - 4..], ["collect", "aggregate", "format", "export"]);
}

#[test]
fn each_failure_leads_aside_and_says_where() {
    let said = |stage| {
        let tracing = Arc::new(Mutex::new(Scripted {
            full: 1,
            fails_in: Some(stage),
            ..Scripted::default()
        }));
        let error = run(&tracing).unwrap_err();
        assert!(!tracing.lock().way.contains(&"export"), "{stage}");
        error.to_string()
    };
    let stages = [
        "init",
        "configure",
        "attach",
        "collect",
        "flush",
        "aggregate",
        "format",
    ];
    let told: Vec<String> = stages.into_iter().map(said).collect();
    expect![[r#"
        tracing could not begin
        the places that telemetry goes to could not be made ready
        tracing could not be attached to its source
        the telemetry could not be collected
        the telemetry could not be collected
        the metrics could not be aggregated
        the output could not be formatted"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn the_graph_is_the_agreed_one() {
    expect![[r#"
        tracing
          InitTracing >> ConfigureHandlers
          InitTracing - InitError >> InitError
          ConfigureHandlers >> AttachToRuntime
          ConfigureHandlers - ConfigError >> ConfigError
          AttachToRuntime >> CollectTraces
          AttachToRuntime - AttachError >> AttachError
          CollectTraces >> AggregateMetrics
          CollectTraces - buffer full >> FlushTraces
          CollectTraces - CollectError >> CollectError
          AggregateMetrics >> FormatOutput
          AggregateMetrics - AggregateError >> AggregateError
          FormatOutput >> Export
          FormatOutput - FormatError >> FormatError
          Export - success >> Success
          Export - partial_success >> PartialSuccess
          Export - failure >> Failure
          FlushTraces >> CollectTraces
          FlushTraces - CollectError >> CollectError
    "#]]
    .assert_eq(&graph_text(&pipeline_flow().unwrap()));
}
