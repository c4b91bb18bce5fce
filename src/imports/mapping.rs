//! Mappings: how the columns of another system's file become activities.
//!
//! A [`Mapping`] is JSON that a client sends, or one of the [`named`] ones. Some exports have no simple columns; these are read
//! by code, see [`SpecialLayout`].

mod named;
mod special;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dates::DateRules;
use super::fields::{FieldKind, Members, STATEMENT, find_field, set_member, to_value};

pub use named::{MAPPING_NAMES, NamedOptions};

/// How columns become fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// The field of each heading: a member of the short form with a dotted name, or `statement` for a column with whole xAPI
    /// statements. A heading with `null` is ignored.
    pub columns: BTreeMap<String, Option<String>>,
    /// The values of fields that are the same in all rows.
    pub constants: BTreeMap<String, Value>,
    /// For a field, the value for each text of the file. `*` is any other text. `null` leaves the field out.
    pub values: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// How dates are written.
    pub dates: DateRules,
    /// Whether a heading that is not in `columns` is ignored. Otherwise it is refused.
    pub ignore_unknown_columns: bool,
    /// The decimal separator: `.` or `,`.
    pub decimal: Option<char>,
    /// For NDJSON: the JSON pointer of the statement or short form within each line. Without such a member, the line itself
    /// is one.
    pub record: Option<String>,
    /// Whether the file is a CSV of Rollbook with apostrophes before formulas, which are removed.
    pub restore_formulas: bool,
    /// What only code of Rollbook sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special: Option<SpecialLayout>,
}

/// A layout that no table of columns describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecialLayout {
    /// Learn Amp's Activity Log, and the exports of Rollbook.
    LearnAmp,
    /// The learner report of SmarterU: one row has up to three activities.
    SmarterU,
    /// The log of Moodle.
    MoodleLog {
        /// The address of the site.
        home_page: String,
    },
    /// The activity completion report of Moodle: one row for each user, two columns for each activity.
    MoodleCompletion {
        /// The address of the site.
        home_page: String,
    },
    /// Documents of Learning Locker, in which a key has `&46;` for a dot.
    LearningLocker,
}

/// A row that cannot become an activity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellFault {
    /// The heading of the column; empty for the whole row.
    pub(super) heading: String,
    /// What is wrong.
    pub(super) detail: String,
}

impl CellFault {
    pub(super) fn new(heading: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            detail: detail.into(),
        }
    }
}

/// What a row of a CSV stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RowValue {
    /// Short forms. A wide row has several.
    ShortForms(Vec<Members>),
    /// A statement as JSON text.
    Statement(String),
}

impl Mapping {
    /// The mapping of a CSV in the short form.
    pub(super) fn short_form() -> Self {
        let fields = super::fields::FIELDS.iter();
        Self {
            columns: fields
                .map(|(name, _)| ((*name).to_owned(), Some((*name).to_owned())))
                .collect(),
            ..Self::default()
        }
    }

    /// Parses a mapping that a client has sent, and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mapping: Self =
            serde_json::from_str(text).map_err(|error| format!("the mapping is not valid: {error}"))?;
        if mapping.special.is_some() {
            return Err("the mapping has an unknown member `special`".to_owned());
        }
        mapping.check()?;
        Ok(mapping)
    }

    fn check(&self) -> Result<(), String> {
        let fields = self
            .columns
            .values()
            .flatten()
            .chain(self.constants.keys())
            .chain(self.values.keys());
        for field in fields {
            if find_field(field).is_none() && field != STATEMENT {
                return Err(format!(
                    "the mapping names the field `{field}`, which does not exist; see the headings of /v1/imports/template.csv"
                ));
            }
        }
        if self.columns.is_empty() && self.record.is_none() {
            return Err("the mapping needs `columns`, or `record` for NDJSON".to_owned());
        }
        if self
            .record
            .as_ref()
            .is_some_and(|pointer| !pointer.starts_with('/'))
        {
            return Err("`record` of the mapping must be a JSON pointer such as `/statement`".to_owned());
        }
        if !matches!(self.decimal, None | Some('.' | ',')) {
            return Err("`decimal` of the mapping must be `.` or `,`".to_owned());
        }
        self.dates.check()
    }

    /// The reader of the rows below these headings.
    ///
    /// # Errors
    ///
    /// A heading is unknown or occurs twice.
    pub(super) fn for_headings(&self, headings: &[String]) -> Result<Columns<'_>, String> {
        let mut columns = Vec::with_capacity(headings.len());
        let mut names: Vec<String> = Vec::with_capacity(headings.len());
        let is_wide = matches!(self.special, Some(SpecialLayout::MoodleCompletion { .. }));
        for heading in headings {
            let name = fold_heading(heading);
            if !is_wide && !name.is_empty() && names.contains(&name) {
                return Err(format!(
                    "the heading `{heading}` occurs twice; give each column a heading of its own"
                ));
            }
            let mapped = self.columns.iter().find(|(known, _)| fold_heading(known) == name);
            let field = match mapped {
                Some((_, field)) => field.as_deref(),
                None if self.ignore_unknown_columns || is_wide => None,
                None if name.is_empty() => {
                    return Err("a column has no heading; give it one or remove it".to_owned());
                }
                None => return Err(self.unknown_heading(heading)),
            };
            columns.push(field);
            names.push(name);
        }
        self.check_required(&names)?;
        Ok(Columns {
            mapping: self,
            headings: headings.to_vec(),
            fields: columns,
        })
    }

    fn unknown_heading(&self, heading: &str) -> String {
        let known: Vec<&str> = self.columns.keys().map(String::as_str).collect();
        let similar = known.iter().max_by(|one, other| {
            let similarity = |name: &str| strsim::jaro_winkler(name, heading);
            similarity(one).total_cmp(&similarity(other))
        });
        let advice = match similar.filter(|name| strsim::jaro_winkler(name, heading) > 0.85) {
            Some(similar) => format!("write `{similar}`"),
            None => format!("known are {}", known.join(", ")),
        };
        format!("the heading `{heading}` is not known; {advice}")
    }

    /// Refuses a file without the columns that every row needs.
    fn check_required(&self, names: &[String]) -> Result<(), String> {
        let Some(special) = &self.special else {
            return Ok(());
        };
        for alternatives in special.required_headings() {
            let is_there = alternatives
                .iter()
                .any(|heading| names.contains(&fold_heading(heading)));
            if !is_there {
                return Err(format!("the column `{}` is missing", alternatives.join("` or `")));
            }
        }
        Ok(())
    }
}

/// A heading without regard to case and white space around it.
pub(super) fn fold_heading(heading: &str) -> String {
    heading.trim().to_lowercase()
}

/// The columns of a file.
pub(super) struct Columns<'m> {
    mapping: &'m Mapping,
    pub(super) headings: Vec<String>,
    /// The field of each column; `None` for an ignored one.
    fields: Vec<Option<&'m str>>,
}

impl Columns<'_> {
    /// Reads a row.
    pub(super) fn read_row(&self, cells: &[String]) -> Result<RowValue, CellFault> {
        if cells.len() > self.headings.len() {
            let further = cells[self.headings.len()..].join("`, `");
            return Err(CellFault::new(
                "",
                format!(
                    "the row has {} cells for {} headings; the further ones are `{further}`",
                    cells.len(),
                    self.headings.len()
                ),
            ));
        }
        match &self.mapping.special {
            Some(special) => special.read(self, cells).map(RowValue::ShortForms),
            None => self.read_fields(cells),
        }
    }

    fn read_fields(&self, cells: &[String]) -> Result<RowValue, CellFault> {
        let mut members = Members::new();
        for ((cell, field), heading) in cells.iter().zip(&self.fields).zip(&self.headings) {
            let Some(field) = field else { continue };
            if *field == STATEMENT {
                return Ok(RowValue::Statement(cell.clone()));
            }
            self.set(&mut members, heading, field, cell)?;
        }
        for (field, value) in &self.mapping.constants {
            set_member(&mut members, field, value.clone()).map_err(|detail| CellFault::new("", detail))?;
        }
        Ok(RowValue::ShortForms(vec![members]))
    }

    /// Sets a field to the value of a cell. An empty cell is left out.
    fn set(&self, members: &mut Members, heading: &str, field: &str, cell: &str) -> Result<(), CellFault> {
        let fault = |detail: String| CellFault::new(heading, detail);
        if cell.trim().is_empty() {
            return Ok(());
        }
        let mapped = match self.mapping.values.get(field) {
            Some(table) => find_value(table, cell).ok_or_else(|| {
                let known: Vec<&str> = table.keys().map(String::as_str).take(40).collect();
                fault(format!(
                    "`{cell}` has no value in the mapping; known are {}",
                    known.join(", ")
                ))
            })?,
            None => Some(cell),
        };
        let Some(cell) = mapped else { return Ok(()) };
        let kind = find_field(field).unwrap_or(FieldKind::Text);
        let value = match kind {
            FieldKind::Time => self
                .mapping
                .dates
                .parse(cell.trim())
                .map(|at| Value::String(at.to_precise_text()))
                .map_err(|error| error.to_string()),
            // `1.234` may be 1234 with a separator of thousands, or the number 1.234 of another program.
            FieldKind::Number if self.mapping.decimal == Some(',') && cell.contains('.') => Err(format!(
                "`{cell}` has a point, but the decimal separator of the mapping is the comma; write it as `1234,5`"
            )),
            FieldKind::Number if self.mapping.decimal == Some(',') => to_value(kind, &cell.replace(',', ".")),
            _ => to_value(kind, cell),
        };
        set_member(members, field, value.map_err(fault)?).map_err(fault)
    }

    /// The cell below a heading; empty if there is none.
    fn cell<'c>(&self, cells: &'c [String], heading: &str) -> &'c str {
        let name = fold_heading(heading);
        let index = self.headings.iter().position(|other| fold_heading(other) == name);
        index
            .and_then(|index| cells.get(index))
            .map_or("", |cell| cell.trim())
    }

    /// The heading of the column with a field, or with a part of it.
    pub(super) fn heading_of(&self, field: &str) -> Option<&str> {
        if let Some(special) = &self.mapping.special {
            return special.heading_of(field);
        }
        let is_part = |one: &str, other: &str| {
            one.strip_prefix(other)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let fields = self.fields.iter().zip(&self.headings);
        let mut found = fields
            .filter(|(known, _)| known.is_some_and(|known| is_part(field, known) || is_part(known, field)));
        found.next().map(|(_, heading)| heading.as_str())
    }
}

/// The value of a text in a table, without regard to case. The outer `None`: the table does not have it.
fn find_value<'t>(table: &'t BTreeMap<String, Option<String>>, cell: &str) -> Option<Option<&'t str>> {
    let name = fold_heading(cell);
    let found = table.iter().find(|(text, _)| fold_heading(text) == name);
    let found = found.map(|(_, value)| value).or_else(|| table.get("*"));
    found.map(Option::as_deref)
}
