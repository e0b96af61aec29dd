//! Tests of postings.

use std::collections::BTreeMap;

use arbtest::arbitrary::{Result, Unstructured};

use super::*;

fn pairs(u: &mut Unstructured<'_>) -> Result<Vec<u32>> {
    let mut pairs = Vec::new();
    for _ in 0..u.int_in_range(0..=80)? {
        let word = u.arbitrary::<u32>()? >> u.int_in_range(8..=30)?;
        let most = if u.ratio(1, 8)? { 70 } else { 3 };
        for _ in 0..u.int_in_range(1..=most)? {
            pairs.push(word << 8 | u.int_in_range(0..=63)?);
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}

fn by_word(pairs: &[u32]) -> BTreeMap<u32, u64> {
    let mut words = BTreeMap::new();
    for pair in pairs {
        *words.entry(pair >> 8).or_default() |= 1_u64 << (pair & 63);
    }
    words
}

#[test]
fn the_words_of_a_batch_come_back() {
    arbtest::arbtest(|u| {
        let pairs = pairs(u)?;
        let words = by_word(&pairs);
        let bytes = encode_batch(&pairs);
        let read: std::result::Result<BTreeMap<u32, u64>, Damaged> =
            BatchWords::open(&bytes).expect("read").collect();
        assert_eq!(read.expect("read"), words);
        let mut wanted: Vec<u32> = Vec::new();
        for _ in 0..u.int_in_range(1..=3)? {
            let some: Vec<u32> = words.keys().copied().chain([7, 1 << 23]).collect();
            wanted.push(*u.choose(&some)?);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let blocks = wanted.iter().fold(u64::MAX, |blocks, word| {
            blocks & words.get(word).copied().unwrap_or(0)
        });
        assert_eq!(
            BatchWords::open(&bytes).expect("read").blocks_with_all(&wanted),
            Ok(blocks),
            "{wanted:?}"
        );
        let noise: Vec<u8> = u.arbitrary()?;
        if let Ok(words) = BatchWords::open(&noise) {
            let _ = words.count();
        }
        Ok(())
    });
}
