//! Deep trees of managers and teams, rights that change between two requests, rebuilds beside writers, and requests that
//! arrive at the same moment.

mod cached_keys;
mod races;
mod rebuild;
mod staleness;
mod trees;
