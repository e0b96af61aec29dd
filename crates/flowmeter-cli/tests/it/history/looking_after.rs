//! `flowmeter forget` and `flowmeter db`.

use serde_json::json;

use super::{echo, file_of, history, only_run, open, runs, shell, spans};
use crate::support::Sandbox;

#[test]
fn without_a_history_there_is_nothing_to_look_after() {
    let sandbox = Sandbox::new();
    for args in [
        &["db", "check"][..],
        &["db", "vacuum"],
        &["db", "backup", "copy.db"],
        &["forget", "last", "--yes"],
    ] {
        let ended = sandbox.run(args);
        assert_eq!(ended.code, 4, "{ended:?}");
        assert!(
            ended
                .err
                .contains("there is no history yet: run a workflow first"),
            "{ended:?}"
        );
    }
    assert!(!file_of(&sandbox).exists());
    let path = sandbox.run(&["db", "path"]);
    assert_eq!(path.out.trim(), file_of(&sandbox).display().to_string());
}

/// Such as one in a folder that belongs to somebody else.
#[test]
fn a_history_that_cannot_be_looked_at_is_not_taken_for_none() {
    let sandbox = Sandbox::new();
    let home = sandbox.file("not-a-folder", "");
    for args in [
        &["runs"][..],
        &["search", "word"],
        &["stats"],
        &["logs"],
        &["show", "last"],
        &["insights"],
    ] {
        let ended = sandbox
            .command(args)
            .env("FLOWMETER_HOME", &home)
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.contains("cannot be opened"), "{args:?}: {err}");
        assert!(ended.stdout.is_empty(), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_run_is_forgotten_with_its_traces() {
    let sandbox = Sandbox::new();
    let secret = "the-name-of-the-customer";
    let workflow = shell(&sandbox, "talk.json", &[&format!("echo {secret}")]);
    let other = echo(&sandbox, "other.json", "hi");
    let tagged = [
        "run",
        &workflow,
        "--trace",
        "--capture",
        "full",
        "--tag",
        "customer=acme",
    ];
    for _ in 0..2 {
        assert_eq!(sandbox.run(&tagged).code, 0);
    }
    assert_eq!(sandbox.run(&["run", &other, "--trace"]).code, 0);
    assert_eq!(sandbox.traces().len(), 3);
    let forget = ["forget", "--tag", "customer=acme"];
    let looked = sandbox
        .run(&[&forget[..], &["--dry-run", "--json"]].concat())
        .json();
    assert_eq!((&looked["runs"], &looked["trace_files"]), (&json!(2), &json!(2)));
    let refused = sandbox.run(&forget);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("add --yes to do it"), "{refused:?}");
    assert_eq!((runs(&history(&sandbox)).len(), sandbox.traces().len()), (3, 3));
    let gone = sandbox.run(&[&forget[..], &["--yes"]].concat());
    assert_eq!(gone.code, 0, "{gone:?}");
    assert!(gone.out.contains("deleted 2 runs"), "{gone:?}");
    assert!(gone.out.contains("2 trace files"), "{gone:?}");
    assert_eq!(only_run(&sandbox).workflow, "other");
    assert_eq!(sandbox.traces().len(), 1);
    for file in sandbox.all_files() {
        let is_ours = file.starts_with(sandbox.home());
        let bytes = std::fs::read(&file).unwrap();
        let holds = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!(is_ours && holds), "{}", file.display());
    }
    let none = sandbox.run(&[&forget[..], &["--yes"]].concat());
    assert_eq!(
        (none.code, none.out.trim(), none.err.trim()),
        (0, "", "no run is like that: nothing was deleted")
    );
}

#[test]
fn a_run_that_is_named_is_forgotten_with_those_that_it_started() {
    let sandbox = Sandbox::new();
    let inner = echo(&sandbox, "inner.json", "hi");
    let call = format!("{} run {inner} --quiet --trace", env!("CARGO_BIN_EXE_flowmeter"));
    let outer = shell(&sandbox, "outer.json", &[&call]);
    let other = echo(&sandbox, "other.json", "hi");
    assert_eq!(sandbox.run(&["run", &other]).code, 0);
    assert_eq!(sandbox.run(&["run", &outer, "--trace"]).code, 0);
    assert_eq!((runs(&history(&sandbox)).len(), sandbox.traces().len()), (3, 2));
    let gone = sandbox.run(&["forget", "last", "--yes", "--json"]).json();
    assert_eq!((&gone["runs"], &gone["trace_files"]), (&json!(2), &json!(2)));
    assert_eq!(only_run(&sandbox).workflow, "other");
    assert!(sandbox.traces().is_empty());
}

#[test]
fn what_is_meant_must_be_said() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    assert_eq!(sandbox.run(&["run", &workflow]).code, 0);
    for args in [
        &["forget", "--yes"][..],
        &["forget", "last", "--workflow", "hello", "--yes"],
        &["forget", "--before", "1d", "--until", "1d", "--yes"],
        &["forget", "--before", "soon", "--yes"],
    ] {
        let ended = sandbox.run(args);
        assert_eq!(ended.code, 2, "{ended:?}");
    }
    let missing = sandbox.run(&["forget", "0123abcd", "--yes"]);
    assert_eq!(missing.code, 4, "{missing:?}");
    let old = sandbox.run(&["forget", "--before", "1d", "--yes"]);
    assert_eq!(old.code, 0, "{old:?}");
    assert_eq!(runs(&history(&sandbox)).len(), 1);
    let all = sandbox.run(&["forget", "--workflow", "hello", "--yes"]);
    assert_eq!(all.code, 0, "{all:?}");
    assert!(runs(&history(&sandbox)).is_empty());
}

#[test]
fn the_file_is_checked_copied_and_made_smaller() {
    let sandbox = Sandbox::new();
    let workflow = shell(
        &sandbox,
        "large.json",
        &["head -c 300000 /dev/urandom | od -An -tx1 >&2; echo hi"],
    );
    for _ in 0..3 {
        let ended = sandbox.run(&["run", &workflow, "--capture", "full"]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    let checked = sandbox.run(&["db", "check", "--json"]).json();
    assert_eq!((&checked["runs"], &checked["problems"]), (&json!(3), &json!([])));
    let checked = sandbox.run(&["db", "check"]);
    assert!(checked.out.starts_with("all is well: 3 runs, "), "{checked:?}");
    let copy = sandbox.path("copy.db").display().to_string();
    let copied = sandbox.run(&["db", "backup", &copy]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let again = sandbox.run(&["db", "backup", &copy]);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("add --force"), "{again:?}");
    assert_eq!(sandbox.run(&["db", "backup", &copy, "--force"]).code, 0);
    let itself = file_of(&sandbox).display().to_string();
    assert_eq!(sandbox.run(&["db", "backup", &itself, "--force"]).code, 2);
    let copy = open(std::path::Path::new(&copy)).unwrap();
    assert_eq!(runs(&copy).len(), 3);
    assert!(!spans(&copy, &runs(&copy)[0]).is_empty());
    drop(copy);
    assert_eq!(sandbox.run(&["forget", "--workflow", "large", "--yes"]).code, 0);
    let smaller = sandbox.run(&["db", "vacuum", "--json"]).json();
    let (before, after) = (smaller["bytes_before"].as_u64(), smaller["bytes"].as_u64());
    assert!(after <= before && after > Some(0), "{smaller}");
    assert_eq!(sandbox.run(&["db", "check"]).code, 0);
}

#[test]
fn a_file_that_is_damaged_is_told() {
    let sandbox = Sandbox::new();
    let workflow = shell(
        &sandbox,
        "some.json",
        &["head -c 100000 /dev/urandom | od -An -tx1 >&2; echo hi"],
    );
    for _ in 0..3 {
        assert_eq!(sandbox.run(&["run", &workflow, "--capture", "full"]).code, 0);
    }
    // Into one file, without a log of changes beside it.
    assert_eq!(sandbox.run(&["db", "vacuum"]).code, 0);
    let mut bytes = std::fs::read(file_of(&sandbox)).unwrap();
    let (from, until) = (bytes.len() / 3, bytes.len() * 2 / 3);
    bytes[from..until].fill(0xa5);
    std::fs::write(file_of(&sandbox), bytes).unwrap();
    let checked = sandbox.run(&["db", "check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    assert!(checked.err.contains("error"), "{checked:?}");
    // A run is not stopped by it.
    let ended = sandbox.run(&["run", &workflow]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"), "{ended:?}");
}

#[test]
fn a_file_that_was_cut_off_is_told() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    assert_eq!(sandbox.run(&["run", &workflow]).code, 0);
    assert_eq!(sandbox.run(&["db", "vacuum"]).code, 0);
    let bytes = std::fs::read(file_of(&sandbox)).unwrap();
    std::fs::write(file_of(&sandbox), &bytes[..bytes.len() / 2]).unwrap();
    let checked = sandbox.run(&["db", "check", "--json"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    let problems = checked.json()["problems"].to_string();
    assert!(problems.contains("cannot be read at all"), "{checked:?}");
    let ended = sandbox.run(&["run", &workflow]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "hi\n"), "{ended:?}");
}

#[test]
fn what_has_had_its_time_goes() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    assert_eq!(sandbox.run(&["run", &workflow]).code, 0);
    let none = sandbox.run(&["db", "retain"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.err.contains("[retention]"), "{none:?}");
    sandbox.file(
        "home/config.toml",
        "[retention]\nruns = \"400d\"\npayloads = \"30d\"\nmax_size = \"5GB\"",
    );
    let kept = sandbox.run(&["db", "retain", "--json"]).json();
    assert_eq!(kept["runs"], 0);
    assert_eq!(runs(&history(&sandbox)).len(), 1);
    sandbox.file("home/config.toml", "[retention]\nruns = \"1ms\"");
    let gone = sandbox.run(&["db", "retain", "--json"]).json();
    assert_eq!(gone["runs"], 1);
    assert!(runs(&history(&sandbox)).is_empty());
}

#[test]
fn a_run_s_end_removes_what_has_had_its_time() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    assert_eq!(sandbox.run(&["run", &workflow, "--tag", "n=1"]).code, 0);
    sandbox.file("home/config.toml", "[retention]\nruns = \"1ms\"");
    let ended = sandbox.run(&["run", &workflow, "--tag", "n=2"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let left = runs(&history(&sandbox));
    assert!(!left.iter().any(|run| run.origin.tags[0].1 == "1"), "{left:?}");
}

#[test]
fn times_and_sizes_that_are_none_are_refused() {
    let sandbox = Sandbox::new();
    let workflow = echo(&sandbox, "hello.json", "hi");
    for text in ["runs = \"0d\"", "payloads = \"soon\"", "max_size = \"large\""] {
        sandbox.file("home/config.toml", &format!("[retention]\n{text}"));
        let ended = sandbox.run(&["run", &workflow]);
        assert_eq!(ended.code, 2, "{text}: {ended:?}");
        assert!(ended.err.contains("retention."), "{ended:?}");
    }
}
