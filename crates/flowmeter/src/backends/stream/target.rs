//! Where a stream goes, as the command line names it.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use thiserror::Error;

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamTarget {
    /// `-`.
    StandardOutput,
    /// A file that lines are appended to.
    File(PathBuf),
    /// `unix:PATH`: a local socket that somebody listens on.
    Unix(PathBuf),
    /// `http://…` or `https://…`: a server that lines are posted to.
    Http(Url),
}

/// Why a text names no target.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidStreamTarget {
    /// It is empty.
    #[error("a stream needs a target: a file, `-`, `unix:PATH` or `http://…`")]
    Empty,
    /// `unix:` without a path.
    #[error("`unix:` needs the path of a socket, as in `unix:/run/events.sock`")]
    NoSocketPath,
    /// It begins like an address of another kind.
    #[error("`{0}` is no target of a stream: a file, `-`, `unix:PATH`, `http://…` or `https://…` is wanted")]
    UnknownScheme(String),
    /// It is no valid address.
    #[error("`{address}` is no address: {problem}")]
    InvalidUrl {
        /// As given, without a password.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl StreamTarget {
    /// Reads a target.
    ///
    /// # Errors
    /// [`InvalidStreamTarget`] says what is wanted instead.
    pub fn parse(text: &str) -> Result<Self, InvalidStreamTarget> {
        if text.trim().is_empty() {
            return Err(InvalidStreamTarget::Empty);
        }
        if text == "-" {
            return Ok(Self::StandardOutput);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(InvalidStreamTarget::NoSocketPath),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let scheme = text
            .split_once("://")
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            None => Ok(Self::File(text.into())),
            Some("http" | "https") => {
                let url = Url::parse(text).map_err(|error| InvalidStreamTarget::InvalidUrl {
                    address: without_password(text),
                    problem: error.to_string(),
                })?;
                Ok(Self::Http(url))
            }
            Some(_) => Err(InvalidStreamTarget::UnknownScheme(without_password(text))),
        }
    }
}

/// What stands before an `@` in an address may be a password.
fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => text.to_owned(),
    }
}

/// As it is named in messages: without password and query, which may hold keys.
impl fmt::Display for StreamTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardOutput => f.write_str("-"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(url) => {
                write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())
            }
        }
    }
}
