//! A group of users (product text, section 5).

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fault::{Fault, Place};
use crate::base::ids::GroupId;
use crate::base::json::Node;

use super::batch::Keyed;
use super::{identity, user};
use crate::base::form::Form;

/// A group of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"id": "first-aiders", "name": "First aiders"}))]
pub struct Group {
    /// The platform's own id, 1 to 255 characters.
    #[schema(value_type = String)]
    pub id: GroupId,
    /// What people call it.
    pub name: String,
}

/// What a client writes of a group.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = GroupInput, example = json!({"name": "First aiders"}))]
pub struct GroupDraft {
    /// The platform's own id, 1 to 255 characters. Needed in a batch; elsewhere the address gives it.
    #[schema(value_type = Option<String>, required = false)]
    pub id: GroupId,
    /// What people call it, at most 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
}

impl Keyed for GroupDraft {
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut form = Form::from_node(node, place, "a group", &["id", "name"], faults)?;
        let id = identity::read_id(&mut form, id);
        let name = form.required_text("name", user::MAX_TEXT);
        Some(Self { id: id?, name: name? })
    }

    fn id_text(&self) -> &str {
        self.id.as_str()
    }
}

impl From<GroupDraft> for Group {
    fn from(draft: GroupDraft) -> Self {
        Self {
            id: draft.id,
            name: draft.name,
        }
    }
}
