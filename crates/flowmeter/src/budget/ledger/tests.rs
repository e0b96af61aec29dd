//! Accounts never give out more than they have, whatever the order, and leave nobody waiting for nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use flowmeter_model::UsdNanos;

use crate::budget::{Account, Amounts, Budget, BudgetLimit, BudgetOwner, Held, Settled, Shortage};

type Asking = Pin<Box<dyn Future<Output = Result<Held, Shortage>>>>;

fn poll(asking: &mut Asking) -> Poll<Result<Held, Shortage>> {
    asking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn ask(account: &Arc<Account>, wanted: Amounts) -> Asking {
    let account = Arc::clone(account);
    Box::pin(async move { account.reserve(wanted).await })
}

fn account(max_cost: i64, parent: Option<&Arc<Account>>) -> Arc<Account> {
    let budget = Budget {
        max_cost: Some(UsdNanos(max_cost)),
        ..Budget::default()
    };
    Account::open(budget, BudgetOwner::Run, parent)
}

fn cost(nanos: u64) -> Amounts {
    Amounts::new(nanos, 0, 1)
}

fn came_to(spent: Amounts) -> Settled {
    Settled {
        spent,
        ..Settled::default()
    }
}

fn granted(asked: Poll<Result<Held, Shortage>>) -> Held {
    match asked {
        Poll::Ready(Ok(held)) => held,
        Poll::Ready(Err(shortage)) => panic!("refused: {shortage:?}"),
        Poll::Pending => panic!("still waiting"),
    }
}

fn refused(asked: Poll<Result<Held, Shortage>>) -> Shortage {
    match asked {
        Poll::Ready(Err(shortage)) => shortage,
        Poll::Ready(Ok(_)) => panic!("granted"),
        Poll::Pending => panic!("still waiting"),
    }
}

fn spent(account: &Account) -> u64 {
    account.position().spent.of(BudgetLimit::Cost)
}

#[test]
fn who_is_stopped_while_waiting_is_not_counted_as_refused() {
    let run = account(100, None);
    let held = granted(poll(&mut ask(&run, cost(90))));
    let (mut stopped, mut heard) = (ask(&run, cost(20)), ask(&run, cost(30)));
    assert!(poll(&mut stopped).is_pending() && poll(&mut heard).is_pending());
    held.settle(came_to(cost(90)));
    assert_eq!(run.position().refused_calls, 2);
    drop(stopped);
    refused(poll(&mut heard));
    drop(heard);
    assert_eq!(run.position().refused_calls, 1);
}

#[test]
fn what_nobody_counted_is_not_given_out_again() {
    let run = account(100, None);
    let node = account(80, Some(&run));
    let held = granted(poll(&mut ask(&node, cost(50))));
    held.settle(Settled {
        spent: cost(10),
        withheld: Amounts::new(40, 0, 0),
        is_unpriced: false,
    });
    let shortage = refused(poll(&mut ask(&node, cost(31))));
    assert_eq!(shortage.withheld, 40);
    assert_eq!(node.left(BudgetLimit::Cost), 30);
    granted(poll(&mut ask(&node, cost(30)))).settle(came_to(cost(30)));
    assert_eq!((spent(&run), spent(&node)), (40, 40));
    assert_eq!(run.left(BudgetLimit::Cost), 20);
}

#[test]
fn a_call_that_may_fit_later_waits_and_one_that_never_will_is_refused() {
    let run = account(100, None);
    let first = granted(poll(&mut ask(&run, cost(70))));
    let mut second = ask(&run, cost(60));
    assert!(poll(&mut second).is_pending());
    first.settle(came_to(cost(40)));
    let second = granted(poll(&mut second));
    // 40 are spent and 60 in flight: there never will be room for 61, which is told when nothing is in flight.
    let mut third = ask(&run, cost(61));
    assert!(poll(&mut third).is_pending());
    second.settle(came_to(cost(60)));
    let shortage = refused(poll(&mut third));
    assert_eq!((shortage.wanted, shortage.limit), (61, BudgetLimit::Cost));
    assert_eq!((spent(&run), run.position().refused_calls), (100, 1));
    // What costs nothing is never too much.
    granted(poll(&mut ask(&run, cost(0)))).settle(came_to(cost(0)));
}

#[test]
fn an_exact_fit_fits_and_a_nano_more_does_not() {
    let run = account(100, None);
    refused(poll(&mut ask(&run, cost(101))));
    let held = granted(poll(&mut ask(&run, cost(100))));
    held.settle(came_to(cost(100)));
    refused(poll(&mut ask(&run, cost(1))));
}

#[test]
fn all_accounts_around_agree_or_none_takes_anything() {
    let run = account(100, None);
    let node = account(30, Some(&run));
    let inner = account(1_000, Some(&node));
    let shortage = refused(poll(&mut ask(&inner, cost(31))));
    assert_eq!(inner.of_shortage(&shortage).id, node.id);
    assert_eq!(run.position().reserved, Amounts::default());
    assert_eq!(inner.position().reserved, Amounts::default());
    granted(poll(&mut ask(&inner, cost(30)))).settle(came_to(cost(25)));
    assert_eq!((spent(&inner), spent(&node), spent(&run)), (25, 25, 25));
    // Beside the node there is more.
    granted(poll(&mut ask(&run, cost(75)))).settle(came_to(cost(75)));
    let shortage = refused(poll(&mut ask(&inner, cost(1))));
    assert_eq!(inner.of_shortage(&shortage).id, run.id);
}

#[test]
fn who_waits_is_not_passed_by_smaller_calls() {
    let run = account(100, None);
    let first = granted(poll(&mut ask(&run, cost(80))));
    let mut large = ask(&run, cost(90));
    assert!(poll(&mut large).is_pending());
    let mut small = ask(&run, cost(10));
    assert!(poll(&mut small).is_pending());
    // A call that needs none of what they wait for goes by.
    let free = granted(poll(&mut ask(&run, cost(0))));
    first.settle(came_to(cost(0)));
    let large = granted(poll(&mut large));
    let small = granted(poll(&mut small));
    drop((free, large, small));
    assert_eq!(run.position().reserved, Amounts::default());
}

#[test]
fn who_waits_for_a_node_s_own_budget_holds_nobody_else_up() {
    let run = account(100, None);
    let node = account(20, Some(&run));
    let in_node = granted(poll(&mut ask(&node, cost(15))));
    let mut waiting = ask(&node, cost(20));
    assert!(poll(&mut waiting).is_pending());
    let beside = granted(poll(&mut ask(&run, cost(85))));
    drop(in_node);
    // The node has room now, the run has: 85 + 20 is too much.
    assert!(poll(&mut waiting).is_pending());
    beside.settle(came_to(cost(80)));
    granted(poll(&mut waiting)).settle(came_to(cost(20)));
    assert_eq!(spent(&run), 100);
}

#[test]
fn who_gives_up_waiting_makes_room_for_those_behind() {
    let run = account(100, None);
    let first = granted(poll(&mut ask(&run, cost(50))));
    let mut large = ask(&run, cost(100));
    assert!(poll(&mut large).is_pending());
    let mut small = ask(&run, cost(50));
    assert!(poll(&mut small).is_pending());
    drop(large);
    let second = granted(poll(&mut small));
    drop((first, second));
    // A reservation that was granted and never fetched is given back.
    let first = granted(poll(&mut ask(&run, cost(100))));
    let mut waiting = ask(&run, cost(100));
    assert!(poll(&mut waiting).is_pending());
    drop(first);
    assert_eq!(run.position().reserved, cost(100));
    drop(waiting);
    assert_eq!(run.position().reserved, Amounts::default());
}

#[test]
fn a_reservation_grows_only_into_what_nobody_has() {
    let run = account(100, None);
    let mut held = granted(poll(&mut ask(&run, cost(40))));
    let other = granted(poll(&mut ask(&run, cost(40))));
    held.extend(Amounts::new(20, 0, 0)).unwrap();
    assert!(held.extend(Amounts::new(1, 0, 0)).is_err());
    other.settle(came_to(cost(10)));
    held.extend(Amounts::new(30, 0, 0)).unwrap();
    assert!(held.extend(Amounts::new(1, 0, 0)).is_err());
    held.settle(came_to(cost(90)));
    assert_eq!(spent(&run), 100);
}

#[test]
fn calls_and_tokens_are_limited_alike() {
    let budget = Budget {
        max_tokens: Some(1_000),
        max_llm_calls: Some(2),
        ..Budget::default()
    };
    let run = Account::open(budget, BudgetOwner::Run, None);
    let wanted = |tokens| Amounts::new(5, tokens, 1);
    assert_eq!(
        refused(poll(&mut ask(&run, wanted(1_001)))).limit,
        BudgetLimit::Tokens
    );
    let first = granted(poll(&mut ask(&run, wanted(600))));
    let mut second = ask(&run, wanted(600));
    assert!(poll(&mut second).is_pending());
    first.settle(came_to(wanted(300)));
    granted(poll(&mut second)).settle(came_to(wanted(300)));
    assert_eq!(
        refused(poll(&mut ask(&run, wanted(1)))).limit,
        BudgetLimit::LlmCalls
    );
}

#[test]
fn slots_of_closed_accounts_are_used_again() {
    let run = account(100, None);
    for _ in 0..1_000 {
        let node = account(10, Some(&run));
        granted(poll(&mut ask(&node, cost(1)))).settle(came_to(cost(0)));
    }
    assert!(run.slots_in_use() <= 2);
}

/// Asks, settles, grows, gives back and gives up in random order; what a call comes to is never more than was agreed.
#[test]
fn no_order_of_events_passes_a_limit_or_leaves_anybody_behind() {
    arbtest::arbtest(|random| {
        let run = account(random.int_in_range(0..=1_000)?, None);
        let node = account(random.int_in_range(0..=1_000)?, Some(&run));
        let inner = account(random.int_in_range(0..=1_000)?, Some(&node));
        let beside = account(random.int_in_range(0..=1_000)?, Some(&run));
        let accounts = [run, node, inner, beside];
        let mut waiting: Vec<Asking> = Vec::new();
        let mut in_flight: Vec<Held> = Vec::new();
        let check = || {
            for account in &accounts {
                let position = account.position();
                let most = u64::try_from(account.budget.max_cost.unwrap().0).unwrap();
                let committed =
                    position.spent.of(BudgetLimit::Cost) + position.reserved.of(BudgetLimit::Cost);
                assert!(committed <= most, "{committed} of {most}");
            }
        };
        for _ in 0..random.int_in_range(1..=60)? {
            match random.int_in_range(0..=5)? {
                0..=1 => {
                    let wanted = cost(random.int_in_range(0..=400)?);
                    waiting.push(ask(random.choose(&accounts)?, wanted));
                }
                2 if !in_flight.is_empty() => {
                    let held = in_flight.swap_remove(random.choose_index(in_flight.len())?);
                    let most = held.amounts().of(BudgetLimit::Cost);
                    held.settle(came_to(cost(random.int_in_range(0..=most)?)));
                }
                3 if !in_flight.is_empty() => {
                    let index = random.choose_index(in_flight.len())?;
                    let more = Amounts::new(random.int_in_range(0..=200)?, 0, 0);
                    let _room_or_not = in_flight[index].extend(more);
                }
                4 if !waiting.is_empty() => {
                    drop(waiting.swap_remove(random.choose_index(waiting.len())?));
                }
                5 if !in_flight.is_empty() => {
                    drop(in_flight.swap_remove(random.choose_index(in_flight.len())?));
                }
                _ => {}
            }
            check();
            let mut still = Vec::new();
            for mut asking in waiting.drain(..) {
                match poll(&mut asking) {
                    Poll::Pending => still.push(asking),
                    Poll::Ready(Ok(held)) => in_flight.push(held),
                    Poll::Ready(Err(shortage)) => assert!(shortage.wanted > 0),
                }
            }
            waiting = still;
            check();
        }
        // When nothing is in flight any more, nobody is left waiting.
        while !waiting.is_empty() {
            in_flight.clear();
            let before = waiting.len();
            for mut asking in std::mem::take(&mut waiting) {
                match poll(&mut asking) {
                    Poll::Pending => waiting.push(asking),
                    Poll::Ready(Ok(held)) => in_flight.push(held),
                    Poll::Ready(Err(_)) => {}
                }
            }
            assert!(waiting.len() < before, "{before} wait for nothing");
            check();
        }
        in_flight.clear();
        for account in &accounts {
            assert_eq!(account.position().reserved, Amounts::default());
        }
        Ok(())
    });
}

/// Many threads at one account: the same, with a clock that nobody controls.
#[test]
fn many_threads_never_pass_a_limit_together() {
    let run = account(100_000, None);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let made = runtime.block_on(async {
        let calls: Vec<_> = (0..400_u64)
            .map(|number| {
                let run = Arc::clone(&run);
                tokio::spawn(async move {
                    let wanted = 500 + number % 7;
                    let Ok(held) = run.reserve(cost(wanted)).await else {
                        return 0;
                    };
                    tokio::task::yield_now().await;
                    let real = wanted - number % 3;
                    held.settle(came_to(cost(real)));
                    real
                })
            })
            .collect();
        let mut made = 0;
        for call in calls {
            made += call.await.unwrap();
        }
        made
    });
    assert_eq!(spent(&run), made);
    assert!((100_000 - 507..=100_000).contains(&made), "{made}");
    assert_eq!(run.position().reserved, Amounts::default());
}
