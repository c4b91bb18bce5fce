//! A team. Teams form a tree (`docs/specification.md#teams`).

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fault::{Faults, Place};
use crate::base::form::Form;
use crate::base::ids::TeamId;
use crate::base::json::Node;
use crate::base::keyed::{KeyedDraft, KeyedEntity, read_id};

use super::user::MAX_TEXT;

/// A team of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"id": "sales-north", "name": "Sales North", "parent": "sales"}))]
pub struct Team {
    /// The platform's own id, 1 to 255 characters.
    #[schema(value_type = String)]
    pub id: TeamId,
    /// The name for people.
    pub name: String,
    /// The team above it.
    #[schema(value_type = Option<String>, required = true)]
    pub parent: Option<TeamId>,
}

/// A team as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(as = TeamInput, example = json!({"name": "Sales North", "parent": "sales"}))]
pub struct TeamDraft {
    /// The platform's own id, 1 to 255 characters. Needed in a batch; elsewhere the address gives it.
    #[schema(value_type = Option<String>, required = false)]
    pub id: TeamId,
    /// The name for people, at most 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// The team above it. It must exist, or be in the same batch.
    #[schema(value_type = Option<String>)]
    pub parent: Option<TeamId>,
}

/// The conditions of a list of teams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamFilter {
    /// Folded words. The name or the id contains each of them.
    pub words: Vec<String>,
    /// Teams directly below one of these.
    pub parents: Vec<TeamId>,
}

impl KeyedEntity for Team {
    fn id_text(&self) -> &str {
        self.id.as_str()
    }
}

impl KeyedDraft for TeamDraft {
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Faults) -> Option<Self> {
        let mut form = Form::from_node(node, place, "a team", &["id", "name", "parent"], faults)?;
        let id = read_id(&mut form, id);
        let name = form.required_name("name", MAX_TEXT);
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
