//! Marks contents as complete: by an admin or a manager, for users, teams and groups, on past days, and
//! repeatedly.

use serde_json::{Value, json};

use super::Tenant;
use crate::support::TestServer;
use crate::support::builders::Body;
use crate::support::http::Caller;
use crate::support::random::Random;
use crate::v1::model::calendar::add_months;
use crate::v1::model::derivation::{Row, derive_rows};
use crate::v1::model::question::{DAY, rfc3339};
use crate::v1::model::world::{Actor, Endpoint, Micros, Months, Organisation, Record, User};

/// The author of a mark.
enum Marker {
    Admin,
    Manager { user: String, indirect_reports: bool },
}

/// The time of a mark.
struct NewMark {
    at: Micros,
    /// The difference up to which another completion is the same one.
    tolerance: Micros,
}

impl Tenant {
    /// Marks random contents for random people and compares the outcomes.
    pub(super) async fn mark_contents(&mut self, server: &TestServer, random: &mut Random, count: usize) {
        let now = server.clock.now().micros();
        for _ in 0..count {
            let marker = self.random_marker(random);
            let caller = self.caller_of(server, &marker);
            let content = random.pick(&self.facts.contents).clone();
            let users: Vec<String> = self.facts.users.iter().map(|user| user.id.clone()).collect();
            let mut users_in_request = random.maybe(70, |random| random.some(&users, 5)).unwrap_or_default();
            users_in_request.push("nobody".to_owned());
            let teams: Vec<String> = self.facts.teams.iter().map(|team| team.id.clone()).collect();
            let teams = random.maybe(50, |random| random.some(&teams, 2)).unwrap_or_default();
            let groups = random.maybe(30, |random| random.some(&self.facts.groups, 2)).unwrap_or_default();
            let include_sub_teams = !teams.is_empty() && random.percent(50);
            // Whole days, so that many records have the same time.
            let given = random.maybe(70, |random| (now / DAY - random.between(0, 800)) * DAY);
            let body = Body::default()
                .set("content", content.id.clone())
                .set("users", users_in_request.clone())
                .set("teams", teams.clone())
                .set("include_sub_teams", include_sub_teams)
                .set("groups", groups.clone())
                .set_option("happened_at", given.map(rfc3339));
            let at = given.unwrap_or(now - now.rem_euclid(1_000));
            // Without a given time, a completion that differs by up to a day is the same one.
            let mark = NewMark { at, tolerance: if given.is_some() { 0 } else { DAY } };
            for _ in 0..1 + random.below(2) {
                let expected = self.expected_outcomes(
                    &marker,
                    &content.iri,
                    &users_in_request,
                    (&teams, include_sub_teams, &groups),
                    &mark,
                );
                self.send_mark(&caller, &body, &expected, &content.iri, at, random).await;
            }
        }
    }

    fn random_marker(&self, random: &mut Random) -> Marker {
        let user = random.pick(&self.facts.users);
        if random.percent(40) || !user.active {
            return Marker::Admin;
        }
        Marker::Manager { user: user.id.clone(), indirect_reports: random.percent(30) }
    }

    fn caller_of(&self, server: &TestServer, marker: &Marker) -> Caller {
        let Marker::Manager { user, indirect_reports } = marker else {
            return self.admin.clone();
        };
        let mut permissions = vec!["mark_complete"];
        permissions.extend(indirect_reports.then_some("indirect_reports"));
        let claims = json!({"sub": user, "role": "manager", "permissions": permissions});
        server.person_of(&self.facts.id, claims)
    }

    /// The expected outcomes, in the order of the answer.
    fn expected_outcomes(
        &self,
        marker: &Marker,
        iri: &str,
        users_in_request: &[String],
        (teams, include_sub_teams, groups): (&[String], bool, &[String]),
        mark: &NewMark,
    ) -> Vec<(String, &'static str)> {
        let facts = &self.facts;
        let teams: Vec<String> =
            teams.iter().flat_map(|team| facts.teams_under(team, include_sub_teams)).collect();
        let mut members: Vec<String> = facts
            .users
            .iter()
            .filter(|user| {
                user.teams.iter().any(|team| teams.contains(team))
                    || user.groups.iter().any(|group| groups.contains(group))
            })
            .filter(|user| may_mark(facts, marker, user) && !users_in_request.contains(&user.id))
            .map(|user| user.id.clone())
            .collect();
        members.sort();
        let outcome = |id: &String| match facts.user(id).filter(|user| may_mark(facts, marker, user)) {
            None => "not_found",
            Some(user) if !user.active => "deactivated",
            Some(user) if holds_as_long(facts, user, iri, mark) => "already_completed",
            Some(_) => "created",
        };
        let people = users_in_request.iter().chain(&members);
        people.map(|id| (id.clone(), outcome(id))).collect()
    }

    async fn send_mark(
        &mut self,
        caller: &Caller,
        body: &Body,
        expected: &[(String, &'static str)],
        iri: &str,
        at: Micros,
        random: &mut Random,
    ) {
        let outcomes = |report: &Value| -> Vec<(String, String)> {
            let results = report["results"].as_array().expect("results");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            results.iter().map(|result| (text(&result["user"]), text(&result["outcome"]))).collect()
        };
        let expected: Vec<(String, String)> =
            expected.iter().map(|(user, outcome)| (user.clone(), (*outcome).to_owned())).collect();
        if random.percent(30) {
            let planned = caller.post("/v1/completions", &body.clone().set("dry_run", true)).await;
            assert_eq!(outcomes(&planned.expect(200).json()), expected, "dry run of {}", body.json());
        }
        let report = caller.post("/v1/completions", body).await.expect(200).json();
        assert_eq!(outcomes(&report), expected, "{}", body.json());
        for result in report["results"].as_array().expect("results") {
            let Some(id) = result["activity"].as_str() else {
                continue;
            };
            let name = result["user"].as_str().expect("an id").to_owned();
            self.store_record(Record {
                id: id.parse().expect("a UUID"),
                endpoint: Endpoint::Completion,
                actor: Actor::Account { home_page: self.facts.home_page(), name },
                verb: "http://adlnet.gov/expapi/verbs/completed".to_owned(),
                happened_at: at,
                stored: None,
                content: Some(iri.to_owned()),
                below: None,
                defines: None,
                score: None,
                success: None,
                completion: Some(true),
                seconds: None,
                registration: None,
                session: None,
                expired_at: None,
                certificate: None,
                device_type: None,
                source: None,
                voids: None,
            });
        }
    }
}

/// An admin marks every user, a manager their reports.
fn may_mark(facts: &Organisation, marker: &Marker, user: &User) -> bool {
    let Marker::Manager { user: me, indirect_reports } = marker else {
        return true;
    };
    let indirect = *indirect_reports || facts.managers_see_indirect_reports;
    user.id != *me
        && (facts.direct_reports(me).contains(&user.id)
            || (indirect && facts.indirect_reports(me).contains(&user.id)))
}

/// Returns true if a completion up to the time of the mark holds at least as long as the mark would, and so
/// does a certificate, if the mark awards one.
fn holds_as_long(facts: &Organisation, user: &User, iri: &str, mark: &NewMark) -> bool {
    let demands = facts.content(iri).map(|content| content.demands_at(mark.at)).unwrap_or_default();
    let until = |months: Option<Months>| {
        months.map_or(Micros::MAX, |months| add_months(mark.at - mark.tolerance, months).max(mark.at))
    };
    let completion_until = until(demands.expires_after);
    let certificate_until = demands.certificate.map(|(_, validity)| until(validity));
    let rows: Vec<Row<'_>> = derive_rows(facts)
        .into_iter()
        .filter(|row| {
            row.user.is_some_and(|other| other.id == user.id)
                && row.content.is_some_and(|content| content.iri == iri)
                && row.record.happened_at <= mark.at + mark.tolerance
        })
        .collect();
    let holds_until = |expiry: Option<Micros>, until: Micros| expiry.is_none_or(|expiry| expiry >= until);
    rows.iter().any(|row| row.completed && holds_until(row.expired_at, completion_until))
        && certificate_until.is_none_or(|until| {
            let mut certificates = rows.iter().filter_map(|row| row.certificate.as_ref());
            certificates.any(|(_, expiry)| holds_until(*expiry, until))
        })
}
