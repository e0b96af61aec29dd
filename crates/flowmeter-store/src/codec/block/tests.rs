//! Tests of blocks.

use super::*;

#[test]
fn a_block_gives_back_its_payloads() {
    arbtest::arbtest(|u| {
        let (mut sealer, mut writer) = (Sealer::new(), BlockWriter::default());
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for _ in 0..u.int_in_range(0..=PAYLOADS_MAX)? {
            payloads.push(u.arbitrary()?);
        }
        for payload in &payloads {
            writer.push(payload).expect("room");
        }
        assert_eq!(writer.is_full(), payloads.len() == PAYLOADS_MAX);
        let bytes = writer.finish(&mut sealer).expect("sealed");
        assert_eq!(writer.len(), 0);
        let block = Block::open(&mut sealer, &bytes).expect("opened");
        assert_eq!(block.payloads().collect::<Vec<_>>(), payloads);
        assert_eq!(block.payload(payloads.len()), None);
        assert_eq!(block.bytes(), payloads.concat());

        let mut damaged = bytes.clone();
        let place = u.choose_index(damaged.len())?;
        let byte = u.arbitrary()?;
        if damaged[place] != byte {
            damaged[place] = byte;
            assert!(Block::open(&mut sealer, &damaged).is_err(), "byte {place}");
        }
        let cut = u.int_in_range(0..=bytes.len() - 1)?;
        assert!(Block::open(&mut sealer, &bytes[..cut]).is_err());
        Ok(())
    });
}

#[test]
fn a_full_block_takes_no_more() {
    let mut writer = BlockWriter::default();
    for _ in 0..PAYLOADS_MAX {
        writer.push(b"payload").expect("room");
    }
    assert!(writer.push(b"one more").is_err());
    assert_eq!(writer.len(), PAYLOADS_MAX);
}

#[test]
fn lengths_that_lie_are_told_behind_a_right_checksum() {
    let mut sealer = Sealer::new();
    for raw in [
        &[33][..],
        &[1],
        &[9, 0, 0, 0, 1],
        &[5, 0, 0, 0, 1, 0, 0, 0, 2],
        &[],
    ] {
        let bytes = sealer.seal(Tag::Payloads, 0, raw).expect("sealed");
        let opened = Block::open(&mut sealer, &bytes);
        assert!(
            opened.is_err() || opened.is_ok_and(|block| block.len() == 0),
            "{raw:?}"
        );
    }
    let text = sealer.seal(Tag::Text, 0, b"text").expect("sealed");
    assert!(Block::open(&mut sealer, &text).is_err());
}

#[test]
fn the_same_memory_serves_block_after_block() {
    let (mut sealer, mut block) = (Sealer::new(), Block::default());
    for number in 0..5_u8 {
        let mut writer = BlockWriter::default();
        writer
            .push(&vec![number; 1_000 * usize::from(number)])
            .expect("room");
        let bytes = writer.finish(&mut sealer).expect("sealed");
        block.open_again(&mut sealer, &bytes).expect("opened");
        assert_eq!(
            block.payload(0).map(<[u8]>::len),
            Some(1_000 * usize::from(number))
        );
        assert!(block.open_again(&mut sealer, b"nonsense").is_err());
        assert_eq!(block.len(), 0);
    }
}

#[test]
fn what_compressing_would_not_make_smaller_stands_as_it_is() {
    let mut sealer = Sealer::new();
    let mut noise = 1_u64;
    let mut noisy = |length: usize| -> Vec<u8> {
        std::iter::repeat_with(|| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .take(length)
        .collect()
    };
    let prose = b"the same words and the same words again ".repeat(40);
    for (raw, is_plain) in [
        (Vec::new(), true),
        (noisy(1), true),
        (vec![b'a'; PLAIN_BYTES_MAX], true),
        (vec![b'a'; PLAIN_BYTES_MAX + 1], false),
        (noisy(PLAIN_BYTES_MAX * 20), true),
        (prose, false),
    ] {
        let bytes = sealer.seal(Tag::Other, 7, &raw).expect("sealed");
        assert_eq!(bytes.len() == HEADER_BYTES + raw.len(), is_plain, "{}", raw.len());
        assert!(bytes.len() <= HEADER_BYTES + raw.len());
        let sealed = Sealed::read(&bytes).expect("a head");
        assert_eq!(sealer.open(&sealed).expect("opened"), raw);
    }
}
