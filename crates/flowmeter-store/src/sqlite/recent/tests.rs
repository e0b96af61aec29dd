//! What is asked for stays, the rest goes, and there is a limit.

use super::RecentSet;

#[test]
fn it_keeps_what_is_asked_for_and_is_bounded() {
    let mut set = RecentSet::new(10);
    for item in 0..100_u32 {
        set.add(item);
        assert!(set.has(0) || item > 0, "the first stays while it is asked for");
        assert!(set.young.len() + set.old.len() <= 10);
    }
    assert!(set.has(0));
    assert!(!set.has(50), "the others were not asked for");
}
