//! Deep trees, rights that are too narrow, and a rebuild while clients write.
