//! Requests without credentials that try to exhaust memory or time.
