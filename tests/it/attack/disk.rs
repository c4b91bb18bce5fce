//! A full disk, a file that is removed, and two servers on one file.
