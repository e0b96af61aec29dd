//! `flowmeter db` on the command line.
//!
//! Never acts on an argument.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  flowmeter db check
  flowmeter db backup ~/flowmeter-backup.db
  flowmeter db retain                      remove what has had its time ([retention])
  sqlite3 \"$(flowmeter db path)\" .tables

All of it may be done while runs are being recorded.";

/// `flowmeter db`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DbArgs {
    #[command(subcommand)]
    pub(crate) action: DbAction,
}

/// What to do with the file.
#[derive(Debug, Subcommand)]
pub(crate) enum DbAction {
    /// Look whether all of it can be read and fits together; exits with 1 where something is wrong
    Check(DbCheckArgs),
    /// Give the space that nothing uses back to the disk
    Vacuum(DbVacuumArgs),
    /// Copy the history into another file, as it is at one moment
    Backup(DbBackupArgs),
    /// Remove what has had its time, as [retention] says
    Retain(DbRetainArgs),
    /// Print where the file is
    Path(DbPathArgs),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  flowmeter db check
  flowmeter db check --json | jq .problems

Reads the whole file, which takes a while where it is large.";

/// `flowmeter db check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct DbCheckArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const VACUUM_EXAMPLES: &str = "\
Examples:
  flowmeter db vacuum

Removed runs leave free space that new runs use; this makes the file smaller at once. It needs room
for a second copy while it works.";

/// `flowmeter db vacuum`.
#[derive(Debug, Args)]
#[command(after_help = VACUUM_EXAMPLES)]
pub(crate) struct DbVacuumArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const BACKUP_EXAMPLES: &str = "\
Examples:
  flowmeter db backup backup.db
  flowmeter db backup /mnt/backups/flowmeter-$(date +%F).db

The copy is a history like any other: put it into a folder as flowmeter.db and set FLOWMETER_HOME to
that folder to look at it.";

/// `flowmeter db backup`.
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub(crate) struct DbBackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace the file where it exists
    #[arg(long)]
    pub(crate) force: bool,
}

const RETAIN_EXAMPLES: &str = "\
Examples:
  flowmeter db retain
  FLOWMETER_RETENTION_PAYLOADS=7d flowmeter db retain

Runs do the same in small steps when they end; this does it to the end.";

/// `flowmeter db retain`.
#[derive(Debug, Args)]
#[command(after_help = RETAIN_EXAMPLES)]
pub(crate) struct DbRetainArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const PATH_EXAMPLES: &str = "\
Examples:
  flowmeter db path
  du -h \"$(flowmeter db path)\"";

/// `flowmeter db path`.
#[derive(Debug, Args)]
#[command(after_help = PATH_EXAMPLES)]
pub(crate) struct DbPathArgs {}
