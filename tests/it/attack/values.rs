//! Values that are accepted and must stay readable, and cursors that must not tell anything.
