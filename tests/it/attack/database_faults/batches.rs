//! A batch that takes longer than writers wait for a lock.

use std::time::Instant;

use futures_util::future::join_all;

use super::Server;
use crate::support::Database;
use crate::support::builders::{mailbox, statement};
use crate::support::records::{COMPLETED, STATEMENTS};
use crate::support::server::run_with_database;

/// Each statement takes a quarter of a second, and the database refuses the value of one.
const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                      IF convert_from(NEW.body, 'UTF8') LIKE '%urn:bad%' THEN \
                        RAISE EXCEPTION 'a bad value' USING ERRCODE = '22023'; \
                      END IF; \
                      PERFORM pg_sleep(0.25); \
                      RETURN NEW; \
                    END $$; \
                    CREATE TRIGGER slow BEFORE INSERT ON statements FOR EACH ROW EXECUTE FUNCTION slow();";

#[test]
fn batch_that_is_written_one_by_one_may_take_longer_than_a_wait() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let server = Server::start(&database.url());
        server.set_up().await;
        database.execute(SLOW).await;
        let begin = Instant::now();
        // The first one is written alone. The others wait meanwhile, so they are one batch.
        let answers = join_all((0..12).map(|number| {
            let object = if number == 5 { "urn:bad".to_owned() } else { format!("urn:good:{number}") };
            let record = statement(mailbox("a@x.example"), COMPLETED, &object);
            let admin = &server.admin;
            async move { admin.post(STATEMENTS, &record).await.status }
        }))
        .await;
        println!("measured: a slow batch with a bad record: {:?}", begin.elapsed());
        for (number, status) in answers.into_iter().enumerate() {
            assert_eq!(status, if number == 5 { 500 } else { 200 }, "record {number}");
        }
    });
}
