//! Budgets across runs, as the calls of one run meet them: kept in the history, shared with every other process.
//!
//! Never opens the history of who makes no LLM call, and never lets a hard limit be passed because nobody could look.

mod words;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flowmeter::{
    SharedAccount, SharedAnswer, SharedBudgets, SharedCall, SharedConcern, SharedCost, SharedHold,
    SharedRefusal,
};
use flowmeter_model::{Clock, UsdNanos};
use flowmeter_pricing::PriceBook;
use flowmeter_store::{
    AccountState, Budgets, CallCost, ProcessMark, Refused, ReservationId, Spender, SqliteConfig, StoreError,
};
use flowmeter_workflow::Workflow;
use parking_lot::Mutex;
use smol_str::SmolStr;
use tokio::sync::Notify;

use crate::budget::{self, UnpricedModels};
use crate::history;
use crate::home::Home;
use crate::output::Output;
use crate::report::with_causes;

pub(crate) use words::{amount_of, ends_in_words, owner};

/// How long to leave a history alone that is not there or cannot be opened.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The first and the longest pause before asking again for what other processes hold.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// Warnings that are kept for JSON output.
const WARNINGS_MAX: usize = 100;

/// The budgets that a run's calls count in.
pub(crate) struct RunBudgets {
    path: PathBuf,
    config: SqliteConfig,
    process: OnceLock<ProcessMark>,
    tags: Vec<(String, String)>,
    workflow: Mutex<SmolStr>,
    opened: Mutex<Opened>,
    /// Calls of this run that hold something.
    in_flight: AtomicUsize,
    /// One of them has ended.
    ended: Notify,
    voice: Voice,
}

/// The history, once a call has asked for it.
#[derive(Default)]
struct Opened {
    budgets: Option<Budgets>,
    looked: Option<Instant>,
}

/// Where warnings go: at once to standard error, and to the run's report.
pub(crate) struct Voice {
    output: Output,
    stderr: Mutex<Box<dyn Write + Send>>,
    said: Mutex<Vec<String>>,
}

impl Voice {
    /// Says warnings on `stderr`, which may have a progress line to mind.
    pub(crate) fn new(output: Output, stderr: Box<dyn Write + Send>) -> Self {
        Self {
            output,
            stderr: Mutex::new(stderr),
            said: Mutex::default(),
        }
    }

    fn warn(&self, text: String) {
        {
            let mut said = self.said.lock();
            // What goes wrong at each call is said once.
            if said.len() >= WARNINGS_MAX || said.contains(&text) {
                return;
            }
            said.push(text.clone());
        }
        if !self.output.is_quiet() {
            let line = self.output.warning(&text);
            let mut stderr = self.stderr.lock();
            let _closed_stderr_is_no_failure = writeln!(stderr, "{line}").and_then(|()| stderr.flush());
        }
    }
}

/// Checks that hard budgets across runs can be kept: a model without a price would escape them.
///
/// # Errors
/// [`UnpricedModels`].
pub(crate) fn check(
    workflow: &Workflow,
    tags: &[(String, String)],
    prices: &PriceBook,
    home: &Home,
) -> Result<(), UnpricedModels> {
    let path = home.history();
    if !Budgets::are_kept_hard(&path) {
        return Ok(());
    }
    let mut calls = workflow.unpriced_calls(prices, true);
    if calls.is_empty() {
        return Ok(());
    }
    let config = SqliteConfig {
        create: false,
        ..history::config()
    };
    // What cannot be opened is told when a call is made.
    let Ok(budgets) = Budgets::open(&path, &config) else {
        return Ok(());
    };
    let rules = budgets.rules().unwrap_or_default();
    calls.retain(|call| {
        let spender = Spender {
            workflow: workflow.name().into(),
            provider: call.provider.as_str().into(),
            model: call.model.as_str().into(),
            tags: each_once(tags),
            process: None,
        };
        rules
            .iter()
            .any(|rule| rule.hard && rule.scope.concerns(&spender))
    });
    budget::refuse(calls, prices)
}

/// Why nothing was set aside.
enum Denied {
    Full(Box<Refused>),
    Failed(String),
}

impl RunBudgets {
    /// The budgets in the history at `path`, for the calls of a run.
    pub(crate) fn new(
        path: PathBuf,
        config: SqliteConfig,
        workflow: &str,
        tags: &[(String, String)],
        voice: Voice,
    ) -> Arc<Self> {
        Arc::new(Self {
            path,
            config: SqliteConfig {
                create: false,
                ..config
            },
            process: OnceLock::new(),
            tags: each_once(tags),
            workflow: Mutex::new(SmolStr::new(workflow)),
            opened: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            ended: Notify::new(),
            voice,
        })
    }

    /// The run goes on with the workflow that was planned in it.
    pub(crate) fn workflow_begins(&self, name: &str) {
        *self.workflow.lock() = SmolStr::new(name);
    }

    /// What was warned of.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.voice.said.lock().clone()
    }

    fn spender(&self, call: &SharedCall) -> Spender {
        Spender {
            workflow: self.workflow.lock().clone(),
            provider: call.provider.clone(),
            model: call.model.clone(),
            tags: self.tags.clone(),
            process: Some(self.process.get_or_init(history::own_process).clone()),
        }
    }

    /// Does something with the budgets; `None` where there is no history.
    ///
    /// # Errors
    /// Why nobody can tell how the budgets stand, where there are hard ones.
    fn with<T>(&self, work: impl FnOnce(&mut Budgets) -> Result<T, StoreError>) -> Result<Option<T>, String> {
        let mut opened = self.opened.lock();
        if opened.budgets.is_none() {
            let is_fresh = opened.looked.is_some_and(|looked| looked.elapsed() < LOOK_AGAIN);
            if is_fresh {
                return Ok(None);
            }
            match self.open() {
                Ok(budgets) => opened.budgets = budgets,
                Err(error) if Budgets::are_kept_hard(&self.path) => return Err(with_causes(&error)),
                // Whoever records the run in it says so.
                Err(_) => {}
            }
            if opened.budgets.is_none() {
                opened.looked = Some(Instant::now());
            }
        }
        let Some(budgets) = &mut opened.budgets else {
            return Ok(None);
        };
        match work(budgets) {
            Ok(done) => Ok(Some(done)),
            Err(error) => {
                let text = with_causes(&error);
                if Budgets::are_kept_hard(&self.path) {
                    return Err(text);
                }
                self.voice.warn(format!(
                    "budgets across runs do not count this run's calls: {text}"
                ));
                Ok(None)
            }
        }
    }

    fn open(&self) -> Result<Option<Budgets>, StoreError> {
        match Budgets::open(&self.path, &self.config) {
            Ok(budgets) => Ok(Some(budgets)),
            Err(StoreError::Absent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn try_reserve(self: &Arc<Self>, call: &SharedCall, amount: UsdNanos) -> Result<Hold, Denied> {
        let spender = self.spender(call);
        let now = self.config.clock.now();
        let reserved = self
            .with(|budgets| budgets.reserve(&spender, amount, now))
            .map_err(Denied::Failed)?;
        let id = match reserved {
            // Neither history nor rule: both may have gone since the call was looked at.
            None | Some(Ok(None)) => None,
            Some(Ok(Some(reservation))) => Some(reservation.id),
            Some(Err(refused)) => return Err(Denied::Full(Box::new(refused))),
        };
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        Ok(Hold {
            keeper: Arc::clone(self),
            call: call.clone(),
            id,
        })
    }

    fn refusal(&self, denied: Denied) -> SharedRefusal {
        match denied {
            Denied::Full(refused) => {
                SharedRefusal::Full(Box::new(account(&refused.account, self.config.clock.as_ref())))
            }
            Denied::Failed(why) => SharedRefusal::Unchecked(why),
        }
    }

    /// Warns of the marks that a call has passed.
    fn tell(&self, states: &[AccountState]) {
        let now = self.config.clock.now();
        for state in states {
            if let Some(mark) = state.mark_passed {
                self.voice.warn(words::mark_passed(state, mark, now));
            }
        }
    }

    fn settled(&self, outcome: Result<Option<Vec<AccountState>>, String>) {
        match outcome {
            Ok(states) => self.tell(&states.unwrap_or_default()),
            Err(why) => self.voice.warn(format!(
                "what a call cost is not noted in the budgets across runs, which keep all that it could have cost: \
                 {why}"
            )),
        }
    }
}

/// An account as a refusal shows it.
fn account(state: &AccountState, clock: &dyn Clock) -> SharedAccount {
    SharedAccount {
        name: words::name(state, clock.now()),
        limit: state.rule.limit,
        spent: state.spent,
        withheld: state.withheld,
    }
}

fn cost_of(cost: SharedCost) -> CallCost {
    CallCost {
        spent: cost.spent,
        withheld: cost.withheld,
    }
}

impl SharedBudgets for RunBudgets {
    fn concern(&self, call: &SharedCall) -> Result<Option<SharedConcern>, SharedRefusal> {
        let spender = self.spender(call);
        let now = self.config.clock.now();
        let states = self
            .with(|budgets| budgets.concerning(&spender, now))
            .map_err(SharedRefusal::Unchecked)?;
        let states = states.unwrap_or_default();
        if states.is_empty() {
            return Ok(None);
        }
        let hard = states.iter().filter(|state| state.rule.hard);
        let tightest = hard.min_by_key(|state| state.unspent());
        Ok(Some(SharedConcern {
            tightest: tightest.map(|state| account(state, self.config.clock.as_ref())),
        }))
    }

    fn reserve(self: Arc<Self>, call: SharedCall, amount: UsdNanos) -> SharedAnswer {
        Box::pin(async move {
            let mut pause = PAUSE.0;
            loop {
                let (asking, asked) = (Arc::clone(&self), call.clone());
                // Who waits for the disk must not hold up the other nodes. What comes too late is given back.
                let answer = tokio::task::spawn_blocking(move || asking.try_reserve(&asked, amount)).await;
                let denied = match answer {
                    Ok(Ok(hold)) => return Ok(Box::new(hold) as Box<dyn SharedHold>),
                    Ok(Err(denied)) => denied,
                    Err(_) => Denied::Failed("the run is being stopped".to_owned()),
                };
                // What is under way in this run is not lost because of a call that has no room.
                let waits = match &denied {
                    Denied::Full(refused) => {
                        refused.may_come_free || self.in_flight.load(Ordering::SeqCst) > 0
                    }
                    Denied::Failed(_) => false,
                };
                if !waits {
                    return Err(self.refusal(denied));
                }
                let _whichever_is_first = tokio::time::timeout(jittered(pause), self.ended.notified()).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        })
    }

    fn reserve_now(
        self: Arc<Self>,
        call: &SharedCall,
        amount: UsdNanos,
    ) -> Result<Box<dyn SharedHold>, SharedRefusal> {
        match self.try_reserve(call, amount) {
            Ok(hold) => Ok(Box::new(hold)),
            Err(denied) => Err(self.refusal(denied)),
        }
    }

    fn charge(&self, call: &SharedCall, cost: SharedCost) {
        let spender = self.spender(call);
        let now = self.config.clock.now();
        let outcome = self.with(|budgets| budgets.charge(&spender, cost_of(cost), now));
        self.settled(outcome);
    }
}

/// The tags with each key once: the last one counts.
fn each_once(tags: &[(String, String)]) -> Vec<(String, String)> {
    let is_last = |place: usize, key: &str| tags[place + 1..].iter().all(|(later, _)| later != key);
    let tags = tags.iter().enumerate();
    tags.filter(|(place, (key, _))| is_last(*place, key))
        .map(|(_, tag)| tag.clone())
        .collect()
}

/// About as long, so that processes that wait do not ask in step.
fn jittered(pause: Duration) -> Duration {
    let noise = Instant::now().elapsed().subsec_nanos() ^ std::process::id().wrapping_mul(2_654_435_761);
    pause / 2 + pause * (noise % 1_000) / 1_000
}

/// What one call holds.
struct Hold {
    keeper: Arc<RunBudgets>,
    call: SharedCall,
    /// `None` where no rule held when it was made, or once it is settled.
    id: Option<ReservationId>,
}

impl SharedHold for Hold {
    fn extend(&mut self, more: UsdNanos) -> Result<(), SharedRefusal> {
        let Some(id) = self.id else {
            return Ok(());
        };
        let keeper = &self.keeper;
        match keeper.with(|budgets| budgets.extend(id, more)) {
            Ok(None | Some(Ok(()))) => Ok(()),
            Ok(Some(Err(refused))) => Err(keeper.refusal(Denied::Full(Box::new(refused)))),
            Err(why) => Err(SharedRefusal::Unchecked(why)),
        }
    }

    fn settle(mut self: Box<Self>, cost: SharedCost) {
        match self.id.take() {
            Some(id) => {
                let now = self.keeper.config.clock.now();
                let outcome = self.keeper.with(|budgets| budgets.settle(id, cost_of(cost), now));
                self.keeper.settled(outcome);
            }
            // A rule may have been set while the call went on.
            None => self.keeper.charge(&self.call, cost),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            // What cannot be given back is withheld when this process has ended.
            let _kept_back = self.keeper.with(|budgets| budgets.release(id));
        }
        self.keeper.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.keeper.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
