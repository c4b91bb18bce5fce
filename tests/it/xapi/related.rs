//! Tests of the filters `agent` and `activity`, with and without `related_` (xAPI 1.0.3, Communication
//! 2.1.3), for each place in a statement.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::builders::{mailbox, statement};
use crate::support::http::{Caller, encode_segment};
use crate::support::records::STATEMENTS as PATH;
use crate::support::{TestServer, apply, both_databases};

/// A statement without the agents and activities of these tests.
fn plain_statement() -> Value {
    statement(mailbox("somebody@example.org"), "urn:verb", "urn:something").json()
}

/// The plain statement with one changed value.
fn statement_with(pointer: &str, value: Value) -> Value {
    let mut created = plain_statement();
    let mut target = &mut created;
    for step in pointer.trim_start_matches('/').split('/') {
        target = &mut target[step];
    }
    *target = value;
    created
}

/// A statement with this SubStatement.
fn statement_with_substatement(mut inner: Value) -> Value {
    inner["objectType"] = json!("SubStatement");
    statement_with("/object", inner)
}

fn group_of(members: &[Value]) -> Value {
    json!({"objectType": "Group", "member": members})
}

fn with_identifier(mut group: Value, identifier: &Value) -> Value {
    for (key, value) in identifier.as_object().expect("an identifier") {
        group[key] = value.clone();
    }
    group
}

/// Each place of an agent, and whether the filter without `related_agents` finds it there.
fn agent_places(agent: &Value) -> Vec<(&'static str, bool, Value)> {
    let other = mailbox("other@example.org");
    let group_with_agent = || group_of(&[other.clone(), agent.clone()]);
    let known = || {
        with_identifier(group_of(std::slice::from_ref(agent)), &json!({"mbox": "mailto:crew@example.org"}))
    };
    let object = |kind: &str| with_identifier(json!({"objectType": kind}), agent);
    let related = |list: &str, kind: &str, name: &str, actor: Value| {
        statement_with(&format!("/context/{list}"), json!([{"objectType": kind, (name): actor}]))
    };
    let mut places = vec![
        ("actor", true, statement_with("/actor", agent.clone())),
        ("actor, an anonymous group's member", true, statement_with("/actor", group_with_agent())),
        ("actor, an identified group's member", true, statement_with("/actor", known())),
        ("object, an agent", true, statement_with("/object", object("Agent"))),
        ("object, a group", true, statement_with("/object", object("Group"))),
        ("object, a group's member", true, statement_with("/object", group_with_agent())),
        ("instructor", false, statement_with("/context/instructor", agent.clone())),
        ("instructor, a group's member", false, statement_with("/context/instructor", group_with_agent())),
        ("team", false, statement_with("/context/team", object("Group"))),
        ("team's member", false, statement_with("/context/team", known())),
        ("context agent", false, related("contextAgents", "contextAgent", "agent", agent.clone())),
        ("context group", false, related("contextGroups", "contextGroup", "group", object("Group"))),
        (
            "context group's member",
            false,
            related("contextGroups", "contextGroup", "group", group_with_agent()),
        ),
    ];
    let inner: Vec<_> =
        places.iter().map(|(_, _, statement)| statement_with_substatement(statement.clone())).collect();
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

/// Each place of an activity, and whether the filter without `related_activities` finds it there.
fn activity_places(iri: &str) -> Vec<(String, bool, Value)> {
    let mut places = vec![("object".to_owned(), true, statement_with("/object/id", json!(iri)))];
    for list in ["parent", "grouping", "category", "other"] {
        let pointer = format!("/context/contextActivities/{list}");
        places.push((
            list.to_owned(),
            false,
            statement_with(&pointer, json!([{"id": "urn:x"}, {"id": iri}])),
        ));
        places.push((
            format!("{list}, a single one"),
            false,
            statement_with(&pointer, json!({"id": iri, "objectType": "Activity"})),
        ));
    }
    let inner: Vec<_> = places
        .iter()
        .map(|(name, _, one)| (format!("{name} within"), false, statement_with_substatement(one.clone())))
        .collect();
    [places, inner].concat()
}

/// Posts statements without ids, and returns their ids.
async fn post_statements(caller: &Caller, statements: &[Value]) -> Vec<String> {
    let headers = [("content-type", "application/json"), ("x-experience-api-version", "2.0.0")];
    let body = serde_json::to_vec(statements).expect("JSON");
    let ids = caller.send(Method::POST, PATH, &headers, body).await.expect(200).json();
    ids.as_array().expect("ids").iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
}

async fn find_ids(caller: &Caller, query: &str) -> Vec<String> {
    let page = caller.get(&format!("{PATH}?ascending=true&{query}")).await.expect(200).json();
    assert_eq!(page["more"], "");
    let statements = page["statements"].as_array().expect("statements");
    statements.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

/// The names of the places of the statements that were found.
fn place_names(found: &[String], ids: &[String], names: &[String]) -> Vec<String> {
    let place = |id: &String| {
        ids.iter()
            .position(|one| one == id)
            .map_or("another statement".to_owned(), |index| names[index].clone())
    };
    found.iter().map(place).collect()
}

#[apply(both_databases)]
async fn agent_is_found_in_each_place(server: &TestServer) {
    let admin = server.person("admin", "root");
    let identifiers = [
        json!({"mbox": "mailto:ada@example.org"}),
        json!({"mbox_sha1sum": "cd9b00a5611f94eaa7b1661edab976068e364975"}),
        json!({"openid": "https://id.example.org/ada"}),
        json!({"account": {"homePage": "https://example.org", "name": "ada"}}),
    ];
    for agent in &identifiers {
        let places = agent_places(agent);
        let statements: Vec<Value> = places.iter().map(|(_, _, statement)| statement.clone()).collect();
        let names: Vec<String> = places.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        let ids = post_statements(&admin, &statements).await;
        post_statements(&admin, &[plain_statement(), statement_with_substatement(plain_statement())]).await;
        let query = format!("agent={}", encode_segment(&agent.to_string()));
        let plain: Vec<String> =
            places.iter().filter(|(_, plain, _)| *plain).map(|(name, _, _)| (*name).to_owned()).collect();
        for flag in ["", "&related_agents=false"] {
            assert_eq!(
                place_names(&find_ids(&admin, &format!("{query}{flag}")).await, &ids, &names),
                plain,
                "{agent}"
            );
        }
        let all = find_ids(&admin, &format!("{query}&related_agents=true")).await;
        assert_eq!(place_names(&all, &ids, &names), names, "{agent}");
        // The flag for activities has no effect on agents.
        assert_eq!(find_ids(&admin, &format!("{query}&related_activities=true")).await.len(), plain.len());
    }
    // An account with another home page, and an openid equal to a home page, are other agents.
    for other in [
        json!({"account": {"homePage": "https://example.com", "name": "ada"}}),
        json!({"openid": "https://example.org"}),
    ] {
        assert_eq!(
            find_ids(&admin, &format!("agent={}&related_agents=true", encode_segment(&other.to_string())))
                .await,
            Vec::<String>::new()
        );
    }
}

#[apply(both_databases)]
async fn activity_is_found_in_each_place(server: &TestServer) {
    let admin = server.person("admin", "root");
    for iri in ["https://example.org/things/ü?a=b&c=%20#d", "urn:verb"] {
        let places = activity_places(iri);
        let names: Vec<String> = places.iter().map(|(name, _, _)| name.clone()).collect();
        let statements: Vec<Value> = places.iter().map(|(_, _, statement)| statement.clone()).collect();
        let ids = post_statements(&admin, &statements).await;
        post_statements(&admin, &[plain_statement(), statement_with_substatement(plain_statement())]).await;
        let query = format!("activity={}", encode_segment(iri));
        for flag in ["", "&related_activities=false", "&related_agents=true"] {
            assert_eq!(
                place_names(&find_ids(&admin, &format!("{query}{flag}")).await, &ids, &names),
                ["object"],
                "{iri}"
            );
        }
        let all = find_ids(&admin, &format!("{query}&related_activities=true")).await;
        assert_eq!(place_names(&all, &ids, &names), names, "{iri}");
    }
}

/// The authority of a statement is a related agent.
#[apply(both_databases)]
async fn authority_is_a_related_agent(server: &TestServer) {
    let admin = server.person("admin", "root");
    let sender = server.credential("acme", &["statements/write", "statements/read"]).await;
    let ids = post_statements(&sender, &[plain_statement(), plain_statement()]).await;
    let others = post_statements(&admin, &[plain_statement()]).await;
    let authority =
        sender.get(&format!("{PATH}?statementId={}", ids[0])).await.expect(200).json()["authority"].clone();
    let query = format!("agent={}", encode_segment(&authority.to_string()));
    assert_eq!(find_ids(&sender, &query).await, Vec::<String>::new());
    assert_eq!(find_ids(&sender, &format!("{query}&related_agents=true")).await, ids);
    assert_eq!(
        find_ids(&sender, &format!("{query}&related_agents=true&verb=urn:verb&activity=urn:something")).await,
        ids
    );
    assert_eq!(
        find_ids(&sender, &format!("{query}&related_agents=true&activity=urn:other")).await,
        Vec::<String>::new()
    );
    // If the account is also the actor, the statement is found once.
    let with_own_actor = post_statements(&sender, &[statement_with("/actor", authority.clone())]).await;
    assert_eq!(find_ids(&sender, &query).await, with_own_actor);
    assert_eq!(
        find_ids(&sender, &format!("{query}&related_agents=true")).await,
        [ids, with_own_actor].concat()
    );
    let root_authority =
        admin.get(&format!("{PATH}?statementId={}", others[0])).await.expect(200).json()["authority"].clone();
    assert_eq!(
        find_ids(
            &admin,
            &format!("agent={}&related_agents=true", encode_segment(&root_authority.to_string()))
        )
        .await,
        others
    );
}

/// A statement with several matches is found once, and pages have the full size.
#[apply(both_databases)]
async fn statement_with_several_matches_is_found_once(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ada = mailbox("ada@example.org");
    let mut statement_with_many_matches = statement_with("/actor", group_of(&[ada.clone(), ada.clone()]));
    statement_with_many_matches["context"] = json!({"instructor": ada, "team": group_of(std::slice::from_ref(&ada)), "contextActivities": {"parent": [{"id": "urn:a"}, {"id": "urn:a"}], "other": {"id": "urn:a"}}});
    statement_with_many_matches["object"]["id"] = json!("urn:a");
    let statements: Vec<Value> = std::iter::repeat_n(statement_with_many_matches, 5).collect();
    let mut ids = post_statements(&admin, &statements).await;
    ids.reverse();
    let query = format!(
        "agent={}&related_agents=true&activity=urn:a&related_activities=true&limit=2",
        encode_segment(&ada.to_string())
    );
    let (mut next, mut all, mut sizes) = (format!("{PATH}?{query}"), Vec::new(), Vec::new());
    while !next.is_empty() {
        let page = admin.get(&next).await.expect(200).json();
        let statements = page["statements"].as_array().expect("statements");
        sizes.push(statements.len());
        all.extend(statements.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        next = page["more"].as_str().expect("`more`").to_owned();
    }
    assert_eq!((all, sizes), (ids, vec![2, 2, 1]));
}

/// A flag without its filter has no effect.
#[apply(both_databases)]
async fn flag_without_filter_has_no_effect(server: &TestServer) {
    let admin = server.person("admin", "root");
    let ids = post_statements(&admin, &[plain_statement()]).await;
    for query in [
        "related_agents=true",
        "related_activities=true",
        "related_agents=true&related_activities=true&verb=urn:verb",
    ] {
        assert_eq!(find_ids(&admin, query).await, ids, "{query}");
    }
    for query in ["related_agents=1", "related_activities=", "related_activities=yes"] {
        admin.get(&format!("{PATH}?{query}")).await.expect(400);
    }
    // A filter by an anonymous group is invalid.
    admin
        .get(&format!("{PATH}?agent={}", encode_segment(&group_of(&[mailbox("a@example.org")]).to_string())))
        .await
        .expect(400);
}
