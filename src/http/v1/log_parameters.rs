//! How the log's parameters and the short form stand in the OpenAPI document. They are read by the log's
//! own parsers; a test holds the two together.

use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::catalogue::{ContentKind, ContentType};
use crate::log::Action;

macro_rules! documented {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(IntoParams)]
            #[into_params(parameter_in = Query)]
            #[allow(dead_code, reason = "read parameter by parameter; this describes them")]
            pub struct $name { $($(#[$field_doc])* $field: Option<$type>,)+ }

            impl $name {
                /// The names of the parameters.
                #[cfg(test)]
                pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];
            }
        )+
    };
}

documented! {
    /// The part of the reach that is asked for (contract section 7).
    struct LogScope {
        /// `company`, `managed` (direct reports), `team`, `group` or `me`; default: the whole reach.
        #[param(example = "managed")]
        scope: String,
        /// With `scope=managed`: the indirect reports too.
        include_sub_managers: bool,
    }
    /// The filter (contract section 7). Filters combine with AND, several values of one with OR.
    /// `custom[<field>]` filters by the organisation's own user fields.
    struct LogFilter {
        /// Ids of teams: members of any.
        team: Vec<String>,
        /// The teams below the teams asked for count as well.
        include_sub_teams: bool,
        /// Only members whose primary team it is.
        primary_team_only: bool,
        /// Ids of groups: members of any.
        group: Vec<String>,
        /// Ids of users.
        user: Vec<String>,
        /// Actions; `visited` is shown only where it is asked for. May be comma-separated.
        #[param(example = json!(["completed", "failed"]))]
        action: Vec<Action>,
        /// IRIs of verbs.
        verb: Vec<String>,
        /// Types of the content. May be comma-separated.
        r#type: Vec<ContentType>,
        /// Content types of an item. May be comma-separated.
        content_type: Vec<ContentKind>,
        /// Ids of contents.
        content: Vec<String>,
        /// Tags of the content.
        tag: Vec<String>,
        /// Content libraries.
        source: Vec<String>,
        /// CPD labels of the content.
        cpd_label: Vec<String>,
        /// Device types.
        device_type: Vec<String>,
        /// How the record came in: `xapi`, `scorm`, `api`, `manual`, `import`, `system`.
        origin: Vec<String>,
        /// Ids of bulk imports.
        import: Vec<Uuid>,
        /// Every word must be found in the content's title; repeated: any of them. At most 100 titles, with 200 words
        /// together.
        title: Vec<String>,
        /// Whether it is a completion.
        completed: bool,
        /// Whether it has expired.
        expired: bool,
        /// Whether a bulk import brought it.
        bulk_import: bool,
        /// Whether a certificate comes with it.
        has_certificate: bool,
        /// Show activities of deactivated users too.
        include_deactivated: bool,
        /// `passed`, `failed`. May be comma-separated.
        result: Vec<String>,
        /// The first moment that counts: RFC 3339, or a date, which begins at midnight in `tz`.
        #[param(example = "2026-01-01")]
        from: String,
        /// The first moment that counts no more.
        #[param(example = "2026-02-01")]
        to: String,
        /// Instead of both: `today`, `yesterday`, `last_7_days`, `last_30_days`, `this_month`, `previous_week`,
        /// `previous_month`, `previous_quarter`, `previous_year`.
        period: String,
        /// IANA time zone of dates and periods; default: the organisation's.
        #[param(example = "Europe/London")]
        tz: String,
        /// ISO 8601 duration: the certificate expires within it from now.
        #[param(example = "P30D")]
        certificate_expires_within: String,
    }
    /// The people that are asked for (contract section 7). `custom[<field>]` filters by the organisation's own user
    /// fields.
    struct PeopleFilter {
        /// Ids of teams: members of any.
        team: Vec<String>,
        /// The teams below the teams asked for count as well.
        include_sub_teams: bool,
        /// Only members whose primary team it is.
        primary_team_only: bool,
        /// Ids of groups: members of any.
        group: Vec<String>,
        /// Ids of users.
        user: Vec<String>,
        /// Deactivated users, too.
        include_deactivated: bool,
    }
    /// Which page, in which order (contract section 7).
    struct LogPage {
        /// `-happened_at` (default) or `happened_at`.
        #[param(example = "-happened_at")]
        sort: String,
        /// Rows of a page, 1 to 1000; default 50.
        #[param(example = 50)]
        limit: u32,
        /// From the last page's `next`; bound to its filter and caller.
        cursor: String,
        /// `exact`: give the total.
        #[param(example = "exact")]
        count: String,
    }
}

/// [`LogScope`] and [`LogFilter`] as they may be added to a saved report: without what would widen it, which is refused
/// (`include_…`).
pub struct AddedFilter;

impl IntoParams for AddedFilter {
    fn into_params(parameter_in_provider: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let scope = LogScope::into_params(&parameter_in_provider);
        let filter = LogFilter::into_params(&parameter_in_provider);
        let all = scope.into_iter().chain(filter);
        all.filter(|parameter| !parameter.name.starts_with("include_"))
            .collect()
    }
}

/// An activity as it is sent (contract section 6, *Short form*).
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
#[schema(example = json!({
    "user": "u1", "action": "completed", "content": "fire-safety", "happened_at": "2026-11-01T09:30:00Z",
    "result": {"success": true, "score": 92, "total_time": "PT5M"}
}))]
pub struct NewActivity {
    /// The sender's id for it: the same record twice is one record.
    id: Option<Uuid>,
    /// A user's id, `{"email"}`, or an xAPI agent.
    #[schema(value_type = Value)]
    user: Value,
    /// What they did; or `verb`.
    action: Option<Action>,
    /// The IRI of a verb, instead of `action`.
    verb: Option<String>,
    /// A content's id, or `{"id" or "iri", "title", "type", "content_type"}`; none for logins and the like.
    #[schema(value_type = Option<Value>)]
    content: Option<Value>,
    /// When it happened, RFC 3339; default: now.
    #[schema(format = DateTime)]
    happened_at: Option<String>,
    /// How it went.
    result: Option<NewActivityResult>,
    /// The answers to a quiz's questions.
    responses: Option<Vec<NewActivityResponse>>,
    /// The certificate that came with it.
    certificate: Option<NewActivityCertificate>,
    /// When what was achieved expires.
    #[schema(format = DateTime)]
    expired_at: Option<String>,
    /// The device.
    device_type: Option<String>,
    /// The content library or system that it comes from.
    source: Option<String>,
    /// What ties the records of one attempt together.
    registration: Option<Uuid>,
    /// Who did it to the user; from a credential only.
    recorded_by: Option<String>,
    /// What they said about it; from a credential only.
    comment: Option<String>,
}

/// The result of an activity as it is sent.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
pub struct NewActivityResult {
    /// Whether it succeeded.
    success: Option<bool>,
    /// Whether it was done to its end.
    completion: Option<bool>,
    /// A percentage, or `{"scaled", "raw", "min", "max"}`.
    #[schema(value_type = Option<Value>, example = 92)]
    score: Option<Value>,
    /// ISO 8601, SCORM 1.2's `HHHH:MM:SS.SS`, or plain seconds.
    #[schema(value_type = Option<Value>, example = "PT5M")]
    total_time: Option<Value>,
    /// What was answered.
    response: Option<String>,
}

/// The answer to one question as it is sent.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
pub struct NewActivityResponse {
    /// The question's id or number.
    question: String,
    /// What was asked.
    prompt: Option<String>,
    /// What was answered.
    response: String,
    /// Whether that is right.
    correct: Option<bool>,
    /// The points for it.
    score: Option<f64>,
    /// How long it took.
    seconds: Option<f64>,
}

/// The certificate of an activity as it is sent.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read member by member; this describes them")]
pub struct NewActivityCertificate {
    /// What it is called.
    name: Option<String>,
    /// When it expires.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::filter::{
        self, FILTER_PARAMETERS, PAGE_PARAMETERS, PEOPLE_PARAMETERS, SCOPE_PARAMETERS, SORT_PARAMETERS,
    };

    #[test]
    fn what_is_described_is_what_is_read() {
        let names = |lists: &[&[filter::Parameter]]| -> Vec<&str> {
            lists.concat().iter().map(|parameter| parameter.name).collect()
        };
        let described = |fields: &[&'static str]| -> Vec<&str> {
            fields
                .iter()
                .map(|field| field.trim_start_matches("r#"))
                .collect()
        };
        assert_eq!(described(LogFilter::NAMES), names(&[FILTER_PARAMETERS]));
        assert_eq!(described(PeopleFilter::NAMES), names(&[PEOPLE_PARAMETERS]));
        assert_eq!(described(LogScope::NAMES), names(&[SCOPE_PARAMETERS]));
        assert_eq!(
            described(LogPage::NAMES),
            names(&[SORT_PARAMETERS, PAGE_PARAMETERS])
        );
    }
}
