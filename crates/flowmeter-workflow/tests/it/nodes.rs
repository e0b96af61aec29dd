//! The leaf node types, run as the engine runs them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowmeter_engine::{Action, Backoff, NodeContext, NodeError, RetryPolicy, SharedStore, StoreView};
use flowmeter_workflow::chat::{
    ChatError, ChatModel, ChatReply, ChatRequest, ChatTarget, GenaiModel, OnPiece,
};
use flowmeter_workflow::http_client::HttpClient;
use flowmeter_workflow::nodes::{NodeSetting, Services, find};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What running a node came to.
pub(crate) struct Ran {
    pub(crate) outcome: Result<Action, NodeError>,
    pub(crate) store: StoreView,
}

impl Ran {
    pub(crate) fn get(&self, key: &str) -> Value {
        self.store
            .get(key)
            .map_or(Value::Null, |value| Value::clone(&value))
    }

    pub(crate) fn action(&self) -> &str {
        self.outcome.as_ref().unwrap().as_str()
    }

    pub(crate) fn error(&self) -> String {
        assert_eq!(self.action(), "error");
        self.get("error").as_str().unwrap().to_owned()
    }
}

/// A model that nobody is supposed to ask.
struct NoModel;

#[flowmeter_engine::async_trait]
impl ChatModel for NoModel {
    fn target(&self, _model: &str) -> Result<ChatTarget, ChatError> {
        panic!("no model was to be asked")
    }
    async fn chat(&self, _request: &ChatRequest, _on_piece: OnPiece<'_>) -> Result<ChatReply, ChatError> {
        panic!("no model was to be asked")
    }
}

pub(crate) fn services(chat: Option<GenaiModel>, default_model: Option<&str>) -> Arc<Services> {
    let chat: Arc<dyn ChatModel> = match chat {
        Some(chat) => Arc::new(chat),
        None => Arc::new(NoModel),
    };
    Arc::new(Services {
        chat,
        default_model: default_model.map(Into::into),
        http: HttpClient::new(),
        caching: flowmeter_workflow::response_cache::Caching::default(),
    })
}

pub(crate) async fn run_with(
    services: &Arc<Services>,
    node_type: &str,
    params: Value,
    retry: Option<RetryPolicy>,
    cancellation: CancellationToken,
) -> Ran {
    let node_type = find(node_type).unwrap();
    let retry = retry.unwrap_or_else(node_type.default_retry);
    let node = (node_type.make)(&NodeSetting {
        id: "n",
        cache: None,
        retry,
        services,
    });
    let store = SharedStore::new().root().in_namespace("n");
    let cx = NodeContext::new(store.clone())
        .with_params(Arc::new(params))
        .with_cancellation(cancellation);
    Ran {
        outcome: node.run(&cx).await,
        store,
    }
}

pub(crate) async fn run(node_type: &str, params: Value) -> Ran {
    run_with(
        &services(None, None),
        node_type,
        params,
        None,
        CancellationToken::new(),
    )
    .await
}

pub(crate) fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_string_lossy().into_owned()
}

fn alive(pid: &str) -> bool {
    // A zombie that nobody has collected yet is dead for our purpose.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn echo_gives_any_value_back() {
    for message in [json!("x"), json!(3), json!(null), json!({"a": [1]})] {
        let ran = run("echo", json!({"message": message})).await;
        assert_eq!((ran.action(), ran.get("echo")), ("default", message));
    }
    assert!(run("echo", json!({})).await.error().contains("`message`"));
}

#[tokio::test]
async fn shell_writes_what_the_command_said() {
    let ran = run("shell", json!({"command": "echo out; echo err >&2"})).await;
    assert_eq!(ran.action(), "default");
    assert_eq!(ran.get("stdout"), json!("out"));
    assert_eq!(ran.get("stderr"), json!("err\n"));
    assert_eq!(ran.get("exit_code"), json!(0));
    assert_eq!(ran.get("command"), json!("echo out; echo err >&2"));
    assert_eq!(
        run(
            "shell",
            json!({"command": "printf 'a\\n\\n'", "strip_newline": false})
        )
        .await
        .get("stdout"),
        json!("a\n\n")
    );
}

#[tokio::test]
async fn shell_takes_stdin_folder_and_environment() {
    let folder = TempDir::new().unwrap();
    let ran = run(
        "shell",
        json!({"command": "pwd; echo \"$GREETING $COUNT $FLAG\"; cat", "cwd": folder.path(), "stdin": {"a": 1},
            "env": {"GREETING": "it's $HOME", "COUNT": 3, "FLAG": true}}),
    )
    .await;
    let canonical = folder.path().canonicalize().unwrap();
    let expected = format!("{}\nit's $HOME 3 True\n{{\"a\": 1}}", canonical.display());
    assert_eq!(ran.get("stdout"), json!(expected));
    // Without stdin the command reads an end at once.
    assert_eq!(
        run("shell", json!({"command": "cat"})).await.get("stdout"),
        json!("")
    );
    // A command that reads nothing of a large input is no failure.
    let ran = run("shell", json!({"command": "true", "stdin": "x".repeat(1 << 20)})).await;
    assert_eq!(ran.action(), "default");
}

#[tokio::test]
async fn a_command_that_fails_leads_to_the_action_error_with_its_outputs() {
    let ran = run(
        "shell",
        json!({"command": "echo partial; echo broken >&2; exit 3"}),
    )
    .await;
    assert_eq!(ran.error(), "the command ended with exit code 3: broken");
    assert_eq!(
        (ran.get("stdout"), ran.get("exit_code")),
        (json!("partial"), json!(3))
    );
    let ran = run("shell", json!({"command": "exit 3", "ignore_errors": true})).await;
    assert_eq!((ran.action(), ran.get("exit_code")), ("default", json!(3)));
    assert!(
        run("shell", json!({"command": " "}))
            .await
            .error()
            .contains("`command` is empty")
    );
    assert!(
        run("shell", json!({"command": "true", "cwd": "/no/such/folder"}))
            .await
            .error()
            .contains("does not exist")
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_come_as_base64() {
    let ran = run("shell", json!({"command": "printf '\\377\\376'"})).await;
    assert_eq!(
        (ran.get("stdout"), ran.get("stdout_is_binary")),
        (json!("//4="), json!(true))
    );
}

#[tokio::test]
async fn a_large_output_passes_without_a_deadlock() {
    let command = "head -c 52428800 /dev/zero | tr '\\0' 'x'; head -c 5000000 /dev/zero | tr '\\0' 'y' >&2";
    let ran = run("shell", json!({"command": command, "timeout": 60})).await;
    assert_eq!(ran.get("stdout").as_str().unwrap().len(), 52_428_800);
    assert_eq!(ran.get("stderr").as_str().unwrap().len(), 5_000_000);
}

#[tokio::test]
async fn a_timeout_kills_the_whole_family() {
    let folder = TempDir::new().unwrap();
    let pids = path(&folder, "pids");
    let command = format!("sh -c 'sleep 60 & echo $! >> {pids}; wait' & echo $! >> {pids}; wait");
    let began = Instant::now();
    let ran = run("shell", json!({"command": command, "timeout": 0.4})).await;
    assert!(
        ran.error().contains("took longer than the limit of 0.4 s"),
        "{}",
        ran.error()
    );
    assert!(began.elapsed() < Duration::from_secs(2));
    expect_dead(&pids).await;
}

#[tokio::test]
async fn a_background_process_that_holds_the_output_is_told_from_a_slow_command() {
    let ran = run(
        "shell",
        json!({"command": "sleep 30 & echo done", "timeout": 0.3}),
    )
    .await;
    let error = ran.error();
    assert!(error.contains("in the background"), "{error}");
    assert_eq!(ran.get("error_type"), json!("timeout"));
    let ran = run(
        "shell",
        json!({"command": "sleep 1 >/dev/null 2>&1 & echo done", "timeout": 0.5}),
    )
    .await;
    assert_eq!(ran.get("stdout"), json!("done"));
}

#[tokio::test]
async fn a_cancelled_run_kills_the_whole_family() {
    let folder = TempDir::new().unwrap();
    let pids = path(&folder, "pids");
    let command = format!("sh -c 'sleep 60 & echo $! >> {pids}; wait' & echo $! >> {pids}; wait");
    let cancellation = CancellationToken::new();
    let cancel = cancellation.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        cancel.cancel();
    });
    let began = Instant::now();
    let ran = run_with(
        &services(None, None),
        "shell",
        json!({"command": command}),
        None,
        cancellation,
    )
    .await;
    assert!(ran.outcome.unwrap_err().is_cancelled());
    assert!(began.elapsed() < Duration::from_millis(1400));
    expect_dead(&pids).await;
}

async fn expect_dead(pids: &str) {
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 2);
    let deadline = Instant::now() + Duration::from_secs(1);
    while pids.lines().any(alive) {
        assert!(Instant::now() < deadline, "still alive: {pids}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_command_is_tried_again_when_the_file_says_so() {
    let folder = TempDir::new().unwrap();
    let marker = path(&folder, "marker");
    let command = format!("test -e {marker} && echo now || {{ touch {marker}; exit 1; }}");
    let retry = RetryPolicy::new(2, Duration::ZERO, Backoff::Fixed).unwrap();
    let ran = run_with(
        &services(None, None),
        "shell",
        json!({"command": command}),
        Some(retry),
        CancellationToken::new(),
    )
    .await;
    assert_eq!((ran.action(), ran.get("stdout")), ("default", json!("now")));
}

#[tokio::test]
async fn cancellation_reaches_a_sleeping_retry() {
    let retry = RetryPolicy::new(2, Duration::from_secs(60), Backoff::Fixed).unwrap();
    let cancellation = CancellationToken::new();
    let cancel = cancellation.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    let began = Instant::now();
    let ran = run_with(
        &services(None, None),
        "shell",
        json!({"command": "exit 1"}),
        Some(retry),
        cancellation,
    )
    .await;
    assert!(ran.outcome.unwrap_err().is_cancelled());
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn code_gives_its_result_and_what_it_printed() {
    let code = "items: list\nprint('hello')\nresult: dict = {'n': len(items), 'first': items[0], 'x': Any is not None}";
    let ran = run(
        "code",
        json!({"code": code, "inputs": {"items": [{"a": "ü"}, 2]}}),
    )
    .await;
    assert_eq!(ran.action(), "default");
    assert_eq!(ran.get("result"), json!({"n": 2, "first": {"a": "ü"}, "x": true}));
    assert_eq!(ran.get("stdout"), json!("hello\n"));
    // Functions of the code see its variables and inputs.
    let code = "def f():\n    return factor * k\nk = 2\nresult = [f() for _ in range(2)]";
    assert_eq!(
        run("code", json!({"code": code, "inputs": {"factor": 21}}))
            .await
            .get("result"),
        json!([42, 42])
    );
}

#[tokio::test]
async fn code_may_choose_the_way_on() {
    let ran = run("code", json!({"code": "result = 1\nnext: str = 'big'"})).await;
    assert_eq!((ran.action(), ran.get("result")), ("big", json!(1)));
}

#[tokio::test]
async fn what_json_cannot_hold_is_told_from_a_dead_interpreter() {
    for code in ["result = 10**400", "result = '\\ud800'"] {
        let ran = run("code", json!({"code": code})).await;
        let error = ran.error();
        assert!(
            error.contains("`result` holds what JSON cannot hold"),
            "{code}: {error}"
        );
        assert_eq!(ran.get("error_type"), json!("code_not_json"));
    }
}

#[tokio::test]
async fn python_errors_are_told_with_their_line() {
    let error = run("code", json!({"code": "x = [1\nresult = 1"})).await.error();
    assert!(
        error.contains("no valid Python") && error.contains("line 1"),
        "{error}"
    );

    let ran = run(
        "code",
        json!({"code": "print('before')\ndef f():\n    return 1 / 0\nresult = f()"}),
    )
    .await;
    let error = ran.error();
    assert!(
        error.contains("ZeroDivisionError: division by zero (line 3)"),
        "{error}"
    );
    assert!(error.contains("return 1 / 0"), "{error}");
    assert_eq!(ran.get("stdout"), json!("before\n"));
    assert!(
        !ran.get("stderr").as_str().unwrap().contains("exec(program"),
        "{}",
        ran.get("stderr")
    );

    for (code, part) in [
        ("y = 1", "did not set the variable `result`"),
        (
            "result = {1, 2}",
            "cannot be written as JSON: Object of type set is not JSON serializable",
        ),
        ("result = float('nan')", "cannot be written as JSON"),
        ("import sys; sys.exit(4)", "SystemExit: 4"),
        ("import os; os._exit(9)", "exit code 9"),
    ] {
        let error = run("code", json!({"code": code})).await.error();
        assert!(error.contains(part), "{code}: {error}");
    }
    let error = run("code", json!({"code": "result = 1", "inputs": {"not a name": 1}}))
        .await
        .error();
    assert!(error.contains("`not a name`"), "{error}");
    let error = run("code", json!({"code": "while True: pass", "timeout": 0.3}))
        .await
        .error();
    assert!(error.contains("took longer"), "{error}");
}
