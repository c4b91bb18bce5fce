//! Which logins are visits (`docs/specification.md#sessions-and-visits`).
//!
//! A login is a visit if the previous session event of the same user or unowned person was a login, too. The order is
//! that of time and statement id, so the order of arrival does not matter. When a session event comes or goes, only it
//! and the next one of the same user can change. When a person gets another owner, all session events of both can.

use crate::log::Action;

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

/// The rows of `activities a` that are session events. A record with the verb `visited` stays a visit and is none.
/// Queries bind the organisation as the first parameter, and the IRI of that verb as the second one.
macro_rules! is_session_event {
    ($row:literal) => {
        concat!(
            $row,
            ".org = $1 AND ",
            $row,
            ".action IN (13, 14, 25) AND ",
            $row,
            ".verb NOT IN (SELECT v.key FROM verbs v WHERE v.org = $1 AND v.iri = $2)"
        )
    };
}

/// The neighbour of the session event `a` of the person `o`: for each person of the same owner one row of the index, of which
/// the nearest is taken. SQLite would read all persons of the organisation for `p.key = o.key OR p.user_key = o.user_key`.
macro_rules! neighbour {
    ($column:literal, $comparison:literal, $direction:literal) => {
        concat!(
            "(SELECT ",
            $column,
            " FROM persons p JOIN activities n ON n.org = p.org AND n.seq = ( \
                 SELECT b.seq FROM activities b WHERE b.person = p.key AND ",
            is_session_event!("b"),
            " AND (b.happened_at, b.id) ",
            $comparison,
            " (a.happened_at, a.id) ORDER BY b.happened_at ",
            $direction,
            ", b.id ",
            $direction,
            " LIMIT 1) \
              WHERE p.org = $1 AND p.key IN ( \
                 SELECT o.key UNION ALL SELECT c.key FROM persons c WHERE c.org = $1 AND c.user_key = o.user_key) \
              ORDER BY n.happened_at ",
            $direction,
            ", n.id ",
            $direction,
            " LIMIT 1)"
        )
    };
}

impl OrgTx {
    /// The session events that follow these activities. The others of these activities have none.
    pub(crate) async fn find_next_sessions(&mut self, seqs: &[i64]) -> Result<Vec<i64>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let select = Sql::new(concat!(
            "SELECT ",
            neighbour!("n.seq", ">", "ASC"),
            " FROM activities a JOIN persons o ON o.org = a.org AND o.key = a.person WHERE a.seq IN LIST($3) AND ",
            is_session_event!("a")
        ));
        let select = select
            .with(self.org)
            .with(Action::Visited.written_verb())
            .with(seqs.to_vec());
        let rows: Vec<(Option<i64>,)> = self.fetch_rows(select).await?;
        Ok(rows.into_iter().filter_map(|(seq,)| seq).collect())
    }

    /// Updates which of these logins are visits.
    pub(crate) async fn settle_sessions(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let update = Sql::new(concat!(
            "UPDATE activities SET action = settled.action FROM ( \
                 SELECT a.seq, CASE WHEN ",
            neighbour!("CASE WHEN n.action = $6 THEN $4 ELSE n.action END", "<", "DESC"),
            " = $4 THEN $6 ELSE $4 END AS action \
                 FROM activities a JOIN persons o ON o.org = a.org AND o.key = a.person \
                 WHERE a.seq IN LIST($3) AND a.action <> $5 AND ",
            is_session_event!("a"),
            ") settled \
             WHERE activities.org = $1 AND activities.seq = settled.seq AND activities.action <> settled.action"
        ));
        let update = update
            .with(self.org)
            .with(Action::Visited.written_verb())
            .with(seqs)
            .with(Action::LoggedIn)
            .with(Action::LoggedOut)
            .with(Action::Visited);
        self.update_activities(update).await
    }

    /// Updates which logins are visits, for these persons and all persons of their owners.
    pub(crate) async fn update_sessions(&mut self, persons: &[i64]) -> Result<(), StoreError> {
        if persons.is_empty() {
            return Ok(());
        }
        // The keys of users and persons are different numbers, so `coalesce(p.user_key, p.key)` is unique.
        let update = Sql::new(concat!(
            "UPDATE activities SET action = updated.action FROM ( \
                 SELECT seq, CASE WHEN previous = $4 THEN $6 ELSE $4 END AS action FROM ( \
                     SELECT a.seq, a.action, \
                            lag(CASE WHEN a.action = $6 THEN $4 ELSE a.action END) \
                                OVER (PARTITION BY coalesce(p.user_key, p.key) ORDER BY a.happened_at, a.id) AS previous \
                     FROM persons p JOIN activities a ON a.org = p.org AND a.person = p.key \
                     WHERE p.org = $1 AND p.key IN ( \
                           SELECT o.key FROM persons o WHERE o.org = $1 AND o.key IN LIST($3) \
                           UNION \
                           SELECT c.key FROM persons o JOIN persons c ON c.org = o.org AND c.user_key = o.user_key \
                           WHERE o.org = $1 AND o.key IN LIST($3)) AND ",
            is_session_event!("a"),
            " ) events WHERE action <> $5 \
             ) updated \
             WHERE activities.org = $1 AND activities.seq = updated.seq AND activities.action <> updated.action",
        ));
        let update = update
            .with(self.org)
            .with(Action::Visited.written_verb())
            .with(persons.to_vec())
            .with(Action::LoggedIn)
            .with(Action::LoggedOut)
            .with(Action::Visited);
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
