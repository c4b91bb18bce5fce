//! The facts: statements of every shape as plain JSON and their senders, and the statements that a query
//! finds, with loops (xAPI 1.0.3, Communication 2.1.3).

use serde_json::{Value, json};
use uuid::Uuid;

use super::query::{Requester, StatementsQuery};
use crate::support::random::Random;

pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// Verbs. The first has very many displays.
pub const VERBS: &[&str] = &[
    "https://example.org/verbs/saw",
    "https://example.org/verbs/did",
    "https://example.org/things/a",
    "https://example.org/verbs/tat-ü",
];
/// Activities. One has the IRI of a verb.
pub const ACTIVITIES: &[&str] = &[
    "https://example.org/things/a",
    "https://example.org/things/b",
    "https://example.org/things/A",
    "https://example.org/things/ü?x=1&y=%20#z",
    "urn:uuid:5c5d3f2a-0000-4000-8000-000000000001",
];
/// The maximum number of references that are followed.
const STEPS: usize = 100;

/// Identifiers of people, of each kind.
pub fn people() -> Vec<Value> {
    vec![
        json!({"mbox": "mailto:ada@example.org"}),
        json!({"mbox": "mailto:Bo.Ek@example.org"}),
        json!({"mbox_sha1sum": "cd9b00a5611f94eaa7b1661edab976068e364975"}),
        json!({"openid": "https://id.example.org/cy"}),
        json!({"account": {"homePage": "https://example.org", "name": "di"}}),
        json!({"account": {"homePage": "https://example.com", "name": "di"}}),
        json!({"account": {"homePage": "https://example.com", "name": "Größe & \"Co\""}}),
    ]
}

/// Identifiers of groups.
pub fn groups() -> Vec<Value> {
    vec![
        json!({"mbox": "mailto:crew@example.org"}),
        json!({"account": {"homePage": "https://example.org", "name": "crew"}}),
    ]
}

pub fn registrations() -> Vec<Uuid> {
    (1..=3).map(|n| Uuid::from_u128(0xec53_1277_0000_4000_8000_0000_0000_0000 + n)).collect()
}

/// A stored statement.
#[derive(Debug, Clone)]
pub struct StoredStatement {
    pub id: Uuid,
    /// The sent statement.
    pub sent: Value,
    /// The number of the credential that sent it.
    pub sender: usize,
    /// The time of storing in milliseconds since 1970.
    pub stored: i64,
}

/// The statements of an organisation in the order of recording.
#[derive(Debug, Default)]
pub struct World {
    pub statements: Vec<StoredStatement>,
    /// The authority of each credential.
    pub authorities: Vec<Value>,
}

impl World {
    pub fn find(&self, id: &str) -> Option<&StoredStatement> {
        self.statements.iter().find(|statement| statement.id.to_string() == id.to_lowercase())
    }

    /// Returns true if another statement voids this one, in any order of arrival (Data 2.3.2). A voiding
    /// statement is never voided.
    pub fn is_voided(&self, statement: &StoredStatement) -> bool {
        let id = statement.id.to_string();
        let voids = |one: &StoredStatement| {
            one.sent["verb"]["id"] == VOIDED && reference(&one.sent).as_deref() == Some(&*id)
        };
        statement.sent["verb"]["id"] != VOIDED && self.statements.iter().any(voids)
    }

    /// Returns true if the requester may read the statement.
    pub fn is_readable(&self, statement: &StoredStatement, requester: Requester) -> bool {
        match requester {
            Requester::Everything => true,
            Requester::Own(sender) => statement.sender == sender,
        }
    }

    /// The statements that a query finds, in order.
    pub fn find_statements(&self, query: &StatementsQuery) -> Vec<&StoredStatement> {
        let mut found: Vec<&StoredStatement> = self
            .statements
            .iter()
            .filter(|statement| self.is_readable(statement, query.requester) && !self.is_voided(statement))
            .filter(|statement| query.since.is_none_or(|since| statement.stored > since))
            .filter(|statement| query.until.is_none_or(|until| statement.stored <= until))
            .filter(|statement| self.matches_with_references(statement, query))
            .collect();
        if query.ascending != Some(true) {
            found.reverse();
        }
        found
    }

    /// Returns true if the statement, or one that it refers to over any number of steps, matches all
    /// filters. Hidden statements do not match.
    fn matches_with_references(&self, statement: &StoredStatement, query: &StatementsQuery) -> bool {
        let mut current = statement;
        for _ in 0..=STEPS {
            if self.is_readable(current, query.requester) && self.matches(current, query) {
                return true;
            }
            let Some(next) = reference(&current.sent).and_then(|id| self.find(&id)) else {
                return false;
            };
            current = next;
        }
        false
    }

    fn matches(&self, statement: &StoredStatement, query: &StatementsQuery) -> bool {
        let sent = &statement.sent;
        let agent = query.agent.as_ref().is_none_or(|agent| {
            let wanted = identity(agent);
            agents(sent).contains(&wanted)
                || query.related_agents == Some(true)
                    && (related_agents(sent).contains(&wanted)
                        || identity(&self.authorities[statement.sender]) == wanted)
        });
        let activity = query.activity.as_ref().is_none_or(|activity| {
            let is = |one: &&Value| one["id"] == activity.as_str();
            activities(sent).iter().any(is)
                || query.related_activities == Some(true) && related_activities(sent).iter().any(is)
        });
        let verb = query.verb.as_ref().is_none_or(|verb| sent["verb"]["id"] == verb.as_str());
        let registration = query.registration.is_none_or(|registration| {
            sent["context"]["registration"].as_str().map(str::to_lowercase) == Some(registration.to_string())
        });
        agent && activity && verb && registration
    }
}

/// The id of the statement that is the object.
fn reference(statement: &Value) -> Option<String> {
    let object = &statement["object"];
    let id = object["id"].as_str().filter(|_| object["objectType"] == "StatementRef");
    id.map(str::to_lowercase)
}

/// A text that is equal for equal actors, and empty without an identifier.
fn identity(actor: &Value) -> String {
    match actor {
        Value::Object(members) if members.contains_key("mbox") => members["mbox"].to_string().to_lowercase(),
        Value::Object(members) if members.contains_key("mbox_sha1sum") => {
            members["mbox_sha1sum"].to_string().to_lowercase()
        }
        Value::Object(members) if members.contains_key("openid") => format!("openid {}", members["openid"]),
        Value::Object(members) if members.contains_key("account") => {
            let account = &members["account"];
            format!("account {} {}", account["homePage"], account["name"])
        }
        _ => String::new(),
    }
}

/// The identities of an actor and of its members.
fn identities(actor: &Value) -> Vec<String> {
    let members = actor["member"].as_array().into_iter().flatten();
    let mut identities_found: Vec<String> = std::iter::once(actor).chain(members).map(identity).collect();
    identities_found.retain(|name| !name.is_empty());
    identities_found
}

/// The identities of an object that is an agent or a group.
fn object_actor(statement: &Value) -> Vec<String> {
    let object = &statement["object"];
    match object["objectType"].as_str() {
        Some("Agent" | "Group") => identities(object),
        _ => Vec::new(),
    }
}

fn agents(statement: &Value) -> Vec<String> {
    [identities(&statement["actor"]), object_actor(statement)].concat()
}

fn context_agents(statement: &Value) -> Vec<String> {
    let context = &statement["context"];
    let mut identities_found = [identities(&context["instructor"]), identities(&context["team"])].concat();
    for (list, member) in [("contextAgents", "agent"), ("contextGroups", "group")] {
        for one in context[list].as_array().into_iter().flatten() {
            identities_found.extend(identities(&one[member]));
        }
    }
    identities_found
}

fn related_agents(statement: &Value) -> Vec<String> {
    let mut identities_found = context_agents(statement);
    if statement["object"]["objectType"] == "SubStatement" {
        let substatement = &statement["object"];
        identities_found.extend([agents(substatement), context_agents(substatement)].concat());
    }
    identities_found
}

fn activities(statement: &Value) -> Vec<&Value> {
    match statement["object"]["objectType"].as_str() {
        None | Some("Activity") => vec![&statement["object"]],
        _ => Vec::new(),
    }
}

fn context_activities(statement: &Value) -> Vec<&Value> {
    let lists =
        statement["context"]["contextActivities"].as_object().into_iter().flat_map(|lists| lists.values());
    lists
        .flat_map(|list| match list {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        })
        .collect()
}

fn related_activities(statement: &Value) -> Vec<&Value> {
    let mut found = context_activities(statement);
    if statement["object"]["objectType"] == "SubStatement" {
        let substatement = &statement["object"];
        found.extend(activities(substatement));
        found.extend(context_activities(substatement));
    }
    found
}

/// A random statement that may refer to any of `ids`.
pub fn random_statement(random: &mut Random, ids: &[Uuid]) -> Value {
    let mut created = random_body(random, ids, true);
    if random.percent(20) {
        created["timestamp"] = json!(format!("20{}-03-01T00:00:00Z", 10 + random.below(30)));
    }
    created
}

fn random_body(random: &mut Random, ids: &[Uuid], allows_substatement: bool) -> Value {
    let object = random_object(random, ids, allows_substatement);
    let verb = match object["objectType"].as_str() {
        Some("StatementRef") if allows_substatement && random.percent(25) => VOIDED,
        _ => random.pick::<&str>(VERBS),
    };
    let mut created = json!({"actor": random_actor(random), "verb": {"id": verb}, "object": object});
    let displays = if verb == VERBS[0] { 60 } else { 15 };
    if random.percent(displays) {
        created["verb"]["display"] = json!({"en": format!("display {}", random.below(20))});
    }
    if random.percent(50) {
        created["context"] = random_context(random, ids);
    }
    created
}

fn random_object(random: &mut Random, ids: &[Uuid], allows_substatement: bool) -> Value {
    let chance = random.below(100);
    match chance {
        0..40 => random_activity(random),
        40..48 => with_type(random_agent(random), "Agent"),
        48..56 => random_group(random),
        56..82 => {
            // Some ids are unknown, and some are in upper case.
            let id = if random.percent(5) { random.uuid() } else { *random.pick(ids) };
            let id = if random.percent(10) { id.to_string().to_uppercase() } else { id.to_string() };
            json!({"objectType": "StatementRef", "id": id})
        }
        _ if allows_substatement => with_type(random_body(random, ids, false), "SubStatement"),
        _ => random_activity(random),
    }
}

fn with_type(mut value: Value, name: &str) -> Value {
    value["objectType"] = json!(name);
    value
}

fn random_actor(random: &mut Random) -> Value {
    if random.percent(65) { random_agent(random) } else { random_group(random) }
}

fn random_agent(random: &mut Random) -> Value {
    let mut created = random.pick(&people()).clone();
    if random.percent(20) {
        created["name"] = json!("Somebody");
    }
    if random.percent(20) {
        created["objectType"] = json!("Agent");
    }
    created
}

fn random_group(random: &mut Random) -> Value {
    let identified = random.percent(50);
    let mut created = if identified { random.pick(&groups()).clone() } else { json!({}) };
    if !identified || random.percent(50) {
        created["member"] = (0..random.below(4)).map(|_| random_agent(random)).collect();
    }
    with_type(created, "Group")
}

fn random_activity(random: &mut Random) -> Value {
    let mut created = json!({"id": *random.pick(ACTIVITIES)});
    if random.percent(30) {
        created["objectType"] = json!("Activity");
    }
    if random.percent(20) {
        created["definition"] = json!({"name": {"en": format!("Thing {}", random.below(9)), "de": "Ding"}});
    }
    created
}

fn random_context(random: &mut Random, ids: &[Uuid]) -> Value {
    let mut created = json!({});
    let mut maybe = |name: &str, chance: usize, random: &mut Random, make: &dyn Fn(&mut Random) -> Value| {
        if random.percent(chance) {
            created[name] = make(random);
        }
    };
    maybe("registration", 40, random, &|random| {
        let one = random.pick(&registrations()).to_string();
        json!(if random.percent(20) { one.to_uppercase() } else { one })
    });
    maybe("instructor", 25, random, &random_actor);
    maybe("team", 25, random, &random_group);
    maybe("contextActivities", 45, random, &|random| {
        let mut lists = json!({});
        for _ in 0..1 + random.below(2) {
            let list: Value = (0..random.below(3)).map(|_| random_activity(random)).collect();
            let list = if random.percent(30) { random_activity(random) } else { list };
            lists[*random.pick(&["parent", "grouping", "category", "other"])] = list;
        }
        lists
    });
    maybe("contextAgents", 15, random, &|random| {
        let one = |random: &mut Random| json!({"objectType": "contextAgent", "agent": random_agent(random)});
        (0..random.below(3)).map(|_| one(random)).collect()
    });
    maybe("contextGroups", 15, random, &|random| {
        let one = |random: &mut Random| json!({"objectType": "contextGroup", "group": random_group(random)});
        (0..random.below(3)).map(|_| one(random)).collect()
    });
    // A statement in the context is not the object of another one.
    maybe("statement", 10, random, &|random| json!({"objectType": "StatementRef", "id": random.pick(ids)}));
    created
}
