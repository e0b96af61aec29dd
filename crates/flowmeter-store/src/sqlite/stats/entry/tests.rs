//! Sums as bytes and back, and what is left when some is taken away.

use flowmeter_model::{CostStatus, SpanStatus, UsdNanos};

use super::{Entry, Making};
use crate::TokenSums;
use crate::rules::sums::{Figures, Parts};

fn figures(u: &mut arbtest::arbitrary::Unstructured<'_>) -> arbtest::arbitrary::Result<(Parts, Figures)> {
    let parts = Parts {
        run: u.ratio(1, 4)?,
        node: u.ratio(1, 3)?,
        call: u.ratio(1, 2)?,
    };
    let status = *u.choose(&[SpanStatus::Ok, SpanStatus::Error, SpanStatus::Cancelled])?;
    let costs = [
        None,
        Some(CostStatus::Reported),
        Some(CostStatus::Priced),
        Some(CostStatus::Estimated),
        Some(CostStatus::Partial),
        Some(CostStatus::Unpriced),
    ];
    let amount = u.arbitrary::<bool>()?.then_some(UsdNanos(u.arbitrary()?));
    let figures = Figures {
        duration_ns: u.arbitrary()?,
        status,
        tokens: TokenSums {
            input: u.arbitrary()?,
            cache_read: u.arbitrary()?,
            cache_write: 0,
            output: u64::MAX,
            reasoning: 3,
        },
        cost_status: *u.choose(&costs)?,
        cost: amount,
        cache_hit: u.ratio(1, 5)?,
        saved_status: *u.choose(&costs)?,
        saved: amount,
        provider_saved: u.arbitrary::<bool>()?.then_some(UsdNanos(u.arbitrary()?)),
    };
    Ok((parts, figures))
}

fn entry(all: &[(Parts, Figures)]) -> Entry {
    let mut making = Making::default();
    for (parts, figures) in all {
        making.add(*parts, figures);
    }
    making.finish()
}

#[test]
fn sums_come_back_and_parts_go_out_again() {
    arbtest::arbtest(|u| {
        let all = (0..u.int_in_range(0..=60)?)
            .map(|_| figures(u))
            .collect::<Result<Vec<_>, _>>()?;
        let whole = entry(&all);
        let mut bytes = Vec::new();
        whole.write(&mut bytes);
        let mut rest = bytes.as_slice();
        let read = Entry::read(&mut rest);
        // A sum of durations that 64 bits do not hold is centuries long, and held there.
        if whole.calls.durations.sum_ns() < u128::from(u64::MAX)
            && whole.nodes.durations.sum_ns() < u128::from(u64::MAX)
            && whole.runs.durations.sum_ns() < u128::from(u64::MAX)
        {
            assert_eq!(read.as_ref(), Some(&whole));
        }
        assert!(read.is_some() && rest.is_empty());
        for cut in 0..bytes.len() {
            // Whatever is left of it, reading it ends.
            let _read = Entry::read(&mut &bytes[..cut]);
        }

        let (some, others) = all.split_at(all.len() / 2);
        let mut left = whole.clone();
        assert!(left.covers(&entry(some)));
        left.subtract(&entry(some));
        let wanted = entry(others);
        assert_eq!(left.tokens, wanted.tokens);
        assert_eq!(
            (left.cost, left.saved, left.hits),
            (wanted.cost, wanted.saved, wanted.hits)
        );
        for (left, wanted) in [
            (&left.runs, &wanted.runs),
            (&left.nodes, &wanted.nodes),
            (&left.calls, &wanted.calls),
        ] {
            assert_eq!((left.count, left.failed), (wanted.count, wanted.failed));
            assert_eq!(left.durations.buckets(), wanted.durations.buckets());
            for fraction in [0.0, 0.5, 1.0] {
                if let (Some(left), Some(wanted)) = (
                    left.durations.quantile_ns(fraction),
                    wanted.durations.quantile_ns(fraction),
                ) {
                    let (left, wanted) = (left as f64, wanted as f64);
                    assert!((left - wanted).abs() <= wanted * 0.0201 + 1.0, "{left} {wanted}");
                }
            }
        }
        Ok(())
    });
}
