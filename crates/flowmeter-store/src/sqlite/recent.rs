//! A set that forgets what was not asked for lately.
//!
//! Never holds more than its limit.

use std::hash::Hash;

use rustc_hash::FxHashSet;

/// The set: two generations, of which the older one goes when the younger one is full.
#[derive(Clone, Debug)]
pub(super) struct RecentSet<T> {
    young: FxHashSet<T>,
    old: FxHashSet<T>,
    generation_max: usize,
}

impl<T: Copy + Eq + Hash> RecentSet<T> {
    /// A set of so many at most.
    pub(super) fn new(count_max: usize) -> Self {
        Self {
            young: FxHashSet::default(),
            old: FxHashSet::default(),
            generation_max: (count_max / 2).max(1),
        }
    }

    /// Whether it is there; if so, it stays longer.
    pub(super) fn has(&mut self, item: T) -> bool {
        if self.young.contains(&item) {
            return true;
        }
        let is_old = self.old.contains(&item);
        if is_old {
            self.add(item);
        }
        is_old
    }

    /// Adds it.
    pub(super) fn add(&mut self, item: T) {
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(item);
    }
}

#[cfg(test)]
mod tests;
