//! The SQL conditions of a filter of the log.

use std::collections::BTreeSet;

use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::log::{Action, Filter, Window};

use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::{digest, folded_digests};
use crate::store::directory::contents::{CPD_LABEL, TAG};

/// Adds the conditions of one filter on the content.
pub(crate) fn push_content_filters(sql: &mut Sql, filter: &Filter) {
    if !filter.types.is_empty() {
        let codes: Vec<i16> = filter.types.iter().map(|kind| kind.code()).collect();
        sql.push(" AND c.type").any_of(codes);
    }
    if !filter.content_types.is_empty() {
        let codes: Vec<i16> = filter.content_types.iter().map(|kind| kind.code()).collect();
        sql.push(" AND c.content_type").any_of(codes);
    }
    if !filter.contents.is_empty() {
        let ids: Vec<Vec<u8>> = filter.contents.iter().map(|id| digest(id.as_str())).collect();
        sql.push(" AND c.id_digest").any_of(ids);
    }
    for (kind, values) in [(TAG, &filter.tags), (CPD_LABEL, &filter.cpd_labels)] {
        if !values.is_empty() {
            sql.push(" AND c.key IN (SELECT t.content FROM content_terms t WHERE t.org = $1 AND t.kind = ");
            sql.bind(kind)
                .push(" AND t.folded")
                .any_of(folded_digests(values))
                .push(")");
        }
    }
    push_titles(sql, filter);
}

/// The folded texts, as they are stored in the columns `…_folded`, each once.
pub(super) fn folded(texts: &[String]) -> Vec<String> {
    let folded: BTreeSet<String> = texts.iter().map(|text| fold(text)).collect();
    folded.into_iter().collect()
}

/// The query for the keys of the contents that have one of these folded sources.
pub(super) fn select_contents_of_sources(org: i64, sources: Vec<String>) -> Sql {
    let mut sql =
        Sql::new("SELECT c.key FROM contents c INDEXED BY contents_source WHERE c.org = $1").with(org);
    sql.push(" AND c.source IS NOT NULL AND COALESCE(c.source_folded, c.source)")
        .any_of(sources);
    sql
}

/// Adds the condition that the title contains all words of one of the texts.
fn push_titles(sql: &mut Sql, filter: &Filter) {
    if filter.titles.is_empty() {
        return;
    }
    sql.push(" AND (");
    for (index, title) in filter.titles.iter().enumerate() {
        sql.push(if index == 0 { "(1 = 1" } else { " OR (1 = 1" });
        for word in &title.words {
            sql.push(" AND STRPOS(c.title_folded, ")
                .bind(word.as_str())
                .push(") > 0");
        }
        sql.push(")");
    }
    sql.push(")");
}

/// Adds the condition that the column has one of the values. A single value is compared with `=`: an index then returns
/// the rows in order, and the database does not sort them.
pub(crate) fn push_any<T>(sql: &mut Sql, column: &'static str, values: Vec<T>)
where
    T: Into<Value> + Copy,
    Vec<T>: Into<Value>,
{
    sql.push(" AND ").push(column);
    match values.as_slice() {
        [one] => sql.push(" = ").bind(*one),
        _ => sql.any_of(values),
    };
}

/// Adds the conditions on the row itself, of the filter and of the filters around it.
pub(crate) fn push_row_filters(sql: &mut Sql, filter: &Filter, now: Timestamp) {
    for filter in filter.each() {
        if !filter.actions.is_empty() {
            let codes: Vec<i16> = filter.actions.iter().map(|action| action.code()).collect();
            push_any(sql, "a.action", codes);
        }
    }
    if filter.hides_visited() {
        sql.push(" AND a.action <> ").bind(Action::Visited.code());
    }
    for filter in filter.each() {
        push_origin(sql, filter);
        push_outcome(sql, filter, now);
    }
    if filter.shows_latest_only() {
        push_latest(sql);
    }
    push_window(sql, "a.happened_at", filter.window(now));
    push_window(sql, "a.stored_at", filter.stored_window());
    if let Some(window) = filter.certificate_window(now) {
        push_window(sql, "a.certificate_expires_at", window);
    }
}

/// Adds the conditions of one filter on the way that the record arrived.
fn push_origin(sql: &mut Sql, filter: &Filter) {
    if !filter.verbs.is_empty() {
        sql.push(" AND a.verb IN (SELECT v.key FROM verbs v WHERE v.org = $1 AND v.iri");
        let iris: Vec<String> = filter.verbs.iter().map(|verb| verb.0.clone()).collect();
        sql.any_of(iris).push(")");
    }
    if !filter.sources.is_empty() {
        // The source of the record, or the source of its content if the record has none.
        let sources = folded(&filter.sources);
        sql.push(" AND (COALESCE(a.source_folded, a.source)")
            .any_of(sources.clone());
        sql.push(
            " OR (a.source IS NULL AND a.content IN (SELECT c.key FROM contents c WHERE c.org = $1 \
             AND COALESCE(c.source_folded, c.source)",
        );
        sql.any_of(sources).push(")))");
    }
    if !filter.device_types.is_empty() {
        sql.push(" AND COALESCE(a.device_type_folded, a.device_type)")
            .any_of(folded(&filter.device_types));
    }
    if !filter.origins.is_empty() {
        let codes: Vec<i16> = filter.origins.iter().map(|origin| origin.code()).collect();
        sql.push(" AND a.origin").any_of(codes);
    }
    if !filter.imports.is_empty() {
        push_any(sql, "a.import", filter.imports.clone());
    }
    if let Some(bulk) = filter.bulk_import {
        sql.push(if bulk {
            " AND a.import IS NOT NULL"
        } else {
            " AND a.import IS NULL"
        });
    }
}

/// Adds the conditions of one filter on the result.
fn push_outcome(sql: &mut Sql, filter: &Filter, now: Timestamp) {
    if let Some(completed) = filter.completed {
        sql.push(if completed {
            " AND a.completed"
        } else {
            " AND NOT a.completed"
        });
    }
    if let Some(certified) = filter.has_certificate {
        sql.push(if certified {
            " AND a.certified"
        } else {
            " AND NOT a.certified"
        });
    }
    if !filter.results.is_empty() {
        let passed = filter.results.iter().any(|result| result.success());
        let failed = filter.results.iter().any(|result| !result.success());
        sql.push(match (passed, failed) {
            (true, false) => " AND a.success",
            (false, true) => " AND NOT a.success",
            _ => " AND a.success IS NOT NULL",
        });
    }
    match filter.expired {
        Some(true) => {
            sql.push(" AND a.expired_at < ").bind(now.micros());
        }
        Some(false) => {
            sql.push(" AND (a.expired_at IS NULL OR a.expired_at >= ")
                .bind(now.micros())
                .push(")");
        }
        None => {}
    }
}

/// Adds the condition that the row is the newest completion of its user, or of its unclaimed person, and its content.
///
/// The mark decides between the rows of one person. A user has few persons with a marked row of the content, so the
/// subqueries read a few entries of an index for each marked row. PostgreSQL must not turn them into joins: without
/// fresh statistics it would read all marked rows of the content for each row. `OFFSET` and the inner value prevent it.
fn push_latest(sql: &mut Sql) {
    sql.push(
        " AND a.latest AND NOT EXISTS (SELECT 1 FROM persons q INDEXED BY persons_user \
         WHERE q.org = $1 AND q.key <> a.person \
         AND q.user_key = (SELECT p.user_key FROM persons p WHERE p.org = $1 AND p.key = a.person) \
         AND (SELECT 1 FROM activities b INDEXED BY activities_latest_person \
             WHERE b.org = $1 AND b.person = q.key AND b.content = a.content AND b.latest \
             AND (b.happened_at > a.happened_at OR (b.happened_at = a.happened_at AND b.seq > a.seq)) \
             LIMIT 1) IS NOT NULL \
         LIMIT 1 OFFSET 0)",
    );
}

/// Adds the condition that `column`, a time, is in the window.
pub(crate) fn push_window(sql: &mut Sql, column: &str, window: Window) {
    if let Some(from) = window.from {
        sql.push(" AND ").push(column).push(" >= ").bind(from.micros());
    }
    if let Some(to) = window.to {
        sql.push(" AND ").push(column).push(" < ").bind(to.micros());
    }
}
