//! What the end-to-end tests share: a sandbox to run the binary in, and a model to ask.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flowmeter_workflow::scripted_model::{Script, ScriptedModel};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A folder with a home and workflow files in it.
pub(crate) struct Sandbox {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// How the binary left, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// What it printed, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// A sandbox whose models all lead to `model`.
    pub(crate) fn asking(model: &Model) -> Self {
        Self::new()
            .with("OPENAI_BASE_URL", &model.server.openai_base_url())
            .with("OPENAI_API_KEY", "test-key-of-nobody")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// Writes a file and says where it is.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Writes a workflow and says where it is.
    pub(crate) fn workflow(&self, name: &str, document: &Value) -> String {
        self.file(name, &document.to_string())
    }

    /// The binary with nothing of the tests' own environment but the path.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowmeter"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("FLOWMETER_HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ended {
        ended(self.command(args))
    }

    /// The traces that were saved.
    pub(crate) fn traces(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.home().join("traces"));
        let mut found: Vec<PathBuf> = folder
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        found.sort();
        found
    }

    /// Every file below the sandbox.
    pub(crate) fn all_files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.path().to_path_buf()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// Runs a command to its end.
pub(crate) fn ended(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A scripted model that serves while this lives.
pub(crate) struct Model {
    pub(crate) server: ScriptedModel,
    _runtime: Runtime,
}

impl Model {
    pub(crate) fn new(script: Script) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(ScriptedModel::start(script)).unwrap();
        Self {
            server,
            _runtime: runtime,
        }
    }
}

/// Times, ids and paths differ from run to run: they are replaced, everything else stays.
pub(crate) fn steady(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            // Told only of nodes that took a while.
            .filter(|(key, _)| !key.starts_with("process_memory_") && !key.starts_with("process.memory."))
            .map(|(key, member)| {
                let steady = match key.as_str() {
                    "duration_ms" if member.is_number() => "<ms>".into(),
                    "node_timings" => member
                        .as_object()
                        .unwrap()
                        .iter()
                        .map(|(node, ms)| {
                            (
                                node.clone(),
                                if ms.is_number() { "<ms>".into() } else { ms.clone() },
                            )
                        })
                        .collect(),
                    // What was measured: there, whatever it is.
                    "durations_ms"
                    | "llm_durations_ms"
                    | "time_to_first_token_ms"
                    | "node_durations"
                    | "queue_time_ms"
                    | "memory_usage"
                    | "throughput"
                        if member.is_object() =>
                    {
                        "<measured>".into()
                    }
                    "cpu_time_ms"
                    | "child_cpu_time_ms"
                    | "node.cpu_ns"
                    | "batch.queue_ns"
                    | "process.child.cpu.user_ns"
                    | "process.child.cpu.system_ns"
                        if member.is_number() =>
                    {
                        "<measured>".into()
                    }
                    "source_date" => "<day>".into(),
                    "trace_id" => "<id>".into(),
                    "trace_file" => "<file>".into(),
                    _ => steady(member),
                };
                (key.clone(), steady)
            })
            .collect(),
        Value::Array(elements) => elements.iter().map(steady).collect(),
        other => other.clone(),
    }
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
