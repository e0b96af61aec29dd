//! Tests of what a run says of itself.

use super::*;

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    tags.iter().map(owned).collect()
}

fn whole() -> RunOrigin {
    RunOrigin {
        workflow: "summarize".to_owned(),
        version: Some("3".to_owned()),
        session: Some("chat-42".to_owned()),
        tags: pairs(&[("team", "search"), ("stage", "test")]),
        commit: Some("1".repeat(40)),
        user: Some("ada".to_owned()),
    }
}

#[test]
fn what_describes_a_run_can_be_asked_for() {
    let mut resource = Attributes::new();
    whole().describe(&mut resource);
    let told: Vec<String> = resource
        .iter()
        .map(|(key, value)| format!("{key}={}", text_of(value)))
        .collect();
    expect_test::expect![[r#"
        flowmeter.tag.team=search
        flowmeter.tag.stage=test
        session.id=chat-42
        gen_ai.workflow.name=summarize
        flowmeter.workflow.version=3
        vcs.ref.head.revision=1111111111111111111111111111111111111111
        user.name=ada"#]]
    .assert_eq(&told.join("\n"));
    let wanted = Origin {
        workflow_version: Some("3".into()),
        session: Some("chat-42".to_owned()),
        user: Some("ada".to_owned()),
        git_commit: Some("1".repeat(40)),
        tags: pairs(&[("team", "search"), ("stage", "test")]),
    };
    assert_eq!(origin_of(&resource), wanted);
}

#[test]
fn flags_win_over_the_environment_and_that_over_what_was_found() {
    let mut resource = Attributes::new();
    resource.set(SESSION, "from the environment");
    resource.set(USER, "somebody");
    resource.set(COMMIT, "ci");
    resource.set("flowmeter.tag.build", 7_i64);
    whole().describe(&mut resource);
    let origin = origin_of(&resource);
    assert_eq!(origin.session.as_deref(), Some("chat-42"));
    assert_eq!(origin.user.as_deref(), Some("somebody"));
    assert_eq!(origin.git_commit.as_deref(), Some("ci"));
    assert!(origin.tags.contains(&("build".to_owned(), "7".to_owned())));
}

#[test]
fn a_run_without_any_of_it_has_none() {
    let mut resource = Attributes::new();
    resource.set("service.name", "flowmeter");
    resource.set(TAG, "a tag without a key");
    assert_eq!(origin_of(&resource), Origin::default());
}

#[test]
fn of_tags_that_come_twice_the_last_counts() {
    let mut warnings = Vec::new();
    let given = pairs(&[("a", "1"), ("b", "2"), ("a", "3"), ("b", "2")]);
    assert_eq!(each_once(&given, &mut warnings), pairs(&[("a", "3"), ("b", "2")]));
    assert_eq!(warnings, ["--tag a is given more than once; `3` counts"]);
}

#[test]
fn there_is_an_end_to_tags() {
    let mut warnings = Vec::new();
    let given: Vec<(String, String)> = (0..70).map(|n| (format!("k{n}"), "v".to_owned())).collect();
    assert_eq!(each_once(&given, &mut warnings).len(), 64);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn a_user_is_found_by_number() {
    let passwd = "root:x:0:0:root:/root:/bin/bash\n# odd line\nada:x:1000:1000:Ada,,,:/home/ada:/bin/sh\n";
    assert_eq!(user_in(passwd, 1000).as_deref(), Some("ada"));
    assert_eq!(user_in(passwd, 0).as_deref(), Some("root"));
    assert_eq!(user_in(passwd, 7), None);
}
