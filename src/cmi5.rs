//! cmi5: course structures, the rules of a session, and when units, blocks and courses are satisfied
//! (`docs/cmi5.md`).
//!
//! This module is pure: it has no storage, no clock and no HTTP. [`package`], [`xml`] and [`course`] read what a
//! publisher made. [`session`] decides whether a statement of a unit may be recorded. [`satisfaction`] walks the tree of
//! a course. [`launch`] has the launch data and the statements that Rollbook writes itself. Sections are those of the
//! cmi5 specification, Quartz, 1st edition.

pub mod course;
pub mod launch;
pub mod package;
pub mod satisfaction;
pub mod session;
pub mod vocabulary;
pub mod xml;

pub use course::{
    CourseFault, CourseStructure, Element, ElementKind, LaunchMethod, MoveOn, Objective, Unit, UnitResults,
};
pub use package::{Package, PackageError};
pub use session::{RuleFault, SessionState, SessionTerms, SessionUpdate};
