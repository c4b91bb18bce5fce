//! The facts: statements of every shape as plain JSON, and who sent them; and what a question finds among them,
//! with loops, by the words of xAPI 1.0.3, Communication 2.1.3.

use serde_json::{Value, json};
use uuid::Uuid;

use super::question::{Question, Who};
use crate::support::random::Random;

pub const VOIDED: &str = "http://adlnet.gov/expapi/verbs/voided";

/// Verbs. The first is displayed in so many ways that nothing can go through them all.
pub const VERBS: &[&str] = &[
    "https://example.org/verbs/saw",
    "https://example.org/verbs/did",
    "https://example.org/things/a",
    "https://example.org/verbs/tat-ü",
];
/// Activities; one has the IRI of a verb.
pub const ACTIVITIES: &[&str] = &[
    "https://example.org/things/a",
    "https://example.org/things/b",
    "https://example.org/things/A",
    "https://example.org/things/ü?x=1&y=%20#z",
    "urn:uuid:5c5d3f2a-0000-4000-8000-000000000001",
];
/// References followed one after another at most.
const STEPS: usize = 100;

/// What identifies people, each in a way of its own.
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

/// What identifies groups.
pub fn groups() -> Vec<Value> {
    vec![
        json!({"mbox": "mailto:crew@example.org"}),
        json!({"account": {"homePage": "https://example.org", "name": "crew"}}),
    ]
}

pub fn registrations() -> Vec<Uuid> {
    (1..=3).map(|n| Uuid::from_u128(0xec53_1277_0000_4000_8000_0000_0000_0000 + n)).collect()
}

/// A statement that was taken.
#[derive(Debug, Clone)]
pub struct Kept {
    pub id: Uuid,
    /// As it was sent.
    pub sent: Value,
    /// The number of the credential that sent it.
    pub sender: usize,
    /// When it was stored, in milliseconds since 1970.
    pub stored: i64,
}

/// The statements of an organisation in the order of recording.
#[derive(Debug, Default)]
pub struct World {
    pub kept: Vec<Kept>,
    /// The accounts that vouch for what each credential sends.
    pub authorities: Vec<Value>,
}

impl World {
    pub fn find(&self, id: &str) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.id.to_string() == id.to_lowercase())
    }

    /// Whether a statement that does not void itself is voided by another, whichever came first (Data 2.3.2).
    pub fn is_voided(&self, kept: &Kept) -> bool {
        let id = kept.id.to_string();
        let voids =
            |one: &Kept| one.sent["verb"]["id"] == VOIDED && reference(&one.sent).as_deref() == Some(&*id);
        kept.sent["verb"]["id"] != VOIDED && self.kept.iter().any(voids)
    }

    /// Whether somebody may read a statement at all.
    pub fn is_seen(&self, kept: &Kept, who: Who) -> bool {
        match who {
            Who::Everything => true,
            Who::Own(sender) => kept.sender == sender,
        }
    }

    /// What a question finds, in its order.
    pub fn answer(&self, question: &Question) -> Vec<&Kept> {
        let mut found: Vec<&Kept> = self
            .kept
            .iter()
            .filter(|kept| self.is_seen(kept, question.who) && !self.is_voided(kept))
            .filter(|kept| question.since.is_none_or(|since| kept.stored > since))
            .filter(|kept| question.until.is_none_or(|until| kept.stored <= until))
            .filter(|kept| self.is_found(kept, question))
            .collect();
        if question.ascending != Some(true) {
            found.reverse();
        }
        found
    }

    /// Whether a statement matches all filters, or one that it refers to, directly or by others. What the asker
    /// may not see finds nothing.
    fn is_found(&self, kept: &Kept, question: &Question) -> bool {
        let mut at = kept;
        for _ in 0..=STEPS {
            if self.is_seen(at, question.who) && self.matches(at, question) {
                return true;
            }
            let Some(next) = reference(&at.sent).and_then(|id| self.find(&id)) else {
                return false;
            };
            at = next;
        }
        false
    }

    fn matches(&self, kept: &Kept, question: &Question) -> bool {
        let sent = &kept.sent;
        let agent = question.agent.as_ref().is_none_or(|agent| {
            let who = identity(agent);
            agents(sent).contains(&who)
                || question.related_agents == Some(true)
                    && (related_agents(sent).contains(&who)
                        || identity(&self.authorities[kept.sender]) == who)
        });
        let activity = question.activity.as_ref().is_none_or(|activity| {
            let is = |one: &&Value| one["id"] == activity.as_str();
            activities(sent).iter().any(is)
                || question.related_activities == Some(true) && related_activities(sent).iter().any(is)
        });
        let verb = question.verb.as_ref().is_none_or(|verb| sent["verb"]["id"] == verb.as_str());
        let registration = question.registration.is_none_or(|registration| {
            sent["context"]["registration"].as_str().map(str::to_lowercase) == Some(registration.to_string())
        });
        agent && activity && verb && registration
    }
}

/// The statement that is the object.
fn reference(statement: &Value) -> Option<String> {
    let object = &statement["object"];
    let id = object["id"].as_str().filter(|_| object["objectType"] == "StatementRef");
    id.map(str::to_lowercase)
}

/// What makes two actors the same; nothing where there is no identifier.
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

/// Those that an actor names: itself, and its members.
fn named(actor: &Value) -> Vec<String> {
    let members = actor["member"].as_array().into_iter().flatten();
    let mut names: Vec<String> = std::iter::once(actor).chain(members).map(identity).collect();
    names.retain(|name| !name.is_empty());
    names
}

/// An object that is an agent or a group.
fn object_actor(statement: &Value) -> Vec<String> {
    let object = &statement["object"];
    match object["objectType"].as_str() {
        Some("Agent" | "Group") => named(object),
        _ => Vec::new(),
    }
}

fn agents(statement: &Value) -> Vec<String> {
    [named(&statement["actor"]), object_actor(statement)].concat()
}

fn context_agents(statement: &Value) -> Vec<String> {
    let context = &statement["context"];
    let mut names = [named(&context["instructor"]), named(&context["team"])].concat();
    for (list, member) in [("contextAgents", "agent"), ("contextGroups", "group")] {
        for one in context[list].as_array().into_iter().flatten() {
            names.extend(named(&one[member]));
        }
    }
    names
}

fn related_agents(statement: &Value) -> Vec<String> {
    let mut names = context_agents(statement);
    if statement["object"]["objectType"] == "SubStatement" {
        let within = &statement["object"];
        names.extend([agents(within), context_agents(within)].concat());
    }
    names
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
        let within = &statement["object"];
        found.extend(activities(within));
        found.extend(context_activities(within));
    }
    found
}

// --- statements made up ----------------------------------------------------------------------------------------

/// A statement of any shape that may refer to any of `ids`.
pub fn statement(random: &mut Random, ids: &[Uuid]) -> Value {
    let mut created = bare(random, ids, true);
    if random.percent(20) {
        created["timestamp"] = json!(format!("20{}-03-01T00:00:00Z", 10 + random.below(30)));
    }
    created
}

fn bare(random: &mut Random, ids: &[Uuid], whole: bool) -> Value {
    let object = object(random, ids, whole);
    let verb = match object["objectType"].as_str() {
        Some("StatementRef") if whole && random.percent(25) => VOIDED,
        _ => random.pick::<&str>(VERBS),
    };
    let mut created = json!({"actor": actor(random), "verb": {"id": verb}, "object": object});
    let displays = if verb == VERBS[0] { 60 } else { 15 };
    if random.percent(displays) {
        created["verb"]["display"] = json!({"en": format!("said {}", random.below(20))});
    }
    if random.percent(50) {
        created["context"] = context(random, ids);
    }
    created
}

fn object(random: &mut Random, ids: &[Uuid], whole: bool) -> Value {
    let chance = random.below(100);
    match chance {
        0..40 => activity(random),
        40..48 => with_type(agent(random), "Agent"),
        48..56 => group(random),
        56..82 => {
            // Some that nobody has, and some with other letters.
            let id = if random.percent(5) { random.uuid() } else { *random.pick(ids) };
            let id = if random.percent(10) { id.to_string().to_uppercase() } else { id.to_string() };
            json!({"objectType": "StatementRef", "id": id})
        }
        _ if whole => with_type(bare(random, ids, false), "SubStatement"),
        _ => activity(random),
    }
}

fn with_type(mut value: Value, name: &str) -> Value {
    value["objectType"] = json!(name);
    value
}

fn actor(random: &mut Random) -> Value {
    if random.percent(65) { agent(random) } else { group(random) }
}

fn agent(random: &mut Random) -> Value {
    let mut created = random.pick(&people()).clone();
    if random.percent(20) {
        created["name"] = json!("Somebody");
    }
    if random.percent(20) {
        created["objectType"] = json!("Agent");
    }
    created
}

fn group(random: &mut Random) -> Value {
    let identified = random.percent(50);
    let mut created = if identified { random.pick(&groups()).clone() } else { json!({}) };
    if !identified || random.percent(50) {
        created["member"] = (0..random.below(4)).map(|_| agent(random)).collect();
    }
    with_type(created, "Group")
}

fn activity(random: &mut Random) -> Value {
    let mut created = json!({"id": *random.pick(ACTIVITIES)});
    if random.percent(30) {
        created["objectType"] = json!("Activity");
    }
    if random.percent(20) {
        created["definition"] = json!({"name": {"en": format!("Thing {}", random.below(9)), "de": "Ding"}});
    }
    created
}

fn context(random: &mut Random, ids: &[Uuid]) -> Value {
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
    maybe("instructor", 25, random, &actor);
    maybe("team", 25, random, &group);
    maybe("contextActivities", 45, random, &|random| {
        let mut lists = json!({});
        for _ in 0..1 + random.below(2) {
            let list: Value = (0..random.below(3)).map(|_| activity(random)).collect();
            let list = if random.percent(30) { activity(random) } else { list };
            lists[*random.pick(&["parent", "grouping", "category", "other"])] = list;
        }
        lists
    });
    maybe("contextAgents", 15, random, &|random| {
        let one = |random: &mut Random| json!({"objectType": "contextAgent", "agent": agent(random)});
        (0..random.below(3)).map(|_| one(random)).collect()
    });
    maybe("contextGroups", 15, random, &|random| {
        let one = |random: &mut Random| json!({"objectType": "contextGroup", "group": group(random)});
        (0..random.below(3)).map(|_| one(random)).collect()
    });
    // A statement that is context is nobody's object.
    maybe("statement", 10, random, &|random| json!({"objectType": "StatementRef", "id": random.pick(ids)}));
    created
}
