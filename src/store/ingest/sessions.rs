//! Which login is a visit (product text, section 6, rule 8).
//!
//! A login of someone whose last session event was a login already is a visit. Someone is a user with all
//! their persons, or a person whom nobody owns. Decided by time of happening, then statement id, so the
//! order of arrival never matters: whenever a session event comes, goes, or changes hands, the events of
//! those concerned are settled anew.

use crate::log::Action;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

impl OrgTx {
    /// Settles which logins of these persons, and of whoever owns them, are visits.
    pub(crate) async fn update_sessions(&mut self, persons: &[i64]) -> Result<(), StoreError> {
        if persons.is_empty() {
            return Ok(());
        }
        // Keys of users and of persons come from one sequence, so the two never meet in `someone`. A record
        // whose own verb is `visited` stays one and is no session event.
        let settle = Sql::new(
            "UPDATE activities SET action = settled.action FROM ( \
                 SELECT seq, CASE WHEN before = $3 THEN $5 ELSE $3 END AS action FROM ( \
                     SELECT a.seq, a.action, \
                            lag(CASE WHEN a.action = $5 THEN $3 ELSE a.action END) \
                                OVER (PARTITION BY coalesce(p.user_key, p.key) ORDER BY a.happened_at, a.id) AS before \
                     FROM persons p JOIN activities a ON a.org = p.org AND a.person = p.key \
                     WHERE p.org = $1 AND a.action IN (13, 14, 25) \
                       AND (p.key IN LIST($2) OR p.user_key IN ( \
                           SELECT o.user_key FROM persons o WHERE o.org = $1 AND o.key IN LIST($2) AND o.user_key IS NOT NULL)) \
                       AND a.verb NOT IN (SELECT v.key FROM verbs v WHERE v.org = $1 AND v.iri = $6) \
                 ) events WHERE action <> $4 \
             ) settled \
             WHERE activities.org = $1 AND activities.seq = settled.seq AND activities.action <> settled.action",
        );
        let settle = settle
            .with(self.org)
            .with(persons.to_vec())
            .with(Action::LoggedIn.code())
            .with(Action::LoggedOut.code())
            .with(Action::Visited.code())
            .with(Action::Visited.written_verb());
        self.execute(settle).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::log::Action;

    #[test]
    fn the_index_names_the_codes_of_the_session_events() {
        let mut codes: Vec<i16> = Action::ALL
            .iter()
            .filter(|action| action.is_session())
            .map(|action| action.code())
            .collect();
        codes.sort_unstable();
        assert_eq!(
            codes,
            [13, 14, 25],
            "the query above and the index activities_session name these"
        );
    }
}
