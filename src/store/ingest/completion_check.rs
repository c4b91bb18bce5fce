//! Whether a record that marks content as complete is still needed when it is written.

use std::collections::{HashMap, HashSet};

use crate::base::clock::Timestamp;
use crate::store::db::StoreError;
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::Reads;

/// What a record that marks somebody is needed for: it is kept only while this person doesn't stand completed, neither
/// now nor at that moment. Only [`Store::marking`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompletionCheck {
    pub(crate) user: i64,
    pub(crate) question: Question,
}

/// Who stands completed in this content, then or now?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) content: i64,
    pub(crate) at: Timestamp,
    pub(crate) now: Timestamp,
}

impl CompletionCheck {
    /// For tests of who waits for whom.
    #[cfg(test)]
    pub(crate) fn from_keys((user, content): (i64, i64)) -> Self {
        let (at, now) = (Timestamp::default(), Timestamp::default());
        let question = Question { content, at, now };
        Self { user, question }
    }

    /// Whom it marks, for which content: keys of a user and of a content.
    pub(crate) fn keys(self) -> (i64, i64) {
        (self.user, self.question.content)
    }

    /// The key of the user.
    pub(crate) fn user(self) -> i64 {
        self.user
    }

    /// When it was completed.
    pub(crate) fn at(self) -> Timestamp {
        self.question.at
    }
}

impl OrgTx {
    /// Which of these records are needed no more. Asked within a writing transaction, the answer stays true to its end.
    pub(crate) async fn already_completed(
        &mut self,
        needed: impl Iterator<Item = CompletionCheck>,
    ) -> Result<HashSet<CompletionCheck>, StoreError> {
        let mut users: HashMap<Question, Vec<i64>> = HashMap::new();
        for CompletionCheck { user, question } in needed {
            users.entry(question).or_default().push(user);
        }
        let mut needless = HashSet::new();
        for (question, users) in users {
            let org = self.org;
            let completed = completed(self, org, question, users).await?;
            needless.extend(
                completed
                    .into_iter()
                    .map(|user| CompletionCheck { user, question }),
            );
        }
        Ok(needless)
    }
}

/// Those among the users who stand completed: a completion of theirs holds now, or it had happened by the moment asked
/// about and had not expired by then. The latter so that marking a past day twice is marking it once, even where what
/// was marked has expired since. What expired at that very moment doesn't count: it is then that it is renewed.
pub(crate) async fn completed(
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
        .with(question.now.micros())
        .with(question.at.micros());
    let rows = reads.rows(select).await?;
    rows.iter().map(user_key).collect()
}

fn user_key(row: &Row) -> Result<i64, StoreError> {
    row.get(0)
}
