//! What became of everything that a backend was handed, signal by signal, and how that is told.
//!
//! Never grows: counts, and the first reason of each kind.

use flowmeter_otlp::Signal;
use parking_lot::Mutex;

use super::config::items_of;
use super::delivery::Accepted;

/// Counts over the life of a backend.
#[derive(Debug, Default)]
pub(super) struct Tally {
    signals: Mutex<[SignalTally; Signal::ALL.len()]>,
}

/// A number of items with the first reason for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reasoned {
    items: u64,
    reason: String,
}

impl Reasoned {
    fn add(&mut self, items: u64, reason: &str) {
        self.items += items;
        if self.reason.is_empty() {
            reason.clone_into(&mut self.reason);
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SignalTally {
    taken: u64,
    /// What the receiver warned of though it took everything.
    warning: String,
    rejected: Reasoned,
    kept: Reasoned,
    lost: Reasoned,
    evicted: u64,
}

impl Tally {
    fn with(&self, signal: Signal, change: impl FnOnce(&mut SignalTally)) {
        let mut tallies = self.signals.lock();
        let mut places = Signal::ALL.iter().zip(tallies.iter_mut());
        if let Some((_, tally)) = places.find(|(known, _)| **known == signal) {
            change(tally);
        }
    }

    /// The receiver took a request of `items`, or most of them.
    pub(super) fn taken(&self, signal: Signal, items: u64, answer: &Accepted) {
        self.with(signal, |tally| {
            tally.taken += items.saturating_sub(answer.rejected);
            if answer.rejected > 0 {
                tally.rejected.add(answer.rejected, &answer.message);
            } else if tally.warning.is_empty() {
                tally.warning.clone_from(&answer.message);
            }
        });
    }

    /// They wait in the spool; `evicted` others had to go for them.
    pub(super) fn kept(&self, signal: Signal, items: u64, reason: &str, evicted: u64) {
        self.with(signal, |tally| {
            tally.kept.add(items, reason);
            tally.evicted += evicted;
        });
    }

    /// They are gone.
    pub(super) fn lost(&self, signal: Signal, items: u64, reason: &str) {
        self.with(signal, |tally| tally.lost.add(items, reason));
    }

    /// What the user should know; `None` when everything was taken.
    pub(super) fn report(&self, receiver: impl Fn(Signal) -> String) -> Option<String> {
        let tallies = self.signals.lock().clone();
        let mut sentences = kept_sentences(&tallies, &receiver);
        for (signal, tally) in Signal::ALL.into_iter().zip(&tallies) {
            let items = items_of(signal);
            let receiver = receiver(signal);
            let mut say = |count: u64, what: &str, reason: &str| {
                let because = if reason.is_empty() {
                    String::new()
                } else {
                    format!(": {reason}")
                };
                sentences.push(format!("{count} {items} {what}{because}"));
            };
            let (rejected, lost) = (&tally.rejected, &tally.lost);
            if rejected.items > 0 {
                say(
                    rejected.items,
                    &format!("were rejected by {receiver}"),
                    &rejected.reason,
                );
            }
            if lost.items > 0 {
                say(lost.items, &format!("for {receiver} are lost"), &lost.reason);
            }
            if tally.evicted > 0 {
                say(tally.evicted, "of earlier runs had to leave the full spool", "");
            }
            if !tally.warning.is_empty() {
                let warning = &tally.warning;
                sentences.push(format!("{receiver} took all {items}, but says: {warning}"));
            }
        }
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }

    #[cfg(test)]
    pub(super) fn counts(&self, signal: Signal) -> (u64, u64, u64, u64) {
        let mut counts = (0, 0, 0, 0);
        self.with(signal, |tally| {
            counts = (
                tally.taken,
                tally.rejected.items,
                tally.kept.items,
                tally.lost.items,
            );
        });
        counts
    }
}

/// What waits in the spool: one sentence for all signals that failed for the same reason, as a receiver that is
/// away makes them.
fn kept_sentences(
    tallies: &[SignalTally; Signal::ALL.len()],
    receiver: impl Fn(Signal) -> String,
) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<(Signal, u64)>)> = Vec::new();
    for (signal, tally) in Signal::ALL.into_iter().zip(tallies) {
        if tally.kept.items == 0 {
            continue;
        }
        let reason = tally.kept.reason.as_str();
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, kept)) => kept.push((signal, tally.kept.items)),
            None => groups.push((reason, vec![(signal, tally.kept.items)])),
        }
    }
    let sentence = |(reason, kept): (&str, Vec<(Signal, u64)>)| {
        let counts: Vec<String> = kept
            .iter()
            .map(|(signal, count)| format!("{count} {}", items_of(*signal)))
            .collect();
        let mut receivers: Vec<String> = kept.iter().map(|(signal, _)| receiver(*signal)).collect();
        // The addresses of one receiver differ in the name of the signal alone.
        if kept.len() > 1 {
            for (told, (signal, _)) in receivers.iter_mut().zip(&kept) {
                *told = told.replace(&format!("/v1/{}", signal.as_str()), "");
            }
        }
        receivers.dedup();
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        format!(
            "{} could not be sent to {} and wait for `flowmeter flush`{because}",
            listed(&counts),
            listed(&receivers)
        )
    };
    groups.into_iter().map(sentence).collect()
}

/// `a`, `a and b`, `a, b and c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
