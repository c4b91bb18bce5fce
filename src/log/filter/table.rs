//! The filters of the log, one in each line of a table.
//!
//! A line makes the field of [`Filter`], its parser, its canonical pairs, its parameter in the OpenAPI document, and its
//! rule in saved reports. The SQL condition is in `store/activity_log/conditions.rs`; that of a filter by person is in
//! `store/directory/reach.rs`.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use uuid::Uuid;

use super::parameter::{Parameter, Subject, Traits};
use super::reader::ParameterReader;
use super::value::{FilterValue, Moment, ResultFilter, TitleSearch, VerbIri};
use crate::base::ids::{ContentId, GroupId, TeamId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::action::Action;
use crate::log::period::Period;
use crate::record::{CalendarDuration, Origin};

const PERSON: Traits = Traits::of(Subject::Person);
const PERSON_OPTION: Traits = Traits::of(Subject::PersonOption);
const CONTENT: Traits = Traits::of(Subject::Content);
const ACTIVITY: Traits = Traits::of(Subject::Activity);
const TIME: Traits = Traits::of(Subject::Time);

macro_rules! filters {
    ($($(#[doc = $doc:literal])+ $name:literal => $field:ident: $type:ty, $traits:expr;)+) => {
        /// The conditions that an activity must meet, besides being within the caller's reach.
        ///
        /// Different filters combine with AND, the values of one filter with OR. A filter without a value has no
        /// condition.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Filter {
            $($(#[doc = $doc])+ pub $field: $type,)+
            /// `custom[<field>]`: for each user field, any of its values.
            pub custom: BTreeMap<String, Vec<String>>,
            /// The time zone of dates and periods if `tz` is not given.
            pub default_zone: Tz,
            /// The filter of a saved report, if this one was added to it. A row must pass both; see [`Filter::each`].
            pub within: Option<Box<Filter>>,
        }

        impl Default for Filter {
            fn default() -> Self {
                Self {
                    $($field: Default::default(),)+
                    custom: BTreeMap::new(),
                    default_zone: Tz::UTC,
                    within: None,
                }
            }
        }

        /// The parameters of all filters in canonical order, without `custom[<field>]`.
        pub const FILTER_PARAMETERS: &[Parameter] =
            &[$(Parameter::of_type::<$type>($name, concat!($($doc),+), $traits),)+];

        impl Filter {
            /// Reads the filters of the table.
            pub(super) fn parse_table(reader: &mut ParameterReader<'_>) -> Self {
                Self {
                    $($field: FilterValue::parse(reader, $name),)+
                    ..Self::default()
                }
            }

            /// Each parameter of the table with its values, in canonical order.
            pub(super) fn values(&self) -> impl Iterator<Item = (&'static Parameter, Vec<String>)> {
                FILTER_PARAMETERS.iter().zip([$(self.$field.to_texts(),)+])
            }
        }
    };
}

filters! {
    /// Ids of teams; members of any of them.
    "team" => teams: Vec<TeamId>, PERSON;
    /// With `team`: members of the teams below count too.
    "include_sub_teams" => include_sub_teams: bool, PERSON_OPTION.widens();
    /// With `team`: only members that have it as their primary team.
    "primary_team_only" => primary_team_only: bool, PERSON_OPTION;
    /// Ids of groups; members of any of them.
    "group" => groups: Vec<GroupId>, PERSON;
    /// Ids of users.
    "user" => users: Vec<UserId>, PERSON;
    /// Locations of users.
    "location" => locations: Vec<String>, PERSON.example(r#"["Leeds"]"#);
    /// Actions; `visited` is hidden unless it is named. May be comma-separated.
    "action" => actions: Vec<Action>, ACTIVITY.widens_with("visited").example(r#"["completed", "failed"]"#);
    /// IRIs of verbs.
    "verb" => verbs: Vec<VerbIri>, ACTIVITY;
    /// Types of the content. May be comma-separated.
    "type" => types: Vec<LearningType>, CONTENT;
    /// Content types of an item. May be comma-separated.
    "content_type" => content_types: Vec<ContentFormat>, CONTENT;
    /// Ids of contents.
    "content" => contents: Vec<ContentId>, CONTENT;
    /// Tags of the content.
    "tag" => tags: Vec<String>, CONTENT;
    /// Content libraries.
    "source" => sources: Vec<String>, ACTIVITY;
    /// CPD labels of the content.
    "cpd_label" => cpd_labels: Vec<String>, CONTENT;
    /// Device types.
    "device_type" => device_types: Vec<String>, ACTIVITY;
    /// The way in which the record arrived: `xapi`, `scorm`, `api`, `manual`, `import`, `system`.
    "origin" => origins: Vec<Origin>, ACTIVITY;
    /// Ids of bulk imports.
    "import" => imports: Vec<Uuid>, ACTIVITY;
    /// The earliest time of arrival (`stored_at`), before `stored_to`: RFC 3339, or a date, which begins at midnight in `tz`.
    "stored_from" => stored_from: Option<Moment>, ACTIVITY.example("2026-01-01T09:30:00.123Z");
    /// The first time of arrival after the window: RFC 3339, or a date.
    "stored_to" => stored_to: Option<Moment>, ACTIVITY.example("2026-02-01");
    /// Words that the content's title must contain; if repeated, all words of any value. At most 100 titles with 200
    /// words together.
    "title" => titles: Vec<TitleSearch>, CONTENT;
    /// Whether the activity is a completion.
    "completed" => completed: Option<bool>, ACTIVITY;
    /// Whether the completion has expired.
    "expired" => expired: Option<bool>, ACTIVITY;
    /// Only the newest completion of each person and content. Which one it is does not depend on other parameters.
    "latest" => latest: bool, ACTIVITY;
    /// Whether the record came with a bulk import.
    "bulk_import" => bulk_import: Option<bool>, ACTIVITY;
    /// Whether a certificate was awarded.
    "has_certificate" => has_certificate: Option<bool>, ACTIVITY;
    /// Deactivated users are included.
    "include_deactivated" => include_deactivated: bool, PERSON_OPTION.widens();
    /// `passed`, `failed`. May be comma-separated.
    "result" => results: Vec<ResultFilter>, ACTIVITY;
    /// The earliest time, before `to`: RFC 3339, or a date, which begins at midnight in `tz`.
    "from" => from: Option<Moment>, TIME.example("2026-01-01");
    /// The first time after the window: RFC 3339, or a date.
    "to" => to: Option<Moment>, TIME.example("2026-02-01");
    /// Instead of `from` and `to`: `today`, `yesterday`, `last_7_days`, `last_30_days`, `this_month`, `previous_week`,
    /// `previous_month`, `previous_quarter`, `previous_year`.
    "period" => period: Option<Period>, TIME;
    /// The IANA time zone of dates and periods; default: that of the organisation.
    "tz" => tz: Option<Tz>, TIME.example("Europe/London");
    /// An ISO 8601 duration: the certificate expires between now and then.
    "certificate_expires_within" => certificate_expires_within: Option<CalendarDuration>, ACTIVITY.example("P30D");
}
