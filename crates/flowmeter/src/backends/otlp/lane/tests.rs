//! A lane against a scripted receiver, in time that only moves when everybody waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flowmeter_otlp::Signal;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{BatchLimits, Keeper, Lane};
use crate::backends::otlp::attempts::{Attempts, Deadline};
use crate::backends::otlp::config::{OtlpDestination, OtlpEndpoint, OtlpProtocol};
use crate::backends::otlp::delivery::{Accepted, Failure, FailureKind, Payload, Transport};
use crate::backends::otlp::retry::OtlpRetryPolicy;
use crate::backends::otlp::spool::Spool;
use crate::backends::otlp::tally::Tally;

/// What a receiver does with a request.
enum Answer {
    Takes,
    TakesBut(u64, &'static str),
    Fails(Failure),
    Hangs,
}

/// Answers as it is told, then takes everything; remembers when each request came, and how large it was.
struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<(Duration, u64, usize)>>,
    began: Instant,
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, payload: &Payload) -> Result<Accepted, Failure> {
        let at = self.began.elapsed();
        self.seen.lock().push((at, payload.items, payload.content.len()));
        let answer = self.answers.lock().pop_front();
        match answer.unwrap_or(Answer::Takes) {
            Answer::Takes => Ok(Accepted::default()),
            Answer::TakesBut(rejected, message) => Ok(Accepted {
                rejected,
                message: message.to_owned(),
            }),
            Answer::Fails(failure) => Err(failure),
            Answer::Hangs => std::future::pending().await,
        }
    }
}

struct Bench {
    receiver: Arc<Scripted>,
    parts: mpsc::Sender<Payload>,
    ending: watch::Sender<Deadline>,
    tally: Arc<Tally>,
    queued: Arc<AtomicUsize>,
    lane: tokio::task::JoinHandle<bool>,
}

fn bench(answers: impl IntoIterator<Item = Answer>, spool: Option<Spool>) -> Bench {
    bench_with(answers, spool, OtlpRetryPolicy::default())
}

fn bench_with(
    answers: impl IntoIterator<Item = Answer>,
    spool: Option<Spool>,
    policy: OtlpRetryPolicy,
) -> Bench {
    let receiver = Arc::new(Scripted {
        answers: Mutex::new(answers.into_iter().collect()),
        seen: Mutex::default(),
        began: Instant::now(),
    });
    let (parts, incoming) = mpsc::channel(64);
    let (ending, deadline) = watch::channel(None);
    let tally = Arc::<Tally>::default();
    let queued = Arc::new(AtomicUsize::new(0));
    let endpoint = OtlpEndpoint::parse("http://receiver:4318", OtlpProtocol::HttpProtobuf, false).unwrap();
    let destination = OtlpDestination::new(endpoint, OtlpProtocol::HttpProtobuf);
    let lane = Lane {
        transport: Arc::clone(&receiver) as Arc<dyn Transport>,
        attempts: Attempts::new(policy, destination.timeout, deadline, Box::new(|| 0.5)),
        destination,
        limits: BatchLimits {
            items_max: 512,
            bytes_max: 1000,
            delay: Duration::from_secs(1),
        },
        incoming,
        queued_bytes: Arc::clone(&queued),
        keeper: Keeper {
            name: "otlp".to_owned(),
            spool,
            tally: Arc::clone(&tally),
        },
    };
    Bench {
        receiver,
        parts,
        ending,
        tally,
        queued,
        lane: tokio::spawn(lane.run()),
    }
}

impl Bench {
    async fn push(&self, items: u64, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::Relaxed);
        let payload = Payload {
            signal: Signal::Traces,
            content: Bytes::from(vec![7; bytes]),
            items,
        };
        self.parts.send(payload).await.unwrap();
    }

    fn end_in(&self, time: Duration) {
        self.ending.send(Some(Instant::now() + time)).unwrap();
    }

    /// Nothing more comes; waits for the lane. Says when which requests came and whether the receiver answers.
    async fn ended(self) -> (Vec<(Duration, u64, usize)>, (u64, u64, u64, u64), bool) {
        drop(self.parts);
        let answers = self.lane.await.unwrap();
        assert_eq!(
            self.queued.load(Ordering::Relaxed),
            0,
            "all that was queued is dealt with"
        );
        let seen = self.receiver.seen.lock().clone();
        (seen, self.tally.counts(Signal::Traces), answers)
    }
}

fn unavailable() -> Answer {
    Answer::Fails(Failure::retryable("the receiver answered 503"))
}

fn unavailable_for(wait: Duration) -> Answer {
    Answer::Fails(Failure {
        retry_after: Some(wait),
        ..Failure::retryable("the receiver answered 503")
    })
}

const S: fn(u64) -> Duration = Duration::from_secs;

#[tokio::test(start_paused = true)]
async fn parts_are_gathered_for_a_second() {
    let bench = bench([], None);
    bench.push(1, 10).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    bench.push(2, 20).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    bench.push(4, 40).await;
    let (seen, counts, answers) = bench.ended().await;
    assert_eq!(seen, [(S(1), 3, 30), (Duration::from_millis(1200), 4, 40)]);
    assert_eq!(counts, (7, 0, 0, 0));
    assert!(answers);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_waits_for_nobody_and_no_request_is_larger_than_allowed() {
    let bench = bench([], None);
    bench.push(512, 10).await;
    bench.push(500, 10).await;
    bench.push(13, 10).await;
    bench.push(1, 990).await;
    bench.push(1, 20).await;
    bench.push(1, 5000).await;
    let (seen, counts, _) = bench.ended().await;
    let requests: Vec<(u64, usize)> = seen.iter().map(|(_, items, bytes)| (*items, *bytes)).collect();
    assert_eq!(requests, [(512, 10), (500, 10), (14, 1000), (1, 20), (1, 5000)]);
    assert_eq!(counts, (1028, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn three_attempts_with_exponential_waits() {
    let bench = bench([unavailable(), unavailable(), unavailable()], None);
    bench.push(512, 10).await;
    let (seen, counts, answers) = bench.ended().await;
    let times: Vec<Duration> = seen.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(times, [S(0), S(2), S(6)]);
    assert_eq!(
        counts,
        (0, 0, 0, 512),
        "without a spool they are lost, and counted"
    );
    assert!(answers, "the next run may try again");
}

#[tokio::test(start_paused = true)]
async fn the_receivers_wish_counts_more_than_ours() {
    let bench = bench(
        [unavailable_for(S(7)), unavailable_for(S(0)), Answer::Takes],
        None,
    );
    bench.push(512, 10).await;
    let (seen, counts, _) = bench.ended().await;
    let times: Vec<Duration> = seen.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(times, [S(0), S(7), S(7)]);
    assert_eq!(counts, (512, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_wants_much_time_is_left_alone_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let bench = bench([unavailable_for(S(600))], Some(spool.clone()));
    bench.push(512, 10).await;
    bench.push(512, 10).await;
    tokio::time::sleep(S(601)).await;
    bench.push(512, 10).await;
    let (seen, counts, _) = bench.ended().await;
    let times: Vec<Duration> = seen.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(times, [S(0), S(601)]);
    assert_eq!(counts, (512, 0, 1024, 0));
    assert_eq!(spool.requests().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_sent_again_is_not_and_what_lacks_a_key_waits_for_one() {
    for (kind, counted, spooled) in [
        (FailureKind::Permanent, (0, 0, 0, 512), 0),
        (FailureKind::Unauthorized, (0, 0, 512, 0), 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::new(folder.path());
        let refusal = Answer::Fails(Failure::new(kind, "the receiver answered 400"));
        let bench = bench([refusal], Some(spool.clone()));
        bench.push(512, 10).await;
        let (seen, counts, _) = bench.ended().await;
        assert_eq!(seen.len(), 1);
        assert_eq!(counts, counted);
        assert_eq!(spool.requests().unwrap().len(), spooled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_success_is_counted_and_never_sent_again() {
    let bench = bench([Answer::TakesBut(100, "too old")], None);
    bench.push(512, 10).await;
    let tally = Arc::clone(&bench.tally);
    let (seen, counts, _) = bench.ended().await;
    assert_eq!(seen.len(), 1);
    assert_eq!(counts, (412, 100, 0, 0));
    assert_eq!(
        tally.report(|_| "otlp".to_owned()).unwrap(),
        "100 spans were rejected by otlp: too old"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_costs_a_timeout_and_is_tried_again() {
    let bench = bench([Answer::Hangs, Answer::Takes], None);
    bench.push(512, 10).await;
    let (seen, counts, _) = bench.ended().await;
    let times: Vec<Duration> = seen.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(times, [S(0), S(12)]);
    assert_eq!(counts, (512, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_no_wait_is_sat_out_that_leads_beyond_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let bench = bench([unavailable_for(S(30))], Some(spool.clone()));
    bench.push(512, 10).await;
    bench.push(512, 10).await;
    tokio::time::sleep(S(1)).await;
    let began = Instant::now();
    bench.end_in(S(2));
    let (seen, counts, answers) = bench.ended().await;
    assert_eq!(began.elapsed(), S(0));
    assert_eq!(seen.len(), 1, "the second is not even tried");
    assert_eq!(counts, (0, 0, 1024, 0));
    assert!(!answers);
    assert_eq!(spool.requests().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_a_hanging_receiver_is_given_up_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let bench = bench([Answer::Hangs], Some(spool.clone()));
    bench.push(512, 10).await;
    bench.push(512, 10).await;
    tokio::time::sleep(S(1)).await;
    let began = Instant::now();
    bench.end_in(S(3));
    let (seen, counts, _) = bench.ended().await;
    assert_eq!(began.elapsed(), S(3));
    assert_eq!(seen.len(), 1);
    assert_eq!(counts, (0, 0, 1024, 0));
    let kept = spool.requests().unwrap();
    assert_eq!(kept.iter().map(|request| request.items).sum::<u64>(), 1024);
    assert_eq!(kept[0].endpoint, "http://receiver:4318/");
    assert_eq!(kept[0].protocol, OtlpProtocol::HttpProtobuf);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_there_is_still_a_second_attempt_where_the_time_allows_it() {
    let bench = bench([unavailable()], None);
    bench.push(512, 10).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    bench.end_in(S(5));
    let (seen, counts, answers) = bench.ended().await;
    assert_eq!(seen.len(), 2);
    assert_eq!(counts, (512, 0, 0, 0));
    assert!(answers);
}

#[tokio::test(start_paused = true)]
async fn what_went_wrong_is_told_rather_than_that_the_time_was_over() {
    let bench = bench([unavailable(), Answer::Hangs], None);
    bench.push(512, 10).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    bench.end_in(S(5));
    let tally = Arc::clone(&bench.tally);
    bench.ended().await;
    assert_eq!(
        tally.report(|_| "otlp".to_owned()).unwrap(),
        "512 spans for otlp are lost: the receiver answered 503"
    );
}

#[tokio::test(start_paused = true)]
async fn with_no_time_left_everything_is_kept_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::new(folder.path());
    let bench = bench([], Some(spool.clone()));
    bench.push(10, 10).await;
    bench.end_in(Duration::ZERO);
    let (seen, counts, _) = bench.ended().await;
    assert_eq!(seen, []);
    assert_eq!(counts, (0, 0, 10, 0));
}
