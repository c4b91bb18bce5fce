//! Random questions: who asks, in which scope, through which filters, in which order.

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

/// Who asks.
#[derive(Debug, Clone)]
pub enum Who {
    Person { user: String, role: Role, permissions: Vec<&'static str>, reports: Option<Reports> },
    Credential { reads_activities: bool },
}

impl Who {
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

/// Time zones of the questions, all with midnights that exist once.
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
    From(When),
    To(When),
    Period(Period),
    TimeZone(Tz),
    CertificateExpiresWithin(Months),
    Custom(String, Vec<String>),
}

/// A question to the log.
#[derive(Debug, Clone)]
pub struct Question {
    pub who: Who,
    /// Asks for this one person's log, by `/v1/users/{id}/activities` or `/v1/me/activities`.
    pub person: Option<String>,
    pub scope: Option<Scope>,
    pub filters: Vec<Filter>,
    pub ascending: bool,
    pub limit: usize,
    /// Writes lists of keys with commas, not as repeated parameters.
    pub commas: bool,
}

impl Question {
    /// The zone that dates and periods are read in.
    pub fn tz(&self, organisation: &Organisation) -> Tz {
        let asked = self.filters.iter().find_map(|filter| match filter {
            Filter::TimeZone(tz) => Some(*tz),
            _ => None,
        });
        asked.unwrap_or(organisation.time_zone)
    }

    /// Whether rows of deactivated users are in the answer: where asked for, and in a person's own log.
    pub fn shows_deactivated(&self) -> bool {
        self.person.is_some()
            || self.filters.iter().any(|filter| matches!(filter, Filter::IncludeDeactivated(true)))
    }

    /// The path of the first page.
    pub fn path(&self) -> String {
        let mut pairs = self.pairs();
        pairs.push(("limit".into(), self.limit.to_string()));
        pairs.push(("count".into(), "exact".into()));
        let path = match (&self.person, &self.who) {
            (Some(person), Who::Person { user, .. }) if person == user => "/v1/me/activities".to_owned(),
            (Some(person), _) => format!("/v1/users/{}/activities", encode_segment(person)),
            (None, _) => "/v1/activities".to_owned(),
        };
        path + &query(&pairs)
    }

    /// The path of an export of the same rows, where there is one.
    pub fn export(&self, name: &str, more: &[(&str, &str)]) -> Option<String> {
        let mut pairs = self.pairs();
        pairs.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.person.is_none().then(|| format!("/v1/activities/{name}{}", query(&pairs)))
    }

    /// Scope, filters and sort as parameters.
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
            self.write(filter, &mut pairs);
        }
        pairs
    }

    fn write(&self, filter: &Filter, pairs: &mut Vec<(String, String)>) {
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
            Filter::From(when) => one("from", written(*when)),
            Filter::To(when) => one("to", written(*when)),
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

/// A moment as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Micros) -> String {
    let at = chrono::DateTime::from_timestamp_micros(at).expect("the model's times are in range");
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn written(when: When) -> String {
    match when {
        When::At(at) => rfc3339(at),
        When::Date(date) => date.to_string(),
    }
}

// --- Chance ------------------------------------------------------------------------------------------------

/// A random caller of the organisation.
pub fn who(random: &mut Random, organisation: &Organisation) -> Who {
    if random.percent(8) {
        return Who::Credential { reads_activities: random.percent(75) };
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
        // Somebody who is in no directory at all may stand in a token too, and so may the caller.
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
    Who::Person { user, role, permissions, reports }
}

/// A random question of that caller.
pub fn question(random: &mut Random, organisation: &Organisation, who: Who, now: Micros) -> Question {
    let ids: Vec<String> = organisation.users.iter().map(|user| user.id.clone()).collect();
    let person = random.maybe(12, |random| match &who {
        Who::Person { user, .. } if random.percent(40) && organisation.user(user).is_some() => user.clone(),
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
        Some(Scope::Team) if random.percent(90) => filters.push(team(random, organisation)),
        Some(Scope::Group) if random.percent(90) => filters.push(group(random, organisation)),
        _ => {}
    }
    // A person's log has the same filters, but the subject is who the path says.
    for _ in 0..random.below(4) {
        let new = filter(random, organisation, now);
        let out_of_place =
            person.is_some() && (new.is("user") || matches!(new, Filter::IncludeDeactivated(_)));
        if !filters.iter().any(|other| new.excludes(other)) && !out_of_place {
            filters.push(new);
        }
    }
    let limit = *random.pick(&[1, 2, 3, 7, 20, 50, 1000]);
    Question { who, person, scope, filters, ascending: random.percent(50), limit, commas: random.percent(30) }
}

fn team(random: &mut Random, organisation: &Organisation) -> Filter {
    let mut ids: Vec<String> = organisation.teams.iter().map(|team| team.id.clone()).collect();
    ids.push("no-such-team".into());
    Filter::Team {
        teams: random.some(&ids, 2),
        include_sub_teams: random.percent(50),
        primary_team_only: random.percent(30),
    }
}

fn group(random: &mut Random, organisation: &Organisation) -> Filter {
    Filter::with_values("group", random.some(&organisation.groups, 2))
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn filter(random: &mut Random, organisation: &Organisation, now: Micros) -> Filter {
    let when = |random: &mut Random| {
        let at = now - random.between(-30, 800) * DAY;
        if random.percent(50) {
            let date = chrono::DateTime::from_timestamp_micros(at)
                .expect("the model's times are in range")
                .date_naive();
            When::Date(date)
        } else {
            // Often exactly when something happened, where `≤` and `<` differ.
            let records = &organisation.records;
            When::At(if random.percent(60) { random.pick(records).happened_at } else { at })
        }
    };
    match random.below(29) {
        0 => team(random, organisation),
        1..=15 => random_values(random, organisation),
        16 | 17 => Filter::Title(random.some(&strings(super::TITLE_WORDS), 2)),
        18..=20 => random_flag(random),
        21 | 22 => Filter::IncludeDeactivated(random.percent(85)),
        23 | 24 => Filter::From(when(random)),
        25 => Filter::To(when(random)),
        26 => Filter::Period(random.pick(PERIODS).0),
        27 if random.percent(40) => Filter::CertificateExpiresWithin(Months(random.between(1, 14) as u32)),
        27 => Filter::TimeZone(*random.pick(ZONES)),
        _ => {
            let field = (*random.pick(super::FIELDS)).to_owned();
            Filter::Custom(field, random.some(&strings(super::FIELD_VALUES), 2))
        }
    }
}
