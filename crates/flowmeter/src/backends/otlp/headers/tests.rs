//! Lists of headers: what is read, what is left out, and that no value shows.

use super::OtlpHeaders;

fn pairs(headers: &OtlpHeaders) -> Vec<(&str, &str)> {
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    pairs.collect()
}

#[test]
fn a_list_is_read_and_decoded() {
    let (headers, problems) = OtlpHeaders::parse("api-key=abc%20def, Authorization=Basic%20dTpw==,x=1=2,,");
    assert_eq!(
        pairs(&headers),
        [
            ("api-key", "abc def"),
            ("authorization", "Basic dTpw=="),
            ("x", "1=2")
        ]
    );
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn spaces_that_are_not_encoded_are_taken_as_meant() {
    let (headers, problems) = OtlpHeaders::parse(" authorization = Bearer abc ");
    assert_eq!(pairs(&headers), [("authorization", "Bearer abc")]);
    assert!(problems.is_empty());
}

#[test]
fn what_is_wrong_is_left_out_and_told_without_its_value() {
    let (headers, problems) = OtlpHeaders::parse("good=1,secretvalue,bad name=secret,broken=a%0Asecret");
    assert_eq!(pairs(&headers), [("good", "1")]);
    assert_eq!(
        problems,
        [
            "entry 2 has no `=`",
            "`bad name` is no header name",
            "the value of `broken` has characters that no header may have",
        ]
    );
}

#[test]
fn the_last_of_one_name_holds() {
    let (headers, _) = OtlpHeaders::parse("a=1,A=2");
    assert_eq!(pairs(&headers), [("a", "2")]);
}

#[test]
fn no_value_is_shown() {
    let (headers, _) = OtlpHeaders::parse("authorization=hush");
    let shown = format!("{headers:?}");
    assert!(
        shown.contains("authorization") && !shown.contains("hush"),
        "{shown}"
    );
    let (_, value) = headers.iter().next().unwrap();
    assert!(!format!("{value:?}").contains("hush"));
}
