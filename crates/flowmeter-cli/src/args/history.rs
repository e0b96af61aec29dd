//! The flags that say whether a run is kept in the history, and what it is kept under.
//!
//! Never opens the history: `history` does.

use clap::Args;

/// The longest key of a tag, in bytes.
const KEY_BYTES_MAX: usize = 200;
/// The longest value of a tag or name of a session, in bytes.
const VALUE_BYTES_MAX: usize = 1_000;

/// What a run is kept under.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "History")]
pub(crate) struct HistoryArgs {
    /// Mark the run with a tag, to find it and add it up by; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// The session that the run belongs to, such as a conversation (OpenTelemetry: session.id)
    #[arg(long, value_name = "ID", value_parser = session)]
    pub(crate) session: Option<String>,
    /// Do not keep this run in the history
    #[arg(long)]
    pub(crate) no_history: bool,
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// What would be welcome.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    let wanted = "must be KEY=VALUE, such as team=search";
    let (key, value) = text.split_once('=').ok_or(wanted)?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() {
        return Err(wanted.to_owned());
    }
    if key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a key with white space in it; use - or . instead".to_owned());
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(format!("has a key of more than {KEY_BYTES_MAX} bytes"));
    }
    checked(value).map(|value| (key.to_owned(), value))
}

fn session(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty; give any id, such as chat-42".to_owned());
    }
    checked(text.trim())
}

fn checked(text: &str) -> Result<String, String> {
    if text.contains(char::is_control) {
        return Err("must be one line of text".to_owned());
    }
    if text.len() > VALUE_BYTES_MAX {
        return Err(format!("must not be longer than {VALUE_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
