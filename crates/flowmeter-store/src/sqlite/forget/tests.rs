//! Forgetting for good.
