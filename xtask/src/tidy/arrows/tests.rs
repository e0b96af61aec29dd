//! Arrows that are allowed pass; every other one is named.

use super::{ARROWS, check};
use crate::workspace::{Dependency, Kind, Member};

fn member(name: &str, dependencies: &[(&str, Kind)]) -> Member {
    let dependencies = dependencies
        .iter()
        .map(|&(name, kind)| Dependency {
            name: name.to_owned(),
            kind,
        })
        .collect();
    Member {
        dependencies,
        ..Member::named(name)
    }
}

fn messages(members: &[Member]) -> Vec<String> {
    check(members).iter().map(ToString::to_string).collect()
}

#[test]
fn allowed_arrows_and_outside_crates_pass() {
    let members = [
        member("flowmeter-model", &[("serde", Kind::Normal)]),
        member(
            "flowmeter-pricing",
            &[("flowmeter-model", Kind::Normal), ("flowmeter-model", Kind::Dev)],
        ),
    ];
    assert_eq!(messages(&members), [""; 0]);
}

#[test]
fn an_upward_arrow_names_both_crates_and_what_is_allowed() {
    for kind in [Kind::Normal, Kind::Build, Kind::Dev] {
        let members = [
            member("flowmeter-pricing", &[("flowmeter", kind)]),
            member("flowmeter", &[]),
        ];
        assert_eq!(
            messages(&members),
            [
                "crates/flowmeter-pricing/Cargo.toml:1: `flowmeter-pricing` may not depend on `flowmeter`; \
              crates of the workspace it may use: flowmeter-model"
            ]
        );
    }
}

#[test]
fn the_engine_knows_no_other_crate() {
    let members = [
        member("flowmeter-engine", &[("flowmeter-model", Kind::Normal)]),
        member("flowmeter-model", &[]),
    ];
    let messages = messages(&members);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].ends_with("it may use: none"), "{}", messages[0]);
}

#[test]
fn nothing_depends_on_the_binary_even_for_tests() {
    let members = [
        member("flowmeter-workflow", &[("flowmeter-cli", Kind::Dev)]),
        member("flowmeter-cli", &[]),
    ];
    let messages = messages(&members);
    assert_eq!(messages.len(), 1);
    assert!(messages[0].contains("not even for its tests"), "{}", messages[0]);
}

#[test]
fn a_crate_that_is_not_in_the_table_is_an_error() {
    let messages = messages(&[member("flowmeter-extra", &[])]);
    assert_eq!(messages.len(), 1);
    assert!(
        messages[0].contains("`flowmeter-extra` is not in the table"),
        "{}",
        messages[0]
    );
}

#[test]
fn a_crate_in_a_folder_of_another_name_is_an_error() {
    let member = Member {
        folder: "crates/model".into(),
        ..Member::named("flowmeter-model")
    };
    assert_eq!(
        messages(&[member]),
        ["crates/model/Cargo.toml:1: crate `flowmeter-model` must be in a folder of its name"]
    );
}

#[test]
fn the_table_has_no_cycles_and_no_unknown_names() {
    fn visit(name: &str, path: &mut Vec<String>) {
        assert!(
            !path.iter().any(|visited| visited == name),
            "cycle: {path:?} → {name}"
        );
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            panic!("{name} is not in the table")
        };
        path.push(name.to_owned());
        allowed.iter().for_each(|next| visit(next, path));
        path.pop();
    }
    ARROWS.iter().for_each(|(name, _)| visit(name, &mut Vec::new()));
}
