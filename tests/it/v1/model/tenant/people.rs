//! Random teams, groups and users, and their changes.

use serde_json::json;

use super::bodies::user_body;
use super::{STRANGERS, Tenant, stranger_address};
use crate::support::TestServer;
use crate::support::builders::{self, Body};
use crate::support::random::Random;
use crate::v1::model::question::DAY;
use crate::v1::model::world::{Actor, Micros, Team, User};
use crate::v1::model::{FIELD_VALUES, FIELDS, LOCATIONS};

pub(super) const USERS: usize = 14;
const ROLES: &[&str] = &["learner", "manager", "admin", "learning_designer"];

impl Tenant {
    pub(super) async fn create_directory(&mut self, server: &TestServer, random: &mut Random) {
        for number in 0..6 {
            // The parent is a random earlier team, which makes a tree.
            let parent = (number > 0).then(|| random.below(number)).filter(|_| random.percent(70));
            let parent = parent.map(|parent| format!("team-{parent}"));
            self.facts.teams.push(Team { id: format!("team-{number}"), parent });
        }
        self.facts.groups = (0..3).map(|number| format!("group-{number}")).collect();
        for number in 0..USERS {
            let user = self.random_user(server, random, number);
            self.facts.users.push(user);
        }
        let teams: Vec<Body> = self
            .facts
            .teams
            .iter()
            .map(|team| builders::team(&team.id).set_option("parent", team.parent.clone()))
            .collect();
        // A batch may contain a reference before its target.
        let teams: Vec<&Body> = teams.iter().rev().collect();
        self.admin.post("/v1/teams/batch", &teams).await.expect(200);
        let groups: Vec<Body> = self.facts.groups.iter().map(|group| builders::group(group)).collect();
        self.admin.post("/v1/groups/batch", &groups).await.expect(200);
        let users: Vec<Body> = self.facts.users.iter().rev().map(user_body).collect();
        let answer = self.admin.post("/v1/users/batch", &users).await.expect(200).json();
        assert_eq!(answer, json!({"created": USERS, "updated": 0, "unchanged": 0}));
        for user in self.facts.users.clone() {
            self.claim_address(&user);
        }
    }

    pub(super) fn random_user(&self, server: &TestServer, random: &mut Random, number: usize) -> User {
        let now = server.clock.now().micros();
        let active = random.percent(80);
        let teams: Vec<String> = self.facts.teams.iter().map(|team| team.id.clone()).collect();
        let mut member_of = if random.percent(80) { random.some(&teams, 2) } else { Vec::new() };
        let primary_team = member_of.first().cloned().filter(|_| random.percent(80));
        member_of.dedup();
        let email = random.maybe(90, |_| format!("user{number}@example.com"));
        User {
            id: format!("user-{number}"),
            first_name: (*random.pick(&["Ada", "Björn", "Çelik", "Zoë", "=SUM(A1)"])).to_owned(),
            last_name: (*random.pick(&["Obi", "O'Neill", "Nguyễn", "Smith, Jr.", "de \"Wit\""])).to_owned(),
            addresses: email.iter().cloned().collect(),
            email,
            identifiers: Vec::new(),
            role: ROLES[random.below(ROLES.len())],
            location: random.maybe(70, |random| (*random.pick(LOCATIONS)).to_owned()),
            // The manager is a random earlier user, which makes a deep tree.
            manager: (number > 0 && random.percent(85))
                .then(|| format!("user-{}", random.below(number.min(USERS)))),
            primary_team,
            teams: member_of,
            groups: if random.percent(50) { random.some(&self.facts.groups, 2) } else { Vec::new() },
            active,
            deactivated_at: (!active).then(|| (now / DAY - random.between(0, 400)) * DAY),
            custom: FIELDS
                .iter()
                .filter(|_| random.percent(50))
                .collect::<Vec<_>>()
                .into_iter()
                .map(|field| ((*field).to_owned(), (*random.pick(FIELD_VALUES)).to_owned()))
                .collect(),
        }
    }

    /// Changes users. Strangers may become users or identifiers of users.
    pub(super) async fn change_people(&mut self, server: &TestServer, random: &mut Random) {
        let mut changed: Vec<User> = Vec::new();
        for number in 0..USERS {
            if random.percent(35) {
                let before = self.facts.user(&format!("user-{number}")).expect("users stay").clone();
                let mut after = self.random_user(server, random, number);
                after.email = before.email;
                after.addresses = before.addresses;
                after.identifiers = before.identifiers;
                if random.percent(20) {
                    let address = format!("renamed{number}.{}@example.com", random.below(1_000_000));
                    after.email = Some(address.clone());
                    after.addresses.push(address);
                }
                changed.push(after);
            }
        }
        let stranger = random.below(STRANGERS);
        let is_free = self.facts.find_present_user(&Actor::Mbox(stranger_address(stranger))).is_none();
        let mut newcomer = self.random_user(server, random, USERS + stranger);
        if is_free && self.facts.user(&newcomer.id).is_none() {
            newcomer.email = Some(stranger_address(stranger));
            newcomer.addresses = vec![stranger_address(stranger)];
            changed.push(newcomer);
        }
        let agent =
            Actor::Account { home_page: "https://elsewhere.example".into(), name: format!("s{stranger}") };
        if let Some(user) = changed.first_mut().filter(|_| self.facts.find_present_user(&agent).is_none()) {
            user.identifiers.push(agent.clone());
            self.facts.claim(agent, Micros::MIN, &user.id);
        }
        self.put_users(server, changed, false).await;
    }
}
