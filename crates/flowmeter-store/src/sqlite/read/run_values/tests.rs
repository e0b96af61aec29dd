//! Values come back, whether runs follow each other or lie far apart.

use super::RunValues;

#[test]
fn the_last_value_of_a_run_comes_back_and_others_have_none() {
    arbtest::arbtest(|u| {
        let spread = *u.choose(&[3_i64, 40, 1_000_000, i64::MAX])?;
        let values = (0..u.int_in_range(0..=30)?)
            .map(|_| Ok((u.int_in_range(-spread..=spread)?, u.int_in_range(1..=u32::MAX)?)))
            .collect::<Result<Vec<(i64, u32)>, _>>()?;
        let kept = RunValues::of(values.clone());
        let mut asked: Vec<i64> = values.iter().map(|(run, _)| *run).collect();
        asked.extend([0, 1, -1, i64::MIN, i64::MAX]);
        for run in asked {
            let last = values.iter().rev().find(|(other, _)| *other == run);
            assert_eq!(kept.get(run), last.map_or(0, |(_, value)| *value), "{run}");
        }
        Ok(())
    });
}
