//! Totals, summaries and facets, as dashboards ask for them.

use std::time::Duration;

use rollbook::base::clock::Clock;

use super::data::{self, events};
use super::load::end_of_data;
use super::pages::{PageSql, below, sql::micros, sql::month_before};
use super::plain::Dialect;
use super::report::Unit;
use super::subject::{Connection, Subject};
use super::{Bench, Site, measure, measure_each};

const PART: &str = "counts";

/// Something that is counted.
struct Count {
    name: &'static str,
    path: String,
    /// The columns of the groups, the measures, and the grouping.
    select: String,
    group_by: String,
    filter: Option<String>,
    repeated: Repeated,
}

/// How a count is asked again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    /// It is always counted in the same way.
    Alike,
    /// The server remembers it, so the first answer is a line of its own. Before each further one, a record is written.
    AfterARecord,
    /// The answer is kept for a minute, so the first one is a line of its own. Each further one is in another language, in
    /// which no answer is kept.
    InAnotherLanguage,
}

/// The languages of [`Repeated::InAnotherLanguage`].
const LANGUAGES: [&str; 6] = ["de", "fr", "es", "nl", "pt", "pl"];

/// The measures of a summary that SQL gives without windows. Rollbook's scores and times are those of attempts and sessions,
/// which takes more.
fn measures(dialect: Dialect) -> String {
    let completions = match dialect {
        Dialect::Postgres => {
            "count(DISTINCT (coalesce(p.user_key, -p.key), a.content, a.registration)) FILTER (WHERE a.completed)"
        }
        Dialect::Sqlite => {
            "count(DISTINCT CASE WHEN a.completed THEN coalesce(p.user_key, -p.key) || ' ' || a.content || ' ' || \
             coalesce(hex(a.registration), '') END)"
        }
    };
    format!(
        "count(*), count(DISTINCT coalesce(p.user_key, -p.key)), {completions}, \
         sum(CASE WHEN a.success THEN 1 ELSE 0 END), sum(CASE WHEN NOT a.success THEN 1 ELSE 0 END), avg(a.percent), \
         sum(a.seconds)"
    )
}

fn counts(dialect: Dialect) -> Vec<Count> {
    let month = match dialect {
        Dialect::Postgres => "to_char(to_timestamp(a.happened_at / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM')",
        Dialect::Sqlite => "strftime('%Y-%m', a.happened_at / 1000000, 'unixepoch')",
    };
    let (from, to) = (month_before(3), month_before(2));
    let at = |month: &str| micros(&format!("{month}-01T00:00:00Z"));
    let within = format!("a.happened_at >= {} AND a.happened_at < {}", at(&from), at(&to));
    let mut counts = vec![
        Count {
            name: "total",
            path: "/v1/activities?limit=1&count=exact".to_owned(),
            select: "count(*)".to_owned(),
            group_by: String::new(),
            filter: None,
            repeated: Repeated::Alike,
        },
        Count {
            name: "total of one action and month",
            path: format!(
                "/v1/activities?limit=1&count=exact&action=completed&tz=UTC&from={from}-01&to={to}-01"
            ),
            select: "count(*)".to_owned(),
            group_by: String::new(),
            filter: Some(format!("a.action = 5 AND {within}")),
            repeated: Repeated::Alike,
        },
    ];
    for (name, by, group) in [
        ("summary by action", "action", "a.action"),
        ("summary by month", "month", month),
        ("summary by content", "content", "a.content"),
    ] {
        counts.push(Count {
            name,
            path: format!("/v1/activities/summary?by={by}&tz=UTC"),
            select: format!("{group}, {}", measures(dialect)),
            group_by: format!(" GROUP BY {group}"),
            filter: None,
            repeated: Repeated::AfterARecord,
        });
    }
    counts.push(Count {
        name: "facets (SQL: contents only)",
        path: "/v1/facets?language=en".to_owned(),
        select: "a.content, count(*)".to_owned(),
        group_by: " GROUP BY a.content".to_owned(),
        filter: None,
        repeated: Repeated::InAnotherLanguage,
    });
    counts
}

/// Measures all counts, for everybody and for a manager of 6,249.
pub fn run(bench: &mut Bench, site: &mut Site<'_>) {
    if !bench.selects_part(site, PART) {
        return;
    }
    let manager = data::manager_of_about(6_249);
    let dialect = site.plain.dialect();
    let mut is_loaded = false;
    for of_manager in [false, true] {
        for count in counts(dialect) {
            let name = if of_manager {
                format!("{}, manager of 6,249", count.name)
            } else {
                count.name.to_owned()
            };
            if !bench.selects(site, PART, &name) {
                continue;
            }
            if !std::mem::replace(&mut is_loaded, true) {
                load_columns(site.subject);
            }
            let filter = count.filter.as_ref().map(|filter| format!(" AND {filter}"));
            let people = of_manager.then(|| format!(" AND p.user_key IN ({})", below(&manager)));
            let sql = format!(
                "SELECT {} FROM activities a JOIN persons p ON p.org = a.org AND p.key = a.person WHERE {} \
                 AND NOT p.deactivated{}{}{}",
                count.select,
                PageSql::SHOWN,
                filter.unwrap_or_default(),
                people.unwrap_or_default(),
                count.group_by
            );
            let plain = &mut *site.plain;
            let subject = site.subject;
            // A connection that is idle while the database works would be closed.
            let connect = || match of_manager {
                true => subject.connect_as(&manager, "manager"),
                false => subject.connect(),
            };
            let get = |connection: &mut Connection, path: &str| {
                connection.get(path, &mut std::io::sink());
            };
            if count.repeated != Repeated::Alike {
                let first = format!("{name}, first time");
                bench.compare_once(
                    site.rows,
                    (dialect, PART, first.as_str(), Unit::Time),
                    || {
                        let mut connection = connect();
                        measure(|| get(&mut connection, &count.path))
                    },
                    || measure(|| _ = plain.read(&sql)),
                );
            }
            let (mut bodies, mut languages) = (one_record_each(), LANGUAGES.iter());
            bench.compare(
                site.rows,
                (dialect, PART, name.as_str(), Unit::Time),
                None,
                |_| {
                    let mut connection = connect();
                    match count.repeated {
                        Repeated::Alike => measure_each(|| get(&mut connection, &count.path)),
                        Repeated::AfterARecord => {
                            let mut writer = subject.connect();
                            let times = bodies.by_ref().take(20).map(|body| {
                                writer.send("POST", "/xapi/statements", &body, &mut std::io::sink());
                                measure(|| get(&mut connection, &count.path))
                            });
                            mean(times)
                        }
                        Repeated::InAnotherLanguage => {
                            let times = languages.by_ref().take(2).map(|language| {
                                let path = count.path.replace("=en", &format!("={language}"));
                                measure(|| get(&mut connection, &path))
                            });
                            mean(times)
                        }
                    }
                },
                |_| measure_each(|| _ = plain.read(&sql)),
            );
        }
    }
}

/// The mean of at least one duration.
fn mean(times: impl Iterator<Item = Duration>) -> Duration {
    let times: Vec<Duration> = times.collect();
    times.iter().sum::<Duration>() / times.len() as u32
}

/// Requests with a record each. A loaded database is measured several times, so they are others each time.
fn one_record_each() -> impl Iterator<Item = Vec<u8>> {
    let seed = Clock::system().now().micros() as u64;
    events::batches(seed, 100, 1, end_of_data()).into_iter()
}

/// Counts until the columns of the organisation are in memory, as a dashboard does it.
fn load_columns(subject: &Subject) {
    let mut connection = subject.connect();
    let start = std::time::Instant::now();
    loop {
        connection.get("/v1/activities?limit=1&count=exact", &mut std::io::sink());
        let mut metrics = Vec::new();
        connection.get("/metrics", &mut metrics);
        let text = String::from_utf8_lossy(&metrics);
        let is_loaded = text.lines().any(|line| {
            line.starts_with("rollbook_counts_total") && line.contains("columns") && !line.ends_with(" 0")
        });
        if is_loaded || start.elapsed().as_secs() > 600 {
            eprintln!(
                "columns: {:.1} s until the first count by them",
                start.elapsed().as_secs_f64()
            );
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}
