//! JSON as far as usage needs it: a small tree that borrows its texts.
//!
//! Never grows without bound: objects, lists, depth and texts that are kept have limits.

use std::borrow::Cow;

/// Entries of an object, and items of a list, that are kept.
pub(crate) const ENTRIES_MAX: usize = 96;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Whole(u64),
    /// What is no whole number from 0 on.
    Real(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Block<'a>),
}

impl<'a> Node<'a> {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Block<'a>> {
        match self {
            Self::Object(block) => Some(block),
            _ => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn into_owned(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Bool(value),
            Self::Whole(value) => Node::Whole(value),
            Self::Real(value) => Node::Real(value),
            Self::Text(text) => Node::Text(Cow::Owned(text.into_owned())),
            Self::List(items) => Node::List(items.into_iter().map(Node::into_owned).collect()),
            Self::Object(block) => Node::Object(block.into_owned()),
        }
    }
}

/// A JSON object; of equal keys the last one counts, as in most readers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block<'a> {
    entries: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Block<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.entries
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    pub(crate) fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        self.entries.iter().map(|(name, node)| (&**name, node))
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = (Cow<'a, str>, Node<'a>)> {
        self.entries.into_iter()
    }

    /// Sets the value under `key`; beyond the limit new keys are left out.
    pub(crate) fn set(&mut self, key: Cow<'a, str>, node: Node<'a>) {
        if let Some(entry) = self.entries.iter_mut().find(|(name, _)| *name == key) {
            entry.1 = node;
        } else if self.entries.len() < ENTRIES_MAX {
            if self.entries.is_empty() {
                self.entries.reserve_exact(8);
            }
            self.entries.push((key, node));
        }
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node<'a>> {
        self.entries
            .iter_mut()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    pub(crate) fn into_owned(self) -> Block<'static> {
        let entries = self.entries.into_iter();
        Block {
            entries: entries
                .map(|(name, node)| (Cow::Owned(name.into_owned()), node.into_owned()))
                .collect(),
        }
    }
}
