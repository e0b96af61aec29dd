//! The cache as a node uses it: found again, for as long as it may be, asked for once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flowmeter_model::{CostStatus, Figure, ManualClock, UsdNanos};
use tempfile::TempDir;

use super::*;

const SECOND_NS: u64 = 1_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

struct Bench {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(ManualClock::new(TimestampNs(1_700_000_000 * SECOND_NS))),
        }
    }

    fn config(&self) -> ResponseCacheConfig {
        ResponseCacheConfig::in_folder(self.folder.path().join("responses"))
    }

    fn cache(&self) -> Arc<ResponseCache> {
        self.cache_with(self.config())
    }

    fn cache_with(&self, config: ResponseCacheConfig) -> Arc<ResponseCache> {
        Arc::new(ResponseCache::with_clock(config, Arc::clone(&self.clock) as _))
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(u64::try_from(time.as_nanos()).unwrap());
    }
}

fn request(prompt: &str) -> ChatRequest {
    ChatRequest {
        prompt: prompt.to_owned(),
        ..ChatRequest::default()
    }
}

fn target() -> ChatTarget {
    ChatTarget {
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        server_address: None,
        server_port: None,
        server_path: None,
    }
}

fn key(prompt: &str) -> CacheKey {
    CacheKey::of(&request(prompt), &target()).unwrap()
}

fn new_answer(text: &str) -> NewAnswer {
    NewAnswer {
        provider: "openai".into(),
        request_model: "gpt-4o-mini".into(),
        model: Some("gpt-4o-mini-2024".into()),
        finish_reason: Some("stop".into()),
        usage: TokenUsage {
            input: Some(Figure::provider(1_000)),
            output: Some(Figure::provider(50)),
            ..TokenUsage::default()
        },
        cost: Cost::known(CostStatus::Priced, UsdNanos(180_000), None),
        text: text.to_owned(),
    }
}

async fn look_up(cache: &Arc<ResponseCache>, prompt: &str) -> LookedUp {
    cache.look_up(key(prompt), "gpt-4o-mini", None, None).await
}

async fn missed(cache: &Arc<ResponseCache>, prompt: &str) -> Fresh {
    match look_up(cache, prompt).await {
        LookedUp::Miss(fresh) => fresh,
        LookedUp::Hit(..) => panic!("there was an answer"),
    }
}

async fn found(cache: &Arc<ResponseCache>, prompt: &str) -> (Arc<CachedAnswer>, Duration) {
    match look_up(cache, prompt).await {
        LookedUp::Hit(answer, age) => (answer, age),
        LookedUp::Miss(_) => panic!("there was no answer"),
    }
}

#[tokio::test]
async fn an_answer_is_found_again_also_by_another_process() {
    let bench = Bench::new();
    let cache = bench.cache();
    missed(&cache, "p").await.keep(new_answer("the answer")).await;
    bench.pass(Duration::from_secs(90));
    for cache in [cache, bench.cache()] {
        let (answer, age) = found(&cache, "p").await;
        assert_eq!(answer.text, "the answer");
        assert_eq!(answer.about.usage, new_answer("").usage);
        assert_eq!(answer.about.cost(), new_answer("").cost);
        assert_eq!(age, Duration::from_secs(90));
        missed(&cache, "another").await;
    }
}

#[tokio::test]
async fn an_answer_is_used_for_as_long_as_it_may_be_and_no_longer() {
    let bench = Bench::new();
    let cache = bench.cache();
    missed(&cache, "p").await.keep(new_answer("a")).await;
    bench.pass(7 * DAY);
    found(&cache, "p").await;
    // A node may want it fresher, and leaves it to the others.
    let hour = Some(Duration::from_secs(3_600));
    assert!(matches!(
        cache.look_up(key("p"), "m", hour, None).await,
        LookedUp::Miss(_)
    ));
    found(&cache, "p").await;
    bench.pass(Duration::from_nanos(1));
    let month = Some(30 * DAY);
    assert!(matches!(
        cache.look_up(key("p"), "m", month, None).await,
        LookedUp::Hit(..)
    ));
    drop(missed(&cache, "p").await);
    assert_eq!(cache.stats().entries, 0);
    assert_eq!(cache.done().expired, 2);
}

#[tokio::test]
async fn equal_requests_at_one_time_are_asked_once() {
    let bench = Bench::new();
    let cache = bench.cache();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (cache, asked) = (Arc::clone(&cache), Arc::clone(&asked));
        tasks.spawn(async move {
            match look_up(&cache, "p").await {
                LookedUp::Hit(answer, _) => answer.text.clone(),
                LookedUp::Miss(fresh) => {
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    fresh.keep(new_answer("once")).await;
                    "once".to_owned()
                }
            }
        });
    }
    while let Some(text) = tasks.join_next().await {
        assert_eq!(text.unwrap(), "once");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let done = cache.done().lookups;
    assert_eq!((done.hits, done.misses), (49, 1));
    assert_eq!(done.saved_nanos, 49 * 180_000);
}

#[tokio::test]
async fn after_a_failure_another_one_asks() {
    let bench = Bench::new();
    let cache = bench.cache();
    let failing = missed(&cache, "p").await;
    let waiting = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { missed(&cache, "p").await.keep(new_answer("second")).await }
    });
    tokio::task::yield_now().await;
    drop(failing);
    waiting.await.unwrap();
    assert_eq!(found(&cache, "p").await.0.text, "second");
    // An answer that is of no use is not used by those who wait either.
    missed(&cache, "q").await.refuse();
    missed(&cache, "q").await;
    assert_eq!(cache.done().unfit, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_they_want() {
    let bench = Bench::new();
    let cache = bench.cache();
    let asking = missed(&cache, "p").await;
    let patience = Some(Duration::from_secs(5));
    let LookedUp::Miss(own) = cache.look_up(key("p"), "m", None, patience).await else {
        panic!("nobody has answered");
    };
    own.keep(new_answer("own")).await;
    drop(asking);
    assert_eq!(found(&cache, "p").await.0.text, "own");
}

#[tokio::test]
async fn what_is_too_large_is_not_kept_but_shared() {
    let bench = Bench::new();
    let cache = bench.cache_with(ResponseCacheConfig {
        answer_bytes_max: 5_000,
        ..bench.config()
    });
    let asking = missed(&cache, "p").await;
    let waiting = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { found(&cache, "p").await.0.text.len() }
    });
    tokio::task::yield_now().await;
    asking.keep(new_answer(&"x".repeat(5_000))).await;
    assert_eq!(waiting.await.unwrap(), 5_000);
    missed(&cache, "p").await;
    assert_eq!((cache.done().too_large, cache.stats().entries), (1, 0));
}

#[tokio::test]
async fn figures_of_all_processes_come_together() {
    let bench = Bench::new();
    for _ in 0..3 {
        let cache = bench.cache();
        match look_up(&cache, "p").await {
            LookedUp::Miss(fresh) => fresh.keep(new_answer("a")).await,
            LookedUp::Hit(..) => {}
        }
        assert_eq!(cache.finish(), None);
        assert_eq!(cache.finish(), None);
    }
    let stats = bench.cache().stats();
    let lookups = &stats.tally.lookups;
    assert_eq!((lookups.hits, lookups.misses, stats.tally.stored), (2, 1, 1));
    assert_eq!(
        (lookups.saved_input_tokens, lookups.saved_output_tokens),
        (2_000, 100)
    );
    assert_eq!(lookups.saved_nanos, 360_000);
    assert_eq!(lookups.hit_rate(), Some(2.0 / 3.0));
    let model = &stats.models["gpt-4o-mini"];
    assert_eq!((model.entries, model.lookups.hits), (1, 2));
    assert_eq!(stats.oldest, stats.newest);
}

#[tokio::test]
async fn what_would_be_found_is_told_without_counting() {
    let bench = Bench::new();
    let cache = bench.cache();
    assert_eq!(cache.would_hit(&request("p"), &target(), None), None);
    missed(&cache, "p").await.keep(new_answer("a")).await;
    bench.pass(Duration::from_secs(60));
    let before = cache.done();
    let saved = cache.would_hit(&request("p"), &target(), None).unwrap();
    assert_eq!(
        (saved.cost, saved.age),
        (new_answer("").cost, Duration::from_secs(60))
    );
    assert_eq!(
        cache.would_hit(&request("p"), &target(), Some(Duration::from_secs(59))),
        None
    );
    assert_eq!(cache.done(), before);
}

#[tokio::test]
async fn answers_are_cleared_by_age_and_by_model() {
    let bench = Bench::new();
    let cache = bench.cache();
    missed(&cache, "old").await.keep(new_answer("a")).await;
    bench.pass(2 * DAY);
    missed(&cache, "new").await.keep(new_answer("a")).await;
    let older = |age| ClearWish {
        older_than: Some(age),
        model: None,
    };
    let of_model = |model: &str| ClearWish {
        older_than: None,
        model: Some(model.to_owned()),
    };
    assert_eq!(cache.clear(&older(3 * DAY)).unwrap().entries, 0);
    assert_eq!(cache.clear(&of_model("gpt-4o")).unwrap().entries, 0);
    for name in [
        "gpt-4o-mini",
        "gpt-4o-mini-2024",
        "openai/gpt-4o-mini",
        "openai::gpt-4o-mini",
    ] {
        assert_eq!(cache.count_to_clear(&of_model(name)).entries, 2, "{name}");
    }
    assert_eq!(cache.clear(&older(DAY)).unwrap().entries, 1);
    found(&cache, "new").await;
    missed(&cache, "old").await;
    assert_eq!(cache.clear(&ClearWish::default()).unwrap().entries, 1);
    missed(&cache, "new").await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_costs_the_cache_and_not_the_run() {
    let bench = Bench::new();
    std::fs::write(bench.folder.path().join("responses"), "a file").unwrap();
    let cache = bench.cache();
    for _ in 0..2 {
        missed(&cache, "p").await.keep(new_answer("a")).await;
    }
    assert_eq!(cache.done().write_failures, 2);
    let told = cache.finish().unwrap();
    assert!(
        told.contains("cannot be written") && told.contains("2 answers were not kept"),
        "{told}"
    );
}

/// The median of what `work` takes, of many times.
async fn median<F: Future<Output = ()>>(times: u32, mut work: impl FnMut(u32) -> F) -> Duration {
    let mut took = Vec::new();
    for number in 0..times {
        let began = Instant::now();
        work(number).await;
        took.push(began.elapsed());
    }
    took.sort();
    took[took.len() / 2]
}

/// A hit takes well under a millisecond for a prompt of 4 KB, and a miss costs no more. The limits leave room for a
/// debug build on a busy machine; `--nocapture` shows the figures.
#[tokio::test]
async fn looking_up_is_fast() {
    let bench = Bench::new();
    let cache = bench.cache();
    let prompt = "word ".repeat(820);
    let text = "answer ".repeat(300);
    let hashed = median(200, |_| async {
        std::hint::black_box(key(&prompt));
    })
    .await;
    let miss = median(200, |number| {
        let (cache, prompt) = (&cache, format!("{prompt}{number}"));
        async move { drop(missed(cache, &prompt).await) }
    })
    .await;
    let kept = median(200, |number| {
        let (cache, prompt, text) = (&cache, format!("{prompt}{number}"), &text);
        async move { missed(cache, &prompt).await.keep(new_answer(text)).await }
    })
    .await;
    let hit = median(200, |number| {
        let (cache, prompt) = (&cache, format!("{prompt}{number}"));
        async move { drop(found(cache, &prompt).await) }
    })
    .await;
    println!("key {hashed:?}, hit {hit:?}, miss {miss:?}, miss and keep {kept:?} (medians)");
    let limit = Duration::from_millis(5);
    assert!(
        hit < limit && miss < limit && kept < 4 * limit,
        "{hit:?} {miss:?} {kept:?}"
    );
}
