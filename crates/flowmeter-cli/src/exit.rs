//! Exit codes, and which failure leads to which: nowhere else.
//!
//! Never prints: the failure goes to whoever prints it, and its code to the operating system.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

use flowmeter::{InvalidRedaction, ReadError};
use flowmeter_engine::NodeError;
use flowmeter_store::StoreError;
use flowmeter_workflow::{InvalidInputs, LoadError, SavedError};

use crate::budget::UnpricedModels;
use crate::config::InvalidSetting;

/// How the program leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Success,
    /// The workflow failed.
    Failed,
    /// Some of what was read had problems; the rest was worked on.
    Flawed,
    /// Bad usage or an invalid workflow.
    Invalid,
    /// A budget was exceeded, or could not be kept.
    OverBudget,
    /// A needed file or service is missing.
    Missing,
    /// Ctrl-C, or a signal that asks to stop.
    Interrupted,
}

impl Exit {
    /// The code for the operating system.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed | Self::Flawed => 1,
            Self::Invalid => 2,
            Self::OverBudget => 3,
            Self::Missing => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The command line asks for something that cannot be.
#[derive(Debug)]
pub(crate) struct BadUsage(pub(crate) String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUsage {}

/// A file that is needed is not there.
#[derive(Debug)]
pub(crate) struct MissingFile(pub(crate) String);

impl fmt::Display for MissingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MissingFile {}

/// A run that the history does not have.
#[derive(Debug)]
pub(crate) struct MissingRun(pub(crate) String);

impl fmt::Display for MissingRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MissingRun {}

/// No model is named, and the environment has no key of a provider.
#[derive(Debug)]
pub(crate) struct MissingModel(pub(crate) String);

impl fmt::Display for MissingModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MissingModel {}

/// The class of a planned run whose inputs are not complete.
pub(crate) const INVALID_INPUTS: &str = "invalid_inputs";

/// The class of a run that needs somebody's yes, where nobody can be asked.
pub(crate) const NOT_CONFIRMED: &str = "not_confirmed";

/// The classes of node errors that mean: the command line has to say something else, or more.
const BAD_USAGE: &[&str] = &[
    UNKNOWN_OUTPUT,
    INVALID_INPUTS,
    NOT_CONFIRMED,
    flowmeter_workflow::planner::UNCLEAR,
];

/// The class of a run whose output was asked for by a name that it does not have.
pub(crate) const UNKNOWN_OUTPUT: &str = "unknown_output";

/// The classes of node errors that mean: a key, a program or a server that the workflow needs is not there.
const MISSING_SERVICES: &[&str] = &["auth", "connect", "python_missing"];

/// The classes of node errors that mean: a budget has no room for a call, or nobody can tell whether it has.
const OVER_BUDGET: &[&str] = &["budget_exceeded", "unpriced_model", "budget_unchecked"];

/// How the program leaves after a run.
pub(crate) fn of_run<T>(outcome: Result<&T, &NodeError>) -> Exit {
    match outcome {
        Ok(_) => Exit::Success,
        Err(error) if error.is_cancelled() => Exit::Interrupted,
        Err(error) if BAD_USAGE.contains(&error.error_type()) => Exit::Invalid,
        Err(error) if OVER_BUDGET.contains(&error.error_type()) => Exit::OverBudget,
        Err(error) if MISSING_SERVICES.contains(&error.error_type()) => Exit::Missing,
        Err(_) => Exit::Failed,
    }
}

/// How the program leaves after a failure outside any run, and the short name of that failure's class.
pub(crate) fn of_error(error: &anyhow::Error) -> (Exit, &'static str) {
    for cause in error.chain() {
        if cause.is::<BadUsage>() {
            return (Exit::Invalid, "usage");
        }
        if cause.is::<UnpricedModels>() {
            return (Exit::Invalid, "unpriced_model");
        }
        if cause.is::<InvalidInputs>() {
            return (Exit::Invalid, "invalid_inputs");
        }
        if cause.is::<InvalidSetting>() || cause.is::<InvalidRedaction>() {
            return (Exit::Invalid, "invalid_setting");
        }
        if cause.is::<MissingModel>() {
            return (Exit::Missing, "no_model");
        }
        if cause.is::<MissingFile>() {
            return (Exit::Missing, "file_missing");
        }
        if cause.is::<MissingRun>() {
            return (Exit::Missing, "run_missing");
        }
        match cause.downcast_ref::<SavedError>() {
            Some(SavedError::Unknown { .. }) => return (Exit::Missing, "workflow_missing"),
            Some(SavedError::Name(_)) => return (Exit::Invalid, "invalid_name"),
            Some(SavedError::Load(_)) => return (Exit::Invalid, "invalid_workflow"),
            Some(
                SavedError::ChangedByHand { .. }
                | SavedError::PathOfRun { .. }
                | SavedError::TooMuch { .. }
                | SavedError::SamePlace { .. },
            ) => return (Exit::Invalid, "not_saved"),
            Some(SavedError::Read { .. } | SavedError::Write { .. } | SavedError::Busy { .. }) => {
                return (Exit::Failed, "saved_workflows");
            }
            None => {}
        }
        match cause.downcast_ref::<StoreError>() {
            Some(StoreError::Absent { .. }) => return (Exit::Missing, "file_missing"),
            Some(StoreError::Invalid(_)) => return (Exit::Invalid, "usage"),
            Some(_) => return (Exit::Failed, "history"),
            None => {}
        }
        match cause.downcast_ref::<LoadError>() {
            Some(LoadError::Unreadable { .. }) => return (Exit::Missing, "file_missing"),
            Some(_) => return (Exit::Invalid, "invalid_workflow"),
            None => {}
        }
        match cause.downcast_ref::<ReadError>() {
            Some(ReadError::Open { .. }) => return (Exit::Missing, "file_missing"),
            Some(ReadError::NoTrace { .. }) => return (Exit::Invalid, "no_trace"),
            None => {}
        }
        if let Some(error) = cause.downcast_ref::<std::io::Error>()
            && error.kind() == ErrorKind::NotFound
        {
            return (Exit::Missing, "file_missing");
        }
    }
    (Exit::Failed, "failed")
}
