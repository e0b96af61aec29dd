//! The planner against a scripted model: both ways, every early end, and what models do wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{expect, expect_file};
use flowmeter::{CaptureLevel, PlannerPath, RunMeter, RunMetrics, TraceDocument, read_trace};
use flowmeter_engine::{Backoff, NodeError, RetryPolicy, SharedStore};
use flowmeter_model::{Span, SpanKind, SpanStatus};
use flowmeter_workflow::chat::GenaiModel;
use flowmeter_workflow::http_client::HttpClient;
use flowmeter_workflow::nodes::Services;
use flowmeter_workflow::planner::{
    PlanRequest, Planned, PlannedSource, Planner, PlannerConfig, WorkflowFolder,
};
use flowmeter_workflow::response_cache::Caching;
use flowmeter_workflow::scripted_model::{Asked, RecordedRequest, Reply, Script, ScriptedModel};
use flowmeter_workflow::{InputSources, InvalidWorkflow};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use tempfile::TempDir;

const REQUEST: &str = "summarize notes.txt in three lines";

/// The step that a request is for: the title of the schema that it asks for.
fn step_of(asked: &Asked) -> String {
    let title = asked.schema.as_ref().and_then(|schema| schema["title"].as_str());
    title.unwrap_or_default().to_owned()
}

fn good_workflow() -> Value {
    json!({
        "nodes": [
            {"id": "read", "type": "read-file", "purpose": "Reads the file.", "params": {"file_path": "${file}"}},
            {"id": "sum", "type": "llm", "purpose": "Summarizes it.",
             "params": {"prompt": "Summarize in ${lines} lines:\n${read.content}"}, "batch": null}
        ],
        "edges": [{"from": "read", "to": "sum"}],
        "inputs": {
            "file": {"description": "the file to summarize", "type": "string"},
            "lines": {"description": "how many lines", "type": "integer", "default": 5}
        },
        "outputs": {"summary": {"source": "${sum.response}", "description": "the summary"}},
        "explanation": "Reads, then summarizes."
    })
}

fn bad_workflow() -> Value {
    let mut workflow = good_workflow();
    workflow["nodes"][0]["type"] = json!("read_file");
    workflow["nodes"][1]["params"]["prompt"] = json!("${reed.content}");
    workflow
}

/// A good answer to each step of path B.
fn good_answer(step: &str) -> Value {
    match step {
        "discovery" => json!({"found": false, "workflow": null, "reason": "None does that."}),
        "parameter_discovery" => json!({"parameters": [
            {"name": "file", "value": "notes.txt", "description": "the file"},
            {"name": "lines", "value": "3", "description": ""}
        ]}),
        "requirements" => {
            json!({"clear": true, "question": null, "steps": ["Read the file.", "Summarize it."]})
        }
        "component_browsing" => {
            json!({"node_types": ["read-file", "`llm`"], "workflows": [], "reason": "Plain."})
        }
        "planning" => json!({"feasible": true, "reason": null, "plan": "1. read-file\n2. llm"}),
        "workflow_generator" => good_workflow(),
        "parameter_mapping" => json!({"inputs": {"file": "notes.txt", "lines": "3"}}),
        "metadata_generation" => json!({
            "name": "Summarize File", "description": "Summarizes a file.", "keywords": ["summary", "file"]
        }),
        other => panic!("no answer for `{other}`"),
    }
}

fn answering() -> Script {
    Script::new().otherwise(|asked| Reply::text(good_answer(&step_of(asked)).to_string()).usage(100, 10))
}

/// The script with another answer to one step.
fn on(script: Script, step: &'static str, reply: Reply) -> Script {
    script.on(move |asked| step_of(asked) == step, reply)
}

fn once(script: Script, step: &'static str, reply: Reply) -> Script {
    script.once(move |asked| step_of(asked) == step, reply)
}

struct Ran {
    outcome: Result<Planned, NodeError>,
    metrics: RunMetrics,
    trace: TraceDocument,
    requests: Vec<RecordedRequest>,
    _folder: TempDir,
}

impl Ran {
    fn metrics_json(&self) -> Value {
        self.metrics.to_json()
    }

    fn planned(&self) -> &Planned {
        self.outcome
            .as_ref()
            .unwrap_or_else(|error| panic!("{error}: {:?}", error.chain()))
    }

    fn error(&self) -> &NodeError {
        self.outcome.as_ref().unwrap_err()
    }

    fn steps(&self) -> Vec<String> {
        let nodes = self.trace.spans.iter().filter(|span| span.kind == SpanKind::Node);
        let mut nodes: Vec<&Span> = nodes.collect();
        nodes.sort_by_key(|span| span.start);
        nodes.iter().map(|span| span.operation.to_string()).collect()
    }

    fn prompt(&self, number: usize) -> String {
        let messages = self.requests[number].body["messages"].as_array().unwrap();
        messages.last().unwrap()["content"].as_str().unwrap().to_owned()
    }
}

struct Case {
    script: Script,
    request: PlanRequest,
    saved: Vec<(&'static str, Value)>,
    timeout: Duration,
    retry: RetryPolicy,
}

impl Case {
    fn of(script: Script) -> Self {
        let request = PlanRequest {
            text: REQUEST.to_owned(),
            ..PlanRequest::default()
        };
        Self {
            script,
            request,
            saved: Vec::new(),
            timeout: Duration::from_secs(20),
            retry: RetryPolicy::new(3, Duration::from_millis(1), Backoff::Fixed).unwrap(),
        }
    }

    async fn run(self) -> Ran {
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("workflows");
        std::fs::create_dir_all(&saved).unwrap();
        for (name, document) in &self.saved {
            std::fs::write(saved.join(format!("{name}.json")), document.to_string()).unwrap();
        }
        let server = ScriptedModel::start(self.script).await.unwrap();
        let address = server.openai_base_url();
        let env = Arc::new(move |name: &str| (name == "OPENAI_BASE_URL").then(|| address.clone()));
        let http = HttpClient::new();
        let services = Services {
            chat: Arc::new(GenaiModel::with_http(env, http.clone())),
            default_model: Some(SmolStr::new("openai/scripted")),
            http,
            caching: Caching::default(),
        };
        let planner = Planner::new(PlannerConfig {
            services: Arc::new(services),
            model: SmolStr::new("openai/scripted"),
            known: Arc::new(WorkflowFolder::new(&saved)),
            folder: folder.path().to_path_buf(),
            saved_workflows: Some(saved),
            timeout: self.timeout,
            retry: self.retry,
        });
        let file = folder.path().join("trace.json");
        let meter = RunMeter::builder("planned")
            .capture(CaptureLevel::Full)
            .trace_file(&file)
            .start()
            .unwrap();
        let cx = meter.context(SharedStore::new().root());
        let outcome = planner.plan(&cx, self.request).await;
        let report = meter.finish(outcome.as_ref());
        Ran {
            outcome,
            metrics: report.metrics,
            trace: read_trace(&file).unwrap(),
            requests: server.requests(),
            _folder: folder,
        }
    }
}

/// A saved workflow that summarizes.
fn saved_workflow() -> (&'static str, Value) {
    let mut workflow = good_workflow();
    let members = workflow.as_object_mut().unwrap();
    members.remove("explanation");
    workflow["nodes"][1].as_object_mut().unwrap().remove("batch");
    ("summarize-file", workflow)
}

#[tokio::test]
async fn a_new_workflow_is_made_at_the_first_try() {
    let ran = Case::of(answering()).run().await;
    let planned = ran.planned();
    assert_eq!(planned.path(), PlannerPath::B);
    assert_eq!(planned.name, "summarize-file");
    assert_eq!(planned.keywords, ["summary", "file"]);
    assert_eq!(
        Value::from(planned.values.clone()),
        json!({"file": "notes.txt", "lines": 3})
    );
    assert!(planned.missing.is_empty());
    let PlannedSource::Generated(text) = &planned.source else {
        panic!("{planned:?}")
    };
    let written: Value = serde_json::from_str(text).unwrap();
    assert_eq!(written["ir_version"], "0.1.0");
    assert!(written.get("explanation").is_none() && written["nodes"][1].get("batch").is_none());
    let metrics = ran.metrics_json();
    assert_eq!(metrics["planner"]["llm_calls"], 8);
    assert_eq!(metrics["planner"]["path_taken"], "B");
    assert_eq!(
        metrics["planner"]["tokens"],
        json!({"input": 800, "output": 80, "total": 880})
    );
    assert_eq!(metrics["planner"]["nodes"]["planning"]["tokens"]["total"], 110);
    assert_eq!(metrics["workflow"]["llm_calls"], 0);
    assert_eq!(metrics["total"]["llm_calls"], 8);
    expect![[r#"
        [
            "node.discovery",
            "node.parameter_discovery",
            "node.requirements",
            "node.component_browsing",
            "node.planning",
            "node.workflow_generator",
            "node.parameter_mapping",
            "node.validator",
            "node.metadata_generation",
            "node.parameter_preparation",
            "node.result",
        ]
    "#]]
    .assert_debug_eq(&ran.steps());
}

#[tokio::test]
async fn a_saved_workflow_is_taken_where_it_fits() {
    let found = json!({"found": true, "workflow": "summarize-file", "reason": "It does just that."});
    let script = on(
        answering(),
        "discovery",
        Reply::text(found.to_string()).usage(100, 10),
    );
    let mut case = Case::of(script);
    case.saved = vec![
        saved_workflow(),
        (
            "other",
            json!({"nodes": [{"id": "a", "type": "echo", "params": {"message": "x"}}]}),
        ),
    ];
    let ran = case.run().await;
    let planned = ran.planned();
    assert_eq!(planned.path(), PlannerPath::A);
    assert!(matches!(&planned.source, PlannedSource::Saved(path) if path.ends_with("summarize-file.json")));
    assert_eq!(
        Value::from(planned.values.clone()),
        json!({"file": "notes.txt", "lines": 3})
    );
    let metrics = ran.metrics_json();
    assert_eq!(metrics["planner"]["llm_calls"], 2);
    assert_eq!(metrics["planner"]["path_taken"], "A");
    assert_eq!(
        ran.steps(),
        [
            "node.discovery",
            "node.parameter_mapping",
            "node.parameter_preparation",
            "node.result"
        ]
    );
    assert!(ran.prompt(0).contains("`summarize-file`") && ran.prompt(0).contains("`other`"));
    // What the user gives wins over what the request names.
    let args = [("lines".to_owned(), "7".to_owned())];
    let inputs = planned.prepare_inputs(&args, InputSources::default()).unwrap();
    assert_eq!(Value::from(inputs), json!({"file": "notes.txt", "lines": 7}));
}

#[tokio::test]
async fn what_the_user_gives_is_not_asked_for() {
    let found = json!({"found": true, "workflow": "`summarize-file`"});
    let script = on(answering(), "discovery", Reply::text(found.to_string()));
    let mut case = Case::of(script);
    case.saved = vec![saved_workflow()];
    case.request.given = Map::from_iter([
        ("file".to_owned(), json!("a.txt")),
        ("lines".to_owned(), json!(2)),
        ("api_key".to_owned(), json!("sk-do-not-tell")),
    ]);
    let ran = case.run().await;
    assert!(ran.planned().values.is_empty() && ran.planned().missing.is_empty());
    assert_eq!(ran.requests.len(), 1);
    assert!(ran.prompt(0).contains("- file = \"a.txt\""));
    assert!(!ran.prompt(0).contains("sk-do-not-tell"), "{}", ran.prompt(0));
}

#[tokio::test]
async fn two_invalid_workflows_are_mended_by_what_the_validator_says() {
    let bad = || Reply::text(bad_workflow().to_string());
    let script = once(
        once(answering(), "workflow_generator", bad()),
        "workflow_generator",
        bad(),
    );
    let ran = Case::of(script).run().await;
    assert_eq!(ran.planned().name, "summarize-file");
    // The inputs are mapped once: they stay the same.
    assert_eq!(ran.requests.len(), 10);
    let steps = ran.steps();
    let count = |step: &str| steps.iter().filter(|known| *known == step).count();
    assert_eq!(
        (count("node.workflow_generator"), count("node.validator")),
        (3, 3)
    );
    let generators: Vec<usize> = (0..ran.requests.len())
        .filter(|number| ran.prompt(*number).starts_with("Step: workflow generator"))
        .collect();
    assert!(!ran.prompt(generators[0]).contains("This is attempt"));
    let second = ran.prompt(generators[1]);
    assert!(second.contains("This is attempt 2 of 3"), "{second}");
    assert!(second.contains("did you mean `read-file`?"), "{second}");
    assert!(second.contains("/nodes/1/params/prompt"), "{second}");
    assert!(
        second.contains("   6 |       \"type\": \"read_file\""),
        "{second}"
    );
    assert_eq!(
        ran.metrics_json()["planner"]["nodes"]["workflow_generator"]["runs"],
        3
    );
    let planner = ran
        .trace
        .spans
        .iter()
        .find(|span| span.operation == "planner")
        .unwrap();
    assert_eq!(planner.attributes.get_str("planner.path_taken"), Some("B"));
}

#[tokio::test]
async fn a_model_that_never_writes_a_valid_workflow_is_given_up_politely() {
    let script = on(
        answering(),
        "workflow_generator",
        Reply::text(bad_workflow().to_string()),
    );
    let ran = Case::of(script).run().await;
    let error = ran.error();
    assert_eq!(error.error_type(), "planner_invalid_workflow");
    assert!(error.message().contains("3 attempts"), "{error}");
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<InvalidWorkflow>());
    assert_eq!(cause.unwrap().error_count(), 2);
    let metrics = ran.metrics_json();
    assert_eq!(metrics["planner"]["llm_calls"], 9);
    assert_eq!(metrics["planner"]["path_taken"], "B");
    assert_eq!(metrics["workflow"]["nodes_executed"], 0);
    let planner = ran
        .trace
        .spans
        .iter()
        .find(|span| span.operation == "planner")
        .unwrap();
    assert_eq!(planner.status, Some(SpanStatus::Error));
}

#[tokio::test]
async fn half_a_workflow_goes_back_to_the_generator() {
    let text = good_workflow().to_string();
    let half = &text[..text.len() / 2];
    let script = once(answering(), "workflow_generator", Reply::text(half));
    let ran = Case::of(script).run().await;
    assert!(ran.outcome.is_ok());
    assert_eq!(ran.metrics_json()["planner"]["nodes"]["validator"]["runs"], 2);
}

#[tokio::test]
async fn garbage_is_asked_for_once_more_and_then_given_up() {
    let fenced =
        "Of course!\n```json\n{\"clear\": true, \"steps\": [\"Read.\", \"Sum up.\"]}\n```\nThat is all.";
    let script = once(answering(), "requirements", Reply::text(fenced));
    assert_eq!(Case::of(script).run().await.requests.len(), 8);

    let script = once(
        answering(),
        "requirements",
        Reply::text("I think you should read it first."),
    );
    let ran = Case::of(script).run().await;
    assert!(ran.outcome.is_ok());
    assert_eq!(ran.requests.len(), 9);
    let repair = ran.prompt(3);
    assert!(
        repair.contains("I think you should read it first.") && repair.contains("it is no JSON"),
        "{repair}"
    );

    let script = on(
        answering(),
        "requirements",
        Reply::text("I'm sorry, but I can't help with that."),
    );
    let ran = Case::of(script).run().await;
    assert_eq!(ran.error().error_type(), "planner_answer");
    assert_eq!(ran.error().node_id(), Some("requirements"));
    assert!(
        ran.error().message().contains("I can't help with that"),
        "{}",
        ran.error()
    );
    let metrics = ran.metrics_json();
    assert_eq!(metrics["planner"]["llm_calls"], 4);
    assert_eq!(metrics["planner"]["path_taken"], Value::Null);
}

#[tokio::test]
async fn early_ends_say_what_is_missing() {
    let unclear = json!({"clear": false, "question": "Which notes do you mean?", "steps": []});
    let script = on(answering(), "requirements", Reply::text(unclear.to_string()));
    let ran = Case::of(script).run().await;
    assert_eq!(ran.error().error_type(), "planner_unclear");
    assert!(ran.error().message().contains("Which notes do you mean?"));
    assert_eq!(ran.metrics_json()["planner"]["path_taken"], Value::Null);

    let impossible = json!({"feasible": false, "reason": "There is no node that cooks.", "plan": ""});
    let script = on(answering(), "planning", Reply::text(impossible.to_string()));
    let ran = Case::of(script).run().await;
    assert_eq!(ran.error().error_type(), "planner_impossible");
    assert!(ran.error().message().contains("There is no node that cooks."));
    assert_eq!(ran.metrics_json()["planner"]["path_taken"], "B");

    let nothing = json!({"inputs": {"file": null, "lines": "many"}});
    let script = on(answering(), "parameter_mapping", Reply::text(nothing.to_string()));
    let ran = Case::of(script).run().await;
    assert_eq!(ran.planned().missing, ["file"]);
    assert!(ran.planned().values.is_empty());
}

#[tokio::test]
async fn failures_of_the_provider_are_metered_and_told() {
    let script = once(answering(), "planning", Reply::status(500, "out of order"));
    let ran = Case::of(script).run().await;
    assert!(ran.outcome.is_ok());
    let node = &ran.metrics_json()["planner"]["nodes"]["planning"];
    assert_eq!((&node["attempts"], &node["llm_calls"]), (&json!(2), &json!(2)));

    let script = on(answering(), "planning", Reply::status(500, "out of order"));
    let ran = Case::of(script).run().await;
    assert_eq!(ran.error().error_type(), "http_500");
    assert_eq!(ran.metrics_json()["planner"]["failed_llm_calls"], 3);

    let mut case = Case::of(on(answering(), "discovery", Reply::hang()));
    case.timeout = Duration::from_millis(150);
    let ran = case.run().await;
    assert_eq!(ran.error().error_type(), "timeout");
    assert!(
        ran.error().message().contains("planner.timeout"),
        "{}",
        ran.error()
    );
    assert_eq!(ran.metrics_json()["planner"]["llm_calls"], 1);
}

#[tokio::test]
async fn a_server_that_refuses_schemas_is_told_in_words() {
    let plain = |asked: &Asked| {
        let first = asked
            .prompt
            .lines()
            .find_map(|line| line.strip_prefix("Step: "))
            .unwrap();
        let name = first.split('.').next().unwrap().replace(' ', "_");
        Reply::text(format!("Here: {}", good_answer(&name)))
    };
    for (status, message) in [
        (422, "no"),
        (500, "1 validation error: body response_format type"),
    ] {
        let script = Script::new()
            .on(|asked| asked.schema.is_some(), Reply::status(status, message))
            .otherwise(plain);
        let ran = Case::of(script).run().await;
        assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
        // Refused once, and never tried again.
        assert_eq!(ran.requests.len(), 9);
        told_in_words(&ran);
    }
}

fn told_in_words(ran: &Ran) {
    assert!(
        ran.prompt(1).contains("It follows this JSON Schema:"),
        "{}",
        ran.prompt(1)
    );
}

#[tokio::test]
async fn a_workflow_that_is_not_saved_or_cannot_run_is_not_taken() {
    let found = json!({"found": true, "workflow": "no-such", "reason": ""});
    let script = on(answering(), "discovery", Reply::text(found.to_string()));
    let ran = Case::of(script).run().await;
    assert_eq!(ran.planned().path(), PlannerPath::B);

    let found = json!({"found": true, "workflow": "broken", "reason": ""});
    let mut case = Case::of(on(answering(), "discovery", Reply::text(found.to_string())));
    case.saved = vec![("broken", json!({"nodes": [{"id": "a", "type": "no-type"}]}))];
    assert_eq!(case.run().await.planned().path(), PlannerPath::B);
}

#[tokio::test]
async fn every_step_stands_in_the_trace_with_its_templates_writes_and_calls() {
    let ran = Case::of(answering()).run().await;
    let spans = &ran.trace.spans;
    let planner = spans.iter().find(|span| span.operation == "planner").unwrap();
    assert_eq!(planner.kind, SpanKind::Workflow);
    let of = |id: &str| {
        spans
            .iter()
            .find(|span| span.attributes.get_str("node.id") == Some(id))
            .unwrap()
    };
    let generator = of("workflow_generator");
    assert_eq!(generator.parent_span_id, Some(planner.span_id));
    assert!(
        generator
            .templates
            .iter()
            .any(|template| template.template == "${request}")
    );
    assert!(
        generator
            .mutations
            .iter()
            .any(|write| write.path.starts_with("workflow_generator"))
    );
    assert!(generator.params.is_some());
    let calls: Vec<&Span> = spans
        .iter()
        .filter(|span| span.kind == SpanKind::LlmCall)
        .collect();
    assert_eq!(calls.len(), 8);
    assert!(
        calls
            .iter()
            .all(|call| call.attributes.get("gen_ai.input.messages").is_some()
                && call.attributes.get("gen_ai.output.messages").is_some())
    );
}

/// The planner's own time is what is left when the calls are taken away.
#[tokio::test]
async fn the_planner_adds_little_to_its_calls() {
    let ran = Case::of(answering()).run().await;
    let planner = &ran.metrics_json()["planner"];
    let calls = planner["llm_calls"].as_f64().unwrap();
    let own_ms =
        planner["duration_ms"].as_f64().unwrap() - planner["llm_durations_ms"]["sum"].as_f64().unwrap();
    eprintln!("own time per call: {} ms", own_ms / calls);
    // Debug builds on busy machines are far slower; `cargo xtask bench planner` looks closer.
    assert!(own_ms / calls < 100.0, "{own_ms} ms");
}

#[tokio::test]
async fn the_prompts_as_they_are_sent() {
    let script = once(
        answering(),
        "workflow_generator",
        Reply::text(bad_workflow().to_string()),
    );
    let mut case = Case::of(script);
    case.saved = vec![saved_workflow()];
    case.request.given = Map::from_iter([("style".to_owned(), json!("plain"))]);
    case.request.has_stdin = true;
    let ran = case.run().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prompts");
    let mut seen = Map::new();
    for request in &ran.requests {
        let body = &request.body;
        let messages = body["messages"].as_array().unwrap();
        let prompt = messages.last().unwrap()["content"].as_str().unwrap();
        let format = &body["response_format"]["json_schema"];
        let step = format["schema"]["title"].as_str().unwrap();
        let times = seen.entry(step).or_insert(json!(0));
        *times = json!(times.as_u64().unwrap() + 1);
        let name = match times.as_u64() {
            Some(1) => step.to_owned(),
            _ => format!("{step}_again"),
        };
        let schema = serde_json::to_string_pretty(format).unwrap();
        expect_file![folder.join(format!("{name}.txt"))].assert_eq(&format!("{prompt}\n\n=====\n{schema}\n"));
    }
    assert_eq!(seen.len(), 8);
    let system = ran.requests[0].body["messages"][0]["content"].as_str().unwrap();
    expect_file![folder.join("system.txt")].assert_eq(system);
}
