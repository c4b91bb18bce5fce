//! A database that restarts, freezes, is silent, refuses connections or loses the answer of a commit.
