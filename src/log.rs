//! The Activity Log: what a record says when it is read as *person, action, content, time, result*.
//!
//! This room is a set of pure rules. A statement with its envelope becomes a [`Projected`] activity
//! ([`project`], with [`person_of`] and [`content_of`] for its two ends); a [`Row`] with its cards becomes
//! the JSON [`Activity`] and its [`Description`]; a request's parameters become a [`Query`] with its
//! [`Filter`]; and the [`ShortForm`] of an activity becomes a statement. It knows no database, no HTTP and
//! no clock: the same input always gives the same answer, so that replaying all records in any order
//! gives the same log (product text, sections 1 and 6).
//!
//! Start reading at [`action`] for the table of verbs, at [`projection`] for the rules, and at
//! [`filter`] for what can be asked.

pub mod action;
pub mod activity;
pub mod completion;
pub mod cursor;
pub mod description;
pub mod facets;
pub mod filter;
pub mod period;
pub mod progress;
pub mod projection;
pub mod row;
pub mod short_form;
pub mod subject;
pub mod summary;
#[cfg(test)]
mod testing;
pub mod time_text;
pub mod timeline;

pub use action::{Action, VerbError, VerbTable};
pub use activity::Activity;
pub use cursor::{Cursor, CursorError, Position};
pub use description::{Description, DescriptionPart};
pub use filter::{Filter, ParameterFault, ParseContext, Query, ResultFilter, Sort, TitleSearch};
pub use period::{Period, Window, start_of_day};
pub use projection::{Certificate, ContentFacts, Percent, Projected, Score, project};
pub use row::{
    ContentDetails, ContentKey, PersonDetails, PersonKey, Recorder, Row, UserDetails, VerbDetails, VerbKey,
};
pub use short_form::{
    ContentName, ContentRef, Did, Resolved, ResolvedContent, ShortForm, ShortFormRules, UserRef,
};
pub use subject::{PersonRef, content_of, person_of};
pub use time_text::time_text;
