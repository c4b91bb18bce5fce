//! Whether a record that marks content as complete is still needed at the time of writing
//! (`docs/specification.md#marking-content-as-complete`).

use std::collections::{HashMap, HashSet};

use crate::base::clock::Timestamp;
use crate::catalogue::Demands;
use crate::record::CalendarDuration;
use crate::store::db::StoreError;
use crate::store::db::columns::FromRow as _;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::Reads;

/// The end of something that never expires.
const NEVER: Timestamp = Timestamp::from_micros(i64::MAX);
/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// The time within which a request can be the repetition of another one, in microseconds. A repeated request without a time
/// is a little later than the first one.
pub(crate) fn repetition_tolerance(time_was_given: bool) -> i64 {
    if time_was_given { 0 } else { DAY }
}

/// The condition on which a record that marks a user is stored: no completion of the user holds at least as long. Only
/// [`Store::plan_marking`](crate::store::Store::plan_marking) creates one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompletionCheck {
    pub(crate) user: i64,
    pub(crate) completion: NewCompletion,
}

/// A completion that is to be recorded, and what another completion needs in order to replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NewCompletion {
    content: i64,
    /// When it happened.
    pub(crate) at: Timestamp,
    /// The other completion happened at this time or before.
    latest: Timestamp,
    /// The other completion holds until this time or longer.
    holds_until: Timestamp,
    /// If the content awards a certificate: the user has one that holds until this time or longer.
    certificate_until: Option<Timestamp>,
}

impl NewCompletion {
    /// A completion of a content with these demands. `time_was_given` is false if the request named no time, so that the
    /// time is that of the request.
    ///
    /// A repeated request must not create a second record. So a completion is replaced by one that differs by up to
    /// [`repetition_tolerance`].
    pub(crate) fn new(content: i64, at: Timestamp, time_was_given: bool, demands: &Demands) -> Self {
        let tolerance = repetition_tolerance(time_was_given);
        let shifted = |micros: i64| Timestamp::from_micros(at.micros().saturating_add(micros));
        let until = |validity: Option<&CalendarDuration>| {
            validity.map_or(NEVER, |validity| validity.add_to(shifted(-tolerance)).max(at))
        };
        let certificate = demands.certificate.as_ref();
        Self {
            content,
            at,
            latest: shifted(tolerance),
            holds_until: until(demands.expires_after.as_ref()),
            certificate_until: certificate.map(|rule| until(rule.expires_after.as_ref())),
        }
    }
}

impl CompletionCheck {
    /// A check of a user and a content.
    #[cfg(test)]
    pub(crate) fn from_keys((user, content): (i64, i64)) -> Self {
        let completion = NewCompletion::new(content, Timestamp::default(), true, &Demands::default());
        Self { user, completion }
    }

    /// The keys of the user and the content.
    pub(crate) fn keys(self) -> (i64, i64) {
        (self.user, self.completion.content)
    }

    /// The key of the user.
    pub(crate) fn user(self) -> i64 {
        self.user
    }

    /// The time at which the user completed the content.
    pub(crate) fn completed_at(self) -> Timestamp {
        self.completion.at
    }
}

impl OrgTx {
    /// The checks that fail: these records are not needed any more. The answer is valid to the end of the transaction.
    pub(crate) async fn already_completed(
        &mut self,
        checks: impl Iterator<Item = CompletionCheck>,
    ) -> Result<HashSet<CompletionCheck>, StoreError> {
        let mut users: HashMap<NewCompletion, Vec<i64>> = HashMap::new();
        for CompletionCheck { user, completion } in checks {
            users.entry(completion).or_default().push(user);
        }
        let mut failed = HashSet::new();
        for (completion, users) in users {
            let org = self.org;
            let covered = find_covered(self, org, completion, users).await?;
            failed.extend(
                covered
                    .into_iter()
                    .map(|user| CompletionCheck { user, completion }),
            );
        }
        Ok(failed)
    }
}

/// The users that do not need the new completion: an earlier one holds at least as long, and so does their certificate.
pub(crate) async fn find_covered(
    reads: &mut impl Reads,
    org: i64,
    completion: NewCompletion,
    users: Vec<i64>,
) -> Result<HashSet<i64>, StoreError> {
    let completions = "CROSS JOIN activities a INDEXED BY activities_completions \
         WHERE p.org = $1 AND p.user_key IN LIST($2) AND a.org = p.org AND a.person = p.key AND a.content = $3 \
         AND a.completed AND a.happened_at <= $4 AND (a.expired_at IS NULL OR a.expired_at >= $5)";
    let covered = find_users(reads, completions, org, completion, users, completion.holds_until).await?;
    let Some(until) = completion.certificate_until else {
        return Ok(covered);
    };
    let certificates = "CROSS JOIN activities a INDEXED BY activities_progress \
         WHERE p.org = $1 AND p.user_key IN LIST($2) AND a.org = p.org AND a.person = p.key AND a.content = $3 \
         AND a.certified AND a.happened_at <= $4 \
         AND (a.certificate_expires_at IS NULL OR a.certificate_expires_at >= $5)";
    let users = covered.into_iter().collect();
    find_users(reads, certificates, org, completion, users, until).await
}

/// The users that have a row of the completion's content. `rows` joins the rows to `persons p`; `$5` is `until`.
async fn find_users(
    reads: &mut impl Reads,
    rows: &'static str,
    org: i64,
    completion: NewCompletion,
    users: Vec<i64>,
    until: Timestamp,
) -> Result<HashSet<i64>, StoreError> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let select = format!("SELECT DISTINCT p.user_key FROM persons p INDEXED BY persons_user {rows}");
    let select = Sql::new(&select)
        .with(org)
        .with(users)
        .with(completion.content)
        .with(completion.latest)
        .with(until);
    let rows = reads.rows(select).await?;
    rows.iter()
        .map(|row| <(i64,)>::from_row(row).map(|(user,)| user))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::testing::parse_time;
    use crate::catalogue::CertificateRule;

    fn demands(expiry: &str, certificate: &str) -> Demands {
        let calendar = |text: &str| CalendarDuration::parse(text).expect("a duration");
        Demands {
            expires_after: Some(calendar(expiry)),
            certificate: Some(CertificateRule {
                name: None,
                expires_after: Some(calendar(certificate)),
            }),
            ..Demands::default()
        }
    }

    #[test]
    fn completion_at_a_given_time_is_replaced_by_one_that_holds_as_long() {
        let given = NewCompletion::new(
            1,
            parse_time("2026-01-31T09:00:00Z"),
            true,
            &demands("P1M", "P1Y"),
        );
        assert_eq!(given.latest, given.at);
        assert_eq!(given.holds_until, parse_time("2026-02-28T09:00:00Z"));
        assert_eq!(given.certificate_until, Some(parse_time("2027-01-31T09:00:00Z")));
        let endless = NewCompletion::new(1, given.at, true, &Demands::default());
        assert_eq!((endless.holds_until, endless.certificate_until), (NEVER, None));
    }

    #[test]
    fn completion_without_a_given_time_is_replaced_by_one_of_the_same_day() {
        let now = parse_time("2026-03-18T10:17:23Z");
        let repeated = NewCompletion::new(1, now, false, &demands("P1Y", "PT1H"));
        assert_eq!(repeated.latest, parse_time("2026-03-19T10:17:23Z"));
        assert_eq!(repeated.holds_until, parse_time("2027-03-17T10:17:23Z"));
        assert_eq!(repeated.certificate_until, Some(now), "it holds at least now");
    }
}
