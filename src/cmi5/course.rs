//! Course structures: a course, its blocks and assignable units, and its objectives (cmi5, section 13).
//!
//! [`CourseStructure::parse`] reads the XML document and collects every fault with its place. The tree is a list in the
//! order of the document, in which each element knows the index of its parent.

mod reader;

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::fault::Faults;
use crate::record::Iri;
use crate::record::language::LanguageMap;

use super::xml::{Element as XmlElement, XmlError};
use reader::Reader;

/// The maximum number of blocks and units of a course.
pub const MAX_ELEMENTS: usize = 10_000;
/// The maximum number of objectives of a course, and of references to objectives of a block or unit.
pub const MAX_OBJECTIVES: usize = 2_000;
/// The longest title, in characters.
pub const MAX_TITLE: usize = 1_000;
/// The longest description, in characters.
pub const MAX_DESCRIPTION: usize = 20_000;
/// The longest id of a publisher and the longest address, in characters.
pub const MAX_IRI: usize = 2_000;
/// The longest launch parameters and entitlement key, in characters.
pub const MAX_PARAMETERS: usize = 10_000;
/// The maximum number of languages of a title or description.
pub const MAX_LANGUAGES: usize = 200;

/// The names that the launch adds to the query of a unit's address (cmi5, section 8.1).
pub const LAUNCH_PARAMETERS: [&str; 5] = ["endpoint", "fetch", "actor", "registration", "activityId"];

/// Schemes of addresses that would run in the page of the platform or read its disk.
const REFUSED_SCHEMES: [&str; 5] = ["javascript", "data", "vbscript", "file", "blob"];

/// When a unit is satisfied (cmi5, section 13.1.4).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[schema(as = MoveOn)]
pub enum MoveOn {
    /// By a *passed* statement.
    Passed,
    /// By a *completed* statement.
    Completed,
    /// By both.
    CompletedAndPassed,
    /// By either.
    CompletedOrPassed,
    /// Always.
    #[default]
    NotApplicable,
}

impl MoveOn {
    /// The text in course structures and launch data.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// Whether a unit with these results is satisfied. A waived unit always is (cmi5, section 9.3.9).
    pub fn is_satisfied(self, results: UnitResults) -> bool {
        let UnitResults {
            completed,
            passed,
            waived,
        } = results;
        waived
            || match self {
                Self::Passed => passed,
                Self::Completed => completed,
                Self::CompletedAndPassed => completed && passed,
                Self::CompletedOrPassed => completed || passed,
                Self::NotApplicable => true,
            }
    }
}

/// What a learner has reached in a unit, in one registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct UnitResults {
    /// A *completed* statement is stored.
    pub completed: bool,
    /// A *passed* statement is stored.
    pub passed: bool,
    /// A *waived* statement is stored.
    pub waived: bool,
}

/// Which window a unit needs (cmi5, section 13.1.4).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[schema(as = LaunchMethod)]
pub enum LaunchMethod {
    /// Any window or frame.
    #[default]
    AnyWindow,
    /// A window of its own, or the whole current one.
    OwnWindow,
}

impl LaunchMethod {
    /// The text in course structures.
    pub fn key(self) -> &'static str {
        self.into()
    }
}

/// What an element of a course is.
#[derive(Debug, Clone, PartialEq)]
pub enum ElementKind {
    /// The course itself, which is the first element.
    Course,
    /// A group of units and blocks.
    Block,
    /// An assignable unit, which is launched.
    Unit(Unit),
}

/// The launch data of an assignable unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The address, absolute or relative.
    pub url: String,
    /// When it is satisfied.
    pub move_on: MoveOn,
    /// The lowest scaled score that passes.
    pub mastery_score: Option<f64>,
    /// Which window it needs.
    pub launch_method: LaunchMethod,
    /// The parameters of the course's designer.
    pub launch_parameters: Option<String>,
    /// The key by which the unit recognises the platform.
    pub entitlement_key: Option<String>,
    /// The activity type.
    pub activity_type: Option<Iri>,
}

/// A course, a block or a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// What it is.
    pub kind: ElementKind,
    /// The index of the element that contains it. `None` for the course.
    pub parent: Option<usize>,
    /// The id that its publisher chose.
    pub publisher_id: Iri,
    /// The title.
    pub title: LanguageMap,
    /// The description.
    pub description: LanguageMap,
    /// The publisher's ids of its objectives.
    pub objectives: Vec<Iri>,
}

impl Element {
    /// The unit, if the element is one.
    pub fn unit(&self) -> Option<&Unit> {
        match &self.kind {
            ElementKind::Unit(unit) => Some(unit),
            ElementKind::Course | ElementKind::Block => None,
        }
    }
}

/// A learning objective of a course.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// The id that its publisher chose.
    pub publisher_id: Iri,
    /// The title.
    pub title: LanguageMap,
    /// The description.
    pub description: LanguageMap,
}

/// A course with its tree.
#[derive(Debug, Clone, PartialEq)]
pub struct CourseStructure {
    /// The course first, then its blocks and units in the order of the document.
    pub elements: Vec<Element>,
    /// The objectives.
    pub objectives: Vec<Objective>,
}

/// A fault of a course structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CourseFault {
    /// The element, as people name it, for example `au "http://example.org/a" (line 12)`. Empty for the document.
    pub place: String,
    /// What is wrong and what to change.
    pub detail: String,
}

impl fmt::Display for CourseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(&self.detail),
            place => write!(f, "{place}: {}", self.detail),
        }
    }
}

impl CourseStructure {
    /// Parses the XML document of a course.
    ///
    /// # Errors
    ///
    /// Every fault.
    pub fn parse(document: &[u8]) -> Result<Self, Faults<CourseFault>> {
        let root = XmlElement::parse(document).map_err(document_fault)?;
        let mut reader = Reader::default();
        reader.read_root(&root);
        match reader.faults.is_empty() {
            true => Ok(Self {
                elements: reader.elements,
                objectives: reader.objectives,
            }),
            false => Err(reader.faults),
        }
    }

    /// The files that the relative addresses of the units name, each once: without query and fragment, and decoded.
    pub fn relative_files(&self) -> Vec<String> {
        let units = self.elements.iter().filter_map(Element::unit);
        let mut files: Vec<String> = units
            .filter(|unit| !is_absolute(&unit.url))
            .map(|unit| {
                let path = unit.url.split(['?', '#']).next().unwrap_or_default();
                let path = path.strip_prefix("./").unwrap_or(path);
                percent_decode_str(path).decode_utf8_lossy().into_owned()
            })
            .collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Makes the relative addresses of the units absolute.
    ///
    /// # Errors
    ///
    /// A fault for each relative address without a base, or with which the base makes no address.
    pub fn resolve_urls(&mut self, base: Option<&str>) -> Result<(), Faults<CourseFault>> {
        let mut faults = Faults::new();
        for element in &mut self.elements {
            let ElementKind::Unit(unit) = &mut element.kind else {
                continue;
            };
            if is_absolute(&unit.url) {
                continue;
            }
            let base = base.and_then(|base| oxiri::Iri::parse(base).ok());
            let resolved = base.and_then(|base| {
                let url = oxiri::IriRef::parse(unit.url.as_str()).ok()?;
                base.resolve(&url).ok()
            });
            match resolved {
                Some(url) => unit.url = url.into_inner(),
                None => faults.push(CourseFault {
                    place: format!("au \"{}\"", element.publisher_id.as_str()),
                    detail: format!(
                        "its url `{}` is relative; give the address of the course's files as `base_url`, or write an \
                         absolute url",
                        unit.url
                    ),
                }),
            }
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(faults),
        }
    }
}

/// Whether an address begins with a scheme.
fn is_absolute(url: &str) -> bool {
    oxiri::Iri::parse(url).is_ok()
}

fn document_fault(error: XmlError) -> Faults<CourseFault> {
    Faults::from(CourseFault {
        place: String::new(),
        detail: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
