//! The facts of the naive model: organisations as plain lists without index, key or cache.

use chrono_tz::Tz;
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

/// Microseconds since 1970.
pub type Micros = i64;

/// All facts of one organisation.
#[derive(Debug, Clone)]
pub struct Organisation {
    pub id: String,
    pub time_zone: Tz,
    pub managers_see_indirect_reports: bool,
    pub teams: Vec<Team>,
    pub groups: Vec<String>,
    pub users: Vec<User>,
    /// In the order in which they were made. Each takes everything from its time on.
    pub claims: Vec<Claim>,
    /// The identifiers that their present users have given up, with the time.
    pub given_up: Vec<(Actor, Micros)>,
    pub contents: Vec<Content>,
    /// In the order of recording.
    pub records: Vec<Record>,
}

#[derive(Debug, Clone)]
pub struct Team {
    pub id: String,
    pub parent: Option<String>,
}

#[derive(Debug, Clone)]
pub struct User {
    pub id: String,
    pub first_name: String,
    pub last_name: String,
    pub email: Option<String>,
    /// Every present or former address.
    pub addresses: Vec<String>,
    /// Further identifiers.
    pub identifiers: Vec<Actor>,
    pub role: &'static str,
    pub location: Option<String>,
    pub manager: Option<String>,
    pub primary_team: Option<String>,
    pub teams: Vec<String>,
    pub groups: Vec<String>,
    pub active: bool,
    pub deactivated_at: Option<Micros>,
    pub custom: Vec<(String, String)>,
}

/// An identifier belongs to a user from a time on.
#[derive(Debug, Clone)]
pub struct Claim {
    pub actor: Actor,
    pub from: Micros,
    pub user: String,
}

#[derive(Debug, Clone)]
pub struct Content {
    pub id: String,
    pub iri: String,
    /// False if the content occurs only in records.
    pub registered: bool,
    pub title: Option<String>,
    pub kind: Option<String>,
    pub content_type: Option<String>,
    pub tags: Vec<String>,
    pub cpd_labels: Vec<String>,
    pub source: Option<String>,
    pub archived: bool,
    /// The changes of the demands, the oldest first.
    pub demands: Vec<DemandChange>,
}

/// Demands that apply from a time on.
#[derive(Debug, Clone)]
pub struct DemandChange {
    pub from: Micros,
    /// The request contained the time. Otherwise it is the time of the request.
    pub with_time: bool,
    pub demands: Demands,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Demands {
    pub pass_mark: Option<i64>,
    pub expires_after: Option<Months>,
    /// The name and the validity.
    pub certificate: Option<(String, Option<Months>)>,
}

/// A duration in calendar months. Contents of the model expire after such durations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Months(pub u32);

/// The actor of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Actor {
    Mbox(String),
    /// The SHA-1 of `mailto:` and the address in hexadecimal.
    MboxSha1(String),
    Account {
        home_page: String,
        name: String,
    },
}

impl Actor {
    /// The name of an actor that no user claims. No actor of the model has a name in its records.
    pub fn name(&self) -> String {
        match self {
            Self::Mbox(address) => address.clone(),
            Self::MboxSha1(sum) => sum[..8].to_owned(),
            Self::Account { name, .. } => name.clone(),
        }
    }
}

/// A score in exact units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Score {
    /// Ten-thousandths of `scaled`.
    Scaled(i64),
    /// `raw` with optional bounds. Without `max` it is no percentage, and without `min` the lowest value is 0.
    Raw { raw: i64, min: Option<i64>, max: Option<i64> },
}

/// The endpoint that received a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Endpoint {
    /// `/xapi/statements`.
    Statement,
    /// `/v1/activities` with a credential.
    Integration,
    /// `/v1/activities` with an admin's token.
    Admin,
    /// `/v1/completions` with a person's token.
    Completion,
}

/// The object of a statement below its content.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Below {
    /// A question of the content, which is the parent in the context.
    Question,
    /// A question of the content, which is in the grouping of the context, before another Activity.
    QuestionInGrouping,
    /// An attempt at the content.
    Attempt,
}

impl Below {
    pub fn is_part(self) -> bool {
        self != Self::Attempt
    }
}

#[derive(Debug, Clone)]
pub struct Record {
    pub id: Uuid,
    pub endpoint: Endpoint,
    pub actor: Actor,
    pub verb: String,
    pub happened_at: Micros,
    /// When the server stored the record, if it may be before the record happened.
    pub stored: Option<Micros>,
    /// The IRI of the content.
    pub content: Option<String>,
    /// What the object is, if it is not the content but below it.
    pub below: Option<Below>,
    /// The title of the content in the statement.
    pub defines: Option<String>,
    pub score: Option<Score>,
    pub success: Option<bool>,
    pub completion: Option<bool>,
    pub seconds: Option<i64>,
    pub registration: Option<Uuid>,
    /// The session id of cmi5.
    pub session: Option<String>,
    pub expired_at: Option<Micros>,
    pub certificate: Option<(String, Option<Micros>)>,
    pub device_type: Option<String>,
    pub source: Option<String>,
    /// The id of the statement that this record voids.
    pub voids: Option<Uuid>,
}

impl Record {
    /// Whether the record is about a part of its content.
    pub fn is_about_part(&self) -> bool {
        self.below.is_some_and(Below::is_part)
    }

    /// When the record counts for names: a record of the future from its storage on.
    pub fn named_at(&self) -> Micros {
        self.stored.map_or(self.happened_at, |stored| stored.min(self.happened_at))
    }
}

impl Organisation {
    pub fn home_page(&self) -> String {
        format!("https://rollbook.invalid/{}", self.id)
    }

    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user that has the actor as an identifier at this time: the last claim that covers the time decides.
    pub fn find_user_by_actor(&self, actor: &Actor, at: Micros) -> Option<&User> {
        let account =
            |user: &&User| *actor == Actor::Account { home_page: self.home_page(), name: user.id.clone() };
        let claim = self.claims.iter().rev().find(|claim| claim.actor == *actor && claim.from <= at);
        match claim {
            Some(claim) => self.user(&claim.user),
            None => self.users.iter().find(account),
        }
    }

    /// The user that has the actor as an identifier now.
    pub fn find_present_user(&self, actor: &Actor) -> Option<&User> {
        self.find_user_by_actor(actor, Micros::MAX)
    }

    /// From when on another user may claim the actor. `None` while its user uses it.
    pub fn free_from(&self, actor: &Actor) -> Option<Micros> {
        let Some(owner) = self.find_present_user(actor) else {
            return Some(Micros::MIN);
        };
        let given_up = self.given_up.iter().find(|(other, _)| other == actor).map(|(_, at)| *at);
        // What happens at the moment of deactivation is still the owner's.
        let deactivated = owner.deactivated_at.map(|at| at + 1_000);
        given_up.into_iter().chain(deactivated).min()
    }

    /// Gives the actor to the user from a time on.
    pub fn claim(&mut self, actor: Actor, from: Micros, user: &str) {
        self.given_up.retain(|(other, _)| *other != actor);
        self.claims.push(Claim { actor, from, user: user.to_owned() });
    }

    pub fn content(&self, iri: &str) -> Option<&Content> {
        self.contents.iter().find(|content| content.iri == iri)
    }

    /// Returns true if another record voids this one. A voiding record cannot be voided.
    pub fn is_voided(&self, record: &Record) -> bool {
        record.voids.is_none() && self.records.iter().any(|other| other.voids == Some(record.id))
    }

    /// The direct reports of a manager.
    pub fn direct_reports(&self, manager: &str) -> Vec<String> {
        let reports = self.users.iter().filter(|user| user.manager.as_deref() == Some(manager));
        reports.map(|user| user.id.clone()).collect()
    }

    /// The indirect reports of a manager, without the direct ones.
    pub fn indirect_reports(&self, manager: &str) -> Vec<String> {
        let direct = self.direct_reports(manager);
        let mut below: Vec<String> = Vec::new();
        let mut pending = direct.clone();
        while let Some(next) = pending.pop() {
            for report in self.direct_reports(&next) {
                below.push(report.clone());
                pending.push(report);
            }
        }
        below
    }

    /// The team, and all teams below it on request.
    pub fn teams_under(&self, team: &str, include_sub_teams: bool) -> Vec<String> {
        let mut teams = vec![team.to_owned()];
        let mut index = 0;
        while include_sub_teams && index < teams.len() {
            let parent = teams[index].clone();
            let children = self.teams.iter().filter(|team| team.parent.as_deref() == Some(&parent));
            teams.extend(children.map(|team| team.id.clone()));
            index += 1;
        }
        teams
    }
}

impl Content {
    /// The demands that apply at this time. Each demand has a separate history.
    pub fn demands_at(&self, at: Micros) -> Demands {
        Demands {
            pass_mark: self.demand_at(at, |demands| demands.pass_mark),
            expires_after: self.demand_at(at, |demands| demands.expires_after),
            certificate: self.demand_at(at, |demands| demands.certificate.clone()),
        }
    }

    /// The value that applies at this time: the last one that is set for it or for an earlier time. The first
    /// value applies to the time before it too, if it was set without a time.
    fn demand_at<T>(&self, at: Micros, value_of: impl Fn(&Demands) -> Option<T>) -> Option<T> {
        let mut found = None;
        let mut any = false;
        for change in &self.demands {
            let value = value_of(&change.demands);
            let is_first = !any && value.is_some();
            any |= is_first;
            if change.from <= at || (is_first && !change.with_time) {
                found = value;
            }
        }
        found
    }
}

pub fn sha1_of_mailbox(address: &str) -> String {
    Sha1::digest(format!("mailto:{address}")).iter().map(|byte| format!("{byte:02x}")).collect()
}
