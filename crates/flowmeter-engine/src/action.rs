//! Actions: the word a node returns to choose the edge that leads on.
//!
//! Never interprets an action: that is the flow's work.

use std::fmt;

use smol_str::SmolStr;

/// The name of an edge. `default` where a node has nothing special to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action(SmolStr);

impl Action {
    /// The action `error`, which node types return instead of failing where a workflow may go on.
    #[must_use]
    pub fn error() -> Self {
        Self(SmolStr::new_static("error"))
    }

    /// The action with this name; the empty name is `default`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if name.is_empty() {
            Self::default()
        } else {
            Self(SmolStr::new(name))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `default`.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }
}

impl Default for Action {
    fn default() -> Self {
        Self(SmolStr::new_static("default"))
    }
}

impl From<&str> for Action {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
