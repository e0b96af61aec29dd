//! The deadline: who waits for it is told, and it never moves back.

use std::time::{Duration, Instant};

use super::Deadline;

#[test]
fn an_earlier_moment_stays() {
    let deadline = Deadline::default();
    assert_eq!(deadline.time_left(), None);
    let now = Instant::now();
    deadline.set(now);
    deadline.set(now + Duration::from_secs(3600));
    assert_eq!(deadline.time_left(), Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_when_it_is_set_later() {
    let deadline = Deadline::default();
    let waiting = deadline.clone();
    let told = tokio::spawn(async move { waiting.near(Duration::from_secs(1)).await });
    tokio::task::yield_now().await;
    assert!(!told.is_finished());
    deadline.set(tokio::time::Instant::now().into_std() + Duration::from_secs(3));
    tokio::time::timeout(Duration::from_secs(4), told)
        .await
        .expect("in time")
        .expect("no panic");
}
