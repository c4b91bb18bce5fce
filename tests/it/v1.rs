//! Tests of the resources under `/v1`.

mod activities;
mod certificates;
mod completions;
mod contents;
mod deliveries;
mod everywhere;
mod exports;
mod facets;
mod groups;
mod latest;
mod model;
mod notes;
mod organisation;
mod progress;
mod questions;
mod report_keys;
mod report_rows;
mod reports;
mod schedules;
mod search;
mod sent_back;
mod summary;
mod teams;
mod timeline;
mod unclaimed;
mod users;
