//! How many threads can run at once.
//!
//! Never asks twice: on Linux the answer is put together from several files, which takes longer than a short question.

use std::sync::LazyLock;

/// The cores that this process may use.
pub(super) fn cores() -> usize {
    static CORES: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    *CORES
}
