//! Which batches are merged, and when it is enough.

use super::{Small, choose};

fn batches(sizes: &[usize]) -> Vec<Small> {
    let numbered = (1..).zip(sizes);
    numbered
        .map(|(id, spans)| Small {
            id,
            spans: *spans,
            is_folded: false,
        })
        .collect()
}

#[test]
fn a_few_small_ones_wait() {
    assert!(choose(&batches(&[1; 15])).is_empty());
    assert!(choose(&batches(&[100, 200, 200])).is_empty());
}

#[test]
fn the_smallest_are_merged_among_themselves() {
    let mut sizes = vec![1; 16];
    sizes.push(400);
    let chosen = choose(&batches(&sizes));
    assert_eq!(chosen.len(), 16);
    assert!(chosen.iter().all(|batch| batch.spans == 1));
}

#[test]
fn enough_spans_make_a_full_batch() {
    assert_eq!(choose(&batches(&[300, 300])).len(), 2);
    assert_eq!(
        choose(&batches(&[500, 500, 500])).len(),
        2,
        "no more than fit into one"
    );
}

#[test]
fn batches_that_were_counted_are_kept_apart_from_others() {
    let mut mixed = batches(&[300, 300]);
    mixed[0].is_folded = true;
    assert!(choose(&mixed).is_empty());
}

/// However spans come in, few small batches are left, and each span is moved a bounded number of times.
#[test]
fn merging_ends_with_few_small_batches() {
    let mut small: Vec<Small> = Vec::new();
    let (mut id, mut moved, mut came) = (0, 0, 0);
    for _ in 0..2_000 {
        id += 1;
        came += 7;
        small.push(Small {
            id,
            spans: 7,
            is_folded: false,
        });
        loop {
            let chosen = choose(&small);
            if chosen.is_empty() {
                break;
            }
            let spans: usize = chosen.iter().map(|batch| batch.spans).sum();
            moved += spans;
            small.retain(|batch| !chosen.contains(batch));
            id += 1;
            if spans < super::SEALED_SPANS_MIN {
                small.push(Small {
                    id,
                    spans,
                    is_folded: false,
                });
            }
        }
        assert!(small.len() < 32);
    }
    assert!(moved <= came * 3, "{moved} of {came}");
}
