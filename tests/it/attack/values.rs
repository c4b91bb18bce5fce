//! Values that are accepted and must stay readable, definitions of senders without the right, and cursors that must not tell
//! anything.

mod cursors;
mod definitions;
mod round_trips;
mod unreadable;
mod unreadable_lists;
