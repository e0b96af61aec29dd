//! What a response cache holds and has done, and what is to be removed from it.
//!
//! Never shows an answer.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use flowmeter_model::TimestampNs;
use smol_str::SmolStr;

use super::ResponseCache;
use super::disk::EntryFile;
use super::tally::{CacheTally, LookupCounts};

/// What is kept of one model's answers, and what look-ups for it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelStats {
    /// Answers that are kept.
    pub entries: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Look-ups, over all runs.
    pub lookups: LookupCounts,
}

/// What a response cache holds and has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Answers that are kept.
    pub entries: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// How large they may be together.
    pub bytes_max: u64,
    /// Those that are too old to be used by nodes that say nothing else.
    pub expired_entries: u64,
    /// When the oldest was made.
    pub oldest: Option<TimestampNs>,
    /// When the newest was made.
    pub newest: Option<TimestampNs>,
    /// What was done, over all runs.
    pub tally: CacheTally,
    /// The same by model.
    pub models: BTreeMap<SmolStr, ModelStats>,
}

/// Which answers are to be removed: those that meet all of it.
#[derive(Clone, Debug, Default)]
pub struct ClearWish {
    /// Made longer ago than this.
    pub older_than: Option<Duration>,
    /// Of this model, by the name that was asked for or the name that answered.
    pub model: Option<String>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Answers.
    pub entries: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

impl ClearWish {
    fn is_everything(&self) -> bool {
        self.older_than.is_none() && self.model.is_none()
    }

    fn takes(&self, file: &EntryFile, now: TimestampNs) -> bool {
        if self.is_everything() {
            return true;
        }
        let Some(about) = file.about() else {
            return false;
        };
        let age = Duration::from_nanos(now.since(about.stored()));
        let is_old = self.older_than.is_none_or(|limit| age > limit);
        let is_meant = self.model.as_deref().is_none_or(|wanted| {
            let asked = about.request_model.as_str();
            let written = wanted == asked || about.model.as_deref() == Some(wanted);
            // As workflow files name models.
            let prefix = about.provider.as_str();
            let rest = wanted
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_prefix("::").or_else(|| rest.strip_prefix('/')));
            written || rest == Some(asked)
        });
        is_old && is_meant
    }
}

impl ResponseCache {
    /// What it holds and has done. Looks at every file.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let mut stats = CacheStats {
            bytes_max: self.bytes_max,
            tally: self.disk.tally(),
            ..CacheStats::default()
        };
        let now = self.clock.now();
        for file in self.disk.scan(None) {
            stats.entries += 1;
            stats.bytes += file.bytes;
            let Some(about) = file.about() else {
                continue;
            };
            let stored = about.stored();
            stats.oldest = Some(stats.oldest.map_or(stored, |oldest| oldest.min(stored)));
            stats.newest = stats.newest.max(Some(stored));
            stats.expired_entries += u64::from(Duration::from_nanos(now.since(stored)) > self.ttl);
            let model = stats.models.entry(about.request_model).or_default();
            model.entries += 1;
            model.bytes += file.bytes;
        }
        for (model, lookups) in &stats.tally.models {
            stats.models.entry(model.clone()).or_default().lookups = lookups.clone();
        }
        stats
    }

    /// What [`ResponseCache::clear`] would remove.
    #[must_use]
    pub fn count_to_clear(&self, wish: &ClearWish) -> Cleared {
        let now = self.clock.now();
        let files = self.disk.scan(None).into_iter();
        files
            .filter(|file| wish.takes(file, now))
            .fold(Cleared::default(), |sum, file| Cleared {
                entries: sum.entries + 1,
                bytes: sum.bytes + file.bytes,
            })
    }

    /// Removes answers. Whoever is reading one goes on reading it.
    ///
    /// # Errors
    /// When a file cannot be removed, or another process is writing all the time.
    pub fn clear(&self, wish: &ClearWish) -> io::Result<Cleared> {
        let now = self.clock.now();
        let (entries, bytes) = self.disk.clear(&|file| wish.takes(file, now))?;
        Ok(Cleared { entries, bytes })
    }
}
