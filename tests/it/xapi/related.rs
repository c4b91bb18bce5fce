//! The filters `agent` and `activity`, plain and `related_` (xAPI 1.0.3, Communication 2.1.3): place by place where
//! somebody or something can stand in a statement.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::{TestServer, apply, both_databases};

const PATH: &str = "/xapi/statements";

/// A statement that names nobody and nothing of whom these tests ask.
fn plain() -> Value {
    statement(mailbox("somebody@example.org"), "urn:verb", "urn:something").json()
}

/// A plain statement with one value elsewhere, or another one.
fn with(pointer: &str, value: Value) -> Value {
    let mut created = plain();
    let mut at = &mut created;
    for step in pointer.trim_start_matches('/').split('/') {
        at = &mut at[step];
    }
    *at = value;
    created
}

/// A statement within a plain one.
fn within(mut inner: Value) -> Value {
    inner["objectType"] = json!("SubStatement");
    with("/object", inner)
}

fn group(members: &[Value]) -> Value {
    json!({"objectType": "Group", "member": members})
}

fn identified(mut group: Value, identifier: &Value) -> Value {
    for (key, value) in identifier.as_object().expect("an identifier") {
        group[key] = value.clone();
    }
    group
}

/// Every place where `who` can stand, and whether the plain filter looks there.
fn agent_places(who: &Value) -> Vec<(&'static str, bool, Value)> {
    let other = mailbox("other@example.org");
    let group_of = || group(&[other.clone(), who.clone()]);
    let known = || identified(group(std::slice::from_ref(who)), &json!({"mbox": "mailto:crew@example.org"}));
    let object = |kind: &str| identified(json!({"objectType": kind}), who);
    let related = |list: &str, kind: &str, name: &str, actor: Value| {
        with(&format!("/context/{list}"), json!([{"objectType": kind, (name): actor}]))
    };
    let mut places = vec![
        ("actor", true, with("/actor", who.clone())),
        ("actor, an anonymous group's member", true, with("/actor", group_of())),
        ("actor, an identified group's member", true, with("/actor", known())),
        ("object, an agent", true, with("/object", object("Agent"))),
        ("object, a group", true, with("/object", object("Group"))),
        ("object, a group's member", true, with("/object", group_of())),
        ("instructor", false, with("/context/instructor", who.clone())),
        ("instructor, a group's member", false, with("/context/instructor", group_of())),
        ("team", false, with("/context/team", object("Group"))),
        ("team's member", false, with("/context/team", known())),
        ("context agent", false, related("contextAgents", "contextAgent", "agent", who.clone())),
        ("context group", false, related("contextGroups", "contextGroup", "group", object("Group"))),
        ("context group's member", false, related("contextGroups", "contextGroup", "group", group_of())),
    ];
    let inner: Vec<_> = places.iter().map(|(_, _, statement)| within(statement.clone())).collect();
    let names = [
        "actor within",
        "actor group's member within",
        "actor known group's member within",
        "object agent within",
        "object group within",
        "object group's member within",
        "instructor within",
        "instructor group's member within",
        "team within",
        "team's member within",
        "context agent within",
        "context group within",
        "context group's member within",
    ];
    assert_eq!(names.len(), inner.len());
    places.extend(names.into_iter().zip(inner).map(|(name, statement)| (name, false, statement)));
    places
}

/// Every place where an Activity can stand, and whether the plain filter looks there.
fn activity_places(iri: &str) -> Vec<(String, bool, Value)> {
    let mut places = vec![("object".to_owned(), true, with("/object/id", json!(iri)))];
    for list in ["parent", "grouping", "category", "other"] {
        let pointer = format!("/context/contextActivities/{list}");
        places.push((list.to_owned(), false, with(&pointer, json!([{"id": "urn:x"}, {"id": iri}]))));
        places.push((
            format!("{list}, a single one"),
            false,
            with(&pointer, json!({"id": iri, "objectType": "Activity"})),
        ));
    }
    let inner: Vec<_> =
        places.iter().map(|(name, _, one)| (format!("{name} within"), false, within(one.clone()))).collect();
    [places, inner].concat()
}

/// Sends the statements, which have no ids, and answers the ids.
async fn keep(caller: &Caller, statements: &[Value]) -> Vec<String> {
    let headers = [("content-type", "application/json"), ("x-experience-api-version", "2.0.0")];
    let body = serde_json::to_vec(statements).expect("JSON");
    let ids = caller.send(Method::POST, PATH, &headers, body).await.expect(200).json();
    ids.as_array().expect("ids").iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
}

async fn found(caller: &Caller, asked: &str) -> Vec<String> {
    let page = caller.get(&format!("{PATH}?ascending=true&{asked}")).await.expect(200).json();
    assert_eq!(page["more"], "");
    let statements = page["statements"].as_array().expect("statements");
    statements.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

/// The names of the places where what is asked for is found.
fn places_of(found: &[String], ids: &[String], names: &[String]) -> Vec<String> {
    let place = |id: &String| {
        ids.iter().position(|one| one == id).map_or("none of them".to_owned(), |at| names[at].clone())
    };
    found.iter().map(place).collect()
}

#[apply(both_databases)]
async fn an_agent_is_found_where_it_stands(server: &TestServer) {
    let admin = server.person("admin", "root");
    let identifiers = [
        json!({"mbox": "mailto:ada@example.org"}),
        json!({"mbox_sha1sum": "cd9b00a5611f94eaa7b1661edab976068e364975"}),
        json!({"openid": "https://id.example.org/ada"}),
        json!({"account": {"homePage": "https://example.org", "name": "ada"}}),
    ];
    for who in &identifiers {
        let places = agent_places(who);
        let statements: Vec<Value> = places.iter().map(|(_, _, statement)| statement.clone()).collect();
        let names: Vec<String> = places.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        let ids = keep(&admin, &statements).await;
        keep(&admin, &[plain(), within(plain())]).await;
        let asked = format!("agent={}", encode_segment(&who.to_string()));
        let plain: Vec<String> =
            places.iter().filter(|(_, plain, _)| *plain).map(|(name, _, _)| (*name).to_owned()).collect();
        for flag in ["", "&related_agents=false"] {
            assert_eq!(
                places_of(&found(&admin, &format!("{asked}{flag}")).await, &ids, &names),
                plain,
                "{who}"
            );
        }
        let all = found(&admin, &format!("{asked}&related_agents=true")).await;
        assert_eq!(places_of(&all, &ids, &names), names, "{who}");
        // The flag for activities has nothing to do with it.
        assert_eq!(found(&admin, &format!("{asked}&related_activities=true")).await.len(), plain.len());
    }
    // Whoever has another account of that name, or the account as an address, is somebody else.
    for other in [
        json!({"account": {"homePage": "https://example.com", "name": "ada"}}),
        json!({"openid": "https://example.org"}),
    ] {
        assert_eq!(
            found(&admin, &format!("agent={}&related_agents=true", encode_segment(&other.to_string()))).await,
            Vec::<String>::new()
        );
    }
}

#[apply(both_databases)]
async fn an_activity_is_found_where_it_stands(server: &TestServer) {
    let admin = server.person("admin", "root");
    for iri in ["https://example.org/things/ü?a=b&c=%20#d", "urn:verb"] {
        let places = activity_places(iri);
        let names: Vec<String> = places.iter().map(|(name, _, _)| name.clone()).collect();
        let statements: Vec<Value> = places.iter().map(|(_, _, statement)| statement.clone()).collect();
        let ids = keep(&admin, &statements).await;
        keep(&admin, &[plain(), within(plain())]).await;
        let asked = format!("activity={}", encode_segment(iri));
        for flag in ["", "&related_activities=false", "&related_agents=true"] {
            assert_eq!(
                places_of(&found(&admin, &format!("{asked}{flag}")).await, &ids, &names),
                ["object"],
                "{iri}"
            );
        }
        let all = found(&admin, &format!("{asked}&related_activities=true")).await;
        assert_eq!(places_of(&all, &ids, &names), names, "{iri}");
    }
}

/// Who vouches for a statement is related to it: the sender's account, which the server itself puts there.
#[apply(both_databases)]
async fn an_authority_is_related(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sender = server.credential("acme", &["statements/write", "statements/read"]).await;
    let ids = keep(&sender, &[plain(), plain()]).await;
    let others = keep(&admin, &[plain()]).await;
    let authority =
        sender.get(&format!("{PATH}?statementId={}", ids[0])).await.expect(200).json()["authority"].clone();
    let asked = format!("agent={}", encode_segment(&authority.to_string()));
    assert_eq!(found(&sender, &asked).await, Vec::<String>::new());
    assert_eq!(found(&sender, &format!("{asked}&related_agents=true")).await, ids);
    assert_eq!(
        found(&sender, &format!("{asked}&related_agents=true&verb=urn:verb&activity=urn:something")).await,
        ids
    );
    assert_eq!(
        found(&sender, &format!("{asked}&related_agents=true&activity=urn:other")).await,
        Vec::<String>::new()
    );
    // Where the account is an actor as well, each statement is there once.
    let own = keep(&sender, &[with("/actor", authority.clone())]).await;
    assert_eq!(found(&sender, &asked).await, own);
    assert_eq!(found(&sender, &format!("{asked}&related_agents=true")).await, [ids, own].concat());
    let root =
        admin.get(&format!("{PATH}?statementId={}", others[0])).await.expect(200).json()["authority"].clone();
    assert_eq!(
        found(&admin, &format!("agent={}&related_agents=true", encode_segment(&root.to_string()))).await,
        others
    );
}

/// One who stands in many places of a statement finds it once; and each page has as many as it should.
#[apply(both_databases)]
async fn a_statement_is_found_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ada = mailbox("ada@example.org");
    let mut everywhere = with("/actor", group(&[ada.clone(), ada.clone()]));
    everywhere["context"] = json!({"instructor": ada, "team": group(std::slice::from_ref(&ada)), "contextActivities": {"parent": [{"id": "urn:a"}, {"id": "urn:a"}], "other": {"id": "urn:a"}}});
    everywhere["object"]["id"] = json!("urn:a");
    let statements: Vec<Value> = std::iter::repeat_n(everywhere, 5).collect();
    let mut ids = keep(&admin, &statements).await;
    ids.reverse();
    let asked = format!(
        "agent={}&related_agents=true&activity=urn:a&related_activities=true&limit=2",
        encode_segment(&ada.to_string())
    );
    let (mut next, mut all, mut sizes) = (format!("{PATH}?{asked}"), Vec::new(), Vec::new());
    while !next.is_empty() {
        let page = admin.get(&next).await.expect(200).json();
        let statements = page["statements"].as_array().expect("statements");
        sizes.push(statements.len());
        all.extend(statements.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        next = page["more"].as_str().expect("`more`").to_owned();
    }
    assert_eq!((all, sizes), (ids, vec![2, 2, 1]));
}

/// A flag without its filter asks nothing (suite: "related_activities" and "related_agents" alone are fine).
#[apply(both_databases)]
async fn a_flag_alone_asks_nothing(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ids = keep(&admin, &[plain()]).await;
    for asked in [
        "related_agents=true",
        "related_activities=true",
        "related_agents=true&related_activities=true&verb=urn:verb",
    ] {
        assert_eq!(found(&admin, asked).await, ids, "{asked}");
    }
    for asked in ["related_agents=1", "related_agents=True", "related_activities=", "related_activities=yes"]
    {
        admin.get(&format!("{PATH}?{asked}")).await.expect(400);
    }
    // A filter by an anonymous group names nobody.
    admin
        .get(&format!("{PATH}?agent={}", encode_segment(&group(&[mailbox("a@example.org")]).to_string())))
        .await
        .expect(400);
}
