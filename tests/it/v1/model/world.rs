//! The naive model's facts: organisations as plain lists, without an index, a key or a cache.

use chrono_tz::Tz;
use sha1::{Digest as _, Sha1};
use uuid::Uuid;

/// Microseconds since 1970.
pub type Micros = i64;

/// All that one organisation holds.
#[derive(Debug, Clone)]
pub struct Organisation {
    pub id: String,
    pub time_zone: Tz,
    pub managers_see_indirect_reports: bool,
    pub teams: Vec<Team>,
    pub groups: Vec<String>,
    pub users: Vec<User>,
    pub contents: Vec<Content>,
    /// In the order in which they were recorded.
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
    /// Every address that was ever theirs: a changed one stays bound.
    pub addresses: Vec<String>,
    /// Further agents that were bound to them.
    pub identifiers: Vec<Actor>,
    pub role: &'static str,
    pub manager: Option<String>,
    pub primary_team: Option<String>,
    pub teams: Vec<String>,
    pub groups: Vec<String>,
    pub active: bool,
    pub custom: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
pub struct Content {
    pub id: String,
    pub iri: String,
    /// False while only statements have named it.
    pub registered: bool,
    pub title: Option<String>,
    pub kind: Option<String>,
    pub content_type: Option<String>,
    pub tags: Vec<String>,
    pub cpd_labels: Vec<String>,
    pub source: Option<String>,
    pub archived: bool,
    /// What it demanded, from when on; the first is the oldest.
    pub demands: Vec<(Micros, Demands)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Demands {
    pub pass_mark: Option<i64>,
    pub expires_after: Option<Months>,
    /// Name and how long it is good for.
    pub certificate: Option<(String, Option<Months>)>,
}

/// A duration of calendar months, the unit in which contents expire here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Months(pub u32);

/// Who a record says that it is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Actor {
    Mbox(String),
    /// The SHA-1 of `mailto:` and the address, in hex.
    MboxSha1(String),
    Account {
        home_page: String,
        name: String,
    },
}

/// A score as it was sent: in units that are exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Score {
    /// Ten-thousandths of `scaled`.
    Scaled(i64),
    /// `raw` alone, or with the bounds that are there.
    Raw { raw: i64, min: Option<i64>, max: Option<i64> },
}

/// By which door a record came in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Door {
    /// `/xapi/statements`.
    Statement,
    /// `/v1/activities` with a credential.
    Integration,
    /// `/v1/activities` with an admin's token.
    Admin,
    /// `/v1/completions` with a person's token.
    Mark,
}

#[derive(Debug, Clone)]
pub struct Record {
    pub id: Uuid,
    pub door: Door,
    pub actor: Actor,
    pub verb: String,
    pub happened_at: Micros,
    /// The IRI of the content that it names.
    pub content: Option<String>,
    /// A title that the statement gives to its content.
    pub defines: Option<String>,
    pub score: Option<Score>,
    pub success: Option<bool>,
    pub completion: Option<bool>,
    pub seconds: Option<i64>,
    pub expired_at: Option<Micros>,
    pub certificate: Option<(String, Option<Micros>)>,
    pub device_type: Option<String>,
    pub source: Option<String>,
    /// The statement that it voids.
    pub voids: Option<Uuid>,
}

impl Organisation {
    pub fn home_page(&self) -> String {
        format!("https://rollbook.invalid/{}", self.id)
    }

    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user who claims the actor.
    pub fn claimant(&self, actor: &Actor) -> Option<&User> {
        self.users.iter().find(|user| {
            let account = Actor::Account { home_page: self.home_page(), name: user.id.clone() };
            *actor == account
                || user.identifiers.contains(actor)
                || user.addresses.iter().any(|address| match actor {
                    Actor::Mbox(mbox) => mbox == address,
                    Actor::MboxSha1(sum) => *sum == sha1_of_mailbox(address),
                    Actor::Account { .. } => false,
                })
        })
    }

    pub fn content(&self, iri: &str) -> Option<&Content> {
        self.contents.iter().find(|content| content.iri == iri)
    }

    /// Whether some statement voids that one. A statement that voids can't be voided.
    pub fn is_voided(&self, record: &Record) -> bool {
        record.voids.is_none() && self.records.iter().any(|other| other.voids == Some(record.id))
    }

    /// The users whose manager is this one.
    pub fn direct_reports(&self, manager: &str) -> Vec<String> {
        let reports = self.users.iter().filter(|user| user.manager.as_deref() == Some(manager));
        reports.map(|user| user.id.clone()).collect()
    }

    /// The users below this one in the manager tree, without the direct reports.
    pub fn indirect_reports(&self, manager: &str) -> Vec<String> {
        let direct = self.direct_reports(manager);
        let mut below: Vec<String> = Vec::new();
        let mut waiting = direct.clone();
        while let Some(next) = waiting.pop() {
            for report in self.direct_reports(&next) {
                below.push(report.clone());
                waiting.push(report);
            }
        }
        below
    }

    /// The team and, when asked for, all teams below it.
    pub fn teams_under(&self, team: &str, include_sub_teams: bool) -> Vec<String> {
        let mut teams = vec![team.to_owned()];
        let mut seen = 0;
        while include_sub_teams && seen < teams.len() {
            let parent = teams[seen].clone();
            let children = self.teams.iter().filter(|team| team.parent.as_deref() == Some(&parent));
            teams.extend(children.map(|team| team.id.clone()));
            seen += 1;
        }
        teams
    }
}

impl Content {
    /// What it demanded at that time, each demand by itself.
    pub fn demands_at(&self, at: Micros) -> Demands {
        Demands {
            pass_mark: self.demand_at(at, |demands| demands.pass_mark),
            expires_after: self.demand_at(at, |demands| demands.expires_after),
            certificate: self.demand_at(at, |demands| demands.certificate.clone()),
        }
    }

    /// The value that stood then. The first ever set covers the time before it, for unset is no value.
    fn demand_at<T>(&self, at: Micros, of: impl Fn(&Demands) -> Option<T>) -> Option<T> {
        let mut found = None;
        let mut any = false;
        for (from, demands) in &self.demands {
            let value = of(demands);
            if !any && value.is_none() {
                continue;
            }
            if !any || *from <= at {
                found = value;
            }
            any = true;
        }
        found
    }
}

pub fn sha1_of_mailbox(address: &str) -> String {
    Sha1::digest(format!("mailto:{address}")).iter().map(|byte| format!("{byte:02x}")).collect()
}
