//! Words of texts in several scripts.

use expect_test::expect;

use super::{fold, tokens};

fn words(text: &str) -> String {
    let tokens = tokens(text);
    for token in &tokens {
        assert_eq!(fold(&text[token.begins..token.ends]), token.text);
    }
    let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    words.join(" | ")
}

#[test]
fn words_of_several_scripts() {
    expect!["the | quick | brown | fox's | v1.2.3 | a_b | 42"]
        .assert_eq(&words("The  quick-brown fox's «v1.2.3» a_b, #42!"));
    expect!["数 | 据 | 库 | abc | 用 | 户 | 3 | 个"].assert_eq(&words("数据库abc用户3个"));
    expect!["デ | ー | タ | ベ | ー | ス | に"].assert_eq(&words("データベースに"));
    expect!["ก | า | ร | ท | ำ"].assert_eq(&words("การทำ"));
    expect!["데이터베이스 | 연결"].assert_eq(&words("데이터베이스 연결"));
    expect!["не | удалось"].assert_eq(&words("Не УДАЛОСЬ"));
    expect!["قاعدة | البيانات"].assert_eq(&words("قاعدة، البيانات"));
    expect![""].assert_eq(&words(" … —\n\t 👩‍👩‍👧 !"));
}

#[test]
fn folding_knows_one_sigma_and_no_more() {
    assert_eq!(fold("ΟΔΟΣ Οδός"), "οδοσ οδόσ");
    assert_eq!(fold("İ"), "i\u{307}");
    assert_eq!(fold("Straße"), "straße");
}
