"""A model server for the checks: OpenAI's chat completions, answered from what is written below.

It speaks plain and streamed answers, counts what it has told its clients, and refuses the prompts that ask for it.
It never computes anything like a language model, and listens on 127.0.0.1 only.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What every answer says it has used. The model is one that price lists know.
MODEL = "gpt-4o-mini"
ANSWERED_BY = "gpt-4o-mini-2024-07-18"
INPUT_TOKENS = 1200
CACHED_TOKENS = 200
OUTPUT_TOKENS = 34
REASONING_TOKENS = 4

# A prompt with this word is refused for good, as a wrong key is.
REFUSED = "REFUSE-ME"
# A prompt with this word is answered with 503 the first time, then well.
OVERLOADED = "ONCE-OVERLOADED"


class ModelServer:
    """Runs until `stop`; `requests` holds what was asked, headers included."""

    def __init__(self):
        self.requests = []
        self.answers = 0
        self._overloaded_before = set()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                outer._answer(self, body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler, body):
        prompt = prompt_of(body)
        with self._lock:
            self.requests.append({"headers": dict(handler.headers), "body": body})
            number = len(self.requests)
            overloaded = OVERLOADED in prompt and prompt not in self._overloaded_before
            if overloaded:
                self._overloaded_before.add(prompt)
        if REFUSED in prompt:
            return send(handler, 401, error("the key is not valid", "invalid_api_key"))
        if overloaded:
            return send(handler, 503, error("overloaded, try again", "overloaded"))
        with self._lock:
            self.answers += 1
        text = answer_to(prompt)
        if body.get("stream"):
            frames = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks(number, text)] + ["data: [DONE]\n\n"]
            return send(handler, 200, "".join(frames).encode(), "text/event-stream")
        return send(handler, 200, json.dumps(whole(number, text)).encode())


def prompt_of(body):
    """The last message of the user, as text."""
    messages = [m for m in body.get("messages", []) if m.get("role") == "user"]
    content = messages[-1]["content"] if messages else ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def answer_to(prompt):
    """The answer: always the same one to the same prompt."""
    return f"An answer to: {prompt}"


def usage():
    return {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
    }


def whole(number, text):
    message = {"role": "assistant", "content": text}
    return {
        "id": f"chatcmpl-check-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": ANSWERED_BY,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage(),
    }


def chunks(number, text):
    def chunk(choices, **more):
        frame = {"id": f"chatcmpl-check-{number}", "object": "chat.completion.chunk", "created": 0}
        return {**frame, "model": ANSWERED_BY, "choices": choices, **more}

    half = len(text) // 2
    for piece in ({"role": "assistant", "content": text[:half]}, {"content": text[half:]}):
        yield chunk([{"index": 0, "delta": piece, "finish_reason": None}])
    yield chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    yield chunk([], usage=usage())


def error(message, code):
    return json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()


def send(handler, status, body, content_type="application/json"):
    handler.send_response(status)
    handler.send_header("content-type", content_type)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
