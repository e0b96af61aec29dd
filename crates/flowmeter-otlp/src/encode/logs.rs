//! Log lines, grouped by where they come from.
//!
//! Never filters: what is handed in is written.

use std::collections::HashMap;

use flowmeter_model::{LogLevel, LogRecord, TraceId};

use super::{Encoder, Envelope, SCOPE_NAME, scope_group};
use crate::conventions::Slots;
use crate::request::ScopeGroup;
use crate::wire::Wire;

const LOG_ATTRIBUTES: u32 = 6;
const FLAG_SAMPLED: u32 = 1;

/// The smallest number of each severity's range. Source: OpenTelemetry logs data model, `SeverityNumber`.
fn severity_number(level: LogLevel) -> u64 {
    match level {
        LogLevel::Trace => 1,
        LogLevel::Debug => 5,
        LogLevel::Info => 9,
        LogLevel::Warn => 13,
        LogLevel::Error => 17,
    }
}

impl Encoder {
    pub(super) fn write_logs<'s>(
        &self,
        envelope: &Envelope<'_>,
        records: &mut dyn Iterator<Item = (TraceId, &'s LogRecord)>,
    ) -> Vec<ScopeGroup> {
        let mut indices: HashMap<Option<&'s str>, usize> = HashMap::new();
        let mut groups: Vec<(Option<&'s str>, Wire, Vec<usize>)> = Vec::new();
        for (trace_id, record) in records {
            let target = record.target.as_deref();
            let index = *indices.entry(target).or_insert_with(|| {
                groups.push((target, Wire::default(), Vec::new()));
                groups.len() - 1
            });
            if let Some((_, wire, ends)) = groups.get_mut(index) {
                self.write_log(wire, envelope, trace_id, record);
                ends.push(wire.len());
            }
        }
        let groups = groups.into_iter().map(|(target, wire, ends)| match target {
            None => scope_group(SCOPE_NAME, envelope.scope_version, "", wire, ends),
            // Whose version ours is not.
            Some(target) => scope_group(target, "", "", wire, ends),
        });
        groups.collect()
    }

    fn write_log(&self, wire: &mut Wire, envelope: &Envelope<'_>, trace_id: TraceId, record: &LogRecord) {
        let message = wire.open(2, 2);
        wire.fixed64(1, record.time.0);
        wire.uint(2, severity_number(record.level));
        wire.bytes(3, record.level.as_str().as_bytes());
        let body = wire.open(5, 1);
        wire.bytes_always(1, record.message.as_bytes());
        wire.close(body);
        let mut slots = Slots::default();
        for (key, value) in record.attributes.iter() {
            self.write_attribute(wire, LOG_ATTRIBUTES, key, value, &mut slots);
        }
        wire.fixed32(8, if envelope.sampled { FLAG_SAMPLED } else { 0 });
        wire.bytes(9, &trace_id.to_bytes());
        if let Some(span_id) = record.span_id {
            wire.bytes(10, &span_id.to_u64().to_be_bytes());
        }
        // Seen as it was written: there is no collector in between.
        wire.fixed64(11, record.time.0);
        wire.close(message);
    }
}
