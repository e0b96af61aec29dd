//! Markdown workflow files on the command line: run, checked, planned, converted, formatted.

use expect_test::expect;

use crate::support::Sandbox;

const GREETING: &str = "# Greeting\n\nGreets somebody.\n\n## Inputs\n\n### who\n\nWhom to greet.\n\n- type: string\n- default: World\n- stdin: true\n\n## Steps\n\n### greet\n\nGreets.\n\n- type: shell\n- on-error: sorry\n\n```shell command\necho \"Hello ${who}\"\n```\n\n### done\n\nSays so.\n\n- type: workflow\n- workflow: ./inner.flow.md\n- inputs: {text: ${greet.stdout}}\n- next: end\n\n### sorry\n\nSays sorry.\n\n- type: echo\n- message: sorry\n- next: end\n\n## Outputs\n\n### text\n\nThe greeting.\n\n- source: ${done.text ?? sorry.echo}\n";

const INNER: &str = "## Inputs\n\n### text\n\nThe text.\n\n- type: string\n\n## Steps\n\n### loud\n\nMakes it loud.\n\n- type: code\n- inputs: {text: ${text}}\n\n```python code\nresult = text + '!'\n```\n\n## Outputs\n\n### text\n\nIt.\n\n- source: ${loud.result}\n";

fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.file("inner.flow.md", INNER);
    let file = sandbox.file("greeting.pflow.md", GREETING);
    (sandbox, file)
}

#[test]
fn a_markdown_file_runs_as_a_json_file_does() {
    let (sandbox, file) = sandbox();
    let ran = sandbox.run(&["run", &file, "who=you", "--quiet"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "Hello you!\n"), "{}", ran.err);
    let ran = sandbox.run(&["run", &file, "--output-format", "json"]);
    assert_eq!(ran.json()["result"]["text"], "Hello World!");
    let plan = sandbox.run(&["run", &file, "--dry-run", "--output-format", "json"]);
    assert_eq!(plan.json()["plan"]["workflow"], "greeting");
    let checked = sandbox.run(&["validate", &file]);
    assert_eq!((checked.code, checked.out), (0, format!("{file}: ok\n")));
}

#[test]
fn a_wrong_markdown_file_says_where() {
    let (sandbox, _) = sandbox();
    let file = sandbox.file("wrong.pflow.md", &GREETING.replace("${who}", "${whom}"));
    for command in ["run", "validate"] {
        let ended = sandbox.run(&[command, &file]);
        let told = format!("{}{}", ended.out, ended.err);
        assert_eq!(ended.code, 2, "{told}");
        let wanted = format!(
            "{file}:25:13: error: `${{whom}}`: there is no node or input `whom`\n    help: did you mean `who`?"
        );
        assert!(told.contains(&wanted), "{told}");
    }
}

#[test]
fn converted_there_and_back_it_is_the_same() {
    let (sandbox, file) = sandbox();
    let json = sandbox.run(&["convert", &file]);
    assert_eq!(json.code, 0, "{}", json.err);
    let json_file = sandbox.file("greeting.json", &json.out);
    let ran = sandbox.run(&["run", &json_file, "--quiet"]);
    assert_eq!(ran.out, "Hello World!\n", "{}", ran.err);
    let back = sandbox.path("back.pflow.md").display().to_string();
    let ended = sandbox.run(&["convert", &json_file, "-o", &back]);
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{}", ended.err);
    assert_eq!(std::fs::read_to_string(&back).unwrap(), GREETING);
    let again = sandbox.run(&["convert", &back, "--to", "json"]);
    assert_eq!(again.out, json.out);
}

#[test]
fn what_has_no_place_in_the_other_form_is_said() {
    let (sandbox, _) = sandbox();
    let file = sandbox.file("notes.pflow.md", &format!("{GREETING}\n## Notes\n\nFor me.\n"));
    let ended = sandbox.run(&["convert", &file]);
    assert_eq!(ended.code, 0);
    assert!(
        ended.err.contains("the section `## Notes` is left out"),
        "{}",
        ended.err
    );
    let file = sandbox.file(
        "Odd.json",
        r#"{"nodes": [{"id": "Odd", "type": "echo", "params": {"message": "x"}}]}"#,
    );
    let ended = sandbox.run(&["convert", &file]);
    assert_eq!((ended.code, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("the node `Odd`"), "{}", ended.err);
    let ended = sandbox.run(&["convert", "nowhere.json"]);
    assert_eq!(ended.code, 4, "{}", ended.err);
}

#[test]
fn files_are_formatted_in_place_and_only_where_they_must_be() {
    let (sandbox, file) = sandbox();
    let odd = GREETING
        .replace("\n\n- type: shell\n", "\n\n\n\n-   type:   shell\n\n\n")
        .replace("## Steps", "## steps ##");
    let odd_file = sandbox.file("odd.pflow.md", &odd);
    let checked = sandbox.run(&["fmt", "--check", &file, &odd_file]);
    assert_eq!((checked.code, checked.out), (1, format!("{odd_file}\n")));
    let shown = sandbox.run(&["fmt", "--stdout", &odd_file]);
    assert_eq!((shown.code, shown.out.as_str()), (0, GREETING));
    assert_eq!(std::fs::read_to_string(&odd_file).unwrap(), odd);
    let ended = sandbox.run(&["fmt", &file, &odd_file]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(std::fs::read_to_string(&odd_file).unwrap(), GREETING);
    assert_eq!(sandbox.run(&["fmt", "--check", &file, &odd_file]).code, 0);
    let broken = sandbox.file("broken.pflow.md", "## Steps\n\n```x\n");
    let ended = sandbox.run(&["fmt", &broken]);
    expect![[r#"
        broken.pflow.md:3:1: error: this block is never closed
            help: close it with ``` on a line of its own
        broken.pflow.md: 1 error
    "#]]
    .assert_eq(&ended.err.replace(&broken, "broken.pflow.md"));
    assert_eq!(ended.code, 2);
}
