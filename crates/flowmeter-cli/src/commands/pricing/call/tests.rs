//! Unit tests of how counts are read.

use super::*;

fn tokens(figure: Option<Figure>) -> Option<u64> {
    figure.map(|figure| figure.tokens)
}

#[test]
fn parts_are_in_the_whole_unless_they_do_not_fit() {
    let inside = CallArgs {
        input: Some(1_400),
        cache_read: Some(1_024),
        cache_write: Some(150),
        cache_write_1h: Some(50),
        output: Some(300),
        ..CallArgs::default()
    };
    let given = given_usage(&inside).unwrap();
    assert_eq!((tokens(given.usage.input), given.notes.len()), (Some(1_400), 0));
    let beside = CallArgs {
        input: Some(176),
        ..inside
    };
    let given = given_usage(&beside).unwrap();
    assert_eq!((tokens(given.usage.input), given.notes.len()), (Some(1_400), 1));
    let explicit = CallArgs {
        input: None,
        uncached_input: Some(176),
        ..beside
    };
    let given = given_usage(&explicit).unwrap();
    assert_eq!((tokens(given.usage.input), given.notes.len()), (Some(1_400), 0));
}

#[test]
fn a_part_alone_is_the_whole_and_nothing_at_all_is_refused() {
    let reasoning = CallArgs {
        reasoning: Some(10),
        ..CallArgs::default()
    };
    let given = given_usage(&reasoning).unwrap();
    assert_eq!(
        (tokens(given.usage.input), tokens(given.usage.output)),
        (Some(0), Some(10))
    );
    assert!(given_usage(&CallArgs::default()).is_err());
    let endless = CallArgs {
        input: Some(1),
        cache_read: Some(u64::MAX),
        cache_write: Some(u64::MAX),
        ..CallArgs::default()
    };
    assert!(given_usage(&endless).is_err());
}
