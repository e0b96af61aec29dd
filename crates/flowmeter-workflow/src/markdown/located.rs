//! Values that know where in the text they were written.
//!
//! Never reads a text and never decides what a value means.

use serde_json::{Map, Value};
use smol_str::SmolStr;

use crate::problem::Anchor;

/// A value with the places of all that is in it.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) value: Value,
    pub(super) spot: Spot,
}

/// Where a value was written, in bytes of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Spot {
    /// Where its key begins; where the value has none, its own beginning.
    pub(super) key: usize,
    /// Where it begins.
    pub(super) start: usize,
    /// The templates of a text: where each begins in the value, and where in the file.
    templates: Vec<(usize, usize)>,
    /// The spots of what is in it.
    inner: Inner,
}

/// The spots of what is in a value.
#[derive(Clone, Debug, Default)]
enum Inner {
    #[default]
    Nothing,
    /// Of several equal names the last one counts, as in the value.
    Members(Vec<(SmolStr, Spot)>),
    Elements(Vec<Spot>),
}

impl Spot {
    pub(super) fn at(offset: usize) -> Self {
        Self {
            key: offset,
            start: offset,
            ..Self::default()
        }
    }

    /// The spot of a text that was written as `written`, which begins at `offset`. Escapes and indentation make
    /// the two differ, but the templates in them are the same in number and order.
    pub(super) fn of_text(text: &str, written: &str, offset: usize, place: impl Fn(usize) -> usize) -> Self {
        let mut spot = Self::at(place(offset));
        if text.contains("${") {
            let begins = |(at, _): (usize, &str)| at;
            spot.templates = text
                .match_indices("${")
                .map(begins)
                .zip(
                    written
                        .match_indices("${")
                        .map(begins)
                        .map(|at| place(offset + at)),
                )
                .collect();
        }
        spot
    }
}

impl Located {
    pub(super) fn new(value: impl Into<Value>, spot: Spot) -> Self {
        Self {
            value: value.into(),
            spot,
        }
    }

    /// A value that is written nowhere, but follows from what stands at `offset`.
    pub(super) fn implied(value: impl Into<Value>, offset: usize) -> Self {
        Self::new(value, Spot::at(offset))
    }

    pub(super) fn with_key(mut self, key: usize) -> Self {
        self.spot.key = key;
        self
    }

    /// An object of these members; of equal names the last one counts.
    pub(super) fn object(members: impl IntoIterator<Item = (SmolStr, Self)>, offset: usize) -> Self {
        let mut object = Map::new();
        let mut spots = Vec::new();
        for (name, member) in members {
            object.insert(name.to_string(), member.value);
            spots.push((name, member.spot));
        }
        let mut spot = Spot::at(offset);
        spot.inner = Inner::Members(spots);
        Self::new(object, spot)
    }

    /// The members of an object.
    pub(super) fn into_members(self) -> Vec<(SmolStr, Self)> {
        let (Value::Object(object), Inner::Members(mut spots)) = (self.value, self.spot.inner) else {
            return Vec::new();
        };
        let spot_of = |name: &str, spots: &mut Vec<(SmolStr, Spot)>| {
            let position = spots.iter().rposition(|(known, _)| known == name)?;
            Some(spots.swap_remove(position).1)
        };
        object
            .into_iter()
            .map(|(name, value)| {
                let spot = spot_of(&name, &mut spots).unwrap_or_default();
                (SmolStr::new(name), Self { value, spot })
            })
            .collect()
    }

    /// The elements of a list.
    pub(super) fn into_elements(self) -> Vec<Self> {
        match (self.value, self.spot.inner) {
            (Value::Array(values), Inner::Elements(spots)) => values
                .into_iter()
                .zip(spots)
                .map(|(value, spot)| Self { value, spot })
                .collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn array(elements: impl IntoIterator<Item = Self>, offset: usize) -> Self {
        let (values, spots): (Vec<Value>, Vec<Spot>) = elements
            .into_iter()
            .map(|element| (element.value, element.spot))
            .unzip();
        let mut spot = Spot::at(offset);
        spot.inner = Inner::Elements(spots);
        Self::new(values, spot)
    }
}

/// The byte that `pointer` leads to; the nearest value around it where there is none.
pub(super) fn offset_of(top: &Spot, pointer: &str, anchor: Anchor) -> usize {
    let mut spot = top;
    for step in pointer.split('/').skip(1) {
        let found = match &spot.inner {
            Inner::Members(members) => {
                let step = step.replace("~1", "/").replace("~0", "~");
                let named = members.iter().rev().find(|(name, _)| *name == step);
                named.map(|(_, member)| member)
            }
            Inner::Elements(elements) => step.parse::<usize>().ok().and_then(|index| elements.get(index)),
            Inner::Nothing => None,
        };
        match found {
            Some(inner) => spot = inner,
            None => return spot.start,
        }
    }
    match anchor {
        Anchor::Value => spot.start,
        Anchor::Key => spot.key,
        Anchor::Text(offset) => spot
            .templates
            .iter()
            .find(|(at, _)| *at == offset)
            .map_or(spot.start, |(_, written)| *written),
    }
}
