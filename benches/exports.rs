//! Exports of the whole log, beside the database's own client.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use super::plain::Dialect;
use super::report::Unit;
use super::subject::Connection;
use super::{Bench, Site, measure};

const PART: &str = "exports";

/// The columns of `elearning`, joined, as they are stored. The database has to do at least this work.
fn joined(dialect: Dialect) -> String {
    let names = match dialect {
        Dialect::Sqlite => "group_concat(y.name, '; ')",
        Dialect::Postgres => "string_agg(y.name, '; ' ORDER BY y.name)",
    };
    format!(
        "SELECT u.first_name, u.last_name, u.email, u.role, u.job_title, u.language, u.location, u.joined_on, \
         m.first_name || ' ' || m.last_name, t.name, s.names, u.active, u.deactivated_at, a.action, c.title, c.type, \
         c.content_type, c.id, a.happened_at, a.completed, a.expired_at, c.tags, a.success, a.percent, a.seconds / 60, \
         a.seconds, a.certificate_expires_at \
         FROM activities a JOIN persons p ON p.org = a.org AND p.key = a.person \
         LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key \
         LEFT JOIN users m ON m.org = u.org AND m.key = u.manager \
         LEFT JOIN teams t ON t.org = u.org AND t.key = u.primary_team \
         LEFT JOIN (SELECT x.org, x.user_key, {names} AS names FROM memberships x \
           JOIN teams y ON y.org = x.org AND y.key = x.team JOIN users z ON z.org = x.org AND z.key = x.user_key \
           WHERE x.team <> z.primary_team GROUP BY x.org, x.user_key) s ON s.org = u.org AND s.user_key = u.key \
         LEFT JOIN contents c ON c.org = a.org AND c.key = a.content \
         WHERE a.org = 1 AND a.action <> 25 AND NOT p.deactivated ORDER BY a.happened_at DESC, a.seq DESC"
    )
}

/// Measures exports as CSV and as Parquet.
pub fn run(bench: &mut Bench, site: &mut Site<'_>) {
    let dialect = site.plain.dialect();
    for (name, path, floor) in [
        ("CSV", "/v1/activities/export.csv?columns=elearning", Some(1.0)),
        (
            "Parquet, beside CSV of the database",
            "/v1/activities/export.parquet?columns=elearning",
            None,
        ),
    ] {
        if !bench.selects(site, PART, name) {
            continue;
        }
        let (own_file, file) = (
            site.folder.join("rollbook.export"),
            site.folder.join("database.csv"),
        );
        let subject = site.subject;
        let sql = joined(dialect);
        let plain = &mut *site.plain;
        let each = |time: Duration| time.div_f64(site.rows as f64);
        bench.compare(
            site.rows,
            (dialect, PART, name, Unit::Rate),
            floor,
            |_| each(export(&mut subject.connect(), path, &own_file)),
            |_| {
                each(measure(|| {
                    assert!(plain.export(&sql, &file), "the database's client exports")
                }))
            },
        );
        if name == "CSV" {
            let lines = [&own_file, &file].map(|file| count_lines(file));
            assert_eq!(lines[0], lines[1], "both sides write the same rows");
        }
        for file in [own_file, file] {
            std::fs::remove_file(file).expect("the file was written");
        }
    }
}

fn export(connection: &mut Connection, path: &str, file: &Path) -> Duration {
    measure(|| {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(file).expect("a file can be written"));
        connection.get(path, &mut out);
        out.flush().expect("the file can be written");
    })
}

fn count_lines(file: &Path) -> u64 {
    let bytes = std::fs::read(file).expect("the file was written");
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
