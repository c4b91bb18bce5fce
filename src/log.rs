//! The Activity Log: records as activities with person, action, content, time and result.
//!
//! - [`project`] turns a statement and its envelope into a [`Projected`] activity; [`person_of`] finds its person, and
//!   [`placement`] its content.
//! - [`Activity`] and [`Description`] are the JSON and the sentence of a [`Row`].
//! - [`Query`] and [`Filter`] are the parsed parameters of a request.
//! - [`ShortForm`] is an activity from a client, and becomes a statement.
//!
//! The module uses no database, no HTTP and no clock. The same input gives the same output, so a rebuild from all records
//! gives the same log (docs/specification.md#from-record-to-activity).
//!
//! Read [`action`] first for the table of verbs, [`projection`] for the rules, and [`filter`] for the parameters.

pub mod action;
pub mod activity;
pub mod answers;
pub mod attempts;
pub(crate) mod columns;
pub mod completion;
pub mod cursor;
pub mod description;
pub mod facets;
pub mod filter;
pub mod period;
pub mod placement;
pub mod progress;
pub mod projection;
pub mod row;
pub mod short_form;
pub mod subject;
pub mod summary;
#[cfg(test)]
mod testing;
pub mod timeline;

pub use action::{Action, VerbError, VerbTable};
pub use activity::Activity;
pub use cursor::{Cursor, Position};
pub use description::{Description, DescriptionPart};
pub use filter::{Filter, Paging, ParameterFault, ParseContext, Query, ResultFilter, Sort, TitleSearch};
pub use period::{Period, Window, start_of_day};
pub use projection::{Certificate, ContentFacts, Percent, Projected, Score, project};
pub use row::{
    ContentDetails, ContentKey, PersonDetails, PersonKey, Recorder, Row, UserDetails, VerbDetails, VerbKey,
};
pub use short_form::{
    ActionOrVerb, ContentName, ContentRef, Resolved, ResolvedContent, ShortForm, ShortFormRules, UserRef,
};
pub use subject::{GroupMembers, PersonRef, person_of};
