//! Callers that take more than their share: exports, downloads, counts and pages.
