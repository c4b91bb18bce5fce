//! The things that a record names: persons, verbs and Activities, with the digests that they are unique by.

use crate::log::placement::Familiarity;
use crate::log::{PersonRef, person_of};
use crate::record::{Activity, Identifier, Object};
use crate::store::db::digest;
use crate::store::ingest::persons::{digest_of, digest_of_person};
use crate::store::ingest::stored_statement::{Platform, StoredStatement};

/// The things that a record names, each with its digest.
pub(super) struct RecordNames<'r> {
    pub(super) person: (Vec<u8>, PersonRef),
    pub(super) verb: Vec<u8>,
    pub(super) object: Option<(Vec<u8>, &'r Activity)>,
    /// The Activities of which one is the content.
    pub(super) content_candidates: Vec<(Vec<u8>, &'r Activity)>,
    /// The index of the content in the candidates. Known once the candidates have been looked up.
    chosen: usize,
    /// The other persons.
    pub(super) people: Vec<NamedPerson<'r>>,
    /// The other Activities.
    pub(super) activities: Vec<(Vec<u8>, &'r Activity)>,
}

/// A person that a record names, but not as its actor.
pub(super) struct NamedPerson<'r> {
    pub(super) digest: Vec<u8>,
    pub(super) identifier: &'r Identifier,
    /// Whether the plain `agent` filter finds the record by this person.
    pub(super) direct: bool,
}

impl<'r> RecordNames<'r> {
    pub(super) fn new(record: &'r StoredStatement, platform: &Platform<'_>) -> Self {
        let statement = &record.statement;
        let person = person_of(statement);
        let object = match &statement.object {
            Object::Activity(activity) => Some(with_digest(activity)),
            _ => None,
        };
        let display = statement.verb.display.pick_english_first().unwrap_or_default();
        let candidates = platform.content_candidates(statement);
        let mentions = statement.mentions();
        let mut people = to_people(&mentions.direct, true);
        people.extend(to_people(&mentions.related, false));
        Self {
            person: (digest_of_person(&person), person),
            verb: digest(&format!("{}\n{display}", statement.verb.id.as_str())),
            object,
            content_candidates: candidates.into_iter().map(with_digest).collect(),
            chosen: 0,
            people,
            activities: mentions.activities.into_iter().map(with_digest).collect(),
        }
    }

    /// The names of each record.
    pub(super) fn of_all(records: &'r [StoredStatement], platform: &Platform<'_>) -> Vec<Self> {
        records.iter().map(|record| Self::new(record, platform)).collect()
    }

    /// The object and the Activities of the context. The candidates for the content are among them.
    pub(super) fn all_activities(&self) -> impl Iterator<Item = &(Vec<u8>, &'r Activity)> {
        self.object.iter().chain(&self.activities)
    }

    /// The content. The first candidate, until [`RecordNames::choose_content`] was called.
    pub(super) fn content(&self) -> Option<&(Vec<u8>, &'r Activity)> {
        self.content_candidates.get(self.chosen)
    }

    /// Chooses the best known candidate as the content, of several the first.
    pub(super) fn choose_content(&mut self, familiarity: impl Fn(&Vec<u8>) -> Familiarity) {
        if self.content_candidates.len() > 1 {
            let candidates = self.content_candidates.iter().enumerate().rev();
            let best = candidates.max_by_key(|(_, (digest, _))| familiarity(digest));
            self.chosen = best.map_or(0, |(index, _)| index);
        }
    }

    /// The object, if the record counts for it itself.
    pub(super) fn recorded_object(&self) -> Option<&Vec<u8>> {
        let (object, _) = self.object.as_ref()?;
        match self.content_candidates.as_slice() {
            [(content, _)] if content == object => Some(object),
            _ => None,
        }
    }

    /// The digests of the actor and of the other persons.
    pub(super) fn person_digests(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.person.0).chain(self.people.iter().map(|person| &person.digest))
    }
}

fn with_digest(activity: &Activity) -> (Vec<u8>, &Activity) {
    (digest(activity.id.as_str()), activity)
}

fn to_people<'r>(identifiers: &[&'r Identifier], direct: bool) -> Vec<NamedPerson<'r>> {
    let people = identifiers.iter().map(|identifier| NamedPerson {
        digest: digest_of(identifier),
        identifier,
        direct,
    });
    people.collect()
}
