//! Filters of log lines: what they let pass, and what is told of those that cannot be read.

use flowmeter_model::LogLevel;

use super::LogFilter;

const LEVELS: [LogLevel; 5] = [
    LogLevel::Trace,
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warn,
    LogLevel::Error,
];

fn kept(filter: &LogFilter, target: &str) -> usize {
    LEVELS
        .iter()
        .filter(|level| filter.keeps(target, **level))
        .count()
}

#[test]
fn the_longest_name_that_a_target_begins_with_decides() {
    let filter = LogFilter::parse("warn, genai=debug,genai::webc=off,h=trace,hyper=error").unwrap();
    for (target, count) in [
        ("other", 2),
        ("genai", 4),
        ("genai::chat", 4),
        ("genai::webc", 0),
        ("genai::webc::client", 0),
        ("h2::codec", 5),
        ("hyper::client", 1),
        ("", 2),
    ] {
        assert_eq!(kept(&filter, target), count, "{target}");
    }
    assert_eq!(filter.finest(), Some(LogLevel::Trace));
}

#[test]
fn the_order_of_pieces_does_not_matter_but_for_repeated_ones() {
    let one = LogFilter::parse("debug,b=off,a=info").unwrap();
    assert_eq!(one, LogFilter::parse("a=info,debug,b=off").unwrap());
    assert_eq!(kept(&LogFilter::parse("a=off,a=error").unwrap(), "a"), 1);
    assert_eq!(kept(&LogFilter::parse("off,WARN").unwrap(), "a"), 2);
}

#[test]
fn without_a_level_for_everything_it_is_info_and_nodes_say_more() {
    for text in ["", " , ", "hyper=off"] {
        let filter = LogFilter::parse(text).unwrap();
        assert_eq!(kept(&filter, "genai"), 3, "{text}");
        assert!(filter.keeps_of_node("shell", LogLevel::Debug));
        assert!(!filter.keeps_of_node("shell", LogLevel::Trace));
    }
    // Who asks for a level gets that level.
    let filter = LogFilter::parse("info").unwrap();
    assert!(!filter.keeps_of_node("shell", LogLevel::Debug));
    let filter = LogFilter::parse("info,shell=trace").unwrap();
    assert!(filter.keeps_of_node("shell", LogLevel::Trace));
    assert!(
        !LogFilter::parse("off")
            .unwrap()
            .keeps_of_node("shell", LogLevel::Error)
    );
    assert_eq!(LogFilter::parse("off").unwrap().finest(), None);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, piece) in [
        ("loud", "`loud` is no log level"),
        ("info,genai", "`genai` is no log level"),
        ("info,genai=", "`` in `genai=` is no log level"),
        ("genai=loud,info", "`loud` in `genai=loud` is no log level"),
        ("=info", "`=info` names no target"),
        ("a=info=warn", "`info=warn` in `a=info=warn` is no log level"),
    ] {
        let message = LogFilter::parse(text).unwrap_err().to_string();
        assert!(message.starts_with(piece), "{text}: {message}");
    }
}

#[test]
fn the_finest_level_is_the_finest_that_anybody_may_write() {
    arbtest::arbtest(|u| {
        let levels = ["trace", "debug", "info", "warn", "error", "off"];
        let names = ["a", "ab", "ab::c", "b", "hyper"];
        let mut pieces = vec![(*u.choose(&levels)?).to_owned()];
        for _ in 0..u.int_in_range(0..=6)? {
            pieces.push(format!("{}={}", u.choose(&names)?, u.choose(&levels)?));
        }
        let filter = LogFilter::parse(&pieces.join(",")).unwrap();
        let seen = names.iter().chain(&["z"]);
        let finest = LEVELS
            .into_iter()
            .find(|level| seen.clone().any(|target| filter.keeps(target, *level)));
        assert_eq!(filter.finest(), finest);
        Ok(())
    });
}
