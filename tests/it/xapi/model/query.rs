//! Random queries: any combination of filters and pages.

use chrono::{DateTime, FixedOffset, SecondsFormat};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{ACTIVITIES, VERBS, VOIDED, World, groups, people, registrations};
use crate::support::http;
use crate::support::random::Random;

/// The caller of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Requester {
    /// An admin.
    Everything,
    /// The credential with this number, which reads only its own statements.
    Own(usize),
}

/// A query.
#[derive(Debug, Clone)]
pub struct StatementsQuery {
    pub requester: Requester,
    pub agent: Option<Value>,
    pub related_agents: Option<bool>,
    pub verb: Option<String>,
    pub activity: Option<String>,
    pub related_activities: Option<bool>,
    pub registration: Option<Uuid>,
    /// In milliseconds since 1970.
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub ascending: Option<bool>,
    pub limit: Option<usize>,
    pub format: Option<&'static str>,
}

impl StatementsQuery {
    pub fn random(random: &mut Random, world: &World) -> Self {
        let requester = match random.percent(75) {
            true => Requester::Everything,
            false => Requester::Own(random.below(world.authorities.len())),
        };
        let agents = [
            people(),
            groups(),
            world.authorities.clone(),
            vec![json!({"mbox": "mailto:nobody@example.org"})],
        ];
        let agents = agents.concat();
        // One filter finds many statements, four together almost none.
        let chance = [0, 25, 45][random.below(3)];
        let agent = random.maybe(chance.max(10), |random| agent_parameter(random.pick(&agents), random));
        let related = |random: &mut Random| random.percent(60);
        Self {
            requester,
            related_agents: random.maybe(60, related),
            agent,
            verb: random.maybe(chance, |random| {
                let verbs = [VERBS, &[VOIDED, "https://example.org/verbs/nobody"]].concat();
                (*random.pick(&verbs)).to_owned()
            }),
            activity: random.maybe(chance, |random| (*random.pick(ACTIVITIES)).to_owned()),
            related_activities: random.maybe(60, related),
            registration: random.maybe(chance / 2, |random| *random.pick(&registrations())),
            since: random.maybe(20, |random| time_near_a_statement(random, world)),
            until: random.maybe(20, |random| time_near_a_statement(random, world)),
            ascending: random.maybe(60, related),
            limit: random.maybe(70, |random| random.below(8)),
            format: random.maybe(20, |random| *random.pick(&["exact", "ids", "canonical"])),
        }
    }

    /// The path of the query.
    pub fn path(&self) -> String {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut add =
            |name: &str, value: Option<String>| pairs.extend(value.map(|value| (name.to_owned(), value)));
        add("agent", self.agent.as_ref().map(Value::to_string));
        add("related_agents", self.related_agents.map(|flag| flag.to_string()));
        add("verb", self.verb.clone());
        add("activity", self.activity.clone());
        add("related_activities", self.related_activities.map(|flag| flag.to_string()));
        add("registration", self.registration.map(|registration| registration.to_string()));
        add("since", self.since.map(|since| write_time(since, 0)));
        add("until", self.until.map(|until| write_time(until, 330)));
        add("ascending", self.ascending.map(|flag| flag.to_string()));
        add("limit", self.limit.map(|limit| limit.to_string()));
        add("format", self.format.map(str::to_owned));
        format!("/xapi/statements{}", http::query(&pairs))
    }

    /// The query without one of its parts, for each part.
    pub fn simpler_queries(&self) -> Vec<Self> {
        let without = |change: &dyn Fn(&mut Self)| {
            let mut one = self.clone();
            change(&mut one);
            one
        };
        let all = [
            without(&|one| one.requester = Requester::Everything),
            without(&|one| one.agent = None),
            without(&|one| one.related_agents = None),
            without(&|one| one.verb = None),
            without(&|one| one.activity = None),
            without(&|one| one.related_activities = None),
            without(&|one| one.registration = None),
            without(&|one| one.since = None),
            without(&|one| one.until = None),
            without(&|one| one.ascending = None),
            without(&|one| one.limit = None),
            without(&|one| one.format = None),
        ];
        all.into_iter().filter(|one| one.path() != self.path() || one.requester != self.requester).collect()
    }
}

/// The parameter `agent` for an identifier, sometimes in another spelling.
fn agent_parameter(identifier: &Value, random: &mut Random) -> Value {
    let mut agent = identifier.clone();
    if let Some(mbox) = agent["mbox"].as_str().filter(|_| random.percent(20)) {
        agent["mbox"] = json!(mbox.replace("@example.org", "@Example.ORG"));
    } else if agent["mbox"].is_null() {
        agent.as_object_mut().expect("an object").remove("mbox");
    }
    let group = groups().contains(identifier);
    if group || random.percent(20) {
        agent["objectType"] = json!(if group { "Group" } else { "Agent" });
    }
    if random.percent(10) {
        agent["name"] = json!("Another Name");
    }
    agent
}

/// The time of storing of a statement, or one millisecond before or after it.
fn time_near_a_statement(random: &mut Random, world: &World) -> i64 {
    random.pick(&world.statements).stored + random.between(-1, 1)
}

/// A time with an offset in minutes.
fn write_time(millis: i64, minutes: i32) -> String {
    let at = DateTime::from_timestamp_millis(millis).expect("a time of these tests");
    let offset = FixedOffset::east_opt(minutes * 60).expect("an offset of less than a day");
    at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Millis, true)
}
