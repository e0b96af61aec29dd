//! Tests of content kept apart.

use super::*;

#[test]
fn rows_come_back_and_damaged_ones_are_told() {
    let mut sealer = Sealer::new();
    let parent = Some((ContentHash(7), 3));
    let bytes = b"\x01\x02".as_slice();
    for (row, opened) in [
        (
            ContentRow::Text("größe".as_bytes()),
            OpenedContent::Text("größe".to_owned()),
        ),
        (
            ContentRow::Messages {
                parent,
                count: 5,
                bytes,
            },
            OpenedContent::Messages {
                parent,
                count: 5,
                bytes: bytes.to_vec(),
            },
        ),
        (
            ContentRow::Messages {
                parent: None,
                count: 2,
                bytes,
            },
            OpenedContent::Messages {
                parent: None,
                count: 2,
                bytes: bytes.to_vec(),
            },
        ),
    ] {
        let mut sealed = row.seal(&mut sealer).expect("sealed");
        assert_eq!(OpenedContent::open(&mut sealer, &sealed), Ok(opened));
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        assert!(OpenedContent::open(&mut sealer, &sealed).is_err());
    }
}

#[test]
fn a_chain_that_leads_in_a_circle_ends() {
    struct Circle;
    impl ContentSource for Circle {
        fn content(&mut self, hash: ContentHash) -> Result<Arc<OpenedContent>, Damaged> {
            Ok(Arc::new(OpenedContent::Messages {
                parent: Some((hash, 2)),
                count: 2,
                bytes: Vec::new(),
            }))
        }
    }
    assert!(chain_of(ContentHash(1), 2, &mut Circle).is_err());
}

#[test]
fn hashes_of_beginnings_depend_on_all_before() {
    let one = ContentHash::NO_MESSAGES.and_message(b"a");
    assert_ne!(
        one.and_message(b"b"),
        ContentHash::NO_MESSAGES.and_message(b"b").and_message(b"a")
    );
    assert_ne!(one, ContentHash::NO_MESSAGES.and_message(b"b"));
    assert_eq!(ContentHash::from_bytes(one.to_bytes()), one);
}
