//! Fills an empty store with the demo's organisation, with the functions that requests use.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::permit::Notes;
use crate::access::{
    Permissions, Person, Principal, ReachRules, Role, Subjects, caller_of_key, caller_of_user,
};
use crate::base::Fault;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::ids::{OrgId, UserId};
use crate::base::keyed::{KeyedDraft, Refusal, parse_batch};
use crate::catalogue::ContentDraft;
use crate::log::ShortForm;
use crate::log::short_form::ShortFormRules;
use crate::record::iri::IriError;
use crate::record::{Actor, Envelope, Identifier, Origin};
use crate::store::{
    Contents, Groups, Incoming, NewNote, OrganisationChange, RecordError, Recorder, Resolution, Sameness,
    SpoolError, Store, StoreError, Submission, Teams, Users, WriteError,
};

use super::history::{By, Event, HANDED_IN, Sent, history};
use super::people::{Member, Staff, staff};
use super::random::Random;
use super::reports::{self, DemoReport};
use super::{Size, contents, handed_in};

/// The seed of the random numbers.
const SEED: u64 = 20_240_229;
/// The number of records of a batch.
const BATCH: usize = 1_000;
/// The maximum depth of the demo's JSON.
pub(super) const DEPTH: usize = 32;

/// Why the demo's organisation could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// People or contents were refused.
    #[error("the demo's directory and catalogue could not be written: {0}")]
    Write(#[from] WriteError),
    /// Records were refused.
    #[error("the demo's records could not be written: {0}")]
    Record(#[from] RecordError),
    /// An attached file could not be stored.
    #[error("the file of an exercise could not be stored: {0}")]
    File(#[from] SpoolError),
    /// The demo's data is invalid: a bug of the demo.
    #[error("the demo's own data is refused at {pointer}: {detail}")]
    Refused {
        /// The pointer to the invalid value.
        pointer: String,
        /// The reason.
        detail: String,
    },
}

impl From<Faults> for SeedError {
    fn from(faults: Faults) -> Self {
        let Fault { pointer, detail } = faults.into_iter().next().unwrap_or_else(|| Fault {
            pointer: String::new(),
            detail: "the reason is unknown".to_owned(),
        });
        Self::Refused { pointer, detail }
    }
}

impl From<IriError> for SeedError {
    fn from(error: IriError) -> Self {
        Self::from(Faults::from(Fault::whole(error.to_string())))
    }
}

impl From<Refusal> for SeedError {
    fn from(refusal: Refusal) -> Self {
        Self::Write(refusal.into())
    }
}

/// A member of the organisation for which the demo prints a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CastMember {
    /// The shell variable of the token: `MANAGER`.
    pub variable: String,
    /// The user's id.
    pub user: UserId,
    /// First and last name.
    pub name: String,
    /// The job.
    pub job: String,
    /// The role of the token.
    pub role: Role,
    /// The permissions of the token.
    pub permissions: Vec<String>,
    /// What the member may see, in words.
    pub sees: String,
}

/// The summary of the created organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seeded {
    /// The number of users.
    pub users: usize,
    /// The number of contents.
    pub contents: usize,
    /// The number of activities in the log.
    pub activities: usize,
    /// The members that get tokens.
    pub cast: Vec<CastMember>,
    /// The saved reports.
    pub reports: Vec<DemoReport>,
}

/// Creates the organisation in an empty store. The same time and size give the same organisation. `key` is the key of the
/// credential that sends the records.
///
/// # Errors
///
/// [`SeedError`]. Data that was written before stays.
pub async fn seed(store: &Store, org: &OrgId, size: Size, key: &str) -> Result<Seeded, SeedError> {
    let now = store.clock().now();
    let mut random = Random::new(SEED);
    let name = OrganisationChange {
        name: Some("Acme".to_owned()),
        ..OrganisationChange::default()
    };
    store.change_organisation(org, name).await?;

    let people = staff(&mut random, now, size.users);
    store.put_all::<Teams>(org, drafts(&people.teams)?).await?;
    store.put_all::<Groups>(org, drafts(&people.groups)?).await?;
    let bodies: Vec<Value> = people.members.iter().map(|member| member.body.clone()).collect();
    store.put_all::<Users>(org, drafts(&bodies)?).await?;
    let catalogue = write_catalogue(store, org, now).await?;

    let events = history(&mut random, now, &people, &catalogue, size.activities);
    let recorder = Recorder::start(store)?;
    let sender = Sender {
        store,
        org,
        home_page: store.organisation(org).await?.account_home_page,
        key,
        recorder,
    };
    for run in events.chunk_by(|one, other| one.by == other.by) {
        for batch in run.chunks(BATCH) {
            sender.record(batch).await?;
        }
    }
    sender.recorder.finish().await;
    claim_private_addresses(store, org, &people).await?;
    let cast = cast(&people, now);
    add_notes(store, org, &cast).await?;
    let reports = reports::save(store, org, &cast).await?;
    Ok(Seeded {
        users: people.members.len(),
        contents: catalogue.len(),
        activities: size.activities,
        cast,
        reports,
    })
}

/// The notes of HR about the learner: the number of days since then, and the text.
const NOTES: [(i64, &str); 3] = [
    (
        210,
        "Parental leave until the end of May: due dates extended by three months.",
    ),
    (
        64,
        "Grade of the forklift quiz appealed; stands as it is after a second look.",
    ),
    (
        12,
        "Wants to become a first aider: enrol for the next course that has a seat.",
    ),
];

async fn add_notes(store: &Store, org: &OrgId, cast: &[CastMember]) -> Result<(), SeedError> {
    let part = |variable: &str| cast.iter().find(|part| part.variable == variable);
    let (Some(hr), Some(learner)) = (part("HR"), part("LEARNER")) else {
        return Ok(());
    };
    let now = store.clock().now();
    let writer = Principal::from(Person {
        org: org.clone(),
        user: hr.user.clone(),
        role: hr.role,
        permissions: Permissions::default(),
        reports: None,
        expires_at: now,
    });
    let Some(subjects) = Subjects::<Notes>::for_caller(&writer, &ReachRules::default()) else {
        return Ok(());
    };
    for (days, text) in NOTES {
        let note = NewNote {
            user: learner.user.clone(),
            text: text.to_owned(),
            happened_at: Timestamp::from_micros(now.micros() - days * super::DAY),
            created_by: hr.user.clone(),
        };
        let added = store.add_note(&subjects, note).await?;
        added.map_err(|refusal| SeedError::Refused {
            pointer: "/notes".to_owned(),
            detail: refusal.to_string(),
        })?;
    }
    Ok(())
}

fn drafts<T: KeyedDraft>(bodies: &[Value]) -> Result<Vec<T>, Refusal> {
    let texts: Vec<String> = bodies.iter().map(Value::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(parse_batch(&texts, DEPTH).parsed.into_values()?)
}

/// Writes the first state of the catalogue and its changes. Returns the current state.
async fn write_catalogue(store: &Store, org: &OrgId, now: Timestamp) -> Result<Vec<ContentDraft>, SeedError> {
    let mut contents = drafts::<ContentDraft>(&contents::first())?;
    store.put_all::<Contents>(org, contents.clone()).await?;
    let changes = drafts::<ContentDraft>(&contents::changes(now))?;
    store.put_all::<Contents>(org, changes.clone()).await?;
    for change in changes {
        if let Some(content) = contents.iter_mut().find(|content| content.id == change.id) {
            *content = change;
        }
    }
    Ok(contents)
}

/// Gives the contractors the private addresses that content players have for them. Their activities become the contractors'.
async fn claim_private_addresses(store: &Store, org: &OrgId, people: &Staff) -> Result<(), SeedError> {
    let mut bodies = Vec::new();
    for member in &people.members {
        if let Some(email) = &member.private_email {
            let mut body = member.body.clone();
            body["identifiers"] = json!([{"mbox": format!("mailto:{email}")}]);
            bodies.push(body);
        }
    }
    store.put_all::<Users>(org, drafts(&bodies)?).await?;
    Ok(())
}

/// Sends records to the recorder, as the handlers of requests do.
struct Sender<'a> {
    store: &'a Store,
    recorder: Recorder,
    org: &'a OrgId,
    home_page: String,
    key: &'a str,
}

impl Sender<'_> {
    /// Records a batch of one sender.
    async fn record(&self, events: &[Event]) -> Result<(), SeedError> {
        let Some(by) = events.first().map(|event| &event.by) else {
            return Ok(());
        };
        let (name, sender, base) = match by {
            By::Platform => (
                self.key,
                caller_of_key(self.key),
                Envelope {
                    origin: Origin::Api,
                    device_type: Some("api".to_owned()),
                    defines: true,
                    ..Envelope::default()
                },
            ),
            By::Person(user) => (
                user.as_str(),
                caller_of_user(user),
                Envelope {
                    origin: Origin::Manual,
                    recorded_by: UserId::new(user).ok(),
                    defines: true,
                    ..Envelope::default()
                },
            ),
        };
        let account = Identifier::Account {
            home_page: self.home_page.clone(),
            name: name.to_owned(),
        };
        let records = self.records(events, &base).await?;
        let has_file = |record: &Incoming| !record.statement.attachments.is_empty();
        let attachments = match records.iter().any(has_file) {
            true => vec![handed_in::content().await?],
            false => Vec::new(),
        };
        let submission = Submission {
            org: self.org.clone(),
            records,
            authority: Actor::agent(account, None).to_json(),
            version: "1.0.0",
            sender,
            adds_definitions: false,
            session: None,
            attachments,
            import: None,
            attempt: None,
        };
        self.recorder.record(submission).await?;
        Ok(())
    }

    async fn records(&self, events: &[Event], base: &Envelope) -> Result<Vec<Incoming>, SeedError> {
        let bodies = events.iter().filter_map(|event| match &event.sent {
            Sent::Activity(body) => Some(body.to_string()),
            Sent::Statement(_) => None,
        });
        let bodies: Vec<String> = bodies.collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let rules = ShortFormRules {
            recorder: true,
            depth: DEPTH,
            now: self.store.clock().now(),
        };
        let forms = ShortForm::parse_batch(&bodies, &rules).into_values()?;
        let resolutions = self.store.resolve(self.org, &self.home_page, &forms).await?;
        let resolutions: Vec<Resolution> = resolutions.into_iter().collect::<Result<_, _>>()?;
        let mut forms = forms.into_iter().zip(resolutions);
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            let (statement, envelope, sameness) = match &event.sent {
                Sent::Activity(body) => {
                    // Each activity has a form, in the same order.
                    let Some((form, resolution)) = forms.next() else {
                        break;
                    };
                    let mut statement = form.to_statement(&resolution.resolved())?;
                    if body["result"]["response"] == HANDED_IN {
                        statement = statement.with_attachments(vec![handed_in::declaration()?]);
                    }
                    (
                        statement,
                        form.envelope(base.clone()),
                        Sameness::ShortForm(Box::new(form)),
                    )
                }
                Sent::Statement(builder) => (
                    builder.as_ref().clone().build(),
                    statement_envelope(base),
                    Sameness::Statement,
                ),
            };
            let id = statement
                .id
                .unwrap_or_else(|| self.store.clock().new_statement_id());
            records.push(Incoming {
                id,
                id_was_given: true,
                statement: Arc::new(statement),
                envelope: Arc::new(envelope),
                sameness,
                mark: None,
                voids_first: false,
            });
        }
        Ok(records)
    }
}

/// The envelope of a statement. Content sends statements to the LRS. A person voids a record by hand.
fn statement_envelope(base: &Envelope) -> Envelope {
    let origin = if base.recorded_by.is_some() {
        base.origin
    } else {
        Origin::Xapi
    };
    Envelope {
        origin,
        device_type: None,
        ..base.clone()
    }
}

/// A member of the cast. `None` without a member.
fn part(variable: &str, member: Option<&Member>, permissions: &[&str], sees: String) -> Option<CastMember> {
    let member = member?;
    Some(CastMember {
        variable: variable.to_owned(),
        user: UserId::new(member.id.as_str()).ok()?,
        name: member.name.clone(),
        job: member.job.clone(),
        role: member.role,
        permissions: permissions.iter().map(|key| (*key).to_owned()).collect(),
        sees,
    })
}

/// The learner that learns most, among those that were employed all the time.
fn find_diligent_learner(people: &Staff, now: Timestamp) -> Option<&Member> {
    let learners = people.members.iter().filter(|member| {
        let long = (now.micros() - member.joined.micros()) / super::DAY > 730;
        member.role == Role::Learner && member.left.is_none() && long && member.private_email.is_none()
    });
    learners.max_by(|one, other| one.diligence.total_cmp(&other.diligence))
}

/// The members that get tokens: one of each role, and a second curator.
fn cast(people: &Staff, now: Timestamp) -> Vec<CastMember> {
    let of_role = |role, number: usize| {
        people
            .members
            .iter()
            .filter(move |member| member.role == role && member.left.is_none())
            .nth(number)
    };
    let all = || "all of Acme".to_owned();
    let manager = of_role(Role::Manager, 0);
    let reports = manager.map_or_else(String::new, |manager| {
        let (direct, indirect) = reporting_to(people, &manager.id);
        format!("themselves, {direct} direct reports and {indirect} indirect ones")
    });
    let learner = find_diligent_learner(people, now);
    let parts = [
        part(
            "OWNER",
            of_role(Role::Owner, 0),
            &[],
            format!("{}, and writes all of it", all()),
        ),
        part(
            "ADMIN",
            of_role(Role::Admin, 0),
            &[],
            format!("{}, and writes all of it", all()),
        ),
        part("HR", of_role(Role::Hr, 0), &[], all()),
        part("REPORTER", of_role(Role::Reporter, 0), &[], all()),
        part("DESIGNER", of_role(Role::LearningDesigner, 0), &[], all()),
        part(
            "CURATOR_REPORTING",
            of_role(Role::Curator, 0),
            &["reporting"],
            format!("{}, by the permission `reporting`", all()),
        ),
        part(
            "CURATOR",
            of_role(Role::Curator, 1),
            &[],
            "only themselves".to_owned(),
        ),
        part(
            "MANAGER",
            manager,
            &["mark_complete"],
            format!("{reports}, and marks content as complete for them"),
        ),
        part("LEARNER", learner, &[], "only themselves".to_owned()),
    ];
    parts.into_iter().flatten().collect()
}

/// The numbers of direct and of indirect reports of a manager.
fn reporting_to(people: &Staff, manager: &str) -> (usize, usize) {
    let below = |above: &str| -> Vec<&str> {
        let reports = people
            .members
            .iter()
            .filter(|member| member.manager.as_deref() == Some(above));
        reports.map(|member| member.id.as_str()).collect()
    };
    let direct = below(manager);
    let mut indirect = 0;
    let mut next: Vec<&str> = direct.clone();
    while let Some(above) = next.pop() {
        let more = below(above);
        indirect += more.len();
        next.extend(more);
    }
    (direct.len(), indirect)
}
