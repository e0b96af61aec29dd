//! Tests of packed columns.

use std::time::Instant;

use flowmeter_model::TraceId;
use smol_str::SmolStr;

use super::super::random_spans;
use super::*;

fn names(narrow: &NarrowSpan) -> NarrowSpan<i64> {
    // A name's number: its length and first byte, which is enough to tell a mix-up.
    narrow
        .with_names(|name: &SmolStr| {
            Ok::<_, Damaged>(name.len() as i64 * 256 + i64::from(name.bytes().next().unwrap_or(0)))
        })
        .expect("names")
}

#[test]
fn columns_give_back_every_span() {
    arbtest::arbtest(|u| {
        let trace = TraceId::parse("0af7651916cd43dd8448eb211c80319c").expect("an id");
        let mut writer = ColumnsWriter::default();
        let mut spans = Vec::new();
        for place in 0..u.int_in_range(0..=12)? {
            let span = random_spans::span(u, trace)?;
            let mut narrow = names(&NarrowSpan::of(&span, SmolStr::new("a node"), u.arbitrary()?));
            narrow.duration_ns = narrow.duration_ns.map(|ns| ns.min(u64::MAX - 1));
            narrow.cost = narrow.cost.map(|cost| UsdNanos(cost.0.max(i64::MIN + 1)));
            if let Some((_, before)) = spans.last().filter(|_| place % 2 == 0) {
                narrow.parent_span_id = Some(NarrowSpan::<i64>::clone(before).span_id);
            }
            let run = u.int_in_range(0..=2)?;
            writer.push(run, false, &narrow).expect("room");
            spans.push((run, narrow));
        }
        let encoded = writer.finish();
        assert_eq!(writer.len(), 0);
        let decoded = DecodedColumns::decode(spans.len(), |column| encoded.bytes(column)).expect("decoded");
        assert_eq!(decoded.spans().collect::<Vec<_>>(), spans);
        // Another number of spans is told, unless all are the same one.
        if spans.windows(2).any(|two| two[0].1.span_id != two[1].1.span_id) {
            assert!(DecodedColumns::decode(spans.len() + 1, |column| encoded.bytes(column)).is_err());
        }
        let column = *u.choose(&Column::ALL)?;
        let mut bytes = encoded.bytes(column).to_vec();
        let place = u.choose_index(bytes.len())?;
        bytes[place] = u.arbitrary()?;
        bytes.truncate(u.int_in_range(0..=bytes.len())?);
        let of = |wanted: Column| {
            if wanted == column {
                bytes.as_slice()
            } else {
                encoded.bytes(wanted)
            }
        };
        if let Ok(decoded) = DecodedColumns::decode(spans.len(), of) {
            assert!(decoded.spans().count() <= spans.len());
        }
        Ok(())
    });
}

#[test]
fn integers_of_every_shape_come_back() {
    arbtest::arbtest(|u| {
        let shift = u.int_in_range(0..=63)?;
        let repeat = *u.choose(&[1_usize, 1, 7, 300])?;
        let zero_ratio = u.int_in_range(0..=4)?;
        let mut numbers = Vec::new();
        for _ in 0..u.int_in_range(0..=60)? {
            let number = if u.int_in_range(0..=3)? < zero_ratio {
                0
            } else {
                u.arbitrary::<u64>()? >> shift
            };
            numbers.extend(std::iter::repeat_n(number, repeat));
        }
        let bytes = encode_integers(&numbers);
        let mut again = vec![1, 2, 3];
        decode_integers(&bytes, numbers.len(), &mut again).expect("decoded");
        assert_eq!(again, numbers);
        assert!(bytes.len() <= numbers.len() * 8 + 16);
        let noise: Vec<u8> = u.arbitrary()?;
        let _ = decode_integers(&noise, u.int_in_range(0..=2_000)?, &mut again);
        Ok(())
    });
    assert!(decode_integers(&[0, 0], SPANS_MAX + 1, &mut Vec::new()).is_err());
}

#[test]
fn every_column_has_its_own_name_and_place() {
    let names: std::collections::BTreeSet<&str> = Column::ALL.iter().map(|column| column.as_str()).collect();
    assert_eq!(names.len(), Column::ALL.len());
    for (place, column) in Column::ALL.into_iter().enumerate() {
        assert_eq!(column as usize, place, "{}", column.as_str());
        let is_name = NAME_COLUMNS.contains(&column);
        let is_number = NUMBER_COLUMNS.contains(&column);
        assert_eq!(
            usize::from(is_name) + usize::from(is_number),
            usize::from(column != Column::Parent)
        );
    }
}

#[test]
fn classes_money_and_costs_come_back() {
    for kind in KINDS {
        for status in STATUSES {
            for hit in [false, true] {
                let class = SpanClass::of(kind, status, hit);
                assert_eq!(
                    (class.kind(), class.status(), class.is_cache_hit()),
                    (kind, status, hit)
                );
            }
        }
    }
    for status in COST_STATUSES {
        assert_eq!(decode_cost_status(encode_cost_status(status)), status);
    }
    for amount in [
        None,
        Some(UsdNanos(0)),
        Some(UsdNanos(-1)),
        Some(UsdNanos(i64::MAX)),
    ] {
        assert_eq!(decode_money(encode_money(amount)), amount);
    }
}

fn thousand() -> Vec<NarrowSpan<i64>> {
    let spans = (0..1_000).map(random_spans::llm_call);
    spans
        .map(|span| {
            names(&NarrowSpan::of(
                &span,
                SmolStr::new("summarise"),
                super::super::payload::prompt_hash(&span),
            ))
        })
        .collect()
}

#[test]
fn a_thousand_calls_take_little_room() {
    let mut writer = ColumnsWriter::default();
    for (place, span) in thousand().iter().enumerate() {
        writer.push((place / 10) as u16, place == 0, span).expect("room");
    }
    let encoded = writer.finish();
    let each = encoded.total_bytes() / 1_000;
    assert!(each <= 40, "{each} bytes a span");
}

fn quickest(mut round: impl FnMut()) -> std::time::Duration {
    let times = (0..200).map(|_| {
        let started = Instant::now();
        round();
        started.elapsed()
    });
    times.min().unwrap_or_default()
}

#[test]
#[ignore = "measures"]
fn how_long_columns_take() {
    let spans = thousand();
    let mut writer = ColumnsWriter::default();
    let mut encoded = EncodedColumns::default();
    let write = quickest(|| {
        for (place, span) in spans.iter().enumerate() {
            writer.push((place / 10) as u16, place == 0, span).expect("room");
        }
        encoded = writer.finish();
    });
    let mut told = format!("{} B a span, {write:?} to pack;", encoded.total_bytes() / 1_000);
    let mut numbers = Vec::new();
    for column in NUMBER_COLUMNS {
        let unpack =
            quickest(|| decode_integers(encoded.bytes(column), 1_000, &mut numbers).expect("decoded"));
        told += &format!(" {} {unpack:?}", column.as_str());
    }
    let names = quickest(|| {
        DictionaryColumn::decode(encoded.bytes(Column::Model), 1_000).expect("decoded");
    });
    let rows = quickest(|| {
        let decoded = DecodedColumns::decode(1_000, |column| encoded.bytes(column)).expect("decoded");
        assert_eq!(decoded.spans().count(), 1_000);
    });
    panic!("for 1,000 spans: {told} model {names:?}; all columns to rows {rows:?}");
}
