"""Runs the workflows of markdown/ with pflow-cli and with flowmeter, and compares what they say and how they leave.

pflow-cli (PyPI) is run as a program and nothing else. Standard output, and success or failure, must be the same;
a file that is wrong on purpose must be refused by both. For the others flowmeter must also give the same result after
`convert` to JSON and back, and after `fmt`.
"""

import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent / "markdown"
OURS = os.environ["FLOWMETER_BIN"]
THEIRS = os.environ.get("PFLOW_BIN") or str(Path(sys.executable).parent / "pflow")
# Inputs and standard input of each; FOLDER is an empty folder, URL a server that sends back what it gets.
RUNS = {
    "greeting": (["who=you", "times=3"], None),
    "upper": ([], "some text\n"),
    "files": (["folder=FOLDER"], None),
    "retry": (["folder=FOLDER"], None),
    "http": (["url=URL"], None),
}


class Echo(http.server.BaseHTTPRequestHandler):
    """Sends the body back."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def run(command, stdin, home):
    environment = dict(os.environ, HOME=str(home), FLOWMETER_HOME=str(home / "flowmeter"))
    # Nothing is piped in where there is nothing to say: pflow takes an empty pipe for a mistake.
    given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, **given)
    return ended.returncode, ended.stdout, ended.stderr


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    held, asked = 0, 0
    with TemporaryDirectory() as temporary:
        base = Path(temporary)
        home = base / "home"
        home.mkdir()

        def expect(what, fine, detail):
            nonlocal held, asked
            asked += 1
            held += fine
            if not fine:
                print(f"{what}: {detail}")

        for file in sorted(HERE.glob("*.pflow.md")):
            name = file.name.removesuffix(".pflow.md")
            inputs, stdin = RUNS.get(name, ([], None))

            def with_folder(command, label):
                folder = base / f"{name}-{label}"
                folder.mkdir()
                words = [word.replace("FOLDER", str(folder)).replace("URL", url) for word in inputs]
                return run(command + words, stdin, home)

            theirs = with_folder([THEIRS, "-p", str(file)], "theirs")
            ours = with_folder([OURS, "run", "--quiet", str(file)], "ours")
            expect(name, (theirs[0] == 0) == (ours[0] == 0), f"pflow left with {theirs[0]}, we with {ours[0]}: {ours[2]}{theirs[2]}")
            if name.startswith("wrong-"):
                expect(name, ours[0] == 2 and f"{file}:" in ours[2] and "help:" in ours[2], f"not told well: {ours[2]}")
                continue
            expect(name, theirs[1] == ours[1], f"pflow said {theirs[1]!r}, we said {ours[1]!r}")
            # The same in the other form, and in the house style.
            json_file = base / f"{name}.json"
            back = base / f"{name}.pflow.md"
            converted = run([OURS, "convert", str(file), "-o", str(json_file)], None, home)
            expect(name, converted[0] == 0, f"convert: {converted[2]}")
            run([OURS, "convert", str(json_file), "-o", str(back)], None, home)
            run([OURS, "fmt", str(back)], None, home)
            if name == "nested":
                (base / "greeting.pflow.md").write_text((HERE / "greeting.pflow.md").read_text())
            for label, other in [("json", json_file), ("back", back)]:
                again = with_folder([OURS, "run", "--quiet", str(other)], label)
                expect(name, again[:2] == ours[:2], f"as {label}: {again} instead of {ours}")
    print(f"markdown: {held} of {asked} held")
    sys.exit(held != asked)


main()
