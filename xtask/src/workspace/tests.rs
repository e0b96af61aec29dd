//! Reading cargo's metadata and finding lines in manifests.

use super::{Dependency, Kind, Member, Workspace};

const METADATA: &str = r#"{
  "workspace_root": "/w",
  "target_directory": "/w/target",
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

const PEERS: &str = r#"{
  "workspace_root": "/w/benches",
  "target_directory": "/w/benches/target",
  "packages": [{
    "name": "flowmeter-peers",
    "manifest_path": "/w/benches/Cargo.toml",
    "dependencies": [{"name": "fastrace", "kind": "dev"}],
    "targets": [{"name": "tracing_layer", "kind": ["bench"]}]
  }]
}"#;

const FUZZ: &str = r#"{
  "packages": [{
    "name": "flowmeter-fuzz",
    "manifest_path": "/w/fuzz/Cargo.toml",
    "dependencies": [{"name": "libfuzzer-sys", "kind": null}],
    "targets": [{"name": "usage", "kind": ["bin"]}]
  }]
}"#;

#[test]
fn members_dependencies_and_benches_are_read() {
    let workspace = Workspace::parse(METADATA, PEERS, FUZZ).expect("the metadata is well formed");
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
    assert!(Workspace::parse("{}", PEERS, FUZZ).is_err());
    assert!(Workspace::parse("not json", PEERS, FUZZ).is_err());
}

#[test]
fn the_peers_are_one_package_with_its_place_in_the_workspace() {
    let workspace = Workspace::parse(METADATA, PEERS, FUZZ).expect("the metadata is well formed");
    assert_eq!(workspace.peers.manifest_path(), "benches/Cargo.toml");
    assert_eq!(workspace.peers.benches, ["tracing_layer"]);
    assert_eq!(workspace.fuzz.manifest_path(), "fuzz/Cargo.toml");
    assert_eq!(workspace.packages().count(), 3);
    let args = workspace.peers_args().join(" ");
    assert_eq!(
        args,
        "--manifest-path benches/Cargo.toml --target-dir target/peers"
    );
    let none = Workspace::parse(METADATA, r#"{"packages": []}"#, FUZZ).expect_err("there is no package");
    assert_eq!(none.to_string(), "`benches` must be one package, not 0");
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
