//! Tests of marks and of who still lives.

use std::process::Command;

use super::*;

#[test]
fn this_process_lives() {
    assert_eq!(is_alive(&own_mark()), Some(true));
}

#[cfg(target_os = "linux")]
#[test]
fn a_number_that_was_given_again_is_another_process() {
    let own = own_mark();
    let before = ProcessMark {
        started: own.started - 1,
        ..own
    };
    assert_eq!(is_alive(&before), Some(false));
}

#[test]
fn a_process_that_has_ended_does_not_live() {
    let mut child = Command::new("sleep").arg("60").spawn().expect("a child");
    let state = process_state(child.id());
    let mark = ProcessMark {
        pid: child.id(),
        started: state.map_or(0, |state| state.started),
        ..own_mark()
    };
    assert_eq!(is_alive(&mark), Some(true));
    child.kill().expect("it can be ended");
    #[cfg(target_os = "linux")]
    {
        // Ended, though nobody has asked how: it may take a moment.
        let dead = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            is_alive(&mark) == Some(false)
        });
        assert!(dead);
    }
    child.wait().expect("it ends");
    assert_eq!(is_alive(&mark), Some(false));
}

#[test]
fn other_machines_and_other_containers_are_not_judged() {
    let own = Host::own();
    let elsewhere = Host {
        machine: "another".to_owned(),
        ..Host::own()
    };
    let container = Host {
        namespace: "pid:[1]".to_owned(),
        ..Host::own()
    };
    let earlier = Host {
        boot: "an-earlier-one".to_owned(),
        ..Host::own()
    };
    for (host, alive) in [
        (elsewhere, None),
        (container, None),
        (earlier, Some(false)),
        (own, Some(true)),
    ] {
        let mark = ProcessMark {
            host: host.mark(),
            ..own_mark()
        };
        assert_eq!(is_alive(&mark), alive, "{host:?}");
    }
    let odd = ProcessMark {
        host: "no mark of ours".into(),
        ..own_mark()
    };
    assert_eq!(is_alive(&odd), None);
}

#[test]
fn a_mark_says_where_it_is_from() {
    let host = Host::own();
    assert_eq!(Host::parse(&host.mark()), Some(host));
}

#[test]
fn the_name_of_a_process_may_hold_parentheses() {
    let stat =
        "42 (a) S (b) R) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1000 2 18446744073709551615";
    let wanted = ProcessState {
        is_dead: false,
        started: 987_654,
    };
    assert_eq!(state_in(stat), Some(wanted));
    assert!(
        state_in(&stat.replace(") S 1", ") Z 1"))
            .expect("a state")
            .is_dead
    );
    assert_eq!(state_in("42 (short) S 1"), None);
    assert_eq!(state_in(""), None);
}
