//! A team: teams are a tree (product text, section 5).

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fault::{Fault, Place};
use crate::base::ids::TeamId;
use crate::base::json::Node;

use super::batch::Keyed;
use super::{identity, user};
use crate::base::form::Form;

/// A team of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"id": "sales-north", "name": "Sales North", "parent": "sales"}))]
pub struct Team {
    /// The platform's own id, 1 to 255 characters.
    #[schema(value_type = String)]
    pub id: TeamId,
    /// What people call it.
    pub name: String,
    /// The team above it, if there is one.
    #[schema(value_type = Option<String>, required = true)]
    pub parent: Option<TeamId>,
}

/// What a client writes of a team.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = TeamInput, example = json!({"name": "Sales North", "parent": "sales"}))]
pub struct TeamDraft {
    /// The platform's own id, 1 to 255 characters. Needed in a batch; elsewhere the address gives it.
    #[schema(value_type = Option<String>, required = false)]
    pub id: TeamId,
    /// What people call it, at most 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// The team above it; it must be there, or in the same batch.
    #[schema(value_type = Option<String>)]
    pub parent: Option<TeamId>,
}

impl Keyed for TeamDraft {
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut form = Form::from_node(node, place, "a team", &["id", "name", "parent"], faults)?;
        let id = identity::read_id(&mut form, id);
        let name = form.required_text("name", user::MAX_TEXT);
        let parent = form.value("parent");
        Some(Self {
            id: id?,
            name: name?,
            parent,
        })
    }

    fn id_text(&self) -> &str {
        self.id.as_str()
    }
}

impl From<TeamDraft> for Team {
    fn from(draft: TeamDraft) -> Self {
        Self {
            id: draft.id,
            name: draft.name,
            parent: draft.parent,
        }
    }
}
