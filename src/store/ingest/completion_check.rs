//! Whether a record that marks content as complete is still needed at the time of writing.

use std::collections::{HashMap, HashSet};

use crate::base::clock::Timestamp;
use crate::store::db::StoreError;
use crate::store::db::columns::FromRow as _;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::Reads;

/// The condition on which a record that marks a user is stored: the user has not completed the content, neither now nor
/// at the time of the record. Only [`Store::plan_marking`](crate::store::Store::plan_marking) creates one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompletionCheck {
    pub(crate) user: i64,
    pub(crate) question: Question,
}

/// The question which users have completed a content at one of two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) content: i64,
    pub(crate) at: Timestamp,
    pub(crate) now: Timestamp,
}

impl CompletionCheck {
    /// A check of a user and a content.
    #[cfg(test)]
    pub(crate) fn from_keys((user, content): (i64, i64)) -> Self {
        let (at, now) = (Timestamp::default(), Timestamp::default());
        let question = Question { content, at, now };
        Self { user, question }
    }

    /// The keys of the user and the content.
    pub(crate) fn keys(self) -> (i64, i64) {
        (self.user, self.question.content)
    }

    /// The key of the user.
    pub(crate) fn user(self) -> i64 {
        self.user
    }

    /// The time at which the user completed the content.
    pub(crate) fn at(self) -> Timestamp {
        self.question.at
    }
}

impl OrgTx {
    /// The checks that fail: these records are not needed any more. The answer is valid to the end of the transaction.
    pub(crate) async fn already_completed(
        &mut self,
        checks: impl Iterator<Item = CompletionCheck>,
    ) -> Result<HashSet<CompletionCheck>, StoreError> {
        let mut users: HashMap<Question, Vec<i64>> = HashMap::new();
        for CompletionCheck { user, question } in checks {
            users.entry(question).or_default().push(user);
        }
        let mut failed = HashSet::new();
        for (question, users) in users {
            let org = self.org;
            let completed = find_completed(self, org, question, users).await?;
            failed.extend(
                completed
                    .into_iter()
                    .map(|user| CompletionCheck { user, question }),
            );
        }
        Ok(failed)
    }
}

/// The users that have completed the content: a completion is valid now, or one had happened by the time in question
/// and had not expired by then. The second case makes a repeated mark of a past day harmless, even if the first mark
/// has expired since. A completion that expires exactly at the time in question does not count, because it is renewed
/// then.
pub(crate) async fn find_completed(
    reads: &mut impl Reads,
    org: i64,
    question: Question,
    users: Vec<i64>,
) -> Result<HashSet<i64>, StoreError> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let select = Sql::new(
        "SELECT DISTINCT p.user_key FROM persons p INDEXED BY persons_user \
         CROSS JOIN activities a INDEXED BY activities_progress \
         WHERE p.org = $1 AND p.user_key IN LIST($2) AND a.org = p.org AND a.person = p.key AND a.content = $3 \
         AND a.completed AND (a.expired_at IS NULL OR a.expired_at >= $4 \
         OR (a.happened_at <= $5 AND a.expired_at > $5))",
    );
    let select = select
        .with(org)
        .with(users)
        .with(question.content)
        .with(question.now)
        .with(question.at);
    let rows = reads.rows(select).await?;
    rows.iter()
        .map(|row| <(i64,)>::from_row(row).map(|(user,)| user))
        .collect()
}
