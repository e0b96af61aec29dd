//! What a search prints: hits by run, marked, cut to the width.

use expect_test::expect;
use flowmeter_store::{SearchMode, SearchQuery, Store};
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::history_view::sample;

fn hits(text: &str, mode: SearchMode) -> Vec<SearchHit> {
    let query = SearchQuery {
        text: text.to_owned(),
        mode,
        limit: 50,
        ..SearchQuery::default()
    };
    sample::store().search(&query).expect("it can be read")
}

fn shown(hits: &[SearchHit], width: Option<usize>, colour: bool) -> String {
    let times = sample::times();
    let text = hits_text(
        hits,
        HitLook {
            colour,
            width,
            times: &times,
        },
    );
    for line in text.lines().filter(|_| !colour) {
        assert!(line.width() <= width.unwrap_or(usize::MAX), "{line}");
    }
    text
}

#[test]
fn hits_stand_under_their_runs() {
    let found = hits("会议", SearchMode::Words);
    expect![[r#"
        00aa11bb  summarize  59 min ago
          (run)  prompt  Summarise: 会议纪要: 四点开会
          (run)  prompt  Summarise: 会议纪要: 四点开会
          fetch  fetch.stdout  会议纪要: 四点开会

        4bf92f35  summarize  yesterday 14:00
          (run)  prompt  Summarise: 会议记录: 三点开会
          summarize  template ${fetch.stdout}  会议记录: 三点开会
          fetch  fetch.stdout  会议记录: 三点开会
    "#]]
    .assert_eq(&shown(&found, None, false));
    expect![[r#"
        00aa11bb  summarize  59 min ago
          (run)  response  A meeting at four.
          summarize  summarize.response  A meeting at four.

        4bf92f35  summarize  yesterday 14:00
          (run)  text  A meeting at three.
          (run)  response  A meeting at three.
          summarize  summarize.response  A meeting at three.
    "#]]
    .assert_eq(&shown(&hits("meeting", SearchMode::Words), Some(60), false));
}

#[test]
fn what_matched_is_in_colour() {
    let found = hits("refused", SearchMode::Substring);
    expect![[r#"
        ESC[33m00aa11bbESC[0m  ESC[1msummarizeESC[0m  ESC[2m59 min agoESC[0m
          ESC[36mpublishESC[0m  ESC[2mlogESC[0m  publishing failed: connection ESC[31;1mrefusedESC[0m
    "#]]
    .assert_eq(&shown(&found, Some(80), true).replace('\u{1b}', "ESC"));
    let json = hit_json(&found[0]);
    let context = json["context"].as_str().expect("it is a text");
    let from = json["matches"][0][0].as_u64().expect("a number") as usize;
    let to = json["matches"][0][1].as_u64().expect("a number") as usize;
    assert_eq!(&context[from..to], "refused");
}

#[test]
fn what_matched_is_never_cut_away() {
    for room in 8..40 {
        let text = "an agreeable 会议 about nothing that matters at all, with a needle far away from both ends of it";
        let at = text.find("needle").expect("it is there");
        let (from, to) = window(text, Some((at, at + 6)), Some(room));
        assert!(
            text[from..to].contains("needle") || room < 9,
            "{room}: {}",
            &text[from..to]
        );
        assert!(columns_of(&text[from..to]) + 2 <= room, "{room}");
    }
    assert_eq!(window("short", Some((0, 5)), Some(80)), (0, 5));
}
