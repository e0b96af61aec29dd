//! Tests of blocks of log records.

use std::sync::Arc;

use super::super::content::{ContentHash, NoSink, OpenedContent};
use super::super::random_spans;
use super::*;

struct Nothing;

impl ContentSource for Nothing {
    fn content(&mut self, _hash: ContentHash) -> Result<Arc<OpenedContent>, Damaged> {
        Err(Damaged("there is no such content"))
    }
}

#[test]
fn log_records_come_back_as_they_were() {
    arbtest::arbtest(|u| {
        let (mut sealer, mut writer) = (Sealer::new(), LogBlockWriter::default());
        let mut payloads = PayloadWriter::default();
        let mut records = Vec::new();
        for _ in 0..u.int_in_range(0..=6)? {
            records.push(random_spans::log_record(u)?);
        }
        for record in &records {
            writer.push(&mut payloads, record, &mut NoSink).expect("room");
        }
        let bytes = writer.finish(&mut sealer).expect("sealed");
        assert_eq!(writer.len(), 0);
        let block = LogBlock::open(&mut sealer, &bytes).expect("opened");
        assert_eq!(block.len(), records.len());
        for (place, record) in records.iter().enumerate() {
            assert_eq!(block.level(place), Some(record.level));
            assert_eq!(
                block.record(place, &mut Nothing).expect("read").as_ref(),
                Some(record)
            );
            block
                .visit_texts(place, &mut Nothing, &mut |_, _, _| {})
                .expect("read");
        }
        assert_eq!(block.record(records.len(), &mut Nothing), Ok(None));
        let most = records.iter().map(|record| record.level).max();
        for level in [
            LogLevel::Trace,
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Warn,
            LogLevel::Error,
        ] {
            assert_eq!(
                LogBlock::may_hold(&bytes, level).expect("read"),
                most.is_some_and(|most| most >= level)
            );
        }
        let noise: Vec<u8> = u.arbitrary()?;
        let sealed = sealer.seal(Tag::Logs, 0, &noise).expect("sealed");
        if let Ok(block) = LogBlock::open(&mut sealer, &sealed) {
            for place in 0..block.len() {
                let _ = block.record(place, &mut Nothing);
            }
        }
        Ok(())
    });
}
