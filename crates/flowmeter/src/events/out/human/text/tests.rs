//! Unit tests of the tree's texts.

use super::*;

#[test]
fn durations_read_the_same_both_ways() {
    let same = |duration_ns: u64| {
        let mut out = Vec::new();
        push_duration(&mut out, duration_ns);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format_duration(duration_ns),
            "{duration_ns}"
        );
    };
    for duration_ns in 0..200_000 {
        same(duration_ns * 7_919);
    }
    for exact in 0..20_000_u64 {
        same(exact * 50_000);
        same((exact * 50_000).saturating_sub(1));
        same(exact * 50_000 + 1);
    }
    arbtest::arbtest(|u| {
        same(u.int_in_range(0..=2_000_000_000)?);
        same(u.arbitrary()?);
        Ok(())
    });
}
