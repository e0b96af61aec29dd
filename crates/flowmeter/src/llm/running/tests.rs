//! The length of an answer that is still coming.

use super::Running;

#[test]
fn an_answer_is_as_long_as_the_largest_count_says() {
    let none = Running::default();
    assert_eq!((none.tokens(), none.certain_tokens()), (0, 0));
    // Two bytes are a token in any case: they came in a piece.
    let two = none.with(2, None);
    assert_eq!((two.tokens(), two.certain_tokens()), (1, 1));
    let long = two.with(1_000, None);
    assert_eq!((long.tokens(), long.certain_tokens()), (251, 167));
    // A count is no piece, and never goes down.
    let counted = long.with(0, Some(400)).with(0, Some(3));
    assert_eq!((counted.tokens(), counted.certain_tokens()), (400, 400));
    let pieces = (0..500).fold(none, |running, _| running.with(1, None));
    assert_eq!((pieces.tokens(), pieces.certain_tokens()), (500, 500));
}
