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

#[test]
fn the_words_of_a_bucket_come_back() {
    arbtest::arbtest(|u| {
        let mut words: BTreeMap<u32, Vec<(u8, u64)>> = BTreeMap::new();
        for _ in 0..u.int_in_range(0..=30)? {
            let places = words
                .entry(u.int_in_range(0..=(1 << (WORD_BITS - BUCKET_BITS)) - 1)?)
                .or_default();
            let batch = places.last().map_or(0, |(batch, _)| batch + 1);
            if usize::from(batch) < SEGMENT_BATCHES_MAX {
                places.push((batch, u.arbitrary::<u64>()?.max(1) >> u.int_in_range(0..=20)? | 1));
            }
        }
        let bucket = 5_u32 << (WORD_BITS - BUCKET_BITS);
        let mut writer = BucketWriter::default();
        words
            .iter()
            .for_each(|(word, places)| writer.push(bucket | word, places));
        let bytes = writer.finish();
        assert_eq!(bytes.is_empty(), words.is_empty());
        let mut read = BTreeMap::new();
        visit_bucket(&bytes, &mut |word, places| {
            read.insert(word, places.to_vec());
            ControlFlow::Continue(())
        })
        .expect("read");
        assert_eq!(read, words);
        for word in words.keys().copied().chain([3, 9]) {
            let found = find_in_bucket(&bytes, bucket | word).expect("read");
            assert_eq!(found, words.get(&word).cloned().unwrap_or_default());
            assert_eq!(bucket_of(bucket | word), 5);
        }
        let noise: Vec<u8> = u.arbitrary()?;
        let _ = find_in_bucket(&noise, 3);
        Ok(())
    });
}
