//! `next` and `on-error` as edges.

use expect_test::expect;
use smol_str::SmolStr;

use super::{Target, Way, edges};

fn way(id: &str, next: Option<&str>, on_error: Option<&str>) -> Way {
    let target = |id: &str| Target {
        id: SmolStr::new(id.trim()),
        offset: 0,
    };
    Way {
        id: SmolStr::new(id),
        offset: 0,
        next: next.map(|next| next.split(',').map(target).collect()),
        on_error: on_error.map(target),
    }
}

fn drawn(ways: &[Way]) -> String {
    let mut complaints = Vec::new();
    let mut told = String::new();
    for edge in edges(ways, &mut complaints) {
        let action = edge
            .action
            .map_or(String::new(), |action| format!(" on {action}"));
        told.push_str(&format!("{} -> {}{action}\n", edge.from, edge.to));
    }
    for complaint in complaints {
        told.push_str(&format!(
            "{}: {}\n",
            complaint.message,
            complaint.help.unwrap_or_default()
        ));
    }
    told
}

#[test]
fn order_names_branches_and_failures() {
    let ways = [
        way("start", None, Some("mend")),
        way("choose", Some("yes, no, end"), None),
        way("yes", Some("last"), None),
        way("no", Some("end"), None),
        way("mend", Some("choose"), None),
        way("last", None, None),
    ];
    expect![[r#"
        start -> choose
        start -> mend on error
        choose -> yes
        choose -> yes on yes
        choose -> no on no
        choose -> end on end
        yes -> last
        mend -> choose
    "#]]
    .assert_eq(&drawn(&ways));
}

#[test]
fn branches_say_where_they_go_on() {
    let ways = [
        way("choose", Some("yes, no"), Some("mend")),
        way("yes", None, None),
        way("no", Some("end"), None),
        way("other", None, None),
        way("mend", None, None),
    ];
    expect![[r#"
        choose -> yes
        choose -> yes on yes
        choose -> no on no
        choose -> mend on error
        yes -> no
        other -> mend
        step `yes` is a branch (by `next` of `choose`) and does not say where it goes on: write `- next: end` to end the flow behind it, or `- next: no` to go on there
        step `other` would run on into `mend`, which is a branch of `choose`: write `- next: end` to end the flow behind it, or `- next: mend` if that is meant
        step `mend` is a branch (by `on-error` of `choose`) and does not say where it goes on: write `- next: end` to end the flow behind it
    "#]].assert_eq(&drawn(&ways));
}
