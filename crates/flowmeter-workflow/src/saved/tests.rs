//! The folder of saved workflows: versions, changes by hand, files saved along, circles, crashes half-way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use expect_test::expect;
use flowmeter_model::{ManualClock, TimestampNs};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::validate::check_file;

struct Place {
    folder: TempDir,
    saved: SavedWorkflows,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let saved = SavedWorkflows::open(folder.path().join("home/workflows"))
        .with_clock(Arc::new(ManualClock::new(TimestampNs(1_700_000_000_000_000_000))));
    Place { folder, saved }
}

fn name(text: &str) -> WorkflowName {
    WorkflowName::parse(text).unwrap()
}

fn echo(message: &str) -> Value {
    json!({"nodes": [{"id": "say", "type": "echo", "params": {"message": message}}]})
}

/// A workflow that runs others: each of them by these parameters.
fn running(children: &[Value]) -> Value {
    let nodes: Vec<Value> = children
        .iter()
        .enumerate()
        .map(|(index, params)| json!({"id": format!("run{index}"), "type": "workflow", "params": params}))
        .collect();
    let edges: Vec<Value> = (1..children.len())
        .map(|index| json!({"from": format!("run{}", index - 1), "to": format!("run{index}")}))
        .collect();
    json!({"nodes": nodes, "edges": edges})
}

impl Place {
    fn file(&self, path: &str, document: &Value) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, document.to_string()).unwrap();
        path
    }

    fn save(&self, called: &str, file: &Path) -> Result<SavedNow, SavedError> {
        self.save_over(called, file, false)
    }

    fn save_over(&self, called: &str, file: &Path, overwrites_changes: bool) -> Result<SavedNow, SavedError> {
        let name = name(called);
        let text = fs::read_to_string(file).unwrap();
        self.saved.save(&WorkflowDraft {
            name: &name,
            text: &text,
            form: Form::Json,
            file: Some(file),
            folder: file.parent().unwrap(),
            overwrites_changes,
        })
    }

    /// Saves a text without a file.
    fn save_text(&self, called: &str, document: &Value) -> Result<SavedNow, SavedError> {
        let name = name(called);
        self.saved.save(&WorkflowDraft {
            name: &name,
            text: &document.to_string(),
            form: Form::Json,
            file: None,
            folder: self.folder.path(),
            overwrites_changes: false,
        })
    }

    fn find(&self, reference: &str) -> SavedPlace {
        self.saved
            .find(&SavedReference::parse(reference).unwrap())
            .unwrap()
    }

    fn check(&self, reference: &str) -> Result<CheckedWorkflow, String> {
        let file = self
            .saved
            .file(&SavedReference::parse(reference).unwrap())
            .unwrap();
        check_file(&file, Some(self.saved.folder())).map_err(|error| self.shown(&error.to_string()))
    }

    fn shown(&self, text: &str) -> String {
        text.replace(
            &*self.folder.path().canonicalize().unwrap().to_string_lossy(),
            "DIR",
        )
        .replace(&*self.folder.path().to_string_lossy(), "DIR")
    }

    fn saved_file(&self, file: &str) -> PathBuf {
        self.saved.folder().join(file)
    }
}

#[test]
fn what_is_saved_is_the_file_with_version_and_checksum() {
    let place = place();
    let document = json!({
        "title": "Report",
        "description": "Says what happened.\nAnd why.",
        "inputs": {"week": {"type": "integer", "description": "Which."}, "tone": {"default": null, "stdin": true}},
        "nodes": [{"id": "say", "type": "echo", "params": {"message": "${week} ${tone}"}}],
        "outputs": {"said": {"source": "${say.echo}", "type": "string"}}
    });
    let file = place.file("work/report.json", &document);
    let now = place.save("weekly-report", &file).unwrap();
    assert_eq!(now.file, place.saved_file("weekly-report.json"));
    assert_eq!(fs::read(&now.file).unwrap(), fs::read(&file).unwrap());
    assert!(now.replaced.is_none());
    let listed = place.saved.list().unwrap();
    assert_eq!(listed, [now.entry]);
    let entry = &listed[0];
    assert_eq!(
        (entry.version, entry.is_changed, entry.nodes),
        (Some(1), false, 1)
    );
    assert_eq!(entry.summary(), Some("Says what happened."));
    assert_eq!(entry.saved_ns, Some(TimestampNs(1_700_000_000_000_000_000)));
    let week = &entry.inputs[0];
    assert_eq!(
        (week.name.as_str(), week.value_type.as_str(), week.required),
        ("week", "integer", true)
    );
    let tone = &entry.inputs[1];
    assert_eq!(
        (tone.required, tone.stdin, tone.default.clone()),
        (false, true, Some(Value::Null))
    );
    assert_eq!(entry.outputs[0].value_type, "string");
    // `printf a | sha256sum`
    assert_eq!(
        sha256(b"a"),
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    );
    assert_eq!(
        place.find("weekly-report").sha256,
        sha256(&fs::read(&file).unwrap())
    );
}

#[test]
fn saving_again_raises_the_version_and_keeps_ten() {
    let place = place();
    for round in 1..=13 {
        let now = place
            .save_text("report", &echo(&format!("round {round}")))
            .unwrap();
        assert_eq!(now.entry.version, Some(round));
        assert_eq!(
            now.replaced.and_then(|before| before.version),
            (round > 1).then(|| round - 1)
        );
    }
    let found = place.find("report");
    assert_eq!(found.versions, (4..=13).rev().collect::<Vec<_>>());
    let early = place.find("report@5");
    assert_eq!((early.entry.version, early.entry.is_changed), (Some(5), false));
    assert!(fs::read_to_string(early.file).unwrap().contains("round 5"));
    assert_eq!(place.check("report@5").unwrap().name, "report");
    let error = place
        .saved
        .find(&SavedReference::parse("report@3").unwrap())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no saved workflow `report@3`; its versions that are kept: 13, 12, 11, 10, 9, 8, 7, 6, 5, 4"
    );
    // The same again is a version too.
    assert_eq!(
        place
            .save_text("report", &echo("round 13"))
            .unwrap()
            .entry
            .version,
        Some(14)
    );
}

#[test]
fn a_file_changed_by_hand_is_said_to_be_and_not_lost() {
    let place = place();
    let file = place.file("report.json", &echo("one"));
    place.save("report", &file).unwrap();
    place.file(
        "home/workflows/report.json",
        &json!({"description": "By hand.", "nodes": []}),
    );
    let entry = place.saved.list().unwrap().remove(0);
    assert!(entry.is_changed && entry.version == Some(1) && entry.nodes == 0);
    assert_eq!(entry.description.as_deref(), Some("By hand."));
    assert!(place.find("report").entry.is_changed);
    // Once more, from the index.
    assert_eq!(place.saved.list().unwrap(), [entry]);

    let error = place.save("report", &file).unwrap_err();
    assert!(matches!(error, SavedError::ChangedByHand { .. }), "{error}");
    assert_eq!(
        place.save_over("report", &file, true).unwrap().entry.version,
        Some(2)
    );

    // Saving the changed file itself makes it a version.
    let changed = place.file("home/workflows/report.json", &echo("two"));
    assert_eq!(place.save("report", &changed).unwrap().entry.version, Some(3));
    assert!(!place.find("report").entry.is_changed);
    // Who takes a change back has changed nothing.
    place.file("home/workflows/report.json", &echo("one"));
    let entry = place.find("report").entry;
    assert_eq!((entry.version, entry.is_changed), (Some(2), false));
}

#[test]
fn files_put_into_the_folder_by_hand_are_workflows() {
    let place = place();
    place.file("home/workflows/hello.json", &echo("hello"));
    place.file("home/workflows/No Name.json", &echo("x"));
    place.file("home/workflows/.hidden.json", &echo("x"));
    place.file("home/workflows/broken.json", &json!([1]));
    fs::write(
        place.saved_file("notes.pflow.md"),
        "---\na: b\n---\n# Notes\n\nTakes notes.\n\nDaily.\n\n## Steps\n\n### x\n",
    )
    .unwrap();
    fs::write(place.saved_file("readme.txt"), "x").unwrap();
    fs::create_dir(place.saved_file("folder.json")).unwrap();
    let told: Vec<String> = place
        .saved
        .list()
        .unwrap()
        .iter()
        .map(|entry| {
            format!(
                "{} {:?} {:?} {}",
                entry.name,
                entry.version,
                entry.summary(),
                entry.nodes
            )
        })
        .collect();
    expect![[r#"
        broken None None 0
        hello None None 1
        notes None Some("Takes notes.") 1"#]]
    .assert_eq(&told.join("\n"));
    assert_eq!(place.find("notes").entry.title.as_deref(), Some("Notes"));
    assert!(place.check("hello").is_ok());
    // They are no version, and so would be lost.
    let file = place.file("other.json", &echo("other"));
    assert!(matches!(
        place.save("hello", &file),
        Err(SavedError::ChangedByHand { .. })
    ));
}

#[test]
fn the_index_is_only_a_memory() {
    let place = place();
    for called in ["b", "a", "c"] {
        place.save_text(called, &echo(called)).unwrap();
    }
    let before = place.saved.list().unwrap();
    for broken in ["", "{", "{\"format\": \"flowmeter.saved/9\", \"workflows\": []}"] {
        fs::write(place.saved_file(".index.json"), broken).unwrap();
        assert_eq!(place.saved.list().unwrap(), before);
    }
    fs::remove_file(place.saved_file("b.json")).unwrap();
    let names: Vec<String> = place
        .saved
        .list()
        .unwrap()
        .iter()
        .map(|entry| entry.name.to_string())
        .collect();
    assert_eq!(names, ["a", "c"]);
    // The version goes on where it was.
    assert_eq!(place.save_text("b", &echo("b")).unwrap().entry.version, Some(2));
}

#[test]
fn a_save_cut_short_leaves_the_old_or_the_new() {
    let place = place();
    place.save_text("report", &echo("one")).unwrap();
    let index = fs::read(place.saved_file(".index.json")).unwrap();
    let old = fs::read(place.saved_file("report.json")).unwrap();
    place.save_text("report", &echo("two")).unwrap();
    let new = fs::read(place.saved_file("report.json")).unwrap();
    // Before the index was written.
    fs::write(place.saved_file(".index.json"), &index).unwrap();
    assert_eq!(place.saved.list().unwrap()[0].version, Some(2));
    // Before the file was put in its place.
    fs::write(place.saved_file("report.json"), &old).unwrap();
    fs::write(place.saved_file(".index.json"), &index).unwrap();
    let entry = place.saved.list().unwrap().remove(0);
    assert_eq!((entry.version, entry.is_changed), (Some(1), false));
    // While anything was being written.
    fs::write(place.saved_file(".report.json.1.partial"), "{\"nod").unwrap();
    fs::create_dir(place.saved_file(".versions/report/.3.1.partial")).unwrap();
    assert_eq!(place.saved.list().unwrap().len(), 1);
    assert_eq!(
        place.save_text("report", &echo("three")).unwrap().entry.version,
        Some(3)
    );
    assert_eq!(fs::read(place.find("report@2").file).unwrap(), new);
}

#[test]
fn an_invalid_workflow_is_not_saved() {
    let place = place();
    place.save_text("report", &echo("one")).unwrap();
    let error = place
        .save_text(
            "report",
            &json!({"nodes": [{"id": "a", "type": "ecko"}, {"id": "a", "type": "echo"}]}),
        )
        .unwrap_err();
    let SavedError::Load(crate::LoadError::Invalid(invalid)) = &error else {
        panic!("{error}");
    };
    assert!(invalid.error_count() >= 2);
    assert_eq!(place.find("report").entry.version, Some(1));
    assert_eq!(place.find("report").versions, [1]);
}

#[test]
fn relative_paths_lead_on_after_saving() {
    let place = place();
    place.file("work/lib/leaf.json", &echo("leaf"));
    place.file(
        "work/lib/deep/middle.json",
        &running(&[json!({"workflow_path": "../leaf.json"})]),
    );
    let file = place.file(
        "work/flows/main.json",
        &running(&[
            json!({"workflow_path": "../lib/deep/middle.json"}),
            json!({"workflow": "./../lib/leaf.json"}),
        ]),
    );
    let now = place.save("main", &file).unwrap();
    let files: Vec<&str> = now.entry.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["lib/deep/middle.json", "lib/leaf.json"]);
    assert_eq!(
        now.entry.files[1].sha256,
        sha256(echo("leaf").to_string().as_bytes())
    );
    fs::remove_dir_all(place.folder.path().join("work")).unwrap();
    let checked = place.check("main").unwrap();
    assert_eq!(checked.children.len(), 2);
    assert_eq!(checked.children["run0"].children.len(), 1);

    // The second version brings its own; the first one keeps what it had.
    place.file("work/leaf.json", &echo("other"));
    let file = place.file(
        "work/main.json",
        &running(&[json!({"workflow_path": "leaf.json"})]),
    );
    assert_eq!(place.save("main", &file).unwrap().entry.version, Some(2));
    fs::remove_dir_all(place.folder.path().join("work")).unwrap();
    assert_eq!(place.check("main").unwrap().children.len(), 1);
    assert_eq!(place.check("main@1").unwrap().children.len(), 2);
    // Also where the file was changed since, and where it is saved from where it lies.
    let edited = place.file(
        "home/workflows/main.json",
        &running(&[json!({"workflow_path": "./leaf.json"})]),
    );
    assert_eq!(place.check("main").unwrap().children.len(), 1);
    assert_eq!(place.save("main", &edited).unwrap().entry.files.len(), 1);
    assert_eq!(place.check("main@3").unwrap().children.len(), 1);
    // A copy of it under another name takes them along too.
    let copied = place.find("main@3").file;
    place.save("copy", &copied).unwrap();
    place.saved.delete(&name("main")).unwrap();
    assert_eq!(place.check("copy").unwrap().children.len(), 1);
}

#[test]
fn what_cannot_be_saved_along_is_refused() {
    let place = place();
    place.file("one.json", &echo("one"));
    let whole = place.folder.path().join("one.json").display().to_string();
    let file = place.file(
        "main.json",
        &running(&[
            json!({"workflow_path": whole}),
            json!({"workflow_path": "./${run0.result}.json"}),
        ]),
    );
    expect![
        "node `run1` runs `./${run0.result}.json`, a path beside the file that is known in the run only: it cannot be saved along; write `workflow_name`, or the whole path"
    ]
    .assert_eq(&place.save("main", &file).unwrap_err().to_string());
    // Whole paths stay what they are.
    let file = place.file("main.json", &running(&[json!({"workflow_path": whole})]));
    assert!(place.save("main", &file).unwrap().entry.files.is_empty());
    assert_eq!(place.check("main").unwrap().children.len(), 1);
}

#[test]
fn workflows_run_each_other_by_name() {
    let place = place();
    place.save_text("leaf", &echo("leaf")).unwrap();
    place
        .save_text("twig", &running(&[json!({"workflow_name": "leaf"})]))
        .unwrap();
    let now = place
        .save_text(
            "tree",
            &running(&[json!({"workflow": "twig"}), json!({"workflow_name": "leaf@1"})]),
        )
        .unwrap();
    assert_eq!(now.entry.uses, ["leaf@1", "twig"]);
    assert!(place.check("tree").is_ok());
    let error = place
        .save_text("bush", &running(&[json!({"workflow_name": "twigs"})]))
        .unwrap_err();
    expect![[r#"
        1:68: error: there is no saved workflow `twigs`
            help: did you mean `twig`? saved workflows: leaf, tree, twig"#]]
    .assert_eq(&error.to_string());
    let error = place
        .save_text("bush", &running(&[json!({"workflow_name": "Twig"})]))
        .unwrap_err();
    expect!["1:68: error: the name `Twig` has 'T' in it; a name has lower-case letters, digits, `-` and `_`; write `twig`"]
        .assert_eq(&error.to_string());
    let error = place
        .save_text("bush", &running(&[json!({"workflow_name": "twig@7"})]))
        .unwrap_err();
    assert!(
        error.to_string().contains("there is no saved workflow `twig@7`"),
        "{error}"
    );
}

#[test]
fn circles_are_found_before_anything_is_saved() {
    let place = place();
    // Itself, by the name that it is about to get.
    let error = place
        .save_text("snake", &running(&[json!({"workflow_name": "snake"})]))
        .unwrap_err();
    expect!["1:68: error: the workflow runs itself: snake → snake"].assert_eq(&error.to_string());
    assert!(place.saved.list().unwrap().is_empty());

    // Three steps, the last of which closes the circle by a second version.
    place.save_text("a", &echo("a")).unwrap();
    place
        .save_text("b", &running(&[json!({"workflow_name": "a"})]))
        .unwrap();
    place
        .save_text("c", &running(&[json!({"workflow": "b"})]))
        .unwrap();
    let error = place
        .save_text("a", &running(&[json!({"workflow_name": "c"})]))
        .unwrap_err();
    let error = place.shown(&error.to_string());
    assert!(
        error.contains("the workflow runs itself: a → c → b → a"),
        "{error}"
    );
    assert_eq!(place.find("a").entry.version, Some(1));

    // By hand, and by name and path in turn.
    let file = place.file("x/file.json", &running(&[json!({"workflow_name": "c"})]));
    place.file(
        "home/workflows/a.json",
        &running(&[json!({"workflow_path": file.display().to_string()})]),
    );
    let error = check_file(&file, Some(place.saved.folder()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the workflow runs itself: file.json → c → b → a → file.json"),
        "{error}"
    );
    let error = place.check("b").unwrap_err();
    assert!(
        error.contains("the workflow runs itself: b → a → file.json → c → b"),
        "{error}"
    );
    // A file that is to be saved and that is also run by its path.
    let error = place.save("d", &file).unwrap_err().to_string();
    assert!(
        error.contains("the workflow runs itself: d → c → b → a → d"),
        "{error}"
    );
}

#[test]
fn deleting_removes_all_of_it() {
    let place = place();
    place.save_text("report", &echo("one")).unwrap();
    place.save_text("report", &echo("two")).unwrap();
    place.save_text("other", &echo("two")).unwrap();
    assert_eq!(place.saved.delete(&name("report")).unwrap().version, Some(2));
    assert_eq!(place.saved.list().unwrap().len(), 1);
    assert!(!place.saved_file(".versions/report").exists() && !place.saved_file("report.json").exists());
    let error = place.saved.delete(&name("report")).unwrap_err().to_string();
    expect!["there is no saved workflow `report`; saved workflows: other"].assert_eq(&error);
    assert_eq!(
        place.save_text("report", &echo("one")).unwrap().entry.version,
        Some(1)
    );
}

#[test]
fn a_folder_that_is_none_is_said() {
    let place = place();
    fs::create_dir_all(place.folder.path().join("home")).unwrap();
    assert!(place.saved.list().unwrap().is_empty());
    fs::write(place.saved.folder(), "a file").unwrap();
    assert!(matches!(place.saved.list(), Err(SavedError::Read { .. })));
    let error = place.save_text("report", &echo("one")).unwrap_err();
    expect!["the saved workflow cannot be written to DIR/home/workflows; make the folder writable, or set another one"]
        .assert_eq(&place.shown(&error.to_string()));
}

#[test]
fn many_threads_save_at_once() {
    let place = place();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let place = &place;
            scope.spawn(move || {
                for round in 0..4 {
                    place
                        .save_text("same", &echo(&format!("{thread} {round}")))
                        .unwrap();
                    place.save_text(&format!("own-{thread}"), &echo("own")).unwrap();
                }
            });
        }
    });
    let listed = place.saved.list().unwrap();
    assert_eq!(listed.len(), 9);
    assert!(listed.iter().all(|entry| !entry.is_changed));
    assert_eq!(place.find("same").entry.version, Some(32));
    assert!(listed[..8].iter().all(|entry| entry.version == Some(4)));
    assert_eq!(Index::read(place.saved.folder()).len(), 9);
}
