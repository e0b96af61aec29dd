"""What the checks share: the binary in a folder of its own, processes that end with the check, and the tally.

It never looks at telemetry; the checks do.
"""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Tally:
    """Counts what held and what did not, and says each failure as it is found."""

    def __init__(self, title):
        self.held = 0
        self.failures = []
        self.title = title

    def that(self, condition, what, found=None):
        """Notes whether `condition` holds; `found` is what was there instead."""
        if condition:
            self.held += 1
        else:
            shown = "" if found is None else f"\n      found: {shortened(found)}"
            self.failures.append(what)
            print(f"  FAILED  {what}{shown}", flush=True)
        return bool(condition)

    def equal(self, found, wanted, what):
        return self.that(found == wanted, f"{what}: {shortened(wanted)}", found)

    def close(self):
        """Prints the sum and returns the exit code."""
        total = self.held + len(self.failures)
        print(f"{self.title}: {self.held} of {total} held", flush=True)
        return 1 if self.failures or not total else 0


def shortened(value, most=400):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[:most] + "…"


class Sandbox:
    """A temporary folder with a home for flowmeter, and the processes of the check; use it with `with`."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flowmeter-check-"))
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command, log, **variables):
        """Starts a process that ends with the check; what it prints goes to a file in the folder."""
        with open(self.folder / log, "wb") as out:
            process = subprocess.Popen(
                command,
                env={**os.environ, **variables},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def flowmeter(self, *args, timeout_s=120, **variables):
        """Runs the binary and returns what it did; it inherits nothing that could lead telemetry elsewhere."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "FLOWMETER_HOME": str(self.folder / "home"),
            "NO_PROXY": "127.0.0.1,localhost",
            **variables,
        }
        return subprocess.run(
            [binary(), *map(str, args)],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def run_workflow(self, name, model, *args, **variables):
        """Runs a workflow of `workflows/` and returns (ended, its JSON result, its trace file)."""
        trace = self.folder / f"trace-{time.monotonic_ns()}.json"
        ended = self.flowmeter(
            "run",
            HERE / "workflows" / name,
            "--output-format",
            "json",
            "--trace-file",
            trace,
            *args,
            OPENAI_BASE_URL=model.base_url,
            OPENAI_API_KEY="key-of-nobody",
            **variables,
        )
        result = json.loads(ended.stdout) if ended.stdout.strip() else {}
        return ended, result, json.loads(trace.read_text()) if trace.exists() else {}


def binary():
    """The binary under check: $FLOWMETER_BIN, else the release build."""
    given = os.environ.get("FLOWMETER_BIN")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = pathlib.Path(given) if given else target / "release" / "flowmeter"
    if not path.exists():
        sys.exit(f"{path} is missing; build it with `cargo build --release -p flowmeter-cli` or set FLOWMETER_BIN")
    return str(path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, ready, patience_s):
    """Asks `ready` until it returns something true, and returns that; ends the check if it never does."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            if found := ready():
                return found
        except OSError:
            pass
        time.sleep(0.2)
    sys.exit(f"waited {patience_s} s for {what} in vain")


def fetched(url, body=None, patience_s=30):
    """The JSON at an address; `body` is posted as JSON."""
    request = urllib.request.Request(url)
    if body is not None:
        request.add_header("content-type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=patience_s) as answer:
        return json.loads(answer.read() or b"null")
