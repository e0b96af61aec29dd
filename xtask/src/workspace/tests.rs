//! Reading cargo's metadata and finding lines in manifests.

use super::{Dependency, Kind, Member, Workspace};

const METADATA: &str = r#"{
  "workspace_root": "/w",
  "packages": [{
    "name": "flowmeter",
    "manifest_path": "/w/crates/flowmeter/Cargo.toml",
    "dependencies": [
      {"name": "flowmeter-model", "kind": null},
      {"name": "criterion", "kind": "dev"},
      {"name": "cc", "kind": "build"}
    ],
    "targets": [
      {"name": "flowmeter", "kind": ["lib"]},
      {"name": "recording", "kind": ["bench"]}
    ]
  }]
}"#;

#[test]
fn members_dependencies_and_benches_are_read() {
    let workspace = Workspace::parse(METADATA).expect("the metadata is well formed");
    let [member] = workspace.members.as_slice() else {
        panic!("one member: {:?}", workspace.members)
    };
    assert_eq!(member.manifest_path(), "crates/flowmeter/Cargo.toml");
    assert_eq!(member.benches, ["recording"]);
    let kinds: Vec<Kind> = member
        .dependencies
        .iter()
        .map(|dependency| dependency.kind)
        .collect();
    assert_eq!(kinds, [Kind::Normal, Kind::Dev, Kind::Build]);
}

#[test]
fn metadata_without_a_root_is_an_error() {
    assert!(Workspace::parse("{}").is_err());
    assert!(Workspace::parse("not json").is_err());
}

#[test]
fn the_line_is_that_of_the_right_heading() {
    let manifest = "[package]\nname = \"a\"\n\n[dependencies]\nb.workspace = true\nx = { package = \"c\" }\n\n\
                    [dev-dependencies]\nb = \"1\"\n\n[dependencies.d]\nversion = \"1\"\n";
    let member = Member {
        manifest: manifest.to_owned(),
        ..Member::named("a")
    };
    let line = |name: &str, kind| {
        member.line_of(&Dependency {
            name: name.to_owned(),
            kind,
        })
    };
    assert_eq!(line("b", Kind::Normal), 5);
    assert_eq!(line("c", Kind::Normal), 6);
    assert_eq!(line("b", Kind::Dev), 9);
    assert_eq!(line("d", Kind::Normal), 11);
    assert_eq!(line("unheard-of", Kind::Build), 1);
}
