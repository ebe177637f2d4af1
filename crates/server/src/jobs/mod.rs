//! The workers: what happens after the commit.

pub mod lines;
