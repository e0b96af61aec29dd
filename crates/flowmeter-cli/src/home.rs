//! The folder of the program, `~/.flowmeter`, and what lies where in it.
//!
//! Never creates anything: whoever writes a file makes its folder.

use std::env;
use std::path::PathBuf;

/// Where the program keeps its things.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    /// `~/.pflow`, whose price file is read when ours is absent.
    pflow: Option<PathBuf>,
}

impl Home {
    /// A home in a folder of a test.
    #[cfg(test)]
    pub(crate) fn at(folder: &std::path::Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            pflow: None,
        }
    }

    /// `FLOWMETER_HOME`, else `.flowmeter` in the user's home, else in the temporary folder.
    pub(crate) fn find() -> Self {
        let user = env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let folder = env::var_os("FLOWMETER_HOME")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .or_else(|| user.as_ref().map(|user| user.join(".flowmeter")))
            .unwrap_or_else(|| env::temp_dir().join("flowmeter"));
        Self {
            folder,
            pflow: user.map(|user| user.join(".pflow")),
        }
    }

    /// The settings.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// Where saved workflows are.
    pub(crate) fn workflows(&self) -> PathBuf {
        self.folder.join("workflows")
    }

    /// Where traces are saved.
    pub(crate) fn traces(&self) -> PathBuf {
        self.folder.join("traces")
    }

    /// The history of all runs.
    pub(crate) fn history(&self) -> PathBuf {
        self.folder.join("flowmeter.db")
    }

    /// Whether there is a history. One that cannot be looked at is one: who opens it is told why not.
    pub(crate) fn has_history(&self) -> bool {
        !matches!(self.history().try_exists(), Ok(false))
    }

    /// Says when the history was last found to hold nothing that has had its time.
    pub(crate) fn history_retained(&self) -> PathBuf {
        self.folder.join("flowmeter.db-retained")
    }

    /// Says when a run's end last did some of the history's work in the background.
    pub(crate) fn history_tended(&self) -> PathBuf {
        self.folder.join("flowmeter.db-tended")
    }

    /// Where telemetry waits that could not be sent.
    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Where prices that the user set are written.
    pub(crate) fn own_price_file(&self) -> PathBuf {
        self.folder.join("pricing.json")
    }

    /// Where a refreshed price file is kept.
    pub(crate) fn refreshed_prices(&self) -> PathBuf {
        self.folder.join("prices")
    }

    /// Where answers of models are kept.
    pub(crate) fn responses(&self) -> PathBuf {
        self.folder.join("cache").join("responses")
    }

    /// The user's prices: ours, then pflow's.
    pub(crate) fn price_files(&self) -> impl Iterator<Item = PathBuf> {
        [Some(&self.folder), self.pflow.as_ref()]
            .into_iter()
            .flatten()
            .map(|folder| folder.join("pricing.json"))
    }
}
