//! Identifiers that change their owners: given up and claimed by another user, swapped, and moved by an admin.

use serde_json::json;

use super::bodies::{agent, user_body};
use super::{STRANGERS, Tenant, stranger_address};
use crate::support::TestServer;
use crate::support::builders::Body;
use crate::support::http::encode_segment;
use crate::support::random::Random;
use crate::v1::model::question::{DAY, rfc3339};
use crate::v1::model::world::{Actor, Micros, User, sha1_of_mailbox};

/// The identifiers of an address.
fn actors_of(address: &str) -> [Actor; 2] {
    [Actor::Mbox(address.to_owned()), Actor::MboxSha1(sha1_of_mailbox(address))]
}

impl Tenant {
    /// Writes users, one by one or in one batch, and stores them in the model.
    pub(super) async fn put_users(&mut self, server: &TestServer, users: Vec<User>, as_batch: bool) {
        if as_batch {
            let bodies: Vec<Body> = users.iter().map(user_body).collect();
            self.admin.post("/v1/users/batch", &bodies).await.expect(200);
            users.iter().for_each(|user| self.give_up_address(server, user));
            users.into_iter().for_each(|user| self.store_user(user));
            return;
        }
        for mut user in users {
            self.avoid_conflict(&mut user);
            let path = format!("/v1/users/{}", encode_segment(&user.id));
            let status = if self.facts.user(&user.id).is_some() { 200 } else { 201 };
            self.admin.put(&path, &user_body(&user)).await.expect(status);
            self.give_up_address(server, &user);
            self.store_user(user);
        }
    }

    /// Keeps a user deactivated if another user has the address by now.
    fn avoid_conflict(&self, user: &mut User) {
        let Some(before) = self.facts.user(&user.id).filter(|before| !before.active) else { return };
        let is_taken = |actor: &Actor| {
            let owner = self.facts.find_present_user(actor);
            owner.is_some_and(|owner| owner.id != user.id) && self.facts.free_from(actor).is_none()
        };
        if user.email.as_deref().is_some_and(|address| actors_of(address).iter().any(is_taken)) {
            user.active = false;
            user.deactivated_at = before.deactivated_at;
        }
    }

    fn store_user(&mut self, user: User) {
        self.facts.users.retain(|other| other.id != user.id);
        self.facts.users.push(user.clone());
        self.claim_address(&user);
    }

    /// The stored user gives up the address that the new state does not have.
    fn give_up_address(&mut self, server: &TestServer, after: &User) {
        let before = self.facts.user(&after.id);
        let address = before.and_then(|before| before.email.clone());
        let Some(address) = address.filter(|address| after.email.as_ref() != Some(address)) else {
            return;
        };
        for actor in actors_of(&address) {
            let is_own = self.facts.find_present_user(&actor).is_some_and(|owner| owner.id == after.id);
            let known = self.facts.given_up.iter().any(|(other, _)| *other == actor);
            if is_own && !known {
                self.facts.given_up.push((actor, server.clock.now().micros() + 1_000));
            }
        }
    }

    /// The user claims the own address if it is free. A deactivated user claims what nobody has had.
    pub(super) fn claim_address(&mut self, user: &User) {
        let Some(address) = &user.email else { return };
        for actor in actors_of(address) {
            let owner = self.facts.find_present_user(&actor).map(|owner| owner.id.clone());
            match (owner, self.facts.free_from(&actor)) {
                (Some(owner), _) if owner == user.id => {
                    self.facts.given_up.retain(|(other, _)| *other != actor);
                }
                (None, Some(from)) => self.facts.claim(actor, from, &user.id),
                (Some(_), Some(from)) if user.active => self.facts.claim(actor, from, &user.id),
                _ => {}
            }
        }
    }

    pub(super) async fn change_owners(&mut self, server: &TestServer, random: &mut Random) {
        self.swap_addresses(server, random).await;
        self.reuse_address(server, random).await;
        for _ in 0..4 {
            self.move_identifier(server, random).await;
        }
    }

    /// Active users with an address that is theirs.
    fn users_with_address(&self) -> Vec<User> {
        let is_own = |user: &&User| {
            let owner = |address: &String| {
                actors_of(address)
                    .iter()
                    .all(|actor| self.facts.find_present_user(actor).is_some_and(|owner| owner.id == user.id))
            };
            user.active && user.email.as_ref().is_some_and(owner)
        };
        self.facts.users.iter().filter(is_own).cloned().collect()
    }

    /// Two users swap their addresses within one batch.
    async fn swap_addresses(&mut self, server: &TestServer, random: &mut Random) {
        let users = self.users_with_address();
        let (mut one, mut other) = (random.pick(&users).clone(), random.pick(&users).clone());
        if one.id == other.id {
            return;
        }
        std::mem::swap(&mut one.email, &mut other.email);
        for user in [&mut one, &mut other] {
            user.addresses.extend(user.email.clone());
        }
        self.put_users(server, vec![one, other], true).await;
    }

    /// A user gets an address that another user has given up, or that a deactivated user has.
    async fn reuse_address(&mut self, server: &TestServer, random: &mut Random) {
        let addresses: Vec<String> =
            self.facts.users.iter().flat_map(|user| user.addresses.clone()).collect();
        let is_free =
            |address: &&String| actors_of(address).iter().all(|actor| self.facts.free_from(actor).is_some());
        let free: Vec<String> = addresses.iter().filter(is_free).cloned().collect();
        let users = self.users_with_address();
        if free.is_empty() || users.is_empty() {
            return;
        }
        let (address, mut user) = (random.pick(&free).clone(), random.pick(&users).clone());
        user.addresses.push(address.clone());
        user.email = Some(address);
        self.put_users(server, vec![user], false).await;
    }

    /// An admin moves an identifier: from now on, from a time on, or all of it.
    async fn move_identifier(&mut self, server: &TestServer, random: &mut Random) {
        let now = server.clock.now().micros();
        let users = self.facts.users.clone();
        let (user, other) = (random.pick(&users), random.pick(&users));
        let actors = match (random.below(3), &other.email) {
            (0, Some(address)) => actors_of(address).to_vec(),
            (1, _) => actors_of(&stranger_address(random.below(STRANGERS))).to_vec(),
            _ => vec![Actor::Account {
                home_page: "https://elsewhere.example".into(),
                name: format!("s{}", random.below(STRANGERS)),
            }],
        };
        // Half hours, at which records happen.
        let from = (now / DAY - random.between(0, 300)) * DAY + random.between(0, 30) * 3_600_000_000 / 2;
        let start = random.below(3);
        let mut body = json!({"identifiers": [agent(&actors[0])]});
        match start {
            0 => {}
            1 => body["from"] = json!(null),
            _ => body["from"] = json!(rfc3339(from.min(now))),
        }
        self.admin.post(&format!("/v1/users/{}/identifiers", user.id), &body).await.expect(200);
        for actor in actors {
            // A user that lost the identifier does not claim it again.
            self.facts.users.iter_mut().for_each(|user| user.identifiers.retain(|other| *other != actor));
            let owner = self.facts.find_present_user(&actor).map(|owner| owner.id.clone());
            let from = match (start, owner) {
                (0, Some(owner)) if owner == user.id => {
                    self.facts.given_up.retain(|(other, _)| *other != actor);
                    continue;
                }
                (0, Some(_)) => now + 1_000,
                (0 | 1, _) => Micros::MIN,
                _ => from.min(now),
            };
            self.facts.claim(actor, from, &user.id);
        }
    }
}
