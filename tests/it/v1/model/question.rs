//! Random requests: the requester, scope, filters and order.

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::filters::{FlagFilter, ValueFilter, random_flag, random_values};
use super::world::{Micros, Months, Organisation};
use crate::support::http::{encode_segment, query};
use crate::support::random::Random;

pub const DAY: Micros = 86_400_000_000;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    Owner,
    Admin,
    Hr,
    Reporter,
    LearningDesigner,
    Curator,
    Manager,
    Learner,
}

impl Role {
    pub fn key(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Hr => "hr",
            Self::Reporter => "reporter",
            Self::LearningDesigner => "learning_designer",
            Self::Curator => "curator",
            Self::Manager => "manager",
            Self::Learner => "learner",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Reports {
    pub direct: Vec<String>,
    pub indirect: Vec<String>,
}

/// The caller of a request.
#[derive(Debug, Clone)]
pub enum Requester {
    Person { user: String, role: Role, permissions: Vec<&'static str>, reports: Option<Reports> },
    Credential { reads_activities: bool },
}

impl Requester {
    /// The claims of a person's token, without `org` and `exp`.
    pub fn claims(&self) -> Option<Value> {
        let Self::Person { user, role, permissions, reports } = self else {
            return None;
        };
        let mut claims = json!({"sub": user, "role": role.key()});
        if !permissions.is_empty() {
            claims["permissions"] = json!(permissions);
        }
        if let Some(reports) = reports {
            claims["reports"] = json!({"direct": reports.direct});
            // A missing key is an empty list.
            if !reports.indirect.is_empty() {
                claims["reports"]["indirect"] = json!(reports.indirect);
            }
        }
        Some(claims)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scope {
    Company,
    Managed { include_sub_managers: bool },
    Team,
    Group,
    Me,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    At(Micros),
    Date(NaiveDate),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Period {
    Today,
    Yesterday,
    Last7Days,
    Last30Days,
    ThisMonth,
    PreviousWeek,
    PreviousMonth,
    PreviousQuarter,
    PreviousYear,
}

const PERIODS: &[(Period, &str)] = &[
    (Period::Today, "today"),
    (Period::Yesterday, "yesterday"),
    (Period::Last7Days, "last_7_days"),
    (Period::Last30Days, "last_30_days"),
    (Period::ThisMonth, "this_month"),
    (Period::PreviousWeek, "previous_week"),
    (Period::PreviousMonth, "previous_month"),
    (Period::PreviousQuarter, "previous_quarter"),
    (Period::PreviousYear, "previous_year"),
];

/// The time zones of requests. In each, every midnight exists exactly once.
pub const ZONES: &[Tz] = &[
    chrono_tz::UTC,
    chrono_tz::Europe::Berlin,
    chrono_tz::America::New_York,
    chrono_tz::Asia::Kolkata,
    chrono_tz::Pacific::Auckland,
];

/// One filter of a question.
#[derive(Debug, Clone)]
pub enum Filter {
    Team { teams: Vec<String>, include_sub_teams: bool, primary_team_only: bool },
    Values(&'static ValueFilter, Vec<String>),
    Flag(&'static FlagFilter, bool),
    Title(Vec<String>),
    IncludeDeactivated(bool),
    Latest(bool),
    From(When),
    To(When),
    Period(Period),
    TimeZone(Tz),
    CertificateExpiresWithin(Months),
    Custom(String, Vec<String>),
}

/// A request for activities.
#[derive(Debug, Clone)]
pub struct Question {
    pub requester: Requester,
    /// The user for `/v1/users/{id}/activities` or `/v1/me/activities`.
    pub person: Option<String>,
    pub scope: Option<Scope>,
    pub filters: Vec<Filter>,
    pub ascending: bool,
    pub limit: usize,
    /// Writes lists of keys with commas instead of repeated parameters.
    pub commas: bool,
}

impl Question {
    /// The time zone of dates and periods.
    pub fn tz(&self, organisation: &Organisation) -> Tz {
        let zone = self.filters.iter().find_map(|filter| match filter {
            Filter::TimeZone(tz) => Some(*tz),
            _ => None,
        });
        zone.unwrap_or(organisation.time_zone)
    }

    /// Returns true if the answer includes deactivated users: on request, and in the log of one user.
    pub fn shows_deactivated(&self) -> bool {
        self.person.is_some()
            || self.filters.iter().any(|filter| matches!(filter, Filter::IncludeDeactivated(true)))
    }

    /// The path of the first page.
    pub fn path(&self) -> String {
        let mut pairs = self.pairs();
        pairs.push(("limit".into(), self.limit.to_string()));
        pairs.push(("count".into(), "exact".into()));
        let path = match (&self.person, &self.requester) {
            (Some(person), Requester::Person { user, .. }) if person == user => {
                "/v1/me/activities".to_owned()
            }
            (Some(person), _) => format!("/v1/users/{}/activities", encode_segment(person)),
            (None, _) => "/v1/activities".to_owned(),
        };
        path + &query(&pairs)
    }

    /// The path of an export of the same rows. The log of one user has none.
    pub fn export(&self, name: &str, more: &[(&str, &str)]) -> Option<String> {
        let mut pairs = self.pairs();
        pairs.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.person.is_none().then(|| format!("/v1/activities/{name}{}", query(&pairs)))
    }

    /// Scope, filters and sort as pairs of names and values.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut set = |name: &str, value: String| pairs.push((name.to_owned(), value));
        match self.scope {
            None => {}
            Some(Scope::Company) => set("scope", "company".into()),
            Some(Scope::Managed { include_sub_managers }) => {
                set("scope", "managed".into());
                if include_sub_managers {
                    set("include_sub_managers", "true".into());
                }
            }
            Some(Scope::Team) => set("scope", "team".into()),
            Some(Scope::Group) => set("scope", "group".into()),
            Some(Scope::Me) => set("scope", "me".into()),
        }
        if self.ascending {
            set("sort", "happened_at".into());
        }
        for filter in &self.filters {
            self.write_filter(filter, &mut pairs);
        }
        pairs
    }

    fn write_filter(&self, filter: &Filter, pairs: &mut Vec<(String, String)>) {
        let mut one = |name: &str, value: String| pairs.push((name.to_owned(), value));
        let mut many =
            |name: &str, values: &[String]| values.iter().for_each(|value| one(name, value.clone()));
        match filter {
            Filter::Team { teams, include_sub_teams, primary_team_only } => {
                many("team", teams);
                if *include_sub_teams {
                    one("include_sub_teams", "true".into());
                }
                if *primary_team_only {
                    one("primary_team_only", "true".into());
                }
            }
            Filter::Values(filter, keys) if self.commas && filter.has_keys => {
                one(filter.name, keys.join(","));
            }
            Filter::Values(filter, values) => many(filter.name, values),
            Filter::Flag(filter, wanted) => one(filter.name, wanted.to_string()),
            Filter::Title(titles) => many("title", titles),
            Filter::IncludeDeactivated(wanted) => one("include_deactivated", wanted.to_string()),
            Filter::Latest(wanted) => one("latest", wanted.to_string()),
            Filter::From(when) => one("from", write_when(*when)),
            Filter::To(when) => one("to", write_when(*when)),
            Filter::Period(period) => {
                let (_, key) =
                    PERIODS.iter().find(|(other, _)| other == period).expect("every period has a key");
                one("period", (*key).into());
            }
            Filter::TimeZone(tz) => one("tz", tz.name().into()),
            Filter::CertificateExpiresWithin(Months(months)) => {
                one("certificate_expires_within", format!("P{months}M"));
            }
            Filter::Custom(field, values) => many(&format!("custom[{field}]"), values),
        }
    }
}

/// A time as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Micros) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at).expect("the model's times are in range");
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn write_when(when: When) -> String {
    match when {
        When::At(at) => rfc3339(at),
        When::Date(date) => date.to_string(),
    }
}

// --- Random requests ------------------------------------------------------------------------------------

/// A random requester of the organisation.
pub fn random_requester(random: &mut Random, organisation: &Organisation) -> Requester {
    if random.percent(8) {
        return Requester::Credential { reads_activities: random.percent(75) };
    }
    let role = match random.below(10) {
        0..=3 => Role::Manager,
        4 => Role::Learner,
        5 => Role::Curator,
        _ => *random.pick(&[Role::Owner, Role::Admin, Role::Hr, Role::Reporter, Role::LearningDesigner]),
    };
    let permissions: Vec<&'static str> = ["reporting", "mark_complete", "indirect_reports"]
        .into_iter()
        .filter(|_| random.percent(25))
        .collect();
    let ids: Vec<String> = organisation.users.iter().map(|user| user.id.clone()).collect();
    let user = match random.percent(3) {
        true => "not-in-the-directory".to_owned(),
        false => random.pick(&ids).clone(),
    };
    let reports = random.maybe(40, |random| {
        // A token may list unknown users and the requester.
        let mut known = ids.clone();
        known.push("nobody-at-all".into());
        let mut direct = random.some(&known, 5);
        if random.percent(40) && !direct.contains(&user) {
            direct.push(user.clone());
        }
        let mut indirect = Vec::new();
        if random.percent(60) {
            indirect = random.some(&known, 4);
        }
        indirect.retain(|user| !direct.contains(user));
        Reports { direct, indirect }
    });
    Requester::Person { user, role, permissions, reports }
}

/// A random request of the requester.
pub fn random_question(
    random: &mut Random,
    organisation: &Organisation,
    requester: Requester,
    now: Micros,
) -> Question {
    let ids: Vec<String> = organisation.users.iter().map(|user| user.id.clone()).collect();
    let person = random.maybe(12, |random| match &requester {
        Requester::Person { user, .. } if random.percent(40) && organisation.user(user).is_some() => {
            user.clone()
        }
        _ => random.pick(&ids).clone(),
    });
    let scope = match random.below(10) {
        _ if person.is_some() => None,
        0..=4 => None,
        5 => Some(Scope::Company),
        6 => Some(Scope::Managed { include_sub_managers: false }),
        7 => Some(Scope::Managed { include_sub_managers: true }),
        8 => Some(*random.pick(&[Scope::Team, Scope::Group])),
        _ => Some(Scope::Me),
    };
    let mut filters: Vec<Filter> = Vec::new();
    match scope {
        Some(Scope::Team) if random.percent(90) => filters.push(random_team_filter(random, organisation)),
        Some(Scope::Group) if random.percent(90) => filters.push(random_group_filter(random, organisation)),
        _ => {}
    }
    // The log of one user has the same filters, except the user.
    for _ in 0..*random.pick(&[0, 0, 1, 1, 2, 3]) {
        let new = random_filter(random, organisation, now);
        let out_of_place =
            person.is_some() && (new.has_name("user") || matches!(new, Filter::IncludeDeactivated(_)));
        if !filters.iter().any(|other| new.excludes(other)) && !out_of_place {
            filters.push(new);
        }
    }
    let limit = *random.pick(&[1, 2, 3, 7, 20, 50, 1000]);
    Question {
        requester,
        person,
        scope,
        filters,
        ascending: random.percent(50),
        limit,
        commas: random.percent(30),
    }
}

fn random_team_filter(random: &mut Random, organisation: &Organisation) -> Filter {
    let mut ids: Vec<String> = organisation.teams.iter().map(|team| team.id.clone()).collect();
    ids.push("no-such-team".into());
    Filter::Team {
        teams: random.some(&ids, 2),
        include_sub_teams: random.percent(50),
        primary_team_only: random.percent(30),
    }
}

fn random_group_filter(random: &mut Random, organisation: &Organisation) -> Filter {
    Filter::with_values("group", random.some(&organisation.groups, 2))
}

fn to_strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn random_filter(random: &mut Random, organisation: &Organisation, now: Micros) -> Filter {
    let when = |random: &mut Random| {
        let at = now - random.between(-30, 800) * DAY;
        if random.percent(50) {
            let date = chrono::DateTime::from_timestamp_micros(at)
                .expect("the model's times are in range")
                .date_naive();
            When::Date(date)
        } else {
            // Often exactly the time of a record, where `≤` and `<` differ.
            let records = &organisation.records;
            When::At(if random.percent(60) { random.pick(records).happened_at } else { at })
        }
    };
    match random.below(32) {
        0 => random_team_filter(random, organisation),
        1..=15 => random_values(random, organisation),
        16 | 17 => Filter::Title(random.some(&to_strings(super::TITLE_WORDS), 2)),
        18..=20 => random_flag(random),
        21 | 22 => Filter::IncludeDeactivated(random.percent(85)),
        23 | 24 => Filter::From(when(random)),
        25 => Filter::To(when(random)),
        26 => Filter::Period(random.pick(PERIODS).0),
        27 if random.percent(40) => Filter::CertificateExpiresWithin(Months(random.between(1, 14) as u32)),
        27..=29 => Filter::TimeZone(*random.pick(ZONES)),
        30 => Filter::Latest(random.percent(85)),
        _ => {
            let field = (*random.pick(super::FIELDS)).to_owned();
            Filter::Custom(field, random.some(&to_strings(super::FIELD_VALUES), 2))
        }
    }
}
