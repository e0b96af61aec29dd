# Runs the code of a `code` node: the task comes in as JSON on standard input, the ending goes to a file.
import json, sys, traceback

def _main():
    task = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    ending = open(task["ending"], "w", encoding="ascii")

    def end(kind, message="", **more):
        # Encoded before anything is written, so that a result that cannot be encoded leaves no half a file.
        text = json.dumps({"kind": kind, "message": message, **more}, allow_nan=False)
        ending.write(text)
        ending.close()

    code = task["code"]
    # Tracebacks show the lines of the code.
    import linecache
    linecache.cache["<code>"] = (len(code), None, code.splitlines(True), "<code>")
    try:
        program = compile(code, "<code>", "exec")
    except (SyntaxError, ValueError) as error:
        at = f" (line {error.lineno})" if getattr(error, "lineno", None) else ""
        sys.stderr.write("".join(traceback.format_exception_only(type(error), error)))
        end("syntax", f"{getattr(error, 'msg', None) or error}{at}")
        return 1

    import typing
    space = {"__name__": "__main__", "__builtins__": __builtins__,
             "typing": typing, "Any": typing.Any, "Optional": typing.Optional}
    inputs = task["inputs"]
    space.update(inputs)
    try:
        exec(program, space)
    except SystemExit as stop:
        if stop.code not in (None, 0):
            end("exception", f"SystemExit: {stop.code}")
            return 1
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != "<code>":
            trace = trace.tb_next
        sys.stderr.write("".join(traceback.format_exception(type(error), error, trace)))
        lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == "<code>"]
        at = f" (line {lines[-1]})" if lines else ""
        end("exception", f"{type(error).__name__}: {error}{at}")
        return 1

    following = space.get("next") if "next" not in inputs else None
    following = following if isinstance(following, str) else None
    if "result" not in space and following is None:
        end("no_result")
        return 1
    try:
        end("ok", result=space.get("result"), next=following)
    except (TypeError, ValueError, RecursionError) as error:
        end("not_json", f"{error} (it is a {type(space.get('result')).__name__})")
        return 1
    return 0

sys.exit(_main())
