//! A group of users (`docs/specification.md#groups`).

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fault::{Faults, Place};
use crate::base::form::Form;
use crate::base::ids::GroupId;
use crate::base::json::Node;
use crate::base::keyed::{KeyedDraft, KeyedEntity, read_id};

use super::user::MAX_TEXT;

/// A group of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"id": "first-aiders", "name": "First aiders"}))]
pub struct Group {
    /// The platform's own id, 1 to 255 characters.
    #[schema(value_type = String)]
    pub id: GroupId,
    /// The name for people.
    pub name: String,
}

/// A group as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = GroupInput, example = json!({"name": "First aiders"}))]
pub struct GroupDraft {
    /// The platform's own id, 1 to 255 characters. Needed in a batch; elsewhere the address gives it.
    #[schema(value_type = Option<String>, required = false)]
    pub id: GroupId,
    /// The name for people, at most 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
}

/// The conditions of a list of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Folded words. The name or the id contains each of them.
    pub words: Vec<String>,
}

impl KeyedEntity for Group {
    fn id_text(&self) -> &str {
        self.id.as_str()
    }
}

impl KeyedDraft for GroupDraft {
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Faults) -> Option<Self> {
        let mut form = Form::from_node(node, place, "a group", &["id", "name"], faults)?;
        let id = read_id(&mut form, id);
        let name = form.required_name("name", MAX_TEXT);
        Some(Self { id: id?, name: name? })
    }

    fn id_text(&self) -> &str {
        self.id.as_str()
    }
}
