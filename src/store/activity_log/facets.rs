//! Facets of the log: one scan, counted in the process by the keys that rows hold, then what the keys stand for.
//!
//! A question arrives as a [`Scoped`], so the reach binds what is counted. What took long is kept for a minute, under
//! the very people it was counted for: nobody is answered with another's.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt;
use uuid::Uuid;

use crate::access::Scoped;
use crate::base::Fingerprint;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::log::facets::{Counted, FacetValues, Facets, Fold};
use crate::log::row::full_name;
use crate::log::{Action, ContentKey, Filter, PersonKey, VerbKey, description};
use crate::record::Origin;

use crate::store::db::database::{self, Sql};
use crate::store::db::{Store, StoreError};

/// How long an answer is kept, in microseconds.
const KEPT_FOR: i64 = 60_000_000;
/// Answers over fewer rows are not kept: they cost little, and are always fresh.
const WORTH_KEEPING: u64 = 50_000;
/// Answers kept by one process; past it the memory is emptied.
const MOST_KEPT: usize = 200;
/// Keys that one query asks for.
const KEYS_AT_ONCE: usize = 5_000;

/// The columns that are counted, in the order in which [`read`] takes them.
const SELECT: &str = "SELECT a.person, a.content, a.verb, a.action, a.origin, a.device_type, a.source, a.import, \
     a.completed, a.success, a.certified, a.expired_at FROM activities a";

fn read(row: &database::Row) -> Result<Counted, StoreError> {
    let action: i16 = row.get(3)?;
    let origin: i16 = row.get(4)?;
    Ok(Counted {
        person: PersonKey(row.get(0)?),
        content: row.get::<Option<i64>>(1)?.map(ContentKey),
        verb: VerbKey(row.get(2)?),
        action: Action::from_code(action).ok_or_else(|| StoreError::corrupt("action", action))?,
        origin: Origin::from_code(origin).ok_or_else(|| StoreError::corrupt("origin", origin))?,
        device_type: row.get(5)?,
        source: row.get(6)?,
        import: row.get::<Option<Uuid>>(7)?,
        completed: row.get(8)?,
        success: row.get(9)?,
        certified: row.get(10)?,
        expired_at: row.get::<Option<i64>>(11)?.map(Timestamp::from_micros),
    })
}

impl Store {
    /// Every filter's values among the rows of the question, with how many rows have each.
    ///
    /// The filter is a [`population`](crate::log::facets::population): filters of rows would narrow the facets.
    pub async fn facets(
        &self,
        cache: &FacetCache,
        question: &Scoped<&Filter>,
        now: Timestamp,
    ) -> Result<Arc<Facets>, StoreError> {
        // Whoever waited for their turn may have waited for the same answer.
        if let Some(kept) = cache.get(question, self.clock().now()) {
            return Ok(kept);
        }
        let mut fold = Fold::default();
        {
            let mut chunks = pin!(self.scan(question, SELECT, now, read).await?);
            while let Some(rows) = chunks.try_next().await? {
                rows.iter().for_each(|row| fold.add(row, now));
            }
        }
        let facets = Arc::new(self.named_facets(question.org(), &fold, now).await?);
        if fold.rows > WORTH_KEEPING {
            cache.put(fingerprint(question), Arc::clone(&facets));
        }
        Ok(facets)
    }

    async fn named_facets(&self, org: &OrgId, fold: &Fold, now: Timestamp) -> Result<Facets, StoreError> {
        let verbs = self.verb_values(org, fold).await?;
        let contents = self.content_values(org, fold).await?;
        let people = match self.organisation_key(org).await? {
            Some(key) => self.people_values(key, fold).await?,
            None => PeopleValues::default(),
        };
        let mut facets = vec![
            fold.actions().named("action"),
            verbs.named("verb"),
            contents.kinds.named("type"),
            contents.content_types.named("content_type"),
            contents.contents.named("content"),
            contents.tags.named("tag"),
            contents.sources.named("source"),
            contents.cpd_labels.named("cpd_label"),
            fold.device_types().named("device_type"),
            fold.origins().named("origin"),
            fold.imports().named("import"),
            people.teams.named("team"),
            people.groups.named("group"),
            people.users.named("user"),
            fold.results().named("result"),
            fold.completed().named("completed"),
            fold.expired().named("expired"),
            fold.certified().named("has_certificate"),
            fold.imported().named("bulk_import"),
        ];
        let fields = people.fields.into_iter();
        facets.extend(fields.map(|(field, values)| values.named(format!("custom[{field}]"))));
        Ok(Facets { facets, as_of: now })
    }

    async fn verb_values(&self, org: &OrgId, fold: &Fold) -> Result<FacetValues, StoreError> {
        let mut values = FacetValues::default();
        let keys: Vec<VerbKey> = fold.verbs.keys().copied().collect();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            for (key, card) in self.verb_details(org, keys).await? {
                let label = description::label(Action::Other, &card);
                values.add(&card.iri, &label, fold.verbs.get(&key).copied().unwrap_or(0));
            }
        }
        Ok(values)
    }

    async fn content_values(&self, org: &OrgId, fold: &Fold) -> Result<ContentValues, StoreError> {
        let mut values = ContentValues {
            sources: FacetValues::of_texts(&fold.sources),
            ..ContentValues::default()
        };
        let keys: Vec<ContentKey> = fold.contents.keys().copied().collect();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            for (key, card) in self.content_details(org, keys).await? {
                let count = fold.contents.get(&key).copied().unwrap_or_default();
                values
                    .contents
                    .add(card.id.as_str(), &description::titled(&card), count.rows);
                if let Some(kind) = card.learning_type {
                    values.kinds.add(kind.key(), kind.label(), count.rows);
                }
                if let Some(kind) = card.content_type {
                    values.content_types.add(kind.key(), kind.label(), count.rows);
                }
                if let Some(source) = &card.source {
                    values.sources.add(source, source, count.without_source);
                }
                for tag in &card.tags {
                    values.tags.add(tag, tag, count.rows);
                }
                for label in &card.cpd_labels {
                    values.cpd_labels.add(label, label, count.rows);
                }
            }
        }
        Ok(values)
    }

    async fn people_values(&self, org: i64, fold: &Fold) -> Result<PeopleValues, StoreError> {
        let rows_of = self.rows_of_users(org, fold).await?;
        let mut users: Vec<i64> = rows_of.keys().copied().collect();
        users.sort_unstable();
        let mut values = PeopleValues::default();
        let (mut teams, mut groups) = (HashMap::new(), HashMap::new());
        for users in users.chunks(KEYS_AT_ONCE) {
            let rows = |user: i64| rows_of.get(&user).copied().unwrap_or(0);
            let asked = |text| Sql::new(text).with(org).with(users.to_vec());
            let select =
                asked("SELECT key, id, first_name, last_name FROM users WHERE org = $1 AND key IN LIST($2)");
            for row in self.db().fetch_all(select).await? {
                let (id, first, last): (String, Option<String>, Option<String>) =
                    (row.get(1)?, row.get(2)?, row.get(3)?);
                let name = full_name(first.as_deref(), last.as_deref());
                values
                    .users
                    .add(&id, name.as_deref().unwrap_or(&id), rows(row.get(0)?));
            }
            let select =
                asked("SELECT user_key, team FROM memberships WHERE org = $1 AND user_key IN LIST($2)");
            for row in self.db().fetch_all(select).await? {
                *teams.entry(row.get(1)?).or_default() += rows(row.get(0)?);
            }
            let select = asked(
                "SELECT user_key, group_key FROM group_members WHERE org = $1 AND user_key IN LIST($2)",
            );
            for row in self.db().fetch_all(select).await? {
                *groups.entry(row.get(1)?).or_default() += rows(row.get(0)?);
            }
            let select = asked(
                "SELECT user_key, field, value FROM user_fields WHERE org = $1 AND user_key IN LIST($2)",
            );
            for row in self.db().fetch_all(select).await? {
                let value: String = row.get(2)?;
                let field = values.fields.entry(row.get(1)?).or_default();
                field.add(&value, &value, rows(row.get(0)?));
            }
        }
        let select = "SELECT key, id, name FROM teams WHERE org = $1 AND key IN LIST($2)";
        values.teams = self.values_by_key(org, select, &teams).await?;
        let select = "SELECT key, id, name FROM groups WHERE org = $1 AND key IN LIST($2)";
        values.groups = self.values_by_key(org, select, &groups).await?;
        Ok(values)
    }

    /// The rows of each user, all of whose persons count together. Persons whom nobody claims are nobody's.
    async fn rows_of_users(&self, org: i64, fold: &Fold) -> Result<HashMap<i64, u64>, StoreError> {
        let mut rows_of: HashMap<i64, u64> = HashMap::new();
        let mut persons: Vec<i64> = fold.persons.keys().map(|key| key.0).collect();
        persons.sort_unstable();
        for persons in persons.chunks(KEYS_AT_ONCE) {
            let select = Sql::new(
                "SELECT key, user_key FROM persons WHERE org = $1 AND key IN LIST($2) AND user_key IS NOT NULL",
            );
            for row in self
                .db()
                .fetch_all(select.with(org).with(persons.to_vec()))
                .await?
            {
                let rows = fold.persons.get(&PersonKey(row.get(0)?)).copied().unwrap_or(0);
                *rows_of.entry(row.get(1)?).or_default() += rows;
            }
        }
        Ok(rows_of)
    }

    /// The values of what has a key, an id and a name.
    async fn values_by_key(
        &self,
        org: i64,
        select: &'static str,
        counts: &HashMap<i64, u64>,
    ) -> Result<FacetValues, StoreError> {
        let mut values = FacetValues::default();
        let keys: Vec<i64> = counts.keys().copied().collect();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let select = Sql::new(select).with(org).with(keys.to_vec());
            for row in self.db().fetch_all(select).await? {
                let (key, id, name): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
                values.add(&id, &name, counts.get(&key).copied().unwrap_or(0));
            }
        }
        Ok(values)
    }
}

#[derive(Default)]
struct ContentValues {
    contents: FacetValues,
    kinds: FacetValues,
    content_types: FacetValues,
    sources: FacetValues,
    tags: FacetValues,
    cpd_labels: FacetValues,
}

#[derive(Default)]
struct PeopleValues {
    users: FacetValues,
    teams: FacetValues,
    groups: FacetValues,
    fields: BTreeMap<String, FacetValues>,
}

/// What an answer depends on besides the rows: the organisation, the very people who are counted, as the reach and its
/// part give them, and what the filter says of them, and each that it is within.
fn fingerprint(question: &Scoped<&Filter>) -> Fingerprint {
    let people = format!("{:?}", question.people());
    let mut parts = vec![question.org().to_string(), people];
    for filter in question.inner().each() {
        // Days are those of a zone, whoever asked for it; and no parameter has an empty name, so that no two filters
        // run together.
        parts.extend([String::new(), filter.zone().name().to_owned()]);
        parts.extend(
            filter
                .to_pairs()
                .into_iter()
                .flat_map(|(name, value)| [name, value]),
        );
    }
    Fingerprint::from_parts(parts.iter().map(String::as_str))
}

/// Answers that took long, for the next who asks the same.
#[derive(Default)]
pub struct FacetCache(Mutex<HashMap<Fingerprint, Arc<Facets>>>);

impl FacetCache {
    /// The answer to this question, if it is less than a minute old.
    pub fn get(&self, question: &Scoped<&Filter>, now: Timestamp) -> Option<Arc<Facets>> {
        self.find(fingerprint(question), now)
    }

    fn find(&self, question: Fingerprint, now: Timestamp) -> Option<Arc<Facets>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let facets = kept.get(&question)?;
        // A clock that was put back must not keep an answer for longer.
        let age = now.micros().saturating_sub(facets.as_of.micros());
        (0..KEPT_FOR).contains(&age).then(|| Arc::clone(facets))
    }

    fn put(&self, question: Fingerprint, facets: Arc<Facets>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(question, facets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::principal::samples::{credential, person, user};
    use crate::access::{AskedScope, CredentialScope, Person, Principal, ReachRules, Reports, Role};

    fn asked(principal: &Principal, scope: Option<AskedScope>, filter: &Filter) -> Fingerprint {
        let rules = ReachRules::default();
        fingerprint(&Scoped::new(principal, &rules, scope, filter).expect("a scope of theirs"))
    }

    #[test]
    fn nobody_is_answered_with_another_s() {
        let filter = Filter::default();
        let admin = Principal::from(person(Role::Admin));
        let reporter = Principal::from(person(Role::Reporter));
        let key = Principal::from(credential(&[CredentialScope::ActivitiesRead]));
        let same = asked(&admin, None, &filter);
        assert_eq!(
            asked(&reporter, None, &filter),
            same,
            "who sees the same is told the same"
        );
        assert_eq!(asked(&key, None, &filter), same);

        let manager = |user_id: &str, reports: Option<&str>| {
            Principal::from(Person {
                user: user(user_id),
                reports: reports.map(|id| Reports::new(vec![user(id)], Vec::new())),
                ..person(Role::Manager)
            })
        };
        let other_org = Principal::from(Person {
            org: "umbra".parse().expect("an id"),
            ..person(Role::Admin)
        });
        let deactivated = Filter {
            include_deactivated: true,
            ..Filter::default()
        };
        let team = Filter {
            teams: vec!["t".parse().expect("an id")],
            ..Filter::default()
        };
        let managed = |include_sub_managers| Some(AskedScope::Managed { include_sub_managers });
        let all = [
            same,
            asked(&other_org, None, &filter),
            asked(&admin, Some(AskedScope::Me), &filter),
            asked(&admin, managed(false), &filter),
            asked(&admin, managed(true), &filter),
            asked(&admin, None, &deactivated),
            asked(&admin, Some(AskedScope::Team), &team),
            asked(&manager("bo", None), None, &filter),
            asked(&manager("cy", None), None, &filter),
            asked(&manager("bo", Some("dee")), None, &filter),
            asked(&manager("bo", Some("eve")), None, &filter),
            asked(&manager("bo", Some("dee")), managed(false), &filter),
            asked(
                &Principal::from(Person {
                    user: user("bo"),
                    ..person(Role::Learner)
                }),
                None,
                &filter,
            ),
        ];
        let different: std::collections::HashSet<Fingerprint> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn an_answer_is_kept_for_a_minute() {
        let at = Timestamp::from_micros;
        let kept = FacetCache::default();
        let question = Fingerprint::from_parts(["q"]);
        let facets = |as_of| {
            Arc::new(Facets {
                facets: Vec::new(),
                as_of: at(as_of),
            })
        };
        kept.put(question, facets(1_000));
        assert!(kept.find(question, at(1_000)).is_some());
        assert!(kept.find(question, at(60_000_999)).is_some());
        assert!(kept.find(question, at(60_001_000)).is_none());
        assert!(kept.find(question, at(999)).is_none(), "the clock was put back");
        assert!(
            kept.find(Fingerprint::from_parts(["another"]), at(1_000))
                .is_none()
        );
        for number in 0..MOST_KEPT {
            kept.put(
                Fingerprint::from_parts([number.to_string().as_str()]),
                facets(1_000),
            );
        }
        assert!(kept.0.lock().expect("unpoisoned").len() <= MOST_KEPT);
    }
}
