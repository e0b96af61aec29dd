//! Tests of baggage.

use arbtest::arbtest;

use super::*;

fn whole(text: &str) -> Baggage {
    let (baggage, problems) = Baggage::parse(text);
    assert!(problems.is_empty(), "{problems:?}");
    baggage
}

#[test]
fn pairs_properties_and_space_are_read_as_the_specification_has_them() {
    let text = "key1=value1;property1;property2, key2 = value2\t, key3=value3; propertyKey = propertyValue";
    let baggage = whole(text);
    assert_eq!(
        baggage.to_string(),
        "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue"
    );
    assert_eq!(baggage.get("key2").as_deref(), Some("value2"));
    assert_eq!(baggage.members()[0].properties(), "property1;property2");
    assert_eq!(baggage.members()[1].key(), "key2");
    assert!(whole("").is_empty());
    assert!(whole(" ,, ").is_empty());
}

#[test]
fn values_are_decoded_when_asked_for_and_passed_on_as_they_came() {
    let text = "serverNode=DF%2028,eq=a=b%3Dc,empty=,umlaut=%C3%A4,broken=%zz,latin=%E4";
    let baggage = whole(text);
    let value = |key| baggage.get(key).unwrap().into_owned();
    assert_eq!(value("serverNode"), "DF 28");
    assert_eq!(value("eq"), "a=b=c");
    assert_eq!(value("empty"), "");
    assert_eq!(value("umlaut"), "ä");
    assert_eq!(value("broken"), "%zz");
    assert_eq!(value("latin"), "\u{fffd}");
    assert_eq!(baggage.to_string(), text);
}

#[test]
fn a_key_may_be_there_twice_and_the_last_one_counts() {
    let baggage = whole("a=1,b=2,a=3");
    assert_eq!(baggage.get("a").as_deref(), Some("3"));
    assert_eq!(baggage.to_string(), "a=1,b=2,a=3");
}

#[test]
fn malformed_members_are_left_out_and_told() {
    let (baggage, problems) = Baggage::parse("a=1,nothing,=2,b c=3,d=\"4\",e=5;,f=6;x=\\,g=7;y=z,h=ä,i=j k");
    assert_eq!(baggage.to_string(), "a=1,g=7;y=z");
    assert_eq!(
        problems,
        [
            "member 2: it has no `=`",
            "member 3: its key is empty or has a character that no key may have",
            "member 4: its key is empty or has a character that no key may have",
            "member 5: its value has a character that must be percent-encoded",
            "member 6: one of its properties is malformed",
            "member 7: one of its properties is malformed",
            "member 9: its value has a character that must be percent-encoded",
            "member 10: its value has a character that must be percent-encoded",
        ]
    );
}

#[test]
fn what_must_be_carried_is_carried_and_what_is_beyond_the_limit_is_told() {
    let members: Vec<String> = (0..64)
        .map(|number| format!("k{number:02}={}", "v".repeat(123)))
        .collect();
    let full = members.join(",");
    assert_eq!(full.len(), 64 * 127 + 63);
    let full = format!("{full}{}", "v".repeat(8192 - full.len()));
    assert_eq!(whole(&full).to_string(), full);

    let (cut, problems) = Baggage::parse(&format!("{full}v"));
    assert_eq!(cut.members().len(), 63);
    assert_eq!(
        problems,
        ["1 members are beyond the limit of 180 members and 8192 bytes"]
    );
    let many: Vec<String> = (0..200).map(|number| format!("k{number}=v")).collect();
    let (cut, problems) = Baggage::parse(&many.join(","));
    assert_eq!(cut.members().len(), 180);
    assert_eq!(
        problems,
        ["20 members are beyond the limit of 180 members and 8192 bytes"]
    );
}

#[test]
fn a_member_made_here_can_hold_any_text() {
    arbtest(|u| {
        let value: String = u.arbitrary()?;
        let member = BaggageMember::new("key", &value).unwrap();
        assert_eq!(member.value(), value);
        assert_eq!(BaggageMember::parse(&member.to_string()), Ok(member));
        Ok(())
    });
    assert_eq!(BaggageMember::new("a b", "c"), Err(InvalidBaggageMember::Key));
}

#[test]
fn a_baggage_survives_being_written_and_read_whatever_it_came_as() {
    arbtest(|u| {
        const PIECES: [&str; 14] = [
            "a", "key", "=", "=", ",", ",", ";", " ", "\t", "%20", "%", "\"", "é", "value",
        ];
        let text: String = (0..u.int_in_range(0..=60)?)
            .map(|_| u.choose(&PIECES).copied())
            .collect::<Result<_, _>>()?;
        let (baggage, _) = Baggage::parse(&text);
        let written = baggage.to_string();
        assert!(written.len() <= BYTES_MAX);
        assert_eq!(baggage.bytes, written.len());
        assert_eq!(whole(&written), baggage);
        Ok(())
    });
}
