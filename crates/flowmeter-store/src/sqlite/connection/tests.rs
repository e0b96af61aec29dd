//! Opening: what is refused and what is made.
