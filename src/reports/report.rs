//! A saved report: how clients write and read it, and what opening it means. See `docs/specification.md#saved-reports`.
//!
//! [`open`] combines a saved question, added parameters and the reader's rights. Requests, schedules and links all use it, so
//! none can return more rows than another:
//!
//! - The rows are within the reach of the reader. The owner's reach does not count.
//! - The report's own scope is clamped to the reader's, because the owner chose it.
//! - Added parameters narrow the report: rows match the saved filter *and* the added one. The reader chose an added scope, so
//!   one that the reader can't have is refused, as in the log.

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use strum::{IntoStaticStr, VariantArray};
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::access::{Principal, ReachRules, ScopeError, Scoped};
use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::{Faults, Place};
use crate::base::form::{Form, Members, one_of};
use crate::base::json::{self, Node};
use crate::base::merge_patch;
use crate::export::ColumnSet;
use crate::log::activity::ActivityRecorder;
use crate::log::{Filter, Query, Sort};
use crate::store::{NewReport, StoreError, StoredReport};

use super::saved_filter::{self, SavedFilter};

/// The longest name of a report or of a key to it, in characters.
pub const MAX_NAME: usize = 255;

/// The longest [`file_stem`], in characters.
const MAX_STEM: usize = 60;

const MEMBERS: Members = Members {
    written: &["name", "visibility", "filter", "columns"],
    read_only: &["id", "owner", "suspended_schedules", "created_at", "updated_at"],
};

/// The depth of a stored filter: an object of arrays.
const FILTER_DEPTH: usize = 3;

/// The users that may open a report.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Visibility {
    /// Its owner only.
    #[default]
    Private,
    /// All users with reporting access. Each sees the rows within its own rights.
    Shared,
}

impl Visibility {
    /// Both values, the default first.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// The value of the member.
    pub fn key(self) -> &'static str {
        self.into()
    }

    const fn from_shared(shared: bool) -> Self {
        if shared { Self::Shared } else { Self::Private }
    }
}

/// A saved report.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0190a000-0000-7000-8000-00000000000b", "name": "Failed quizzes of my people", "visibility": "shared",
    "filter": {"scope": "managed", "type": ["quiz"], "result": ["failed"], "period": "previous_month"},
    "columns": "elearning", "owner": {"id": "ada", "name": "Ada Obi"}, "suspended_schedules": [],
    "created_at": "2026-03-02T08:30:00.000Z", "updated_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct Report {
    /// The id in its path.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// The users that may open it.
    pub visibility: Visibility,
    /// Its question to the log.
    #[schema(value_type = SavedFilter)]
    pub filter: Box<RawValue>,
    /// The columns of its CSV.
    pub columns: ColumnSet,
    /// The user that owns it.
    pub owner: ActivityRecorder,
    /// The schedules that do not run until they are resumed: the caller's own, or all for an owner or admin of the
    /// organisation. The oldest comes first.
    pub suspended_schedules: Vec<SuspendedSchedule>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its current version was written.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A schedule of a report that was suspended.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SuspendedSchedule {
    /// The id in `/v1/schedules/{id}`.
    pub id: Uuid,
    /// The user that made it.
    pub maker: ActivityRecorder,
    /// Why it was suspended.
    pub reason: String,
}

impl SuspendedSchedule {
    /// The representation, with the current name of the maker.
    pub fn new(stored: crate::store::SuspendedSchedule, maker_name: Option<String>) -> Self {
        Self {
            id: stored.id,
            maker: ActivityRecorder {
                id: stored.maker,
                name: maker_name,
            },
            reason: stored.reason,
        }
    }
}

impl Report {
    /// The representation of a stored report, with the current name of its owner. Suspended schedules are added later.
    ///
    /// # Errors
    ///
    /// A stored value that can't be read.
    pub fn new(stored: StoredReport, owner_name: Option<String>) -> Result<Self, StoreError> {
        let columns = columns(&stored)?;
        let filter = RawValue::from_string(stored.filter);
        Ok(Self {
            id: stored.id,
            name: stored.name,
            visibility: Visibility::from_shared(stored.shared),
            filter: filter.map_err(|error| StoreError::corrupt("report's filter", error))?,
            columns,
            owner: ActivityRecorder {
                id: stored.owner,
                name: owner_name,
            },
            suspended_schedules: Vec::new(),
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        })
    }
}

/// The body with which a client writes a report.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = NewReport, example = json!({
    "name": "Failed quizzes of my people", "visibility": "shared",
    "filter": {"scope": "managed", "type": ["quiz"], "result": ["failed"], "period": "previous_month"},
    "columns": "elearning"
}))]
pub struct ReportForm {
    /// The name: 1 to 255 characters on one line.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// The users that may open it. Default: `private`.
    #[schema(value_type = Option<Visibility>, required = false)]
    pub visibility: Visibility,
    /// Its question to the log: the parameters of `/v1/activities` without those of pages. Default: all rows.
    #[schema(value_type = Option<SavedFilter>, required = false)]
    pub filter: SavedFilter,
    /// The columns of its CSV. Default: `elearning`.
    #[schema(value_type = Option<ColumnSet>, required = false)]
    pub columns: ColumnSet,
}

/// A user's id, or the object that GET gives.
fn owner_schema() -> RefOr<Schema> {
    OneOfBuilder::new()
        .item(String::schema())
        .item(Ref::from_schema_name("ActivityRecorder"))
        .description(Some(
            "The id of the user to which the report is handed over: an active user with reporting access by the role in \
             the directory. The object `{\"id\": …}` that GET gives is accepted, too.",
        ))
        .into()
}

/// A merge patch of a report (RFC 7396). `null` sets a member to its default, and removes a parameter from `filter`.
#[derive(Debug, Clone, ToSchema)]
#[allow(dead_code, reason = "describes the body; it is parsed as the form")]
#[schema(example = json!({"filter": {"period": "previous_week", "tag": null}}))]
pub struct ReportPatch {
    /// The new name.
    #[schema(required = false, min_length = 1, max_length = 255)]
    name: String,
    /// The users that may open it.
    visibility: Option<Visibility>,
    /// The parameters to change. Each is replaced as a whole.
    #[schema(value_type = Option<super::saved_filter::FilterPatch>)]
    filter: Option<SavedFilter>,
    /// The new columns of its CSV.
    columns: Option<ColumnSet>,
    /// The id of the user to which the report is handed over: an active user with reporting access by the role in the
    /// directory. The object `{"id": …}` that GET gives is accepted, too.
    #[schema(schema_with = owner_schema, required = false)]
    owner: String,
}

impl ReportForm {
    /// Parses the body of a new report, with at most `depth` nested objects and arrays.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse(text: &str, depth: usize) -> Result<Self, Faults> {
        parse_body(text, depth, |node, _, faults| {
            Self::parse_node(node, &MEMBERS.written_only(), faults)
        })
    }

    /// Parses the body of a PUT. It may be the representation that the client has read.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse_put(text: &str, depth: usize) -> Result<Self, Faults> {
        parse_body(text, depth, |node, _, faults| {
            Self::parse_node(node, &MEMBERS, faults)
        })
    }

    /// The stored report after a patch. The member `owner` is for [`parse_owner`](super::change_plan::parse_owner).
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer in the patch.
    pub fn patched(stored: &StoredReport, patch: &Value, depth: usize) -> Result<Self, Faults> {
        let filter: Value = serde_json::from_str(&stored.filter).unwrap_or_default(); // a stored filter is JSON
        let before = json!({
            "name": stored.name, "visibility": Visibility::from_shared(stored.shared), "filter": &filter, "columns": stored.columns
        });
        let mut after = merge_patch(before, patch);
        if let Some(members) = after.as_object_mut() {
            members.remove("owner");
        }
        let mut form = Self::parse(&after.to_string(), depth)?;
        if after.get("filter") == Some(&filter) {
            // The stored text has the order in which the client sent the parameters.
            form.filter = SavedFilter::from_stored(stored.filter.clone());
        }
        Ok(form)
    }

    fn parse_node(node: &Node<'_>, members: &Members, faults: &mut Faults) -> Option<Self> {
        let mut form = Form::from_resource(node, &Place::Root, "a report", members, faults)?;
        let name = parse_name(&mut form, "name");
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

/// Parses a name.
pub(super) fn parse_name(form: &mut Form<'_, '_, '_>, key: &str) -> Option<String> {
    form.required_name(key, MAX_NAME)
}

/// The question of a stored report. `time_zone` is the organisation's, for a report without one. `now` is the time of the
/// question; relative parameters are resolved when rows are read.
///
/// # Errors
///
/// A stored filter that can't be read.
pub fn saved_query(stored: &StoredReport, now: Timestamp, time_zone: Tz) -> Result<Query, StoreError> {
    query_of_filter(&stored.filter, now, time_zone)
}

/// The question of a filter in its stored form. See [`saved_query`].
pub(super) fn query_of_filter(filter: &str, now: Timestamp, time_zone: Tz) -> Result<Query, StoreError> {
    let corrupt = |detail: String| StoreError::corrupt("report's filter", detail);
    let node = json::parse(filter, FILTER_DEPTH).map_err(|fault| corrupt(fault.to_string()))?;
    saved_filter::parse_query(&node, now, time_zone).map_err(|faults| {
        let details: Vec<String> = faults.iter().map(ToString::to_string).collect();
        corrupt(details.join("; "))
    })
}

/// The columns of a stored report's CSV.
///
/// # Errors
///
/// A stored key that is unknown.
pub fn columns(stored: &StoredReport) -> Result<ColumnSet, StoreError> {
    stored
        .columns
        .parse()
        .map_err(|_| StoreError::corrupt("report's columns", &stored.columns))
}

/// A report that a reader has opened: a question to the log within the reader's rights.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The rows.
    pub question: Scoped<Filter>,
    /// Their order.
    pub sort: Sort,
    /// The time for which relative parameters are resolved.
    pub now: Timestamp,
}

/// Opens a report for `reader`, a person or a credential: the rows of the `saved` question within the reader's reach that
/// also match the `added` question. The added question contains the saved one: see
/// [`ParseContext::saved`](crate::log::ParseContext::saved).
///
/// # Errors
///
/// An added scope that the reader can't have, or a reader that may not read activities.
pub fn open(
    saved: &Query,
    added: Option<&Query>,
    reader: &Principal,
    rules: &ReachRules,
) -> Result<Opened, ScopeError> {
    let query = added.unwrap_or(saved);
    let question = Scoped::clamped(reader, rules, saved.asked_scope, query.filter.clone())?;
    let question = match added.and_then(|added| added.asked_scope) {
        Some(scope) => question.and_requested(reader, rules, Some(scope))?,
        None => question,
    };
    Ok(Opened {
        question,
        sort: query.sort,
        now: query.now,
    })
}

impl Opened {
    /// Restricts the rows to those that `other` may see too.
    ///
    /// # Errors
    ///
    /// `other` may not read activities.
    pub fn shared_with(self, other: &Principal, rules: &ReachRules) -> Result<Self, ScopeError> {
        Ok(Self {
            question: self.question.shared_with(other, rules)?,
            ..self
        })
    }
}

/// The first part of a file name, from a report's name: letters and digits of any script in lower case, and one `-` for the
/// characters between them. Never empty.
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

    fn stored(filter: &str) -> StoredReport {
        StoredReport {
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
    fn name_is_the_only_required_member() {
        let form = ReportForm::parse(r#"{"name":"Fire","filter":null}"#, 8).unwrap();
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
    fn faults_have_pointers() {
        for name in [
            "null",
            "\"\"",
            "\" \"",
            "\"a \"",
            "7",
            "\"a\\nb\"",
            "\"a\\u0085\"",
        ] {
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
    fn patch_merges_the_filter_by_parameter() {
        let patched = |patch: Value| {
            let stored = stored(r#"{"tag":["a","b"],"period":"today","custom[Region]":"North"}"#);
            ReportForm::patched(&stored, &patch, 8).map(NewReport::from)
        };
        let new = patched(json!({"filter": {"tag": ["c"], "period": null}})).unwrap();
        let filter: Value = serde_json::from_str(&new.filter).unwrap();
        assert_eq!(filter, json!({"tag": ["c"], "custom[Region]": ["North"]}));
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
            assert_eq!(patched(patch).unwrap_err().listed()[0].pointer, pointer);
        }
    }

    #[test]
    fn added_parameters_narrow_and_never_widen() {
        let saved = stored(r#"{"tag":"a","scope":"company","sort":"happened_at","tz":"Asia/Kolkata"}"#);
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
            ..ParseContext::list(now, Tz::UTC, None)
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
            assert_eq!(add(&[widening]).unwrap_err().listed()[0].parameter, widening.0);
        }
    }

    #[test]
    fn file_stem_has_letters_and_digits_only() {
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
