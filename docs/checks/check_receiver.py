"""Checks what flowmeter sends to an OTLP receiver made of the official protobuf definitions.

All three signals by every protocol, and what is written to files, must be the run of the trace file: ids, tree,
attributes, logs in their spans, metrics that add up. Then a receiver that fails in every way it may: nothing is lost
and nothing comes twice.
"""

import json
import sys
import time

import model_server
from receiver import GrpcReceiver, HttpReceiver, Telemetry, from_json
from surroundings import Sandbox, Tally

CLIENT, INTERNAL, UNSET, ERROR, CUMULATIVE = 3, 1, 0, 2, 2
# Lines that the workflow's nodes write to standard error, with the node that does.
STDERR_LINES = {
    "looking for topics": "topics",
    'found three: tea, ünïcode, "quotes"': "topics",
    "counting": "count",
}


def main():
    tally = Tally("receiver")
    check_protocols(tally)
    check_files(tally)
    check_event_lines(tally)
    check_troubles(tally)
    return tally.close()


def check_protocols(tally):
    for name, make, protocol, compression in [
        ("http/protobuf", HttpReceiver, "http/protobuf", "none"),
        ("http/protobuf, gzip", HttpReceiver, "http/protobuf", "gzip"),
        ("http/json, gzip", HttpReceiver, "http/json", "gzip"),
        ("grpc", GrpcReceiver, "grpc", "none"),
        ("grpc, gzip", GrpcReceiver, "grpc", "gzip"),
    ]:
        print(name, flush=True)
        receiver, model = make(), model_server.ModelServer()
        with Sandbox() as sandbox:
            ended, result, trace = sandbox.run_workflow(
                "rounds.json",
                model,
                "--export",
                "otlp",
                OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
                OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
                OTEL_EXPORTER_OTLP_COMPRESSION=compression,
                OTEL_EXPORTER_OTLP_HEADERS="x-tenant=a%20tenant,x-second=2",
                OTEL_SERVICE_NAME="checked",
                OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=check,team=t%C3%A4st",
            )
        receiver.stop()
        model.stop()
        tally.equal(ended.returncode, 0, f"{name}: exit code")
        tally.equal(receiver.problems, [], f"{name}: problems of the receiver")
        tally.equal(result.get("export_errors", []), [], f"{name}: export errors")
        for signal, headers in receiver.headers:
            tally.equal(headers.get("x-tenant"), "a tenant", f"{name}: {signal}: a header that was asked for")
            tally.equal(headers.get("x-second"), "2", f"{name}: {signal}: a second header")
            agent = headers.get("user-agent", "")
            tally.that(agent.startswith("OTel-OTLP-Exporter-Rust/"), f"{name}: {signal}: the user agent", agent)
            if protocol != "grpc":
                wanted = compression if compression != "none" else None
                tally.equal(headers.get("content-encoding"), wanted, f"{name}: {signal}: packed with")
        check_telemetry(tally, name, receiver.telemetry, result, trace)
        for _, resource, scope, _ in receiver.telemetry.spans + receiver.telemetry.logs + receiver.telemetry.metrics:
            found = values(resource.attributes)
            tally.equal(found.get("service.name"), "checked", f"{name}: service.name")
            tally.equal(found.get("team"), "täst", f"{name}: an attribute from the environment")
            tally.that(scope.name, f"{name}: the scope has a name")


def check_files(tally):
    """OTLP's file format: one request a line, one file a signal."""
    name = "file"
    print(name, flush=True)
    model = model_server.ModelServer()
    with Sandbox() as sandbox:
        path = sandbox.folder / "telemetry.jsonl"
        _, result, trace = sandbox.run_workflow("rounds.json", model, "--export", f"otlp-json={path}")
        telemetry = Telemetry()
        for signal, file in files_of(sandbox.folder).items():
            for line in file.read_text().splitlines():
                telemetry.add(signal, from_json(signal, line))
    model.stop()
    check_telemetry(tally, name, telemetry, result, trace)


def files_of(folder):
    """The file of each signal, known by what is in its first line."""
    keys = {"traces": "resourceSpans", "logs": "resourceLogs", "metrics": "resourceMetrics"}
    found = {}
    for path in folder.glob("telemetry*"):
        first = json.loads(path.read_text().splitlines()[0])
        found.update({signal: path for signal, key in keys.items() if key in first})
    return found


def check_event_lines(tally):
    """`flowmeter format --format otlp` turns event lines into requests that a receiver takes."""
    name = "format"
    print(name, flush=True)
    model, receiver = model_server.ModelServer(), HttpReceiver()
    with Sandbox() as sandbox:
        path = sandbox.folder / "events.jsonl"
        _, _, trace = sandbox.run_workflow("rounds.json", model, "--export", f"jsonl={path}")
        ended = sandbox.flowmeter("format", path, "--format", "otlp")
    model.stop()
    receiver.stop()
    tally.equal(ended.returncode, 0, f"{name}: exit code")
    telemetry = Telemetry()
    for line in ended.stdout.splitlines():
        signal = {"resourceSpans": "traces", "resourceLogs": "logs", "resourceMetrics": "metrics"}[
            next(iter(json.loads(line)))
        ]
        telemetry.add(signal, from_json(signal, line))
    check_tree(tally, name, telemetry.spans, trace)


def check_telemetry(tally, name, telemetry, result, trace):
    spans = telemetry.spans
    check_tree(tally, name, spans, trace)
    wanted = {span["span_id"]: span for span in trace["spans"]}
    for span, *_ in spans:
        if (origin := wanted.get(span.span_id.hex())) is not None:
            check_span(tally, f"{name}: {origin['operation']}", span, origin)
    check_logs(tally, name, telemetry.logs, spans, trace)
    check_metrics(tally, name, telemetry.metrics, result["metrics"])


def check_tree(tally, name, spans, trace):
    ids = [span.span_id.hex() for span, *_ in spans]
    wanted = {span["span_id"]: span for span in trace["spans"]}
    tally.equal(len(ids), len(set(ids)), f"{name}: no span comes twice, of")
    tally.equal(set(ids), set(wanted), f"{name}: the spans are those of the trace file")
    tally.that("0" * 16 not in ids and all(len(span_id) == 16 for span_id in ids), f"{name}: span ids", ids)
    tally.equal({span.trace_id.hex() for span, *_ in spans}, {trace["trace_id"]}, f"{name}: the trace id")
    tally.equal(sum(not span.parent_span_id for span, *_ in spans), 1, f"{name}: roots")
    for span, *_ in spans:
        origin = wanted.get(span.span_id.hex(), {})
        tally.equal(
            span.parent_span_id.hex() or None,
            origin.get("parent_span_id"),
            f"{name}: {origin.get('operation')} is below",
        )


def check_span(tally, what, span, origin):
    attributes = values(span.attributes)
    is_call = origin["kind"] == "llm_call"
    failed = origin["status"] == "error"
    tally.equal(span.kind, CLIENT if is_call else INTERNAL, f"{what}: kind")
    tally.equal(span.start_time_unix_nano, origin["start_time"], f"{what}: start")
    tally.equal(span.end_time_unix_nano, origin["end_time"], f"{what}: end")
    tally.that(span.flags & 1, f"{what}: it is marked as sampled", span.flags)
    tally.equal(span.status.code, ERROR if failed else UNSET, f"{what}: status")
    keys = [attribute.key for attribute in span.attributes]
    tally.equal(len(keys), len(set(keys)), f"{what}: no attribute comes twice, of")
    tally.that(all(keys), f"{what}: every attribute has a name", keys)
    unset = [attribute.key for attribute in span.attributes if attribute.value.WhichOneof("value") is None]
    tally.equal(unset, [], f"{what}: attributes without a value")
    if failed:
        tally.equal(span.status.message, origin["error"]["message"], f"{what}: why it failed")
        tally.equal(attributes.get("error.type"), origin["error"]["type"], f"{what}: error.type")
    else:
        tally.equal(span.status.message, "", f"{what}: no message")
        tally.that("error.type" not in attributes, f"{what}: no error.type", attributes.get("error.type"))
    if is_call:
        check_call(tally, what, span, attributes, failed)


def check_call(tally, what, span, attributes, failed):
    tally.equal(span.name, f"chat {model_server.MODEL}", f"{what}: name")
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model_server.MODEL,
        "server.address": "127.0.0.1",
    }
    if not failed:
        wanted |= {
            "gen_ai.response.model": model_server.ANSWERED_BY,
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.usage.input_tokens": model_server.INPUT_TOKENS,
            "gen_ai.usage.output_tokens": model_server.OUTPUT_TOKENS,
            "gen_ai.usage.cache_read.input_tokens": model_server.CACHED_TOKENS,
            "gen_ai.usage.reasoning.output_tokens": model_server.REASONING_TOKENS,
        }
    for key, value in wanted.items():
        tally.equal(attributes.get(key), value, f"{what}: {key}")
    tally.that(attributes.get("gen_ai.request.stream") in (None, True), f"{what}: gen_ai.request.stream, if at all")
    if "gen_ai.response.time_to_first_chunk" in attributes:
        first = attributes["gen_ai.response.time_to_first_chunk"]
        took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        tally.that(isinstance(first, float) and 0 < first <= took, f"{what}: the first chunk comes within", first)
    for key in ["gen_ai.input.messages"] + ([] if failed else ["gen_ai.output.messages"]):
        found = attributes.get(key)
        if tally.that(isinstance(found, str), f"{what}: {key} is text", found):
            messages = json.loads(found)
            sound = all(message["role"] and message["parts"] for message in messages)
            tally.that(messages and sound, f"{what}: {key}", found)
            if key == "gen_ai.output.messages":
                reasons = [message.get("finish_reason") for message in messages]
                tally.equal(reasons, ["stop"], f"{what}: why the answer ended")


def check_logs(tally, name, logs, spans, trace):
    by_id = {span.span_id: span for span, *_ in spans}
    nodes = {span["span_id"]: span["attributes"].get("node.id") for span in trace["spans"]}
    above = {span["span_id"]: span.get("parent_span_id") for span in trace["spans"]}

    def node_of(span_id):
        while span_id and not nodes.get(span_id):
            span_id = above.get(span_id)
        return nodes.get(span_id)

    tally.that(logs, f"{name}: there are logs")
    bodies = {}
    for log, *_ in logs:
        text = log.body.string_value
        what = f"{name}: log {text!r}"
        bodies.setdefault(text, []).append(log)
        tally.equal(log.trace_id.hex(), trace["trace_id"], f"{what}: trace")
        if tally.that(log.span_id in by_id, f"{what}: its span is known", log.span_id.hex()):
            span = by_id[log.span_id]
            inside = span.start_time_unix_nano <= log.time_unix_nano <= span.end_time_unix_nano
            tally.that(inside, f"{what}: it was written while its span was open", log.time_unix_nano)
        tally.that(1 <= log.severity_number <= 24, f"{what}: severity", log.severity_number)
        tally.that(log.severity_text, f"{what}: severity as text")
        tally.that(log.observed_time_unix_nano >= log.time_unix_nano > 0, f"{what}: times")
    for line, node in STDERR_LINES.items():
        found = [node_of(log.span_id.hex()) for log in bodies.get(line, [])]
        tally.equal(found, [node], f"{name}: standard error {line!r} is a log of")


def check_metrics(tally, name, metrics, summary):
    found = {}
    for metric, *_ in metrics:
        tally.that(metric.name not in found, f"{name}: {metric.name} comes once")
        found[metric.name] = metric
        data = getattr(metric, metric.WhichOneof("data"))
        tally.that(metric.description, f"{name}: {metric.name} has a description")
        tally.that(data.data_points, f"{name}: {metric.name} has points")
        if metric.WhichOneof("data") in ("sum", "histogram"):
            tally.equal(data.aggregation_temporality, CUMULATIVE, f"{name}: {metric.name} counts since the start")
        seen = set()
        for point in data.data_points:
            identity = json.dumps(values(point.attributes), sort_keys=True)
            tally.that(identity not in seen, f"{name}: {metric.name}: one point for {identity}")
            seen.add(identity)
            tally.that(0 < point.start_time_unix_nano <= point.time_unix_nano, f"{name}: {metric.name}: times")
        if metric.WhichOneof("data") == "histogram":
            for point in data.data_points:
                check_histogram(tally, f"{name}: {metric.name}", point)

    total = summary["total"]
    tokens = summary["workflow"]["tokens"]
    usage = "gen_ai.client.inference.usage"
    for metric, wanted in {
        f"{usage}.input_tokens": tokens["input"],
        f"{usage}.output_tokens": tokens["output"],
        f"{usage}.cache_read.input_tokens": tokens["cache_read"],
        f"{usage}.reasoning.output_tokens": tokens["reasoning"],
    }.items():
        tally.equal(summed(found.get(metric)), wanted, f"{name}: {metric}")
    duration = found.get("gen_ai.client.inference.duration")
    points = duration.histogram.data_points if duration else []
    tally.equal(sum(point.count for point in points), total["llm_calls"], f"{name}: durations of calls")
    failed = sum(point.count for point in points if "error.type" in values(point.attributes))
    tally.equal(failed, summary["workflow"]["failed_llm_calls"], f"{name}: durations of calls that failed")
    workflows = found.get("gen_ai.invoke_workflow.duration")
    points = workflows.histogram.data_points if workflows else []
    names = {values(point.attributes).get("gen_ai.workflow.name") for point in points}
    tally.that("rounds" in names, f"{name}: the workflow's duration", names)


def check_histogram(tally, what, point):
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    tally.equal(len(counts), len(bounds) + 1, f"{what}: buckets")
    tally.equal(bounds, sorted(set(bounds)), f"{what}: bounds rise")
    tally.equal(sum(counts), point.count, f"{what}: the buckets add up to")
    if point.HasField("min"):
        tally.that(point.min <= point.max, f"{what}: min and max", (point.min, point.max))
        low = sum(point.min > bound for bound in bounds)
        tally.that(counts[low] > 0, f"{what}: the smallest value is in its bucket", (point.min, counts))


def summed(metric):
    if metric is None:
        return None
    return sum(point.as_int or int(point.as_double) for point in metric.sum.data_points)


def check_troubles(tally):
    """Whatever the receiver does, each span arrives exactly once, and the user is told what did not."""
    for name, behaviour, finished in [
        ("503 with Retry-After, then well", [("answer", 503, {"retry-after": "1"})], True),
        ("429, then closed, then well", [("answer", 429, {"retry-after": "0"}), "close"], True),
        ("hangs, then well", ["hang"], True),
        ("400: never again", [("answer", 400, {})], False),
    ]:
        print(name, flush=True)
        receiver, model = HttpReceiver(behaviour), model_server.ModelServer()
        with Sandbox() as sandbox:
            began = time.monotonic()
            ended, result, trace = sandbox.run_workflow(
                "rounds.json",
                model,
                "--export",
                f"otlp={receiver.url}",
                OTEL_EXPORTER_OTLP_TIMEOUT="1500",
                OTEL_METRICS_EXPORTER="none",
                OTEL_LOGS_EXPORTER="none",
            )
            took_s = time.monotonic() - began
            tally.equal(ended.returncode, 0, f"{name}: the run itself is not touched")
            tally.that(took_s < 30, f"{name}: the run ends", took_s)
            if finished and len(receiver.telemetry.spans) < len(trace["spans"]):
                # The run does not wait for ever; what is left is kept for the next one.
                flushed = sandbox.flowmeter("flush", OTEL_EXPORTER_OTLP_TIMEOUT="1500")
                tally.equal(flushed.returncode, 0, f"{name}: flowmeter flush ({flushed.stderr.strip()})")
            if finished:
                check_tree(tally, name, receiver.telemetry.spans, trace)
            else:
                requests = [signal for signal, _ in receiver.headers]
                tally.equal(requests, ["traces"], f"{name}: requests")
                tally.that(result.get("export_errors"), f"{name}: the result says so", result.get("export_errors"))
                tally.that("400" in ended.stderr, f"{name}: it is said", ended.stderr)
        receiver.stop()
        model.stop()
    check_partial_success(tally)
    check_outage(tally)


def check_partial_success(tally):
    name = "partial success"
    print(name, flush=True)
    receiver, model = HttpReceiver([("partial", 2, "two were too old")]), model_server.ModelServer()
    with Sandbox() as sandbox:
        ended, result, trace = sandbox.run_workflow(
            "rounds.json",
            model,
            "--export",
            f"otlp={receiver.url}",
            OTEL_METRICS_EXPORTER="none",
            OTEL_LOGS_EXPORTER="none",
        )
    receiver.stop()
    model.stop()
    check_tree(tally, name, receiver.telemetry.spans, trace)
    tally.equal(len(receiver.headers), 1, f"{name}: it is sent once")
    tally.that("two were too old" in ended.stderr, f"{name}: the receiver's reason is said", ended.stderr)
    errors = " ".join(result.get("export_errors", []))
    tally.that("2 spans" in errors, f"{name}: the result says how many", errors)


def check_outage(tally):
    """Nobody listens; the next run, or `flowmeter flush`, sends what was kept."""
    name = "outage"
    print(name, flush=True)
    receiver, model = HttpReceiver(), model_server.ModelServer()
    url = receiver.url
    receiver.stop()
    with Sandbox() as sandbox:
        ended, result, trace = sandbox.run_workflow("rounds.json", model, "--export", f"otlp={url}")
        tally.equal(ended.returncode, 0, f"{name}: the run itself is not touched")
        tally.that("flowmeter flush" in ended.stderr, f"{name}: it is said what helps", ended.stderr)
        # The receiver is back at the same address.
        again = HttpReceiver(port=int(url.rsplit(":", 1)[1]))
        flushed = sandbox.flowmeter("flush")
        tally.equal(flushed.returncode, 0, f"{name}: flowmeter flush ({flushed.stderr.strip()})")
        check_telemetry(tally, name, again.telemetry, result, trace)
        before = len(again.headers)
        sandbox.flowmeter("flush")
        tally.equal(len(again.headers), before, f"{name}: a second flush sends nothing; requests")
        again.stop()
    model.stop()


def values(attributes):
    """Attributes as a dictionary of plain values."""
    return {attribute.key: value_of(attribute.value) for attribute in attributes}


def value_of(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(below) for below in value.array_value.values]
    if kind == "kvlist_value":
        return values(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


if __name__ == "__main__":
    sys.exit(main())
