//! Which benches are found and how they are run.

use super::{listing, steps};
use crate::workspace::Member;

fn members() -> Vec<Member> {
    vec![
        Member {
            benches: vec!["recording".into(), "traced".into()],
            ..Member::named("flowmeter")
        },
        Member {
            benches: vec!["capture".into()],
            ..Member::named("flowmeter-engine")
        },
        Member::named("flowmeter-model"),
    ]
}

#[test]
fn all_benches_run_without_a_name() {
    let steps = steps(&members(), None, false).expect("there are benches");
    assert_eq!(steps.len(), 3);
    assert_eq!(
        steps[2].shown(),
        "cargo bench -p flowmeter-engine --bench capture"
    );
}

#[test]
fn one_bench_runs_by_name_and_quick_is_handed_on() {
    let steps = steps(&members(), Some("traced"), true).expect("the bench exists");
    assert_eq!(steps.len(), 1);
    assert_eq!(
        steps[0].shown(),
        "cargo bench -p flowmeter --bench traced -- --quick"
    );
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
    let error = steps(&members(), Some("nope"), false)
        .expect_err("there is no such bench")
        .to_string();
    assert!(
        error.contains("`nope`") && error.contains("capture") && error.contains("recording"),
        "{error}"
    );
}

#[test]
fn no_benches_at_all_is_said() {
    assert_eq!(listing(&[Member::named("flowmeter")]), "  (none)\n");
    assert!(steps(&[], None, false).is_err());
}
