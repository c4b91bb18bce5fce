//! A saved report: what a client writes and reads of it, and what it means to open one (product text, section 9).
//!
//! [`open`] is the one place where a saved question, what is added to it and somebody's rights meet. Requests, schedules
//! and links all go through it, so that none can show more than another:
//!
//! - the rows are within the reach of whoever opens it, and never within its owner's alone;
//! - the report's own scope is clamped to what the opener can have, since it was somebody else's to ask for;
//! - what is added narrows: rows must pass the saved filter *and* the added one. An added scope is the opener's own to
//!   ask for, so one that they can't have is refused as in the log.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Principal, ReachRules, ScopeError, Scoped};
use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::form::{Form, one_of};
use crate::base::json::{self, Node};
use crate::base::merge_patch;
use crate::export::ColumnSet;
use crate::log::activity::ActivityRecorder;
use crate::log::{Filter, Query, Sort};
use crate::store::{KeptReport, NewReport, StoreError};

use super::saved_filter::{self, SavedFilter};

/// The longest name of a report or of a key to it, in characters.
pub const MAX_NAME: usize = 255;

/// The longest [`file_stem`], in characters.
const MAX_STEM: usize = 60;

/// How deep a kept filter is at most: an object of arrays.
const FILTER_DEPTH: usize = 3;

/// Who may open a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Its owner alone.
    #[default]
    Private,
    /// Everyone with reporting access, each seeing what they may see.
    Shared,
}

impl Visibility {
    /// Both; the default one first.
    pub const ALL: &'static [Self] = &[Self::Private, Self::Shared];

    /// The value of the member.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
        }
    }

    const fn of(shared: bool) -> Self {
        if shared { Self::Shared } else { Self::Private }
    }
}

/// A saved report.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000b", "name": "Failed quizzes of my people", "visibility": "shared",
    "filter": {"scope": "managed", "type": ["quiz"], "result": "failed", "period": "previous_month"},
    "columns": "elearning", "owner": {"id": "ada", "name": "Ada Obi"},
    "created_at": "2026-03-02T08:30:00.000Z", "updated_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct Report {
    /// Names it in addresses.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// Who may open it.
    pub visibility: Visibility,
    /// What it asks of the log, as it was sent.
    #[schema(value_type = SavedFilter)]
    pub filter: Box<RawValue>,
    /// The columns of its CSV.
    pub columns: ColumnSet,
    /// Who made it.
    pub owner: ActivityRecorder,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When what it says now was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl Report {
    /// A kept report, with the name that the directory has for its owner now.
    ///
    /// # Errors
    ///
    /// Where what is kept can't be read.
    pub fn new(kept: KeptReport, owner_name: Option<String>) -> Result<Self, StoreError> {
        let columns = columns(&kept)?;
        let filter = RawValue::from_string(kept.filter);
        Ok(Self {
            id: kept.id,
            name: kept.name,
            visibility: Visibility::of(kept.shared),
            filter: filter.map_err(|error| StoreError::corrupt("report's filter", error))?,
            columns,
            owner: ActivityRecorder {
                id: kept.owner,
                name: owner_name,
            },
            created_at: kept.created_at,
            updated_at: kept.updated_at,
        })
    }
}

/// What a client writes of a report.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = NewReport, example = json!({
    "name": "Failed quizzes of my people", "visibility": "shared",
    "filter": {"scope": "managed", "type": ["quiz"], "result": "failed", "period": "previous_month"},
    "columns": "elearning"
}))]
pub struct ReportForm {
    /// What people call it: 1 to 255 characters, on one line.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Who may open it: `private`, its owner alone, unless given.
    #[schema(value_type = Option<Visibility>, required = false)]
    pub visibility: Visibility,
    /// What it asks of the log: the parameters of `/v1/activities` but those of pages. Everything unless given.
    #[schema(value_type = Option<SavedFilter>, required = false)]
    pub filter: SavedFilter,
    /// The columns of its CSV: `elearning` unless given.
    #[schema(value_type = Option<ColumnSet>, required = false)]
    pub columns: ColumnSet,
}

/// What a client changes of a report, by a merge patch (RFC 7396). `null` puts a member to what it is unless given, and
/// takes a parameter out of `filter`.
#[derive(Debug, Clone, ToSchema)]
#[allow(dead_code, reason = "read as the report that it makes; this describes it")]
#[schema(example = json!({"filter": {"period": "previous_week", "tag": null}}))]
pub struct ReportPatch {
    /// What people call it from now on.
    #[schema(required = false, min_length = 1, max_length = 255)]
    name: String,
    /// Who may open it from now on.
    visibility: Option<Visibility>,
    /// The parameters to change, each as a whole.
    filter: Option<SavedFilter>,
    /// The columns of its CSV from now on.
    columns: Option<ColumnSet>,
}

impl ReportForm {
    /// Reads a body, at most `depth` objects and arrays deep.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse(text: &str, depth: usize) -> Result<Self, Vec<Fault>> {
        parse_body(text, depth, |node, _, faults| Self::read(node, faults))
    }

    /// What the patch makes of a kept report.
    ///
    /// # Errors
    ///
    /// Every fault, at its place in the patch.
    pub fn patched(kept: &KeptReport, patch: &Value, depth: usize) -> Result<Self, Vec<Fault>> {
        let filter: Value = serde_json::from_str(&kept.filter).unwrap_or_default(); // what is kept is JSON
        let before = json!({
            "name": kept.name, "visibility": Visibility::of(kept.shared), "filter": &filter, "columns": kept.columns
        });
        let after = merge_patch(before, patch);
        let mut form = Self::parse(&after.to_string(), depth)?;
        if after.get("filter") == Some(&filter) {
            // In the order in which it was sent.
            form.filter = SavedFilter::from_stored(kept.filter.clone());
        }
        Ok(form)
    }

    fn read(node: &Node<'_>, faults: &mut Vec<Fault>) -> Option<Self> {
        let known = ["name", "visibility", "filter", "columns"];
        let mut form = Form::from_node(node, &Place::Root, "a report", &known, faults)?;
        let name = name(&mut form, "name");
        let visibility = form.read("visibility", |node, place| {
            one_of(node, place, Visibility::ALL, |visibility| visibility.key())
        });
        let columns = form.read("columns", |node, place| {
            one_of(node, place, ColumnSet::ALL, |columns| columns.key())
        });
        let place = form.place().member("filter");
        let filter = match form.get("filter").map(|node| SavedFilter::parse(node, &place)) {
            None => SavedFilter::everything(),
            Some(Ok(filter)) => filter,
            Some(Err(wrong)) => {
                form.faults().extend(wrong);
                SavedFilter::everything()
            }
        };
        Some(Self {
            name: name?,
            visibility: visibility.unwrap_or_default(),
            filter,
            columns: columns.unwrap_or_default(),
        })
    }
}

impl From<ReportForm> for NewReport {
    fn from(form: ReportForm) -> Self {
        Self {
            name: form.name,
            shared: form.visibility == Visibility::Shared,
            filter: form.filter.into_text(),
            columns: form.columns.key().to_owned(),
        }
    }
}

/// A name on one line, without the white space around it.
pub(super) fn name(form: &mut Form<'_, '_, '_>, key: &str) -> Option<String> {
    let name = form.required_text(key, MAX_NAME)?;
    if name.chars().any(char::is_control) {
        form.add_fault(key, "a name stands on one line, without control characters");
        return None;
    }
    Some(name.trim().to_owned())
}

/// The question that a kept report asks. `time_zone` is the organisation's, which counts where the report names none;
/// `now` is the question's own and changes nothing else: what is relative to now is resolved when rows are read.
///
/// # Errors
///
/// Where what is kept can't be read.
pub fn saved_query(kept: &KeptReport, now: Timestamp, time_zone: Tz) -> Result<Query, StoreError> {
    let corrupt = |detail: String| StoreError::corrupt("report's filter", detail);
    let node = json::parse(&kept.filter, FILTER_DEPTH).map_err(|fault| corrupt(fault.to_string()))?;
    saved_filter::parse_query(&node, now, time_zone).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        corrupt(told.join("; "))
    })
}

/// The columns of a kept report's CSV.
///
/// # Errors
///
/// Where what is kept can't be read.
pub fn columns(kept: &KeptReport) -> Result<ColumnSet, StoreError> {
    kept.columns
        .parse()
        .map_err(|_| StoreError::corrupt("report's columns", &kept.columns))
}

/// A report opened by somebody: what the log is asked, within what they may see.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Which rows.
    pub question: Scoped<Filter>,
    /// In which order.
    pub sort: Sort,
    /// The moment for which what is relative to now is resolved.
    pub now: Timestamp,
}

/// Opens a report for `reader`, a person or a credential: the rows of the `saved` question within their reach, and of
/// those the ones that pass what they `added`. The added question was parsed with
/// [`ParseContext::saved`](crate::log::ParseContext::saved), so that it holds the saved one.
///
/// # Errors
///
/// An added scope that the reader can't have, and a reader who may not read activities at all.
pub fn open(
    saved: &Query,
    added: Option<&Query>,
    reader: &Principal,
    rules: &ReachRules,
) -> Result<Opened, ScopeError> {
    let asked = added.unwrap_or(saved);
    let question = Scoped::clamped(reader, rules, saved.asked_scope, asked.filter.clone())?;
    let question = match added.and_then(|added| added.asked_scope) {
        Some(scope) => question.and_requested(reader, rules, Some(scope))?,
        None => question,
    };
    Ok(Opened {
        question,
        sort: asked.sort,
        now: asked.now,
    })
}

impl Opened {
    /// Only the rows that `other` may see as well.
    ///
    /// # Errors
    ///
    /// Somebody who may not read activities at all.
    pub fn shared_with(self, other: &Principal, rules: &ReachRules) -> Result<Self, ScopeError> {
        Ok(Self {
            question: self.question.shared_with(other, rules)?,
            ..self
        })
    }
}

/// The beginning of a file's name, made of a report's: letters and digits of any script in lower case, and one `-` for
/// all that stands between them. Never empty.
pub fn file_stem(name: &str) -> String {
    let name = name.to_lowercase();
    let words = name.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let stem: String = words.join("-").chars().take(MAX_STEM).collect();
    let stem = stem.trim_end_matches('-');
    if stem.is_empty() { "report" } else { stem }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Person, Role};
    use crate::base::ids::{OrgId, UserId};
    use crate::log::ParseContext;

    fn pointers(text: &str) -> Vec<String> {
        let faults = ReportForm::parse(text, 8).unwrap_err();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    fn kept(filter: &str) -> KeptReport {
        KeptReport {
            key: 1,
            id: Uuid::nil(),
            owner: UserId::new("ada").unwrap(),
            name: "Fire".to_owned(),
            shared: true,
            filter: filter.to_owned(),
            columns: "full".to_owned(),
            version: 1,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    #[test]
    fn a_report_needs_a_name_and_nothing_else() {
        let form = ReportForm::parse(r#"{"name":" Fire ","filter":null}"#, 8).unwrap();
        assert_eq!(
            NewReport::from(form),
            NewReport {
                name: "Fire".to_owned(),
                shared: false,
                filter: "{}".to_owned(),
                columns: "elearning".to_owned(),
            }
        );
    }

    #[test]
    fn every_fault_has_its_place() {
        for name in ["null", "\"\"", "\" \"", "7", "\"a\\nb\"", "\"a\\u0085\""] {
            assert_eq!(pointers(&format!(r#"{{"name":{name}}}"#)), ["/name"], "{name}");
        }
        let longest = "ü".repeat(255);
        assert!(ReportForm::parse(&format!(r#"{{"name":"{longest}"}}"#), 8).is_ok());
        assert_eq!(pointers(&format!(r#"{{"name":"{longest}x"}}"#)), ["/name"]);
        assert_eq!(
            pointers(
                r#"{"visibility":"public","columns":"all","filter":{"tag":7,"limit":"1"},"owner":"bo"}"#
            ),
            [
                "/owner",
                "/name",
                "/visibility",
                "/columns",
                "/filter/tag",
                "/filter/limit"
            ]
        );
        assert_eq!(pointers("[]"), [""]);
    }

    #[test]
    fn a_patch_merges_the_filter_member_by_member() {
        let patched = |patch: Value| {
            let kept = kept(r#"{"tag":["a","b"],"period":"today","custom[Region]":"North"}"#);
            ReportForm::patched(&kept, &patch, 8).map(NewReport::from)
        };
        let new = patched(json!({"filter": {"tag": ["c"], "period": null}})).unwrap();
        let filter: Value = serde_json::from_str(&new.filter).unwrap();
        assert_eq!(filter, json!({"tag": ["c"], "custom[Region]": "North"}));
        assert_eq!(
            (new.name.as_str(), new.shared, new.columns.as_str()),
            ("Fire", true, "full")
        );
        let new = patched(json!({"filter": null, "visibility": null, "columns": null})).unwrap();
        assert_eq!(
            (new.filter.as_str(), new.shared, new.columns.as_str()),
            ("{}", false, "elearning")
        );
        let new = patched(json!({"name": "Smoke"})).unwrap();
        assert_eq!(
            new.filter,
            r#"{"tag":["a","b"],"period":"today","custom[Region]":"North"}"#
        );
        for (patch, pointer) in [
            (json!({"name": null}), "/name"),
            (json!({"filter": {"from": "2026-01-01"}}), "/filter/period"),
            (json!({"filter": []}), "/filter"),
            (json!({"id": 1}), "/id"),
        ] {
            assert_eq!(patched(patch).unwrap_err()[0].pointer, pointer);
        }
    }

    #[test]
    fn opening_narrows_and_never_widens() {
        let saved = kept(r#"{"tag":"a","scope":"company","sort":"happened_at","tz":"Asia/Kolkata"}"#);
        let saved = saved_query(&saved, Timestamp::default(), Tz::UTC).unwrap();
        let person = Person::from_directory(
            OrgId::new("acme").unwrap(),
            UserId::new("mo").unwrap(),
            Role::Manager,
        );
        let reader = Principal::from(person);
        let rules = ReachRules::default();
        let whole = Scoped::new(&reader, &rules, None, ()).unwrap();
        let opened = open(&saved, None, &reader, &rules).unwrap();
        assert_eq!(opened.question.people(), whole.people());
        assert_eq!(opened.sort, Sort::OldestFirst);

        let now = Timestamp::from_micros(7_000_000);
        let context = ParseContext {
            saved: Some(&saved),
            ..ParseContext::list(now, Tz::UTC, "here")
        };
        let add = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect();
            Query::parse(&pairs, &context)
        };
        let added = add(&[("tag", "b"), ("sort", "-happened_at")]).unwrap();
        let opened = open(&saved, Some(&added), &reader, &rules).unwrap();
        let tags: Vec<_> = opened
            .question
            .inner()
            .each()
            .map(|filter| &filter.tags)
            .collect();
        assert_eq!(tags, [&["b".to_owned()], &["a".to_owned()]]);
        assert_eq!((opened.sort, opened.now), (Sort::NewestFirst, now));

        let added = add(&[("scope", "company")]).unwrap();
        assert!(matches!(
            open(&saved, Some(&added), &reader, &rules),
            Err(ScopeError::CompanyNotAllowed)
        ));
        for widening in [("include_deactivated", "true"), ("action", "viewed,visited")] {
            assert_eq!(add(&[widening]).unwrap_err()[0].parameter, widening.0);
        }
    }

    #[test]
    fn a_file_is_named_by_letters_and_digits_alone() {
        for (name, stem) in [
            ("Failed quizzes (Q1/2026)", "failed-quizzes-q1-2026"),
            ("../../etc/passwd", "etc-passwd"),
            ("Übung \"macht\"\r\nden Meister", "übung-macht-den-meister"),
            ("Жара!", "жара"),
            ("😀", "report"),
            ("", "report"),
        ] {
            assert_eq!(file_stem(name), stem, "{name}");
        }
        for word in ["word ", "日本 "] {
            let long = file_stem(&word.repeat(100));
            assert!(long.chars().count() <= MAX_STEM && !long.ends_with('-'), "{long}");
        }
    }
}
