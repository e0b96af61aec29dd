//! Budgets that several runs share: what the meter asks of their keeper, and what it tells it.

use std::sync::Arc;

use flowmeter::{
    Budget, BudgetError, BudgetOwner, LlmFailure, LlmRequest, LlmResponse, OverBudgetKind, RunMeter,
    SharedAccount, SharedAnswer, SharedBudgetName, SharedBudgets, SharedCall, SharedConcern, SharedCost,
    SharedHold, SharedRefusal, current,
};
use flowmeter_engine::{NodeContext, SharedStore};
use flowmeter_model::{Figure, TokenUsage, UsdNanos};
use flowmeter_pricing::{OverrideRates, Overrides, PriceBook};
use parking_lot::Mutex;

/// One account, kept by nobody but this test.
#[derive(Default)]
struct Keeper {
    limit: i64,
    hard: bool,
    broken: bool,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    spent: i64,
    withheld: i64,
    reserved: i64,
    calls: u64,
    unpriced: u64,
    holds: u64,
}

impl Keeper {
    fn new(limit: i64, hard: bool) -> Arc<Self> {
        Arc::new(Self {
            limit,
            hard,
            ..Self::default()
        })
    }

    fn state(&self) -> State {
        *self.state.lock()
    }

    fn account(&self) -> SharedAccount {
        let state = self.state();
        SharedAccount {
            name: SharedBudgetName {
                whose: "all runs in a day".to_owned(),
                advice: "wait for tomorrow".to_owned(),
            },
            limit: UsdNanos(self.limit),
            spent: UsdNanos(state.spent),
            withheld: UsdNanos(state.withheld),
        }
    }

    fn take(&self, amount: UsdNanos) -> Result<(), SharedRefusal> {
        {
            let mut state = self.state.lock();
            if !self.hard || state.spent + state.withheld + state.reserved + amount.0 <= self.limit {
                state.reserved += amount.0;
                return Ok(());
            }
        }
        Err(SharedRefusal::Full(Box::new(self.account())))
    }

    fn count(&self, cost: SharedCost) {
        let mut state = self.state.lock();
        state.calls += 1;
        state.unpriced += u64::from(cost.spent.is_none());
        state.spent += cost.spent.unwrap_or_default().0;
        state.withheld += cost.withheld.0;
    }
}

impl SharedBudgets for Keeper {
    fn concern(&self, call: &SharedCall) -> Result<Option<SharedConcern>, SharedRefusal> {
        if self.broken {
            return Err(SharedRefusal::Unchecked("the disk is gone".to_owned()));
        }
        let concerns = call.model != "nobody-minds";
        Ok(concerns.then(|| SharedConcern {
            tightest: self.hard.then(|| self.account()),
        }))
    }

    fn reserve(self: Arc<Self>, call: SharedCall, amount: UsdNanos) -> SharedAnswer {
        Box::pin(async move { self.reserve_now(&call, amount) })
    }

    fn reserve_now(
        self: Arc<Self>,
        _call: &SharedCall,
        amount: UsdNanos,
    ) -> Result<Box<dyn SharedHold>, SharedRefusal> {
        self.take(amount)?;
        self.state.lock().holds += 1;
        Ok(Box::new(Hold {
            keeper: self,
            amount: amount.0,
        }))
    }

    fn charge(&self, call: &SharedCall, cost: SharedCost) {
        if call.model != "nobody-minds" {
            self.count(cost);
        }
    }
}

struct Hold {
    keeper: Arc<Keeper>,
    amount: i64,
}

impl SharedHold for Hold {
    fn extend(&mut self, more: UsdNanos) -> Result<(), SharedRefusal> {
        assert!(more.0 >= 0, "{more}");
        self.keeper.take(more)?;
        self.amount += more.0;
        Ok(())
    }

    fn settle(self: Box<Self>, cost: SharedCost) {
        self.keeper.count(cost);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.keeper.state.lock();
        state.reserved -= self.amount;
        state.holds -= 1;
    }
}

/// A dollar per million tokens in, ten out: a thousand nano-dollars a token in, ten thousand out.
fn prices() -> Arc<PriceBook> {
    let mut overrides = Overrides::default();
    for model in ["meter", "nobody-minds"] {
        let rates = OverrideRates {
            input: Some(1_000_000_000),
            output: Some(10_000_000_000),
            ..OverrideRates::default()
        };
        overrides.insert(model, rates);
    }
    Arc::new(PriceBook::with_overrides(overrides))
}

fn meter(keeper: &Arc<Keeper>, budget: Budget) -> RunMeter {
    RunMeter::builder("shared")
        .prices(prices())
        .budget(budget)
        .shared_budgets(Arc::clone(keeper) as Arc<dyn SharedBudgets>)
        .start()
        .unwrap()
}

fn request(model: &str, output_tokens_max: Option<u64>) -> LlmRequest {
    LlmRequest {
        input_tokens_max: Some(100),
        output_tokens_max,
        stream: true,
        is_text_only: true,
        ..LlmRequest::chat("openai", model)
    }
}

fn answer(input: u64, output: u64) -> LlmResponse {
    LlmResponse {
        usage: TokenUsage {
            input: Some(Figure::provider(input)),
            output: Some(Figure::provider(output)),
            ..TokenUsage::default()
        },
        ..LlmResponse::default()
    }
}

fn context(meter: &RunMeter) -> NodeContext {
    meter.context(SharedStore::new().root())
}

#[tokio::test]
async fn a_call_holds_its_bound_and_settles_what_it_cost() {
    // 100 in and 10 out may cost 200,000.
    let keeper = Keeper::new(350_000, true);
    let meter = meter(&keeper, Budget::default());
    let cx = context(&meter);
    let call = current(&cx)
        .budgeted_llm_call(request("meter", Some(10)))
        .await
        .unwrap();
    assert_eq!(keeper.state().reserved, 200_000);
    let Err(BudgetError::Over(over)) = current(&cx).budgeted_llm_call(request("meter", Some(10))).await
    else {
        panic!("granted");
    };
    assert!(matches!(&over.owner, BudgetOwner::Shared(name) if name.advice == "wait for tomorrow"));
    assert_eq!(over.kind, OverBudgetKind::Refused);
    call.succeed(answer(60, 5));
    let after = keeper.state();
    assert_eq!((after.spent, after.reserved, after.withheld), (110_000, 0, 0));
    // Stopped, it may be billed for all that was agreed.
    drop(
        current(&cx)
            .budgeted_llm_call(request("meter", Some(10)))
            .await
            .unwrap(),
    );
    let stopped = keeper.state();
    assert_eq!(stopped.reserved, 0);
    assert_eq!(stopped.spent + stopped.withheld, 310_000);
    // What its provider never took up costs nothing.
    let tiny = LlmRequest {
        input_tokens_max: Some(1),
        ..request("meter", Some(1))
    };
    let failed = current(&cx).budgeted_llm_call(tiny).await.unwrap();
    failed.fail(LlmFailure::default());
    assert_eq!(
        (keeper.state().spent, keeper.state().withheld),
        (stopped.spent, stopped.withheld)
    );
    // Calls that ask nobody count all the same, unless they concern nobody.
    current(&cx)
        .llm_call(request("meter", None))
        .succeed(answer(1, 0));
    current(&cx)
        .llm_call(request("nobody-minds", None))
        .succeed(answer(1, 0));
    let call = current(&cx)
        .budgeted_llm_call(request("nobody-minds", Some(99_999)))
        .await
        .unwrap();
    call.succeed(answer(1, 0));
    assert_eq!(keeper.state().spent, stopped.spent + 1_000);
    assert_eq!(keeper.state().calls, 4);
}

#[tokio::test]
async fn the_runs_own_budget_holds_beside_it() {
    let keeper = Keeper::new(1_000_000_000, true);
    let own = Budget {
        max_cost: Some(UsdNanos(300_000)),
        ..Budget::default()
    };
    let meter = meter(&keeper, own);
    let cx = context(&meter);
    let call = current(&cx)
        .budgeted_llm_call(request("meter", Some(10)))
        .await
        .unwrap();
    let refused = current(&cx)
        .llm_call(request("meter", None))
        .succeed(answer(150, 0));
    assert!(refused.amount.is_some());
    call.succeed(answer(100, 10));
    let Err(error) = current(&cx).budgeted_llm_call(request("meter", Some(10))).await else {
        panic!("granted");
    };
    assert_eq!(error.owner(), &BudgetOwner::Run);
    assert_eq!((keeper.state().reserved, keeper.state().holds), (0, 0));
    assert_eq!(keeper.state().spent, 350_000);
}

#[tokio::test]
async fn a_stream_is_cut_where_a_hard_one_has_no_room_and_goes_on_where_it_only_warns() {
    for hard in [true, false] {
        let keeper = Keeper::new(250_000, hard);
        let meter = meter(&keeper, Budget::default());
        let cx = context(&meter);
        let mut call = current(&cx)
            .budgeted_llm_call(request("meter", Some(10)))
            .await
            .unwrap();
        let goes_on = (0..40).all(|piece| call.counted(piece));
        assert_eq!(goes_on, !hard);
        if hard {
            let Some(BudgetError::Over(over)) = call.over_budget() else {
                panic!("not cut");
            };
            assert_eq!(over.kind, OverBudgetKind::Cut);
            call.fail(LlmFailure {
                may_be_billed: true,
                ..LlmFailure::default()
            });
            let state = keeper.state();
            assert!(state.spent + state.withheld <= 250_000, "{state:?}");
        } else {
            call.succeed(answer(100, 40));
            assert_eq!(keeper.state().spent, 500_000);
        }
        assert_eq!((keeper.state().reserved, keeper.state().holds), (0, 0));
    }
}

#[tokio::test]
async fn an_answer_of_unknown_length_is_told_to_fit_only_by_a_hard_one() {
    let keeper = Keeper::new(1_100_000, true);
    let hard = meter(&keeper, Budget::default());
    let cx = context(&hard);
    let call = current(&cx)
        .budgeted_llm_call(request("meter", None))
        .await
        .unwrap();
    assert_eq!(call.imposed_max_tokens(), Some(100));
    call.succeed(answer(100, 100));
    let keeper = Keeper::new(1_100_000, false);
    let soft = meter(&keeper, Budget::default());
    let cx = context(&soft);
    let call = current(&cx)
        .budgeted_llm_call(request("meter", None))
        .await
        .unwrap();
    assert_eq!(call.imposed_max_tokens(), None);
    call.succeed(answer(100, 200));
    assert_eq!(keeper.state().spent, 2_100_000);
}

#[tokio::test]
async fn models_without_a_price_and_budgets_that_cannot_be_checked() {
    let unpriced = || request("nobody-knows-this-model", Some(10));
    let keeper = Keeper::new(1_000_000, true);
    let strict = meter(&keeper, Budget::default());
    let Err(error) = current(&context(&strict)).budgeted_llm_call(unpriced()).await else {
        panic!("granted");
    };
    assert_eq!(error.error_type(), "unpriced_model");
    let allowing = Budget {
        allow_unpriced: true,
        ..Budget::default()
    };
    for (keeper, budget) in [
        (Keeper::new(1_000_000, true), allowing),
        (Keeper::new(1_000_000, false), Budget::default()),
    ] {
        let meter = meter(&keeper, budget);
        let call = current(&context(&meter))
            .budgeted_llm_call(unpriced())
            .await
            .unwrap();
        call.succeed(answer(100, 10));
        assert_eq!((keeper.state().unpriced, keeper.state().spent), (1, 0));
    }
    let broken = Arc::new(Keeper {
        broken: true,
        ..Keeper::default()
    });
    let meter = meter(&broken, Budget::default());
    let Err(error) = current(&context(&meter))
        .budgeted_llm_call(request("meter", Some(1)))
        .await
    else {
        panic!("granted");
    };
    assert_eq!(error.error_type(), "budget_unchecked");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}
