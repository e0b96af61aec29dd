//! One asks, the others wait; when that one gives up, another asks.

use flowmeter_model::{CostStatus, TimestampNs, TokenUsage};

use super::super::entry::AboutAnswer;
use super::*;
use crate::chat::{ChatRequest, ChatTarget};

fn key() -> CacheKey {
    let target = ChatTarget {
        provider: "p".into(),
        model: "m".into(),
        server_address: None,
        server_port: None,
        server_path: None,
    };
    CacheKey::of(&ChatRequest::default(), &target).unwrap()
}

fn answer() -> Arc<CachedAnswer> {
    Arc::new(CachedAnswer {
        about: AboutAnswer {
            key: key().hex(),
            stored_ns: TimestampNs(0),
            provider: "p".into(),
            request_model: "m".into(),
            model: None,
            finish_reason: None,
            usage: TokenUsage::default(),
            cost_status: CostStatus::Unpriced,
            cost_nanos: None,
        },
        text: "a".to_owned(),
    })
}

fn lead(turn: Turn) -> Leader {
    match turn {
        Turn::Lead(leader) => leader,
        Turn::Wait(_) => panic!("somebody else leads"),
    }
}

fn wait(turn: Turn) -> Waiting {
    match turn {
        Turn::Wait(waiting) => waiting,
        Turn::Lead(_) => panic!("nobody leads"),
    }
}

#[tokio::test]
async fn those_who_wait_get_the_answer_of_the_one_who_asks() {
    let flights = Arc::new(Flights::default());
    let leader = lead(flights.turn(key()));
    let waiting: Vec<Waiting> = (0..3).map(|_| wait(flights.turn(key()))).collect();
    leader.answer(answer());
    for waiting in waiting {
        assert_eq!(waiting.answer().await, Some(answer()));
    }
    assert!(flights.under_way.lock().is_empty());
}

#[tokio::test]
async fn when_the_one_who_asks_gives_up_exactly_one_of_the_others_asks() {
    let flights = Arc::new(Flights::default());
    let leader = lead(flights.turn(key()));
    let (first, second) = (wait(flights.turn(key())), wait(flights.turn(key())));
    drop(leader);
    assert_eq!(first.answer().await, None);
    let leader = lead(flights.turn(key()));
    assert_eq!(second.answer().await, None);
    let again = wait(flights.turn(key()));
    leader.answer(answer());
    assert_eq!(again.answer().await, Some(answer()));
}
