//! Which benches are found and how they are run.

use super::{listing, steps};
use crate::workspace::{Member, Workspace};

fn workspace() -> Workspace {
    let members = vec![
        Member {
            benches: vec!["recording".into(), "traced".into()],
            ..Member::named("flowmeter")
        },
        Member {
            benches: vec!["capture".into()],
            ..Member::named("flowmeter-engine")
        },
        Member::named("flowmeter-model"),
    ];
    let peers = Member {
        benches: vec!["tracing_layer".into(), "recording".into()],
        ..Member::peers()
    };
    Workspace::of(members, peers)
}

#[test]
fn all_benches_run_without_a_name() {
    let steps = steps(&workspace(), None, false).expect("there are benches");
    assert_eq!(steps.len(), 5);
    assert_eq!(
        steps[2].shown(),
        "cargo bench -p flowmeter-engine --bench capture"
    );
    assert_eq!(
        steps[3].shown(),
        "cargo bench --manifest-path benches/Cargo.toml --target-dir target/peers --bench tracing_layer"
    );
}

#[test]
fn one_bench_runs_by_name_and_quick_is_handed_on() {
    let steps = steps(&workspace(), Some("traced"), true).expect("the bench exists");
    assert_eq!(steps.len(), 1);
    assert_eq!(
        steps[0].shown(),
        "cargo bench -p flowmeter --bench traced -- --quick"
    );
}

#[test]
fn a_bench_beside_peers_runs_by_name_too() {
    let steps = steps(&workspace(), Some("tracing_layer"), true).expect("the bench exists");
    assert_eq!(steps.len(), 1);
    assert_eq!(
        steps[0].shown(),
        "cargo bench --manifest-path benches/Cargo.toml --target-dir target/peers --bench tracing_layer -- --quick"
    );
}

#[test]
fn a_name_that_several_packages_have_runs_all_of_them() {
    let steps = steps(&workspace(), Some("recording"), false).expect("the benches exist");
    assert_eq!(steps.len(), 2);
    assert!(steps[0].shown().contains("-p flowmeter"), "{}", steps[0].shown());
    assert!(
        steps[1].shown().contains("benches/Cargo.toml"),
        "{}",
        steps[1].shown()
    );
}

#[test]
fn the_list_names_each_bench_with_its_package() {
    assert_eq!(
        listing(&workspace()),
        "  recording      flowmeter\n  traced         flowmeter\n  capture        flowmeter-engine\n  \
         tracing_layer  flowmeter-peers\n  recording      flowmeter-peers\n"
    );
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
    let error = steps(&workspace(), Some("nope"), false)
        .expect_err("there is no such bench")
        .to_string();
    assert!(
        error.contains("`nope`") && error.contains("capture") && error.contains("tracing_layer"),
        "{error}"
    );
}

#[test]
fn no_benches_at_all_is_said() {
    let without = Workspace::of(vec![Member::named("flowmeter")], Member::peers());
    assert_eq!(listing(&without), "  (none)\n");
    assert!(steps(&without, None, false).is_err());
}
