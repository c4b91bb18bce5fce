//! The people of the demo: a tree of managers and a tree of teams, with names, jobs and places of several countries.
//!
//! The bodies are those that a client would send to `/v1/teams/batch`, `/v1/groups/batch` and `/v1/users/batch`.

mod names;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::access::Role;
use crate::base::clock::Timestamp;

use super::DAY;
use super::random::Random;
use names::{COUNTRIES, name};

/// A person of the organisation.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) role: Role,
    pub(super) job: String,
    pub(super) manager: Option<String>,
    /// The tags of contents that fit the person's work.
    pub(super) interests: &'static [&'static str],
    /// The first day, and the time of leaving.
    pub(super) joined: Timestamp,
    pub(super) left: Option<Timestamp>,
    /// The average score in quizzes, in percent.
    pub(super) skill: f64,
    /// How much the person learns in comparison to others.
    pub(super) diligence: f64,
    /// A private e-mail address that a content player has for the person. The directory gets it at the end.
    pub(super) private_email: Option<String>,
    /// The body for the directory.
    pub(super) body: Value,
}

/// All people, teams and groups.
pub(super) struct Staff {
    pub(super) teams: Vec<Value>,
    pub(super) groups: Vec<Value>,
    pub(super) members: Vec<Member>,
}

/// A department with its teams and jobs.
struct Department {
    id: &'static str,
    name: &'static str,
    cost_centre: &'static str,
    interests: &'static [&'static str],
    teams: &'static [(&'static str, &'static str)],
    jobs: &'static [&'static str],
}

const DEPARTMENTS: [Department; 6] = [
    Department {
        id: "operations",
        name: "Operations",
        cost_centre: "4100",
        interests: &["safety", "warehouse", "operations"],
        teams: &[
            ("warehouse-north", "Warehouse North"),
            ("warehouse-south", "Warehouse South"),
            ("transport", "Transport"),
            ("facilities", "Facilities"),
        ],
        jobs: &[
            "Warehouse operative",
            "Forklift driver",
            "Dispatcher",
            "Technician",
            "Shift planner",
        ],
    },
    Department {
        id: "sales",
        name: "Sales",
        cost_centre: "4200",
        interests: &["sales", "communication", "service"],
        teams: &[
            ("sales-north", "Sales North"),
            ("sales-south", "Sales South"),
            ("key-accounts", "Key Accounts"),
        ],
        jobs: &[
            "Account manager",
            "Sales representative",
            "Pre-sales consultant",
            "Sales assistant",
        ],
    },
    Department {
        id: "engineering",
        name: "Engineering",
        cost_centre: "4300",
        interests: &["engineering", "security", "data"],
        teams: &[("platform", "Platform"), ("apps", "Apps"), ("data", "Data")],
        jobs: &[
            "Software engineer",
            "Data engineer",
            "Test engineer",
            "Product designer",
            "Product manager",
        ],
    },
    Department {
        id: "service",
        name: "Customer Service",
        cost_centre: "4400",
        interests: &["service", "communication", "wellbeing"],
        teams: &[("first-line", "First Line"), ("second-line", "Second Line")],
        jobs: &["Service agent", "Service specialist", "Returns clerk"],
    },
    Department {
        id: "people",
        name: "People",
        cost_centre: "4500",
        interests: &["hr", "leadership", "wellbeing"],
        teams: &[("hr", "HR"), ("learning", "Learning")],
        jobs: &["Recruiter", "Payroll specialist", "HR assistant", "Trainer"],
    },
    Department {
        id: "finance",
        name: "Finance",
        cost_centre: "4600",
        interests: &["finance", "data", "compliance"],
        teams: &[("accounting", "Accounting"), ("controlling", "Controlling")],
        jobs: &["Accountant", "Controller", "Accounts clerk"],
    },
];

/// Teams across departments. They are no primary teams.
const PROJECT_TEAMS: [(&str, &str); 2] = [
    ("safety-committee", "Safety Committee"),
    ("green-office", "Green Office"),
];

const GROUPS: [(&str, &str); 4] = [
    ("first-aiders", "First aiders"),
    ("forklift-drivers", "Forklift drivers"),
    ("works-council", "Works council"),
    ("new-starters", "New starters"),
];

/// The people with special roles: role, department, team, job.
const SPECIALISTS: [(Role, usize, usize, &str); 8] = [
    (Role::Admin, 2, 0, "Systems administrator"),
    (Role::Hr, 4, 0, "HR business partner"),
    (Role::Reporter, 5, 1, "Reporting analyst"),
    (Role::LearningDesigner, 4, 1, "Learning designer"),
    (Role::LearningDesigner, 4, 1, "Learning designer"),
    (Role::Curator, 4, 1, "Content curator"),
    (Role::Curator, 0, 0, "Safety trainer"),
    (Role::Curator, 2, 1, "Engineering trainer"),
];

/// A position in the organisation, before it has a person.
struct Position {
    role: Role,
    job: String,
    department: Option<usize>,
    team: &'static str,
    /// The manager, as an index of an earlier position.
    manager: Option<usize>,
    /// Whether its person may have left.
    replaceable: bool,
}

/// Creates an organisation with this number of people, at least 40.
pub(super) fn staff(random: &mut Random, now: Timestamp, people: usize) -> Staff {
    let mut taken = BTreeSet::new();
    let positions = positions(random, people.max(40));
    let mut members: Vec<Member> = Vec::with_capacity(positions.len());
    for (index, position) in positions.iter().enumerate() {
        let manager = position
            .manager
            .and_then(|manager| members.get(manager))
            .map(|manager| manager.id.clone());
        members.push(member(random, now, index, position, manager, &mut taken));
    }
    // Content players know three contractors by private addresses only.
    let contractors = members
        .iter_mut()
        .rev()
        .filter(|member| member.left.is_none())
        .take(3);
    for member in contractors {
        member.private_email = Some(format!(
            "{}@mail.example",
            member.email.split('@').next().unwrap_or_default()
        ));
        member.body["custom"]["employee_type"] = json!("contractor");
    }
    Staff {
        teams: teams(),
        groups: groups(),
        members,
    }
}

fn teams() -> Vec<Value> {
    let mut teams = vec![json!({"id": "acme", "name": "Acme"})];
    for department in &DEPARTMENTS {
        teams.push(json!({"id": department.id, "name": department.name, "parent": "acme"}));
        let below = department.teams.iter();
        teams.extend(below.map(|(id, name)| json!({"id": id, "name": name, "parent": department.id})));
    }
    teams.extend(
        PROJECT_TEAMS
            .iter()
            .map(|(id, name)| json!({"id": id, "name": name, "parent": "acme"})),
    );
    teams
}

fn groups() -> Vec<Value> {
    GROUPS
        .iter()
        .map(|(id, name)| json!({"id": id, "name": name}))
        .collect()
}

/// The owner and the heads of the departments, in their order.
fn top_positions() -> Vec<Position> {
    let mut positions = vec![Position {
        role: Role::Owner,
        job: "Chief executive".to_owned(),
        department: None,
        team: "acme",
        manager: None,
        replaceable: false,
    }];
    for (index, department) in DEPARTMENTS.iter().enumerate() {
        positions.push(Position {
            role: Role::Manager,
            job: format!("Head of {}", department.name),
            department: Some(index),
            team: department.id,
            manager: Some(0),
            replaceable: false,
        });
    }
    positions
}

/// The tree of managers: the owner, the heads of the departments, the leads of the teams, and all others.
fn positions(random: &mut Random, people: usize) -> Vec<Position> {
    let mut positions = top_positions();
    // The lead of each team, by department and team.
    let mut leads = BTreeMap::new();
    for (index, department) in DEPARTMENTS.iter().enumerate() {
        for (number, (team, name)) in department.teams.iter().enumerate() {
            leads.insert((index, number), positions.len());
            positions.push(Position {
                role: Role::Manager,
                job: format!("Team lead, {name}"),
                department: Some(index),
                team,
                manager: Some(index + 1),
                replaceable: false,
            });
        }
    }
    let teams: Vec<(usize, usize)> = leads.keys().copied().collect();
    let mut position = |role, job: &str, (department, team): (usize, usize), replaceable| {
        let manager = leads.get(&(department, team)).copied();
        let team = DEPARTMENTS[department].teams[team].0;
        positions.push(Position {
            role,
            job: job.to_owned(),
            department: Some(department),
            team,
            manager,
            replaceable,
        });
        positions.len()
    };
    let mut filled = 0;
    for (role, department, team, job) in SPECIALISTS {
        filled = position(role, job, (department, team), false);
    }
    while filled < people {
        // The warehouses are the first two teams. They get more people than others.
        let of = if random.percent(30) {
            teams[random.below(2)]
        } else {
            *random.pick(&teams)
        };
        let job = *random.pick(DEPARTMENTS[of.0].jobs);
        filled = position(Role::Learner, job, of, true);
    }
    positions
}

/// The time at which a member left the organisation, if the member left.
fn draw_leaving(random: &mut Random, now: Timestamp, position: &Position, days: i64) -> Option<Timestamp> {
    (position.replaceable && days > 200 && random.percent(10)).then(|| {
        Timestamp::from_micros(
            (now.micros() / DAY - random.between(15, days.min(650) - 60)) * DAY + DAY * 2 / 3,
        )
    })
}

fn member(
    random: &mut Random,
    now: Timestamp,
    index: usize,
    position: &Position,
    manager: Option<String>,
    taken: &mut BTreeSet<String>,
) -> Member {
    let country = random.pick(&COUNTRIES);
    let (first, last, email) = name(random, country, taken);
    let days = if position.replaceable && random.percent(35) {
        random.between(20, 900)
    } else {
        random.between(800, 4_400)
    };
    let joined = Timestamp::from_micros((now.micros() / DAY - days) * DAY);
    let left = draw_leaving(random, now, position, days);
    let department = position.department.and_then(|index| DEPARTMENTS.get(index));
    let mut teams = vec![position.team];
    if random.percent(7) {
        teams.push(random.pick(&PROJECT_TEAMS).0);
    }
    let mut body = json!({
        "id": format!("u{:03}", index + 1),
        "first_name": first,
        "last_name": last,
        "email": email,
        "role": position.role.key(),
        "job_title": position.job,
        "language": country.language,
        "location": random.pick(country.places),
        "joined_on": format_date(joined),
        "manager": manager,
        "primary_team": position.team,
        "teams": teams,
        "groups": memberships(random, position, days),
        "custom": custom(random, position, department),
    });
    if let Some(left) = left {
        body["active"] = json!(false);
        body["deactivated_at"] = json!(left);
    }
    Member {
        id: format!("u{:03}", index + 1),
        name: format!("{first} {last}"),
        email,
        role: position.role,
        job: position.job.clone(),
        manager,
        interests: department.map_or(&["leadership", "finance"], |department| department.interests),
        joined,
        left,
        skill: 66.0 + 32.0 * random.fraction(),
        diligence: 0.3 + 1.7 * random.fraction() * random.fraction(),
        private_email: None,
        body,
    }
}

fn memberships(random: &mut Random, position: &Position, days: i64) -> Vec<&'static str> {
    let mut groups = Vec::new();
    if random.percent(9) {
        groups.push("first-aiders");
    }
    if position.job == "Forklift driver" || (position.department == Some(0) && random.percent(10)) {
        groups.push("forklift-drivers");
    }
    if position.replaceable && random.percent(4) {
        groups.push("works-council");
    }
    if days < 120 {
        groups.push("new-starters");
    }
    groups
}

fn custom(random: &mut Random, position: &Position, department: Option<&Department>) -> Map<String, Value> {
    let kind = match random.below(20) {
        0 | 1 if position.replaceable => "temporary",
        2 if position.replaceable => "apprentice",
        _ => "permanent",
    };
    let mut custom = Map::new();
    custom.insert(
        "cost_centre".to_owned(),
        json!(department.map_or("4000", |department| department.cost_centre)),
    );
    custom.insert("employee_type".to_owned(), json!(kind));
    if position.department == Some(0) {
        custom.insert(
            "shift".to_owned(),
            json!(random.pick(&["early", "late", "night"])),
        );
    }
    custom
}

/// The date without the time.
fn format_date(at: Timestamp) -> String {
    at.to_datetime().format("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_except_the_owner_has_a_manager_above() {
        let staff = staff(
            &mut Random::new(1),
            Timestamp::from_micros(1_800_000_000_000_000),
            200,
        );
        assert_eq!(staff.members.len(), 200);
        assert_eq!(
            staff
                .members
                .iter()
                .filter(|member| member.manager.is_none())
                .count(),
            1
        );
        for (index, member) in staff.members.iter().enumerate().skip(1) {
            let above = staff
                .members
                .iter()
                .position(|other| Some(&other.id) == member.manager.as_ref());
            assert!(above.is_some_and(|above| above < index), "{}", member.id);
        }
        let gone = staff
            .members
            .iter()
            .filter(|member| member.left.is_some())
            .count();
        assert!((5..30).contains(&gone), "{gone} have left");
        for role in Role::ALL {
            assert!(
                staff.members.iter().any(|member| member.role == role),
                "no member is {role}"
            );
        }
    }
}
