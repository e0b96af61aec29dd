"""Checks that Arize Phoenix shows a run as it was: LLM spans with model, tokens, messages, cost, errors, and the tree.

It starts Phoenix in a temporary folder, sends it runs over HTTP and over gRPC, and asks Phoenix's own interfaces
what it made of them. It judges by what Phoenix says and by the trace file of the run, never by what was sent.
"""

import json
import pathlib
import sys

import model_server
from surroundings import Sandbox, Tally, fetched, free_port, wait_for

OPENED_BY = pathlib.Path(sys.executable).parent / "phoenix"

# What Phoenix's pages show of a span.
PAGE = """
query ($id: ID!) {
  node(id: $id) {
    ... on Project {
      traceCount
      tokenCountTotal
      costSummary { total { cost } }
      spans(first: 1000) {
        edges {
          node {
            spanId parentId name spanKind statusCode statusMessage
            tokenCountPrompt tokenCountCompletion tokenCountTotal cumulativeTokenCountTotal
            tokenPromptDetails { cacheRead }
            input { value mimeType }
            output { value mimeType }
            costSummary { total { cost } }
            events { name message }
            attributes
          }
        }
      }
    }
  }
}
"""


class Phoenix:
    """A Phoenix of one's own, with nothing in it."""

    def __init__(self, sandbox):
        self.port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.variables = {"PHOENIX_PORT": str(self.port), "PHOENIX_GRPC_PORT": str(self.grpc_port)}
        folder = sandbox.folder / "phoenix"
        folder.mkdir()
        process = sandbox.start(
            [str(OPENED_BY), "serve"],
            "phoenix.log",
            PHOENIX_WORKING_DIR=str(folder),
            PHOENIX_HOST="127.0.0.1",
            PHOENIX_TELEMETRY_ENABLED="false",
            **self.variables,
        )

        def ready():
            if process.poll() is not None:
                log = (sandbox.folder / "phoenix.log").read_text()
                sys.exit(f"phoenix ended with {process.returncode}:\n{log[-3000:]}")
            return fetched(f"{self.url}/v1/projects") is not None

        wait_for("phoenix to listen", ready, 300)

    def project(self, name, spans_expected):
        """What the page of a project shows once all its spans are there, and the spans as its REST interface has
        them; what is late is given up after a while, and then missing."""

        def complete():
            projects = {project["name"]: project for project in fetched(f"{self.url}/v1/projects?limit=100")["data"]}
            if name not in projects:
                return None
            answer = fetched(
                f"{self.url}/graphql", {"query": PAGE, "variables": {"id": projects[name]["id"]}}
            )
            if answer.get("errors"):
                sys.exit(f"Phoenix does not understand the question: {answer['errors']}")
            page = answer["data"]["node"]
            page["spans"] = [edge["node"] for edge in page["spans"]["edges"]]
            calls = [span for span in page["spans"] if span["spanKind"] == "llm" and span["tokenCountTotal"]]
            # Costs are added a moment after the spans.
            priced = all(span["costSummary"] for span in calls)
            self.page = page
            return page if len(page["spans"]) >= spans_expected and priced else None

        self.page = None
        try:
            wait_for(f"{spans_expected} spans in project {name}", complete, 30)
        except SystemExit as given_up:
            print(f"  {given_up}")
        spans = fetched(f"{self.url}/v1/projects/{name}/spans?limit=1000")["data"] if self.page else []
        return self.page or {"spans": []}, spans


def main():
    tally = Tally("phoenix")
    with Sandbox() as sandbox:
        phoenix = Phoenix(sandbox)
        openinference = f"phoenix={phoenix.url}"
        cases = [
            ("http", openinference, "http/protobuf", "rounds.json"),
            ("grpc", openinference, "grpc", "rounds.json"),
            # The GenAI names alone: Phoenix translates them itself.
            ("genai", f"otlp={phoenix.url}", "http/protobuf", "rounds.json"),
            ("genai-1.41", f"otlp={phoenix.url}", "http/protobuf", "rounds.json"),
            ("failure", openinference, "http/protobuf", "broken.json"),
        ]
        for case in cases:
            check_case(tally, sandbox, phoenix, case)
    return tally.close()


def check_case(tally, sandbox, phoenix, case):
    name, backend, protocol, workflow = case
    print(f"{name}: {workflow} by {protocol}", flush=True)
    project = f"checked-{name}"
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **phoenix.variables}
    options = ["--export", backend]
    if backend.startswith("phoenix"):
        variables["PHOENIX_PROJECT"] = project
    else:
        # Phoenix takes neither metrics nor logs, and the project from the resource.
        variables["OTEL_RESOURCE_ATTRIBUTES"] = f"openinference.project.name={project}"
        variables["OTEL_METRICS_EXPORTER"] = variables["OTEL_LOGS_EXPORTER"] = "none"
    if name.endswith("1.41"):
        options += ["--semconv", "1.41"]
    model = model_server.ModelServer()
    ended, result, trace = sandbox.run_workflow(workflow, model, *options, **variables)
    model.stop()
    succeeds = workflow != "broken.json"
    tally.equal(ended.returncode == 0, succeeds, f"{name}: the run ends well")
    tally.that("could not be sent" not in ended.stderr, f"{name}: everything was sent", ended.stderr)
    tally.equal(result.get("export_errors", []), [], f"{name}: no export errors")
    page, spans = phoenix.project(project, len(trace["spans"]))

    check_tree(tally, name, trace, spans)
    if not spans:
        return
    shown = {span["spanId"]: span for span in page["spans"]}
    for span in trace["spans"]:
        found = shown.get(span["span_id"])
        if not tally.that(found, f"{name}: {span['operation']} is shown"):
            continue
        check_status(tally, f"{name}: {span['operation']}", span, found)
        if span["kind"] == "llm_call":
            check_call(tally, f"{name}: {span['operation']}", span, found, backend.startswith("phoenix"))
    if succeeds:
        check_sums(tally, name, result, page, trace)
    if backend.startswith("phoenix"):
        check_steps(tally, name, trace, shown)


def check_tree(tally, name, trace, spans):
    """The same spans, each once, each below the same one, in the same trace, at the same time."""
    wanted = {span["span_id"]: span for span in trace["spans"]}
    found = {span["context"]["span_id"]: span for span in spans}
    tally.equal(len(spans), len(found), f"{name}: no span is there twice, of")
    tally.equal(set(found), set(wanted), f"{name}: the spans are those of the trace file")
    for span_id in set(found) & set(wanted):
        tally.equal(found[span_id]["context"]["trace_id"], trace["trace_id"], f"{name}: the trace")
        tally.equal(
            found[span_id]["parent_id"],
            wanted[span_id].get("parent_span_id"),
            f"{name}: {wanted[span_id]['operation']} is below",
        )
    roots = [span for span in spans if span["parent_id"] is None]
    tally.equal(len(roots), 1, f"{name}: roots")


def check_status(tally, what, span, found):
    failed = span["status"] == "error"
    tally.equal(found["statusCode"] == "ERROR", failed, f"{what}: it failed")
    if not failed:
        return
    message = span["error"]["message"]
    tally.equal(found["statusMessage"], message, f"{what}: why it failed")
    exceptions = [event["message"] for event in found["events"] if event["name"] == "exception"]
    tally.that(message in exceptions, f"{what}: the exception says {message}", exceptions)


def check_call(tally, what, span, found, is_openinference):
    """An LLM span has its model, tokens, messages and cost. Where Phoenix translates the GenAI names, it shows the
    model that was asked for, and of what was said only the messages."""
    attributes = flat(found["attributes"])
    given = span["attributes"]
    failed = span["status"] == "error"
    tally.equal(found["spanKind"], "llm", f"{what}: its kind")
    tally.equal(found["name"], f"chat {model_server.MODEL}", f"{what}: its name")
    model = model_server.MODEL if failed or not is_openinference else model_server.ANSWERED_BY
    tally.equal(attributes.get("llm.model_name"), model, f"{what}: its model")
    tally.equal(attributes.get("llm.provider"), "openai", f"{what}: its provider")
    tokens = {
        "tokenCountPrompt": model_server.INPUT_TOKENS,
        "tokenCountCompletion": model_server.OUTPUT_TOKENS,
        "tokenCountTotal": model_server.INPUT_TOKENS + model_server.OUTPUT_TOKENS,
    }
    for field, number in tokens.items():
        tally.equal(found[field] or 0, 0 if failed else number, f"{what}: {field}")
    prompt = given["gen_ai.input.messages"][-1]["parts"][0]["content"]
    asked = messages(attributes, "llm.input_messages")
    tally.equal(asked[-1:], [("user", prompt)], f"{what}: what was asked")
    if len(given["gen_ai.input.messages"]) > 1:
        tally.equal(asked[0], ("system", "You answer in one sentence."), f"{what}: the system prompt")
    if is_openinference:
        tally.that(says(found["input"], prompt), f"{what}: the input has the prompt", found["input"])
    if failed:
        return
    answer = model_server.answer_to(prompt)
    tally.equal(messages(attributes, "llm.output_messages"), [("assistant", answer)], f"{what}: the answer")
    if is_openinference:
        tally.that(says(found["output"], answer), f"{what}: the output has the answer", found["output"])
    tally.equal(found["tokenPromptDetails"]["cacheRead"], model_server.CACHED_TOKENS, f"{what}: cached tokens")
    cost = ((found["costSummary"] or {}).get("total") or {}).get("cost")
    tally.that(
        cost is not None and abs(cost - given["flowmeter.cost.usd"]) < 1e-9,
        f"{what}: Phoenix's own price is ours, {given['flowmeter.cost.usd']}",
        cost,
    )


def check_sums(tally, name, result, page, trace):
    """What Phoenix adds up is what the run added up."""
    total = result["metrics"]["total"]
    tally.equal(page.get("traceCount"), 1, f"{name}: traces")
    tally.equal(page.get("tokenCountTotal"), total["tokens_total"], f"{name}: tokens of the project")
    cost = page["costSummary"]["total"]["cost"]
    tally.that(abs((cost or 0) - total["cost_usd"]) < 1e-9, f"{name}: cost of the project: {total['cost_usd']}", cost)
    root = next(span for span in page["spans"] if span["parentId"] is None)
    tally.equal(root["cumulativeTokenCountTotal"], total["tokens_total"], f"{name}: tokens below the root")
    calls = [span for span in page["spans"] if span["spanKind"] == "llm"]
    tally.equal(len(calls), total["llm_calls"], f"{name}: LLM spans")
    nodes = [span for span in trace["spans"] if span["kind"] == "node"]
    tally.equal(len(nodes), 7, f"{name}: nodes")


def check_steps(tally, name, trace, shown):
    """Steps that are no calls say what they are, what they were given and what they made."""
    for span in trace["spans"]:
        found = shown.get(span["span_id"])
        if not found or span["kind"] not in ("node", "run"):
            continue
        what = f"{name}: {span['operation']} {span['attributes'].get('node.id', '')}".rstrip()
        is_tool = span["attributes"].get("node.type") in ("code", "shell")
        tally.equal(found["spanKind"], "tool" if is_tool else "chain", f"{what}: its kind")
        if span["status"] == "ok" and span["kind"] == "node":
            tally.that(found["output"], f"{what}: it shows what it wrote")
        if span["status"] == "ok" and span["kind"] == "run":
            tally.equal((found["output"] or {}).get("value"), "5", f"{what}: it shows the output")
        if span.get("params"):
            tally.that(found["input"], f"{what}: it shows its parameters")


def says(value, text):
    """Whether a value has the text in it, as it is or within JSON."""
    shown = (value or {}).get("value") or ""
    return text in shown or json.dumps(text, ensure_ascii=False)[1:-1] in shown


def messages(attributes, prefix):
    """The messages of a span as (role, text)."""
    found = []
    while (role := attributes.get(f"{prefix}.{len(found)}.message.role")) is not None:
        start = f"{prefix}.{len(found)}.message"
        text = attributes.get(f"{start}.content")
        if text is None:
            text = attributes.get(f"{start}.contents.0.message_content.text")
        found.append((role, text))
    return found


def flat(attributes):
    """Phoenix's nested attributes under their dotted names."""
    found = {}

    def walk(prefix, value):
        if isinstance(value, dict):
            for key, below in value.items():
                walk(f"{prefix}.{key}" if prefix else key, below)
        elif isinstance(value, list) and any(isinstance(below, dict) for below in value):
            for index, below in enumerate(value):
                walk(f"{prefix}.{index}", below)
        else:
            found[prefix] = value

    walk("", json.loads(attributes) if isinstance(attributes, str) else attributes)
    return found


if __name__ == "__main__":
    sys.exit(main())
