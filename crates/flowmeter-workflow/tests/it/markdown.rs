//! Markdown workflow files: what is said about wrong ones, and that right ones are what JSON would have said.

use std::path::Path;

use expect_test::{Expect, expect};
use flowmeter_workflow::convert::convert;
use flowmeter_workflow::{Form, LoadError, check_file, check_text_as};

fn report(text: &str) -> String {
    match check_text_as(Form::Markdown, "test", text, Path::new("."), None) {
        Ok(checked) => checked
            .warnings
            .iter()
            .map(|warning| format!("{warning}\n"))
            .collect(),
        Err(LoadError::Invalid(invalid)) => format!("{invalid}\n"),
        Err(other) => panic!("{other}"),
    }
}

/// Many wrong files, each with what is said about it.
fn check(files: &[(&str, &str)], expected: Expect) {
    let mut said = String::new();
    for (what, text) in files {
        said.push_str(&format!("== {what}\n{}", report(text)));
    }
    expected.assert_eq(&said);
}

/// A file with this step.
fn step(lines: &str) -> String {
    format!("# Title\n\n## Steps\n\n### a\n\n{lines}")
}

#[test]
fn the_structure_of_a_file() {
    check(
        &[
            ("empty", "\n \n"),
            ("no steps", "# Title\n\nSome prose.\n"),
            (
                "another name",
                "# Title\n\n## Step\n\n### a\n\nDoes it.\n\n- type: echo\n- message: x\n",
            ),
            ("no step", "# Title\n\n## Steps\n\n#### a\n"),
            ("no space", "# Title\n\n## Steps\n\n###a\n\nDoes it.\n"),
            (
                "twice",
                "## Steps\n\n### a\n\nDoes it.\n\n- type: echo\n- message: x\n\n## STEPS\n\n### b\n",
            ),
            (
                "a section with a slip",
                "## Steps\n\n### a\n\nDoes it.\n\n- type: echo\n- message: x\n\n## Ouputs\n\n### r\n\nIt.\n\n- source: ${a.echo}\n",
            ),
            ("no JSON", "{\"nodes\": []}\n"),
            (
                "front matter",
                "---\nname: x\nflowmeter:\n  start_nod: a\n  enable_namespacing: maybe\n---\n## Steps\n\n### a\n\nDoes it.\n\n- type: echo\n- message: x\n",
            ),
            (
                "broken front matter",
                "---\nname: [x\n---\n## Steps\n\n### a\n\nDoes it.\n\n- type: echo\n- message: x\n",
            ),
            (
                "ids",
                "## Inputs\n\n### x\n\nIt.\n\n### x\n\nIt.\n\n## Steps\n\n### My Step\n\nDoes it.\n\n- type: echo\n- message: ${x}\n\n### b\n\nDoes it.\n\n- type: echo\n- message: x\n\n### b\n\nDoes it.\n\n- type: echo\n- message: x\n\n### end\n\nDoes it.\n\n- type: echo\n- message: x\n",
            ),
        ],
        expect![[r#"
            == empty
            1:1: error: the file is empty
                help: a workflow file has a section `## Steps` with a `### step` below it
            == no steps
            1:1: error: the section `## Steps` is missing
                help: write `## Steps`; below it, `### my-step`, a line of prose about it, and `- type: shell`
            == another name
            1:1: error: the section `## Steps` is missing
                help: line 3 has `## Step`: write `## Steps`
            3:4: warning: the section `## Step` is not read
                help: did you mean `## Steps`?
            == no step
            3:4: error: the section `## Steps` has no steps
                help: write `### my-step`, a line of prose about it, and `- type: shell`
            == no space
            3:4: error: the section `## Steps` has no steps
                help: write `### my-step`, a line of prose about it, and `- type: shell`
            5:1: error: a space is missing behind `###`
                help: write `### a`
            == twice
            10:4: error: the section `## Steps` is there twice
                help: line 1 has the first one: put both together
            == a section with a slip
            10:4: warning: the section `## Ouputs` is not read
                help: did you mean `## Outputs`?
            == no JSON
            1:1: error: the section `## Steps` is missing
                help: write `## Steps`; below it, `### my-step`, a line of prose about it, and `- type: shell`
            == front matter
            4:3: error: unknown key `start_nod` in `flowmeter`
                help: did you mean `start_node`? valid: $schema, ir_version, title, description, start_node, edges, enable_namespacing, template_resolution_mode, budget
            5:23: error: `enable_namespacing` is a boolean, not a string: "maybe"
            == broken front matter
            2:7: error: front matter: a `[` is never closed
                help: close the list with `]`
            == ids
            7:5: error: the input `x` is there twice
                help: ids are unique in their section
            13:5: error: `My Step` is no valid id of a step
                help: ids begin with a small letter, then small letters, digits, `_` and `-`: write `### my-step`
            27:5: error: the node id `b` is used twice
                help: line 20 has it already; ids are unique
            34:5: error: `end` is a reserved id
                help: edges to `end` end the flow; give the node another id
        "#]],
    );
}

#[test]
fn the_lines_of_a_step() {
    let prose = |lines: &str| step(&format!("Does it.\n\n{lines}"));
    let files = [
        ("no prose", step("- type: echo\n- message: x\n")),
        ("no type", prose("- message: x\n")),
        ("empty type", prose("- type:\n- message: x\n")),
        ("unknown type", prose("- type: shel\n- command: x\n")),
        ("unknown parameter", prose("- type: echo\n- mesage: x\n")),
        (
            "no parameter",
            prose("- type: echo\n- just a bullet\n- message: x\n"),
        ),
        ("tab", prose("- type: shell\n- command: x\n- env:\n\tA: 1\n")),
        ("one space", prose("- type: shell\n- command: x\n- env:\n A: 1\n")),
        (
            "two spaces",
            prose("- type: shell\n- command: x\n- env:\n  A: 1\n"),
        ),
        ("open quote", prose("- type: echo\n- message: \"x\n")),
        (
            "open list",
            prose("- type: shell\n- command: x\n- stdin: [1, 2\n"),
        ),
        (
            "a text in brackets",
            prose("- type: echo\n- message: [INFO] done\n"),
        ),
        (
            "bad YAML",
            prose("- type: shell\n- command: x\n- env:\n    A: 1\n    B: 2: 3\n    C: 4\n"),
        ),
        (
            "a key twice",
            prose("- type: shell\n- command: x\n- env:\n    A: 1\n    A: 2\n"),
        ),
        (
            "a parameter twice",
            prose("- type: echo\n- message: x\n- message: y\n"),
        ),
        (
            "batch of nothing",
            prose("- type: echo\n- message: ${item}\n- batch:\n    item: [1]\n"),
        ),
        (
            "loop and batch",
            prose("- type: echo\n- message: x\n- batch: {items: [1]}\n- loop: {while: ${a.echo}}\n"),
        ),
        ("retry", prose("- type: echo\n- message: x\n- retry: {max: 11}\n")),
        ("templates", prose("- type: echo\n- message: ${ b } and ${c.d}\n")),
        (
            "a template in YAML",
            prose("- type: shell\n- command: x\n- env:\n    A: one\n    B: \"\\t${nowhere.x}\"\n"),
        ),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(what, text)| (*what, text.as_str())).collect();
    check(
        &files,
        expect![[r#"
            == no prose
            5:5: error: step `a` has no description
                help: write a line of prose below `### a` that says what it is for
            == no type
            5:5: error: a node needs `type`
                help: write `- type: shell`; node types: shell, code, http, llm, read-file, write-file, copy-file, move-file, delete-file, workflow, echo
            == empty type
            5:5: error: a node needs `type`
                help: write `- type: shell`; node types: shell, code, http, llm, read-file, write-file, copy-file, move-file, delete-file, workflow, echo
            == unknown type
            9:9: error: there is no node type `shel`
                help: did you mean `shell`? node types: shell, code, http, llm, read-file, write-file, copy-file, move-file, delete-file, workflow, echo
            == unknown parameter
            5:5: error: node type `echo` needs the parameter `message`
                help: `message` (any): what to give back, of any type
            10:3: error: node type `echo` has no parameter `mesage`
                help: did you mean `message`? valid: message
            == no parameter
            10:1: error: a bullet with `-` is a parameter, and this one is no `key: value`
                help: write `- key: value`; a bullet that is prose begins with `*`: `* just a bullet`
            == tab
            11:3: warning: `env` has no value
                help: write one behind the colon, or remove the line; an empty text is `- env: ""`
            12:1: error: this line is indented with a tab
                help: indent with four spaces: `    A: 1`
            == one space
            11:3: warning: `env` has no value
                help: write one behind the colon, or remove the line; an empty text is `- env: ""`
            12:1: error: this line is indented too little to belong to `env`
                help: indent with four spaces: `    A: 1`
            == two spaces
            11:3: warning: `env` has no value: the lines below it are parameters of their own
                help: indent them by four spaces if they belong to it
            12:3: error: node type `shell` has no parameter `A`
                help: valid: command, stdin, cwd, env, timeout, ignore_errors, strip_newline, propagate
            == open quote
            10:12: error: this value begins with " and does not end with it
                help: close it with "; a text with such a quote in it stands in the other ones
            == open list
            11:10: error: a `[` is never closed
                help: close the list with `]`
            == a text in brackets
            10:19: error: something follows the end of the value
                help: a text that begins with `[`, `{` or a quote and goes on behind it stands in quotes as a whole
            == bad YAML
            13:9: error: a second colon in one line
                help: quote a value that has `: ` in it
            == a key twice
            13:5: error: the key `A` is given twice
            == a parameter twice
            11:3: error: `message` is given twice
                help: keep one of them
            == batch of nothing
            12:5: error: `batch` needs `items`
            12:5: error: unknown key `item` in `batch`
                help: did you mean `items`? valid: items, as, error_handling, parallel, max_concurrent, max_retries, retry_wait
            == loop and batch
            5:5: error: a node cannot have both `batch` and `loop`
            12:17: error: `${a.echo}`: node `a` (echo, batch) has no output `echo`; it has results, count, success_count, error_count, errors, batch_metadata, loop_stopped, error, error_type
            == retry
            11:16: error: `max` is at most 10, not 11
            == templates
            10:12: error: `${ b }` is not a template: there are spaces inside the braces
                help: write `${name}` without spaces; only `??` may stand between spaces
            10:23: error: `${c.d}`: there is no node or input `c`
            == a template in YAML
            13:11: error: `${nowhere.x}`: there is no node or input `nowhere`
        "#]],
    );
}

#[test]
fn blocks() {
    let prose = |lines: &str| step(&format!("Does it.\n\n- type: shell\n{lines}"));
    let files = [
        ("unclosed", prose("\n```shell command\necho\n\n### b\n")),
        ("closed by another", prose("\n```shell command\necho\n~~~\n")),
        ("untagged", prose("- command: x\n\n```\necho\n```\n")),
        ("only a language", prose("\n```bash\necho\n```\n")),
        ("no name", prose("\n```shell comm.and\necho\n```\n")),
        (
            "twice",
            prose("\n```shell command\necho\n```\n\n```shell command\necho\n```\n"),
        ),
        (
            "inline too",
            prose("- command: x\n\n```shell command\necho\n```\n"),
        ),
        (
            "bad YAML",
            prose("- command: ${item}\n\n```yaml batch\nitems:\n  - a\n  b\n```\n"),
        ),
        (
            "wrong YAML",
            prose("- command: ${item}\n\n```yaml batch\nitems:\n  - a\nparalel: true\n```\n"),
        ),
        (
            "a template",
            prose("\n```shell command\nset -e\necho '${b.stdout}'\n```\n"),
        ),
        ("no file", prose("- command: ./nowhere.sh\n")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(what, text)| (*what, text.as_str())).collect();
    check(
        &files,
        expect![[r#"
        == unclosed
        11:1: error: this block is never closed
            help: close it with ``` on a line of its own
        == closed by another
        11:1: error: this block is never closed
            help: close it with ``` on a line of its own
        == untagged
        12:1: error: this block does not say which parameter it is
            help: write its name behind the fence: ```shell command, ```markdown prompt, ```python code, ```yaml batch; a block that holds ``` itself has a longer fence
        == only a language
        5:5: error: node type `shell` needs the parameter `command`
            help: `command` (string): the command, for `sh -c`
        11:4: error: node type `shell` has no parameter `bash`
            help: valid: command, stdin, cwd, env, timeout, ignore_errors, strip_newline, propagate
        == no name
        5:5: error: node type `shell` needs the parameter `command`
            help: `command` (string): the command, for `sh -c`
        11:10: error: `comm.and` is no name of a parameter
            help: the last word behind the fence is the parameter: ```shell command
        == twice
        15:10: error: `command` is given twice
            help: keep one of them
        == inline too
        12:10: error: `command` is given as `- command: …` and as a fenced block
            help: keep one of them; a block suits a long text
        == bad YAML
        15:3: error: a `key: value` is expected here
            help: quote the value, or write a longer text into a fenced block: ```text NAME … ```
        == wrong YAML
        15:1: error: unknown key `paralel` in `batch`
            help: did you mean `parallel`? valid: items, as, error_handling, parallel, max_concurrent, max_retries, retry_wait
        == a template
        13:7: error: `${b.stdout}`: there is no node or input `b`
        == no file
        10:12: error: `command` names the file `./nowhere.sh`, which is not there
            help: paths are relative to this file; a text that is meant as it stands has a space in it: `./nowhere.sh `
    "#]],
    );
}

#[test]
fn inputs_outputs_and_ways() {
    let file = |inputs: &str, outputs: &str| {
        format!(
            "## Inputs\n\n### x\n\nIt.\n\n{inputs}\n\n## Steps\n\n### a\n\nDoes it.\n\n- type: echo\n- message: ${{x}}\n\n## Outputs\n\n### r\n\nIt.\n\n{outputs}\n"
        )
    };
    let ways = |first: &str, second: &str, third: &str| {
        let echo = "Does it.\n\n- type: echo\n- message: x";
        format!(
            "## Steps\n\n### a\n\n{echo}\n{first}\n\n### b\n\n{echo}\n{second}\n\n### c\n\n{echo}\n{third}\n"
        )
    };
    let files = [
        ("type", file("- type: strin", "- source: ${a.echo}")),
        (
            "default",
            file("- type: integer\n- default: many", "- source: ${a.echo}"),
        ),
        ("keys", file("- defalt: 1", "- sorce: ${a.echo}")),
        ("no value", file("- type:", "- source:")),
        ("source", file("- type: any", "- source: ${a.ecko}")),
        ("unknown step", ways("- next: bb", "", "")),
        (
            "unknown branch",
            ways("- next: b, d", "- next: end", "- next: end"),
        ),
        ("no way on", ways("- next: b, c", "", "- next: end")),
        ("on into a branch", ways("- on-error: c", "", "- next: end")),
        ("failure", ways("- on-error: b, c", "- next: end", "- next: end")),
        ("no id", ways("- next: {a: b}", "", "")),
        ("commas", ways("- next: b,,c", "- next: end", "- next: end")),
        ("never reached", ways("- next: end", "", "")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(what, text)| (*what, text.as_str())).collect();
    check(
        &files,
        expect![[r#"
        == type
        7:9: error: `type` cannot be `strin`
            help: did you mean `string`? valid: string, number, integer, boolean, array, object, any
        == default
        8:12: error: the default of input `x` is of type string, but the input is of type integer
        == keys
        7:3: error: unknown key `defalt` in input `x`
            help: did you mean `default`? valid: description, required, type, default, stdin
        20:5: warning: output `r` has no `source`
            help: say where it comes from: `- source: ${node.key}`
        24:3: error: unknown key `sorce` in output `r`
            help: did you mean `source`? valid: source, type, description, stdout
        == no value
        7:3: warning: `type` has no value
            help: write one behind the colon, or remove the line; an empty text is `- type: ""`
        20:5: warning: output `r` has no `source`
            help: say where it comes from: `- source: ${node.key}`
        24:3: warning: `source` has no value
            help: write one behind the colon, or remove the line; an empty text is `- source: ""`
        == source
        24:11: error: `${a.ecko}`: node `a` (echo) has no output `ecko`; it has echo, error, error_type
            help: did you mean `${a.echo}`?
        == unknown step
        9:9: error: there is no node `bb`
            help: did you mean `b`? nodes: a, b, c
        == unknown branch
        9:9: warning: node `a` (echo) never returns the action `b`
            help: its actions: default, error
        9:12: error: there is no node `d`
            help: nodes: a, b, c
        9:12: warning: node `a` (echo) never returns the action `d`
            help: its actions: default, error
        == no way on
        9:9: warning: node `a` (echo) never returns the action `b`
            help: its actions: default, error
        9:12: warning: node `a` (echo) never returns the action `c`
            help: its actions: default, error
        11:5: error: step `b` is a branch (by `next` of `a`) and does not say where it goes on
            help: write `- next: end` to end the flow behind it, or `- next: c` to go on there
        == on into a branch
        11:5: error: step `b` would run on into `c`, which is a branch of `a`
            help: write `- next: end` to end the flow behind it, or `- next: c` if that is meant
        == failure
        3:5: error: step `a` would run on into `b`, which is a branch of `a`
            help: write `- next: end` to end the flow behind it, or `- next: b` if that is meant
        9:16: error: a failure leads to one step only
            help: write `- on-error: b`
        19:5: warning: node `c` is never reached: no edge leads to it
        == no id
        9:9: error: `next` names no step
            help: write `- next: step-id`
        == commas
        9:9: warning: node `a` (echo) never returns the action `b`
            help: its actions: default, error
        9:11: error: a step is missing in `next`
            help: write `- next: one, other`
        9:12: warning: node `a` (echo) never returns the action `c`
            help: its actions: default, error
        == never reached
        11:5: warning: node `b` is never reached: no edge leads to it
        19:5: warning: node `c` is never reached: no edge leads to it
    "#]],
    );
}

/// Uses every rule there is.
const COMPLETE: &str = "\u{feff}---\nauthor: me\nflowmeter:\n  template_resolution_mode: permissive\n---\n\n# Complete\n\nDoes all there is.\n\nIn two paragraphs.\n\n## inputs\n\n### who\n\nWhom to greet.\n\n- type: string\n- default: World: #1\n\n### count\n\nHow often.\n\n- type: integer\n- default: 2\n- required: no\n\n## STEPS\n\n### make-list\n\nMakes a list.\n\n* a bullet that is prose\n\n- type: code\n- inputs: {who: ${who}, count: ${count}, none: ~}\n- next: each, nothing\n- on-error: sorry\n\nMore about it.\n\n~~~python code\n# ## no heading\nwho: str\nresult = [who] * count\n~~~\n\n### each\n\nSays one.\n\n- type: shell\n- timeout: 1.5\n- env:\n    LEVEL: 3\n\n    NAME: ${who ?? \"nobody\"}\n- retry: {max: 3, wait: 0.5}\n- next: end\n- cache: off\n\n````shell command\ncat <<'E'\n```\n${item}\n```\nE\n````\n\n```yaml batch\nitems: ${make-list.result}\nparallel: yes\n```\n\n### nothing\n\nDoes nothing.\n\n- type: echo\n- message: |\n    one\n\n    two\n- next: end\n\n### sorry\n\nSays sorry.\n\n- type: echo\n- message: 'it''s ${make-list.error}'\n- next: end\n\n## Outputs\n\n### said\n\nWhat was said.\n\n- source: ${each.results}\n- stdout: true\n\n## Notes\n\n### Not an id\n\n- not a parameter\n";

#[test]
fn a_complete_file_as_json() {
    assert_eq!(report(COMPLETE), "");
    let crlf = COMPLETE.replace('\n', "\r\n");
    let converted = convert(COMPLETE, Form::Markdown, Form::Json, Path::new(".")).unwrap();
    let from_crlf = convert(&crlf, Form::Markdown, Form::Json, Path::new(".")).unwrap();
    assert_eq!(converted, from_crlf);
    let told = format!("{}{}\n", converted.text, converted.notes.join("\n"));
    expect![[r##"
        {
          "ir_version": "0.1.0",
          "title": "Complete",
          "description": "Does all there is.\n\nIn two paragraphs.",
          "inputs": {
            "who": {
              "type": "string",
              "default": "World: #1",
              "description": "Whom to greet."
            },
            "count": {
              "type": "integer",
              "default": 2,
              "required": false,
              "description": "How often."
            }
          },
          "nodes": [
            {
              "id": "make-list",
              "type": "code",
              "purpose": "Makes a list.\n\n* a bullet that is prose\n\nMore about it.",
              "params": {
                "inputs": {
                  "who": "${who}",
                  "count": "${count}",
                  "none": null
                },
                "code": "# ## no heading\nwho: str\nresult = [who] * count"
              }
            },
            {
              "id": "each",
              "type": "shell",
              "retry": {
                "max": 3,
                "wait": 0.5
              },
              "cache": false,
              "batch": {
                "items": "${make-list.result}",
                "parallel": true
              },
              "purpose": "Says one.",
              "params": {
                "timeout": 1.5,
                "env": {
                  "LEVEL": 3,
                  "NAME": "${who ?? \"nobody\"}"
                },
                "command": "cat <<'E'\n```\n${item}\n```\nE"
              }
            },
            {
              "id": "nothing",
              "type": "echo",
              "purpose": "Does nothing.",
              "params": {
                "message": "one\n\ntwo"
              }
            },
            {
              "id": "sorry",
              "type": "echo",
              "purpose": "Says sorry.",
              "params": {
                "message": "it's ${make-list.error}"
              }
            }
          ],
          "edges": [
            {
              "from": "make-list",
              "to": "each"
            },
            {
              "from": "make-list",
              "to": "each",
              "action": "each"
            },
            {
              "from": "make-list",
              "to": "nothing",
              "action": "nothing"
            },
            {
              "from": "make-list",
              "to": "sorry",
              "action": "error"
            }
          ],
          "outputs": {
            "said": {
              "source": "${each.results}",
              "stdout": true,
              "description": "What was said."
            }
          },
          "template_resolution_mode": "permissive"
        }
        the front matter's author is left out
        the section `## Notes` is left out
    "##]]
    .assert_eq(&told);
}

#[test]
fn a_complete_file_in_the_house_style() {
    let formatted = flowmeter_workflow::convert::format(COMPLETE, Form::Markdown).unwrap();
    expect![[r#"
        ---
        author: me
        flowmeter:
          template_resolution_mode: permissive
        ---

        # Complete

        Does all there is.

        In two paragraphs.

        ## Inputs

        ### who

        Whom to greet.

        - type: string
        - default: World: #1

        ### count

        How often.

        - type: integer
        - default: 2
        - required: no

        ## Steps

        ### make-list

        Makes a list.

        * a bullet that is prose

        - type: code
        - inputs: {who: ${who}, count: ${count}, none: ~}
        - next: each, nothing
        - on-error: sorry

        More about it.

        ~~~python code
        # ## no heading
        who: str
        result = [who] * count
        ~~~

        ### each

        Says one.

        - type: shell
        - timeout: 1.5
        - env:
            LEVEL: 3

            NAME: ${who ?? "nobody"}
        - retry: {max: 3, wait: 0.5}
        - next: end
        - cache: off

        ````shell command
        cat <<'E'
        ```
        ${item}
        ```
        E
        ````

        ```yaml batch
        items: ${make-list.result}
        parallel: yes
        ```

        ### nothing

        Does nothing.

        - type: echo
        - message: |
            one

            two
        - next: end

        ### sorry

        Says sorry.

        - type: echo
        - message: 'it''s ${make-list.error}'
        - next: end

        ## Outputs

        ### said

        What was said.

        - source: ${each.results}
        - stdout: true

        ## Notes

        ### Not an id

        - not a parameter
    "#]]
    .assert_eq(&formatted);
}

#[test]
fn what_markdown_cannot_say_is_in_front_of_it_or_refused() {
    let json = r#"{
      "$schema": "./workflow.schema.json",
      "nodes": [
        {"id": "a", "type": "echo", "purpose": "- odd", "params": {"message": "x"}},
        {"id": "b", "type": "echo", "purpose": "Second.", "params": {"message": " 5"}},
        {"id": "c", "type": "echo", "parameters": {"message": "5"}}
      ],
      "edges": [
        {"from": "a", "to": "b"}, {"from": "a", "to": "c"}, {"from": "b", "to": "c", "action": "again"}
      ],
      "start_node": "b"
    }"#;
    let converted = convert(json, Form::Json, Form::Markdown, Path::new(".")).unwrap();
    expect![[r#"
        ---
        flowmeter:
          "$schema": ./workflow.schema.json
          start_node: b
          edges:
            - from: a
              to: b
            - from: a
              to: c
            - from: b
              to: c
              action: again
        ---

        ## Steps

        ### a

        <!-- no description -->

        - type: echo
        - purpose: - odd
        - message: x

        ### b

        Second.

        - type: echo
        - message: " 5"

        ### c

        <!-- no description -->

        - type: echo
        - message: "5"
    "#]]
    .assert_eq(&converted.text);
    let json = r#"{"nodes": [{"id": "Step", "type": "shell", "params": {"command": "./run.sh"}}]}"#;
    let refused = convert(json, Form::Json, Form::Markdown, Path::new(".")).unwrap_err();
    expect![[r#"
        this workflow cannot be written as Markdown without loss; change in it:
          the node `Step`: in Markdown, ids begin with a small letter, then small letters, digits, `_` and `-`
          `command` of node `Step`: in Markdown, "./run.sh" would be the name of a file; add a space to it"#]]
    .assert_eq(&refused.to_string());
}

#[test]
fn files_that_are_no_text_or_too_large_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pflow.md");
    std::fs::write(&path, b"# Title\n\n## St\xff\n").unwrap();
    let error = check_file(&path, None).unwrap_err().to_string();
    assert!(
        error.ends_with("x.pflow.md:3:6: error: the file is not UTF-8 text"),
        "{error}"
    );
    std::fs::File::create(&path)
        .unwrap()
        .set_len(40 * 1024 * 1024)
        .unwrap();
    let error = check_file(&path, None).unwrap_err().to_string();
    assert!(
        error.ends_with(":1:1: error: the file is larger than 32 MiB"),
        "{error}"
    );
}

#[test]
fn files_beside_it_are_taken_in_and_nested_ones_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("run.sh", "echo '${item}'\n");
    write("batch.yaml", "items:\n  - one\n  - ${nowhere.x}\n");
    write("bad.yaml", "items:\n  - one\n two\n");
    write(
        "outer.pflow.md",
        "## Steps\n\n### a\n\nDoes it.\n\n- type: shell\n- command: ./run.sh\n- batch: ./batch.yaml\n\n### b\n\nDoes it.\n\n- type: shell\n- command: ./rum.sh\n- batch: ./bad.yaml\n\n### c\n\nDoes it.\n\n- type: workflow\n- workflow_path: inner.flow.md\n- inputs: {whom: you}\n\n### d\n\nDoes it.\n\n- type: workflow\n- workflow: ./outer.pflow.md\n\n### e\n\nDoes it.\n\n- type: workflow\n- workflow: ./iner.flow.md\n",
    );
    write(
        "inner.flow.md",
        "## Inputs\n\n### who\n\nWhom.\n\n- type: string\n\n## Steps\n\n### a\n\nDoes it.\n\n- type: echo\n- message: ${who}\n",
    );
    let error = check_file(&folder.path().join("outer.pflow.md"), None).unwrap_err();
    let told = error
        .to_string()
        .replace(&folder.path().display().to_string(), "FOLDER");
    expect![[r#"
        FOLDER/outer.pflow.md:9:10: error: `${nowhere.x}`: there is no node or input `nowhere`
            help: nodes: b, c, d, e
        FOLDER/outer.pflow.md:16:12: error: `command` names the file `./rum.sh`, which is not there
            help: did you mean `run.sh`? It is in that folder
        FOLDER/outer.pflow.md:17:10: error: `./bad.yaml`, line 3: this line is indented as no line above it
            help: lines that belong together begin in one column; what is inside is indented further
        FOLDER/outer.pflow.md:25:3: error: the nested workflow `inner` needs the input `who`
            help: `who` (string): Whom.
        FOLDER/outer.pflow.md:25:12: error: the nested workflow `inner` has no input `whom`
            help: did you mean `who`? its inputs: who
        FOLDER/outer.pflow.md:32:13: error: the workflow runs itself: outer.pflow.md → outer.pflow.md
        FOLDER/outer.pflow.md:39:13: error: there is no workflow file `FOLDER/./iner.flow.md`
            help: did you mean `inner.flow.md`? in that folder: inner.flow.md, outer.pflow.md"#]]
    .assert_eq(&told);
}

#[test]
fn the_name_of_a_workflow_has_no_extension() {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in [
        ("one.pflow.md", "one"),
        ("two.flow.md", "two"),
        ("three.md", "three"),
        ("v1.2.pflow.md", "v1.2"),
    ] {
        let path = folder.path().join(file);
        std::fs::write(&path, step("Does it.\n\n- type: echo\n- message: x\n")).unwrap();
        assert_eq!(check_file(&path, None).unwrap().name, name);
    }
}
