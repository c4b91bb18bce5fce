//! Exports of so many persons that all of the directory are loaded at once.

#[cfg(feature = "parquet")]
use super::parquet;
use super::{CSV, set_up_with_every_column};
use crate::support::http::Answer;
use crate::support::many_persons::{
    ACTIVITIES, DEACTIVATED, MANAGED, USERS, add_many_persons, person_of, user_of,
};
use crate::support::{TestServer, apply, both_databases};

/// The headings that the tests look at.
const HEADINGS: [&str; 4] =
    ["First name", "Email address", "Status (at time of export)", "Total time in seconds"];

/// The cells with these headings of the rows that [`add_many_persons`] added, in the order of the file.
fn cells(answer: &Answer) -> Vec<[String; 4]> {
    let (headings, rows) = answer.csv();
    let places = HEADINGS.map(|heading| headings.iter().position(|name| name == heading).expect("a column"));
    let rows = rows.into_iter().map(|row| places.map(|place| row[place].clone()));
    rows.filter(|[_, email, ..]| email != "bo@example.org" && email != "visitor@example.com").collect()
}

/// The cells of an activity.
fn expected(number: u32) -> [String; 4] {
    let person = person_of(number);
    let (name, email, status) = match user_of(person) {
        Some(user) if user < DEACTIVATED => (format!("P{user}"), String::new(), "Deactivated"),
        Some(user) => (format!("P{user}"), String::new(), "Active"),
        None => (format!("Nobody {person}"), format!("n{person}@example.org"), ""),
    };
    [name, email, status.to_owned(), number.to_string()]
}

/// The activities of persons whose user fulfils the condition, the newest first.
fn activities(selects: impl Fn(Option<u32>) -> bool) -> Vec<[String; 4]> {
    let numbers = (1..=ACTIVITIES).rev().filter(|number| selects(user_of(person_of(*number))));
    numbers.map(expected).collect()
}

#[apply(both_databases)]
async fn each_row_has_its_person_among_many(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    add_many_persons(server.database(), "ada", "Warden").await;
    let is_active = |user: Option<u32>| user.is_none_or(|user| user >= DEACTIVATED);
    let rows = |answer: &Answer| cells(answer).into_iter().filter(|[name, ..]| name != "Ada" && name != "Cy");
    let all = admin.get(CSV).await.expect(200);
    assert!(rows(&all).eq(activities(is_active)));
    let with_deactivated = admin.get(&format!("{CSV}?include_deactivated=true")).await.expect(200);
    assert!(rows(&with_deactivated).eq(activities(|_| true)));
    let ada = server.person("manager", "ada").get(CSV).await.expect(200);
    let is_managed = |user: Option<u32>| user.is_some_and(|user| (DEACTIVATED..MANAGED).contains(&user));
    assert!(rows(&ada).eq(activities(is_managed)));
    let one = admin.get(&format!("{CSV}?user=p{}", USERS - 1)).await.expect(200);
    assert!(rows(&one).eq(activities(|user| user == Some(USERS - 1))));
}

#[cfg(feature = "parquet")]
#[apply(both_databases)]
async fn parquet_has_the_persons_of_the_csv(server: &TestServer) {
    let admin = set_up_with_every_column(server).await;
    add_many_persons(server.database(), "ada", "Warden").await;
    let query = "columns=standard&include_deactivated=true";
    let file = admin.get(&format!("/v1/activities/export.parquet?{query}")).await.expect(200);
    let csv = admin.get(&format!("{CSV}?{query}&raw=true")).await.expect(200).csv();
    assert!(csv.1.len() >= ACTIVITIES as usize);
    assert!(parquet::to_csv(&file) == csv);
}
