//! Tests of buckets.

use std::collections::BTreeMap;

use super::*;

#[test]
fn the_words_of_a_bucket_come_back() {
    let (mut writer, mut reader) = (BucketWriter::default(), BucketReader::default());
    arbtest::arbtest(|u| {
        let mut words: BTreeMap<u32, Vec<(u8, u64)>> = BTreeMap::new();
        for _ in 0..u.int_in_range(0..=60)? {
            let entries = words
                .entry(u.int_in_range(0..=(1 << (WORD_BITS - BUCKET_BITS)) - 1)?)
                .or_default();
            let gap = u.int_in_range(0..=3)?;
            let place = entries.last().map_or(gap, |(place, _)| place + 1 + gap);
            if usize::from(place) < SEGMENT_BATCHES {
                let blocks = u.arbitrary::<u64>()? >> u.int_in_range(0..=63)?;
                entries.push((place, blocks.max(1)));
            }
        }
        words.retain(|_, entries| !entries.is_empty());
        let bucket = 5_u32 << (WORD_BITS - BUCKET_BITS);
        words
            .iter()
            .for_each(|(word, entries)| writer.push(bucket | word, entries));
        let bytes = writer.finish().expect("sealed");
        assert_eq!(bytes.is_empty(), words.is_empty());
        let opened = reader.open(&bytes).expect("opened");
        let mut read = BTreeMap::new();
        opened
            .visit(&mut |word, entries| {
                read.insert(word, entries.to_vec());
                ControlFlow::Continue(())
            })
            .expect("read");
        assert_eq!(read, words);
        for word in words.keys().copied().chain([3, 9]) {
            let found = opened.find(bucket | word).expect("read");
            assert_eq!(found, words.get(&word).cloned().unwrap_or_default());
            assert_eq!(bucket_of(bucket | word), 5);
        }
        let noise: Vec<u8> = u.arbitrary()?;
        let _ = reader.open(&noise).map(|bucket| bucket.find(3));
        if let Some(noise) = Bucket::cut(&noise) {
            let _ = noise.find(7);
            let _ = noise.visit(&mut |_, _| ControlFlow::Continue(()));
        }
        Ok(())
    });
}
