//! Builders of what is sent: users, teams, groups, contents, activities, statements.
//!
//! Each is a JSON object that says only what the test sets; what a test does not say is not in the body.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A JSON object under construction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Body(Map<String, Value>);

impl Body {
    /// Sets a member; a dotted name goes into members (`result.score`).
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        let mut members = &mut self.0;
        let mut names = name.split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                members.insert(name.to_owned(), value.into());
                break;
            }
            let inner = members.entry(name).or_insert_with(|| json!({}));
            members = inner.as_object_mut().expect("a dotted name leads through objects");
        }
        self
    }

    /// Sets a member where there is a value.
    pub fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// The object.
    pub fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl From<Body> for Value {
    fn from(body: Body) -> Self {
        Value::Object(body.0)
    }
}

/// A user with that id, named after it.
pub fn user(id: &str) -> Body {
    Body::default().set("id", id).set("first_name", id).set("last_name", "Example")
}

/// A team with that id.
pub fn team(id: &str) -> Body {
    Body::default().set("id", id).set("name", format!("Team {id}"))
}

/// A group with that id.
pub fn group(id: &str) -> Body {
    Body::default().set("id", id).set("name", format!("Group {id}"))
}

/// A content with that id and type.
pub fn content(id: &str, kind: &str) -> Body {
    Body::default().set("id", id).set("title", format!("Content {id}")).set("type", kind)
}

/// A short-form activity of a user.
pub fn activity(user: &str, action: &str) -> Body {
    Body::default().set("user", user).set("action", action)
}

/// A statement with an account as its actor.
pub fn statement(actor: Value, verb: &str, object: &str) -> Body {
    Body::default().set("actor", actor).set("verb", json!({"id": verb})).set("object", json!({"id": object}))
}

/// An agent by e-mail address.
pub fn mailbox(email: &str) -> Value {
    json!({"mbox": format!("mailto:{email}")})
}
