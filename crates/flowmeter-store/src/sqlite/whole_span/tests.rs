//! Spans come back as they were; damaged bytes are errors.

use flowmeter_model::{AttributeValue, IdSource, Span, SpanKind, TimestampNs};
use serde_json::json;

use super::{of_detail, pack, unpack};
use crate::RunKey;
use crate::codec::Damaged;
use crate::codec::block::Sealer;
use crate::codec::content::{ContentHash, ContentSource, NoSink, OpenedContent};

struct NoSource;

impl ContentSource for NoSource {
    fn content(&mut self, _hash: ContentHash) -> Result<std::sync::Arc<OpenedContent>, Damaged> {
        Err(Damaged("nothing is kept apart"))
    }
}

fn spans() -> (RunKey, Vec<Span>) {
    let mut ids = IdSource::from_seed(5);
    let run = RunKey {
        trace_id: ids.trace_id(),
        root_span_id: ids.span_id(),
    };
    let mut open = Span::begin(
        run.trace_id,
        ids.span_id(),
        Some(ids.span_id()),
        SpanKind::Node,
        "node.llm",
        TimestampNs(7),
    );
    open.attributes.set("node.id", "ask");
    let mut resource = flowmeter_model::Attributes::new();
    resource.set("service.name", "test");
    resource.set("real", AttributeValue::F64(2.0));
    let detail = of_detail(run, resource, Some(json!({"cost": 1.5})));
    (run, vec![open, detail])
}

#[test]
fn what_is_packed_comes_back() {
    let ((run, spans), mut sealer) = (spans(), Sealer::new());
    let bytes = pack(run, spans.iter(), &mut NoSink, &mut sealer).unwrap();
    assert_eq!(unpack(run, &bytes, &mut NoSource, &mut sealer).unwrap(), spans);
}

#[test]
fn a_changed_byte_is_told() {
    let ((run, spans), mut sealer) = (spans(), Sealer::new());
    let bytes = pack(run, spans.iter(), &mut NoSink, &mut sealer).unwrap();
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x40;
        assert!(
            unpack(run, &damaged, &mut NoSource, &mut sealer).is_err(),
            "byte {place}"
        );
    }
}
