//! Builders of JSON bodies: users, teams, groups, contents, activities, statements.
//!
//! A body contains only the members that the test sets.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A JSON object under construction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Body(Map<String, Value>);

impl Body {
    /// Sets a member. A dotted name sets a member of an inner object, for example `result.score`.
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        let mut members = &mut self.0;
        let mut names = name.split('.').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                members.insert(name.to_owned(), value.into());
                break;
            }
            let inner = members.entry(name).or_insert_with(|| json!({}));
            members = inner.as_object_mut().expect("each part of a dotted name is an object");
        }
        self
    }

    /// Sets a member if there is a value.
    pub fn set_option(self, name: &str, value: Option<impl Into<Value>>) -> Self {
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

/// A user with this id. The first name is the id.
pub fn user(id: &str) -> Body {
    Body::default().set("id", id).set("first_name", id).set("last_name", "Example")
}

/// A team with this id.
pub fn team(id: &str) -> Body {
    Body::default().set("id", id).set("name", format!("Team {id}"))
}

/// A group with this id.
pub fn group(id: &str) -> Body {
    Body::default().set("id", id).set("name", format!("Group {id}"))
}

/// A content with this id and type.
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
