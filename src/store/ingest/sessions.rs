//! Which logins are visits (`docs/specification.md#sessions-and-visits`).
//!
//! A login is a visit if the previous session event of the same user or unowned person was a login, too. The order is
//! that of time and statement id, so the order of arrival does not matter. When a session event comes, goes, or gets
//! another owner, the actions of all concerned session events are updated.

use crate::log::Action;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

impl OrgTx {
    /// Updates which logins are visits, for these persons and all persons of their owners.
    pub(crate) async fn update_sessions(&mut self, persons: &[i64]) -> Result<(), StoreError> {
        if persons.is_empty() {
            return Ok(());
        }
        // The keys of users and persons are different numbers, so `coalesce(p.user_key, p.key)` is unique. A record with
        // the verb `visited` stays a visit and is not a session event.
        let update = Sql::new(
            "UPDATE activities SET action = updated.action FROM ( \
                 SELECT seq, CASE WHEN previous = $3 THEN $5 ELSE $3 END AS action FROM ( \
                     SELECT a.seq, a.action, \
                            lag(CASE WHEN a.action = $5 THEN $3 ELSE a.action END) \
                                OVER (PARTITION BY coalesce(p.user_key, p.key) ORDER BY a.happened_at, a.id) AS previous \
                     FROM persons p JOIN activities a ON a.org = p.org AND a.person = p.key \
                     WHERE p.org = $1 AND a.action IN (13, 14, 25) \
                       AND (p.key IN LIST($2) OR p.user_key IN ( \
                           SELECT o.user_key FROM persons o WHERE o.org = $1 AND o.key IN LIST($2) AND o.user_key IS NOT NULL)) \
                       AND a.verb NOT IN (SELECT v.key FROM verbs v WHERE v.org = $1 AND v.iri = $6) \
                 ) events WHERE action <> $4 \
             ) updated \
             WHERE activities.org = $1 AND activities.seq = updated.seq AND activities.action <> updated.action",
        );
        let update = update
            .with(self.org)
            .with(persons.to_vec())
            .with(Action::LoggedIn)
            .with(Action::LoggedOut)
            .with(Action::Visited)
            .with(Action::Visited.written_verb());
        self.update_activities(update).await
    }
}

#[cfg(test)]
mod tests {
    use crate::log::Action;

    #[test]
    fn query_names_the_codes_of_all_session_events() {
        let mut codes: Vec<i16> = Action::ALL
            .iter()
            .filter(|action| action.is_session())
            .map(|action| action.code())
            .collect();
        codes.sort_unstable();
        assert_eq!(
            codes,
            [13, 14, 25],
            "the query above and the index activities_session contain these codes"
        );
    }
}
