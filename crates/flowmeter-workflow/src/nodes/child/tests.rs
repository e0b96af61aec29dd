//! Child processes that work, wait, grow, are killed and are left alone. Never asserts an absolute time.

use std::process::Stdio;
use std::time::Instant;

use super::*;

fn start(script: &str) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Child::start(&mut command).unwrap()
}

fn is_there(process: u32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

async fn expect_gone(process: u32) {
    let deadline = Instant::now() + Duration::from_secs(5);
    // A zombie would still be there.
    while is_there(process) {
        assert!(Instant::now() < deadline, "{process} was not collected");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_busy_child_used_more_than_a_sleeping_one() {
    let mut busy = start("i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; exit 3");
    let mut idle = start("sleep 0.05");
    let (status, busy_usage) = busy.wait().await.unwrap();
    let (_, idle_usage) = idle.wait().await.unwrap();
    assert_eq!(status.code(), Some(3));
    let cpu = |usage: ChildUsage| usage.cpu_user + usage.cpu_system;
    assert!(
        cpu(busy_usage) > 3 * cpu(idle_usage),
        "{busy_usage:?} against {idle_usage:?}"
    );
    expect_gone(busy.process.id()).await;
    assert_eq!(busy.try_wait().unwrap().unwrap().0.code(), Some(3), "asked again");
}

#[tokio::test]
async fn memory_is_told_only_where_it_is_the_childs_own() {
    // Our own size is what a small child starts with.
    let ballast = vec![1_u8; 50 << 20];
    let mut small = start("true");
    let memory = small.wait().await.unwrap().1.memory_max;
    assert!(!matches!(memory, ChildMemory::Bytes(50_000_000..)), "{memory:?}");
    let mut steady = start("sleep 0.1");
    match steady.wait().await.unwrap().1.memory_max {
        ChildMemory::Bytes(bytes) => assert!((100_000..20_000_000).contains(&bytes), "{bytes}"),
        other => panic!("seen while it ran: {other:?}"),
    }
    drop(ballast);
    let mut large = start("head -c 200000000 /dev/zero | tail -n 1 >/dev/null");
    match large.wait().await.unwrap().1.memory_max {
        ChildMemory::Bytes(bytes) => assert!(bytes > 150_000_000, "{bytes}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn any_childs_end_is_a_sign_too() {
    let mut quick = start("exit 7");
    let mut slow = start("sleep 0.2; exit 8");
    let signs = Signs::of_any_child().unwrap();
    let (status, _) = slow.wait_for(signs).await.unwrap();
    assert_eq!(status.code(), Some(8));
    assert_eq!(quick.wait().await.unwrap().0.code(), Some(7));
}

#[tokio::test]
async fn a_wait_that_was_given_up_can_be_taken_up_again() {
    let mut child = start("sleep 0.1; exit 4");
    let given_up = tokio::time::timeout(Duration::from_millis(1), child.wait()).await;
    assert!(given_up.is_err());
    assert_eq!(child.wait().await.unwrap().0.code(), Some(4));
}

#[tokio::test]
async fn who_drops_a_running_child_kills_and_collects_it() {
    let child = start("sleep 60 & wait");
    let number = child.process.id();
    drop(child);
    expect_gone(number).await;
}

#[tokio::test]
async fn a_killed_child_says_what_it_had_used() {
    let mut child = start("i=0; while true; do i=$((i + 1)); done");
    let _ = tokio::time::timeout(Duration::from_millis(100), child.wait()).await;
    let usage = child.kill().await.unwrap();
    assert!(usage.cpu_user > Duration::ZERO, "{usage:?}");
    assert!(!is_there(child.process.id()));
}

#[tokio::test]
async fn a_spared_family_lives_on() {
    let mut child = start("sleep 60 & echo $! > /dev/null");
    child.wait().await.unwrap();
    child.spare_family();
    let group = child.group.unwrap();
    drop(child);
    assert!(
        kill_process_group(group, Signal::KILL).is_ok(),
        "somebody of the group was left"
    );
}

#[tokio::test]
async fn what_does_not_exist_does_not_start() {
    let missing = Child::start(&mut Command::new("/nonexistent/program"));
    assert_eq!(missing.err().unwrap().kind(), io::ErrorKind::NotFound);
}
