//! A table of named entries that stops growing: names beyond its bounds share one entry, and that is counted.
//!
//! Never forgets an entry that it has, and gives the entries back in the order in which their names first came.

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

/// Bytes of names that a table keeps; a name may be as long as its file makes it.
const NAME_BYTES_MAX: usize = 1 << 20;

/// Entries by name.
#[derive(Clone)]
pub(crate) struct Named<E> {
    places: FxHashMap<SmolStr, u32>,
    entries: Vec<(SmolStr, E)>,
    names_max: usize,
    name_bytes_left: usize,
    others: Option<Box<E>>,
}

impl<E: Default> Named<E> {
    /// A table for at most this many names.
    pub(crate) fn new(names_max: usize) -> Self {
        Self {
            places: FxHashMap::default(),
            entries: Vec::new(),
            names_max,
            name_bytes_left: NAME_BYTES_MAX,
            others: None,
        }
    }

    /// The place of the entry of this name, for [`Named::at`]; `None` is the place of all names beyond the bounds.
    pub(crate) fn place(&mut self, name: &str) -> Option<u32> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        self.new_place(name)
    }

    #[cold]
    fn new_place(&mut self, name: &str) -> Option<u32> {
        if self.entries.len() >= self.names_max {
            return None;
        }
        self.name_bytes_left = self.name_bytes_left.checked_sub(name.len())?;
        let place = u32::try_from(self.entries.len()).ok()?;
        let name = SmolStr::new(name);
        self.entries.push((name.clone(), E::default()));
        self.places.insert(name, place);
        Some(place)
    }

    pub(crate) fn at(&mut self, place: Option<u32>) -> &mut E {
        // A place that is none of this table's cannot come up; the shared entry keeps that from mattering.
        match place.and_then(|place| self.entries.get_mut(place as usize)) {
            Some((_, entry)) => entry,
            None => self.others.get_or_insert_default(),
        }
    }

    /// The entry of this name.
    pub(crate) fn entry(&mut self, name: &str) -> &mut E {
        let place = self.place(name);
        self.at(place)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(SmolStr, E)> {
        self.entries.iter()
    }

    /// What the names beyond the bounds share, if there were any.
    pub(crate) fn others(&self) -> Option<&E> {
        self.others.as_deref()
    }
}
