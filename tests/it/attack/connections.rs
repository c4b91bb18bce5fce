//! Clients that hold connections open, and clients that guess secrets.
