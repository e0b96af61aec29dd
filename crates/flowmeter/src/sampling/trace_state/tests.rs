//! Tests of tracestate lists.

use arbtest::{arbitrary::Unstructured, arbtest};

use super::*;
use crate::sampling::Threshold;

fn parsed(text: &str) -> String {
    TraceState::parse(text).unwrap().to_string()
}

#[test]
fn a_list_keeps_its_order_and_loses_only_the_space_around_members() {
    assert_eq!(
        parsed("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    );
    assert_eq!(parsed("foo=1 \t,\t bar=2, "), "foo=1,bar=2");
    assert_eq!(parsed("foo= 1 2,,bar=!#"), "foo= 1 2,bar=!#");
    assert_eq!(parsed(""), "");
    assert_eq!(parsed(" ,\t, "), "");
    assert_eq!(parsed("0_-*/@tenant@x=v"), "0_-*/@tenant@x=v");
}

#[test]
fn a_list_that_breaks_the_rules_is_refused_with_the_number_of_the_member() {
    use InvalidTraceState as Invalid;
    let refused = |text: &str| TraceState::parse(text).unwrap_err();
    assert_eq!(refused("a=1,b"), Invalid::NoPair(2));
    assert_eq!(refused("=1"), Invalid::Key(1));
    assert_eq!(refused("A=1"), Invalid::Key(1));
    assert_eq!(refused("@a=1"), Invalid::Key(1));
    assert_eq!(refused("a b=1"), Invalid::Key(1));
    assert_eq!(refused("a =1"), Invalid::Key(1));
    assert_eq!(refused("ä=1"), Invalid::Key(1));
    assert_eq!(refused(&format!("{}=1", "k".repeat(257))), Invalid::Key(1));
    assert_eq!(refused("a="), Invalid::Value(1));
    assert_eq!(refused("a=  "), Invalid::Value(1));
    assert_eq!(refused("a=b=c"), Invalid::Value(1));
    assert_eq!(refused("a=b\tc"), Invalid::Value(1));
    assert_eq!(refused("a=é"), Invalid::Value(1));
    assert_eq!(refused(&format!("a={}", "v".repeat(257))), Invalid::Value(1));
    assert_eq!(refused("a=1, ,a=2"), Invalid::Duplicate(3));
    let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
    assert_eq!(refused(&many.join(",")), Invalid::TooMany);
    assert_eq!(TraceState::parse(&many[..32].join(",,")).unwrap().len(), 32);
    assert!(TraceState::parse(&format!("{}={}", "k".repeat(256), "v".repeat(256))).is_ok());
}

fn with_threshold(text: &str, digits: Option<&str>) -> String {
    let state = TraceState::parse(text).unwrap();
    let mut ot = state.ot();
    ot.threshold = digits.and_then(Threshold::parse);
    state.with_ot(&ot).to_string()
}

#[test]
fn the_member_that_changes_goes_to_the_front() {
    assert_eq!(with_threshold("", Some("c")), "ot=th:c");
    assert_eq!(with_threshold("a=1,b=2", Some("c")), "ot=th:c,a=1,b=2");
    assert_eq!(
        with_threshold("a=1,ot=th:8;x:y,b=2", Some("c")),
        "ot=th:c;x:y,a=1,b=2"
    );
    assert_eq!(with_threshold("a=1,ot=th:8,b=2", None), "a=1,b=2");
    assert_eq!(with_threshold("ot=th:8", None), "");
}

#[test]
fn the_member_that_stays_the_same_keeps_its_place() {
    assert_eq!(with_threshold("a=1,ot=th:c,b=2", Some("c")), "a=1,ot=th:c,b=2");
}

#[test]
fn a_full_list_loses_its_last_member() {
    let members: Vec<String> = (0..32).map(|number| format!("k{number}=v")).collect();
    let state = with_threshold(&members.join(","), Some("c"));
    assert!(state.starts_with("ot=th:c,k0=v,"));
    assert!(state.ends_with(",k30=v"));
    assert_eq!(TraceState::parse(&state).unwrap().len(), 32);
}

/// A list that follows the rules, space around the members included.
fn any_list(u: &mut Unstructured<'_>) -> arbtest::arbitrary::Result<String> {
    let mut text = String::new();
    for number in 0..u.int_in_range(0..=32)? {
        let key_tail: String = (0..u.int_in_range(0..=4)?)
            .map(|_| u.choose(&['z', '9', '_', '-', '*', '/', '@']).copied())
            .collect::<Result<_, _>>()?;
        let value: String = (0..u.int_in_range(0..=6)?)
            .map(|_| u.choose(&[' ', '!', ';', ':', '~', 'A', '"']).copied())
            .collect::<Result<_, _>>()?;
        let space = u.choose(&["", " ", "\t "])?;
        text.push_str(&format!("{space}k{number:02}{key_tail}={value}v{space},"));
    }
    Ok(text)
}

#[test]
fn a_list_survives_being_written_and_read() {
    arbtest(|u| {
        let state = TraceState::parse(&any_list(u)?).unwrap();
        assert_eq!(TraceState::parse(&state.to_string()).as_ref(), Ok(&state));
        let ot = OtState::parse("th:abc");
        let changed = state.with_ot(&ot);
        assert_eq!(changed.get("ot"), Some("th:abc"));
        assert_eq!(TraceState::parse(&changed.to_string()), Ok(changed));
        Ok(())
    });
}

#[test]
fn no_text_is_a_reason_to_panic() {
    arbtest(|u| {
        let text: String = u.arbitrary()?;
        if let Ok(state) = TraceState::parse(&text) {
            assert_eq!(TraceState::parse(&state.to_string()), Ok(state));
        }
        Ok(())
    });
}
