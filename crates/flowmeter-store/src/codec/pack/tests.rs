//! References are noticed without reading what stands before them.

use super::*;

#[test]
fn references_are_noticed_wherever_they_stand() {
    let mut bytes = Vec::new();
    write_text(&mut bytes, "a text in English, ein Text, текст, 文本");
    assert!(!may_refer(&bytes));
    for write in [
        |out: &mut Vec<u8>| write_text_reference(out, 7),
        |out: &mut Vec<u8>| write_messages_reference(out, 7, 3),
    ] {
        let mut bytes = bytes.clone();
        write(&mut bytes);
        assert!(may_refer(&bytes));
        write_text(&mut bytes, "more");
        assert!(may_refer(&bytes));
    }
}
