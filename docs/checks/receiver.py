"""An OTLP receiver made of the official protobuf definitions: HTTP with protobuf or JSON, gRPC, gzip.

It keeps all that it is sent, and behaves badly where it is told to. It never judges; the checks do.
"""

import base64
import gzip
import json
import socket
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

REQUESTS = {
    "traces": trace_service_pb2.ExportTraceServiceRequest,
    "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    "logs": logs_service_pb2.ExportLogsServiceRequest,
}
ANSWERS = {
    "traces": trace_service_pb2.ExportTraceServiceResponse,
    "metrics": metrics_service_pb2.ExportMetricsServiceResponse,
    "logs": logs_service_pb2.ExportLogsServiceResponse,
}


class Telemetry:
    """What has arrived, taken apart: each item with its resource, its scope and the scope's schema."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = {signal: [] for signal in REQUESTS}

    def add(self, signal, request):
        with self.lock:
            self.requests[signal].append(request)

    @property
    def spans(self):
        return self._items("traces", "resource_spans", "scope_spans", "spans")

    @property
    def logs(self):
        return self._items("logs", "resource_logs", "scope_logs", "log_records")

    @property
    def metrics(self):
        return self._items("metrics", "resource_metrics", "scope_metrics", "metrics")

    def _items(self, signal, resources, scopes, items):
        with self.lock:
            requests = list(self.requests[signal])
        return [
            (item, of_resource.resource, of_scope.scope, of_scope.schema_url or of_resource.schema_url)
            for request in requests
            for of_resource in getattr(request, resources)
            for of_scope in getattr(of_resource, scopes)
            for item in getattr(of_scope, items)
        ]


class HttpReceiver:
    """Receives by HTTP. `behaviour` holds what comes before it receives, one for each request of a signal:
    ("answer", status, headers), ("partial", rejected, message), "hang" or "close"."""

    def __init__(self, behaviour=(), port=0):
        self.telemetry = Telemetry()
        self.headers = []
        self.problems = []
        self.behaviour = {signal: list(behaviour) for signal in REQUESTS}
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                try:
                    outer._receive(self, body)
                except (ValueError, KeyError, OSError, json_format.Error) as error:
                    outer.problems.append(f"{self.path}: {error!r}")
                    respond(self, 400, b"")

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def _receive(self, handler, body):
        signal = handler.path.removeprefix("/v1/")
        with self.lock:
            self.headers.append((signal, {name.lower(): value for name, value in handler.headers.items()}))
            behaviour = self.behaviour[signal].pop(0) if self.behaviour[signal] else None
        if behaviour == "hang":
            self.stopped.wait(120)
            return
        if behaviour == "close":
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if behaviour and behaviour[0] == "answer":
            return respond(handler, behaviour[1], b"", headers=behaviour[2])
        if handler.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        content_type = handler.headers.get("content-type", "")
        is_json = content_type.startswith("application/json")
        if not is_json and content_type != "application/x-protobuf":
            raise ValueError(f"content-type {content_type}")
        self.telemetry.add(signal, from_json(signal, body) if is_json else REQUESTS[signal].FromString(body))
        answer = ANSWERS[signal]()
        if behaviour and behaviour[0] == "partial":
            rejected = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}
            setattr(answer.partial_success, rejected[signal], behaviour[1])
            answer.partial_success.error_message = behaviour[2]
        packed = json_format.MessageToJson(answer).encode() if is_json else answer.SerializeToString()
        respond(handler, 200, packed, {"content-type": content_type})


def respond(handler, status, body, headers=None):
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class GrpcReceiver:
    """Receives by gRPC."""

    def __init__(self):
        self.telemetry = Telemetry()
        self.headers = []
        self.problems = []
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        services = [
            ("traces", trace_service_pb2_grpc, "TraceService"),
            ("metrics", metrics_service_pb2_grpc, "MetricsService"),
            ("logs", logs_service_pb2_grpc, "LogsService"),
        ]
        for signal, module, service in services:
            handles = type(service, (getattr(module, f"{service}Servicer"),), {"Export": self._receiving(signal)})
            getattr(module, f"add_{service}Servicer_to_server")(handles(), self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.server.stop(0)

    def _receiving(self, signal):
        def export(_service, request, context):
            self.headers.append((signal, dict(context.invocation_metadata())))
            self.telemetry.add(signal, request)
            return ANSWERS[signal]()

        return export


def from_json(signal, body):
    """OTLP's JSON, which differs from protobuf's own in that ids are hex. Fields that are not known are an error:
    they would be ours alone."""
    document = json.loads(body)

    def with_bytes(value):
        if isinstance(value, dict):
            ids = ("traceId", "spanId", "parentSpanId")
            return {
                key: base64.b64encode(bytes.fromhex(below)).decode() if key in ids else with_bytes(below)
                for key, below in value.items()
            }
        if isinstance(value, list):
            return [with_bytes(below) for below in value]
        return value

    check_json(document)
    return json_format.ParseDict(with_bytes(document), REQUESTS[signal]())


def check_json(value, key=""):
    """What protobuf's reader would let pass and OTLP forbids: names with _, enums as words, bare large integers."""
    if isinstance(value, dict):
        for name, below in value.items():
            if "_" in name:
                raise ValueError(f"`{name}` is not in lowerCamelCase")
            check_json(below, name)
    elif isinstance(value, list):
        for below in value:
            check_json(below, key)
    elif key in ("kind", "code", "severityNumber", "aggregationTemporality") and not isinstance(value, int):
        raise ValueError(f"`{key}` is an enum and must be a number, not {value!r}")
    elif key.endswith("UnixNano") and not isinstance(value, str):
        raise ValueError(f"`{key}` must be a text, not {value!r}")
