//! The response cache: answers of models kept on disk and used again for the same request.
//!
//! Never keeps a prompt (only its hash), a key of a provider, or an answer that is not whole. Never fails a run: what
//! cannot be read is asked for, what cannot be written is told once. Makes no file before there is an answer to keep.

mod disk;
mod entry;
mod fitness;
mod flights;
mod key;
mod stats;
mod tally;
mod ttl;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowmeter_model::{Clock, Cost, SystemClock, TimestampNs, TokenUsage};
use parking_lot::Mutex;
use smol_str::SmolStr;

use crate::chat::{ChatRequest, ChatTarget};
use crate::document::CacheEntry;
use disk::{Bounds, Disk, Found};
use flights::{Flights, Leader, Turn};

pub use entry::{AboutAnswer, CachedAnswer};
pub(crate) use fitness::is_whole;
pub use key::CacheKey;
pub use stats::{CacheStats, ClearWish, Cleared, ModelStats};
pub use tally::{CacheTally, LookupCounts};
pub(crate) use ttl::TTL_PATTERN;
pub use ttl::{InvalidTtl, Ttl};

/// Where answers are kept, for how long, and how many.
#[derive(Clone, Debug)]
pub struct ResponseCacheConfig {
    /// The folder; it is made when there is something to keep.
    pub folder: PathBuf,
    /// How old an answer may be unless its node says otherwise. Default: 7 days.
    pub ttl: Duration,
    /// How large all answers together may be, in bytes. Default: 256 MiB.
    pub bytes_max: u64,
    /// How many answers are kept. Default: 20,000.
    pub entries_max: u64,
    /// How large one answer may be, in bytes. Default: 8 MiB.
    pub answer_bytes_max: u64,
}

impl ResponseCacheConfig {
    /// The defaults, in this folder.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            ttl: Duration::from_secs(7 * 86_400),
            bytes_max: 256 << 20,
            entries_max: 20_000,
            answer_bytes_max: 8 << 20,
        }
    }
}

/// Answers of models, kept on disk. Several processes may share a folder.
pub struct ResponseCache {
    disk: Arc<Disk>,
    flights: Arc<Flights>,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    bytes_max: u64,
    answer_bytes_max: u64,
    /// What was counted and has not been added to the tally on disk.
    pending: Mutex<CacheTally>,
    /// What this cache has done in this process.
    done: Mutex<CacheTally>,
    first_failure: Mutex<Option<String>>,
}

/// How the `llm` nodes of a run use the response cache.
#[derive(Clone, Default)]
pub struct Caching {
    /// The cache; without one nothing is looked up, whatever nodes say.
    pub responses: Option<Arc<ResponseCache>>,
    /// Whether nodes that say nothing use it too.
    pub all: bool,
}

impl Caching {
    /// The cache for a node whose file says this, and how old an answer may be where the file says that.
    #[must_use]
    pub fn of_node(&self, written: Option<CacheEntry>) -> Option<(&Arc<ResponseCache>, Option<Duration>)> {
        let is_wanted = written.map_or(self.all, |written| written.enabled);
        let responses = self.responses.as_ref().filter(|_| is_wanted)?;
        Some((responses, written.and_then(|written| written.ttl)))
    }
}

/// What an answer from the cache saves.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// What the call used when it was made.
    pub usage: TokenUsage,
    /// What it cost then.
    pub cost: Cost,
    /// How long ago that was.
    pub age: Duration,
}

/// What a look-up came to.
pub(crate) enum LookedUp {
    /// An answer, and how old it is.
    Hit(Arc<CachedAnswer>, Duration),
    /// None: the model is to be asked.
    Miss(Fresh),
}

/// The right to ask the model for all who want the same. Dropped, another one asks.
pub(crate) struct Fresh {
    cache: Arc<ResponseCache>,
    key: CacheKey,
    /// `None` where waiting for somebody else's answer took too long.
    leader: Option<Leader>,
}

/// An answer that has just come.
pub(crate) struct NewAnswer {
    pub(crate) provider: SmolStr,
    pub(crate) request_model: SmolStr,
    pub(crate) model: Option<SmolStr>,
    pub(crate) finish_reason: Option<SmolStr>,
    pub(crate) usage: TokenUsage,
    pub(crate) cost: Cost,
    pub(crate) text: String,
}

impl ResponseCache {
    /// A cache with the machine's clock. Touches nothing on disk.
    #[must_use]
    pub fn new(config: ResponseCacheConfig) -> Self {
        Self::with_clock(config, Arc::new(SystemClock))
    }

    /// The same with this clock.
    #[must_use]
    pub fn with_clock(config: ResponseCacheConfig, clock: Arc<dyn Clock>) -> Self {
        let bounds = Bounds {
            bytes_max: config.bytes_max,
            entries_max: config.entries_max.max(1),
            answer_bytes_max: config.answer_bytes_max,
        };
        Self {
            disk: Arc::new(Disk::new(config.folder, bounds)),
            flights: Arc::default(),
            clock,
            ttl: config.ttl,
            bytes_max: config.bytes_max,
            answer_bytes_max: config.answer_bytes_max,
            pending: Mutex::default(),
            done: Mutex::default(),
            first_failure: Mutex::default(),
        }
    }

    /// The folder of the answers.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.disk.folder()
    }

    /// Whether this request would be answered from the cache, and what that would save. Counts nothing, and asks no
    /// model. `ttl` is what the node says, if it says anything.
    ///
    /// Reads a file: not for threads that must not wait.
    #[must_use]
    pub fn would_hit(
        &self,
        request: &ChatRequest,
        target: &ChatTarget,
        ttl: Option<Duration>,
    ) -> Option<Saved> {
        let key = CacheKey::of(request, target).ok()?;
        let Found::Answer(answer) = self.disk.read(&key, None) else {
            return None;
        };
        let age = self.age_within(&answer, ttl)?;
        Some(Saved {
            cost: answer.about.cost(),
            usage: answer.about.usage,
            age,
        })
    }

    /// What this cache has done in this process.
    #[must_use]
    pub fn done(&self) -> CacheTally {
        let mut done = self.done.lock().clone();
        done.merge(&self.pending.lock());
        done
    }

    /// Adds what was counted to the tally on disk, and says what went wrong, if anything did.
    pub fn finish(&self) -> Option<String> {
        self.write_tally();
        let failures = self.done().write_failures;
        let failure = self.first_failure.lock().clone()?;
        let answers = if failures == 1 {
            "1 answer was"
        } else {
            &format!("{failures} answers were")
        };
        Some(format!(
            "the response cache in {} cannot be written ({failure}): {answers} not kept; the run went on",
            self.folder().display()
        ))
    }

    fn write_tally(&self) {
        let mut pending = std::mem::take(&mut *self.pending.lock());
        if pending.is_empty() {
            return;
        }
        self.done.lock().merge(&pending);
        // Figures are no reason to fail, nor to warn: a cache may be shared by those who can only read it.
        let _figures_are_lost = self.disk.add_tally(&mut pending, self.clock.now());
    }

    fn count(&self, add: impl FnOnce(&mut CacheTally)) {
        add(&mut self.pending.lock());
    }

    /// How old the answer is, if it may still be used.
    fn age_within(&self, answer: &CachedAnswer, ttl: Option<Duration>) -> Option<Duration> {
        let age = Duration::from_nanos(self.clock.now().since(answer.about.stored()));
        (age <= ttl.unwrap_or(self.ttl)).then_some(age)
    }

    /// Looks for the answer of this key. Where another call in this process is asking for the same, waits for its
    /// answer, but no longer than `patience`.
    pub(crate) async fn look_up(
        self: &Arc<Self>,
        key: CacheKey,
        model: &str,
        ttl: Option<Duration>,
        patience: Option<Duration>,
    ) -> LookedUp {
        let searched = self.search(key, ttl);
        let found = match patience {
            None => searched.await,
            Some(patience) => match tokio::time::timeout(patience, searched).await {
                Ok(found) => found,
                Err(_) => Err(None),
            },
        };
        match found {
            Ok((answer, age)) => {
                self.count(|tally| tally.add_hit(&answer.about));
                LookedUp::Hit(answer, age)
            }
            Err(leader) => {
                self.count(|tally| tally.add_miss(model));
                LookedUp::Miss(Fresh {
                    cache: Arc::clone(self),
                    key,
                    leader,
                })
            }
        }
    }

    async fn search(
        &self,
        key: CacheKey,
        ttl: Option<Duration>,
    ) -> Result<(Arc<CachedAnswer>, Duration), Option<Leader>> {
        loop {
            let leader = match self.flights.turn(key) {
                Turn::Lead(leader) => leader,
                Turn::Wait(waiting) => {
                    // What is good enough for the one who asked may be too old for this one, who then looks itself.
                    if let Some(answer) = waiting.answer().await
                        && let Some(age) = self.age_within(&answer, ttl)
                    {
                        return Ok((answer, age));
                    }
                    continue;
                }
            };
            return match self.read(key).await {
                Some(answer) => match self.age_within(&answer, ttl) {
                    Some(age) => {
                        let answer = Arc::new(answer);
                        leader.answer(Arc::clone(&answer));
                        Ok((answer, age))
                    }
                    None => {
                        self.count(|tally| tally.expired += 1);
                        // A node that wants it fresher is no reason to take it from the others.
                        if self.age_within(&answer, None).is_none() {
                            self.disk.remove(&key);
                        }
                        Err(Some(leader))
                    }
                },
                None => Err(Some(leader)),
            };
        }
    }

    async fn read(&self, key: CacheKey) -> Option<CachedAnswer> {
        let disk = Arc::clone(&self.disk);
        let now = self.clock.now();
        let found = tokio::task::spawn_blocking(move || disk.read(&key, Some(now))).await;
        match found {
            Ok(Found::Answer(answer)) => Some(*answer),
            Ok(Found::Broken) => {
                self.count(|tally| tally.broken += 1);
                None
            }
            Ok(Found::Nothing) | Err(_) => None,
        }
    }

    /// Writes an answer; whatever comes of it is counted.
    async fn write(&self, key: CacheKey, answer: &CachedAnswer, now: TimestampNs) {
        let bytes = match answer.encode() {
            Ok(bytes) => bytes,
            Err(error) => return self.failed(error.to_string()),
        };
        if bytes.len() as u64 > self.answer_bytes_max.min(self.bytes_max) {
            self.count(|tally| tally.too_large += 1);
            return;
        }
        let mut pending = std::mem::take(&mut *self.pending.lock());
        let counted = pending.clone();
        let disk = Arc::clone(&self.disk);
        let written = tokio::task::spawn_blocking(move || {
            let written = disk.write(&key, &bytes, now, &mut pending);
            (written, pending)
        });
        match written.await {
            Ok((written, left)) => {
                if left.is_empty() {
                    self.done.lock().merge(&counted);
                } else {
                    self.count(|tally| tally.merge(&left));
                }
                match written {
                    Ok(()) => self.done.lock().stored += 1,
                    Err(error) => self.failed(error.to_string()),
                }
            }
            Err(panic) => {
                self.count(|tally| tally.merge(&counted));
                self.failed(panic.to_string());
            }
        }
    }

    fn failed(&self, why: String) {
        self.count(|tally| tally.write_failures += 1);
        self.first_failure.lock().get_or_insert(why);
    }
}

impl Drop for ResponseCache {
    fn drop(&mut self) {
        self.write_tally();
    }
}

impl Fresh {
    /// Keeps the answer, and gives it to all who wait for it.
    pub(crate) async fn keep(self, new: NewAnswer) {
        let now = self.cache.clock.now();
        let answer = Arc::new(CachedAnswer {
            about: AboutAnswer {
                key: self.key.hex(),
                stored_ns: now,
                provider: new.provider,
                request_model: new.request_model,
                model: new.model,
                finish_reason: new.finish_reason,
                usage: new.usage,
                cost_status: new.cost.status,
                cost_nanos: new.cost.amount.map(|amount| amount.0),
            },
            text: new.text,
        });
        // First on disk: whoever comes when nobody is under way any more finds it there.
        self.cache.write(self.key, &answer, now).await;
        if let Some(leader) = self.leader {
            leader.answer(answer);
        }
    }

    /// The answer is not fit to be used again: whoever waits asks for one.
    pub(crate) fn refuse(self) {
        self.cache.count(|tally| tally.unfit += 1);
    }

    /// Another answer than the one on disk is wanted: it turned out to be of no use.
    pub(crate) fn of_broken(cache: &Arc<ResponseCache>, key: CacheKey) -> Self {
        cache.disk.remove(&key);
        cache.count(|tally| tally.broken += 1);
        Self {
            cache: Arc::clone(cache),
            key,
            leader: None,
        }
    }
}

#[cfg(test)]
mod tests;
