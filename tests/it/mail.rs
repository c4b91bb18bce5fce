//! What is sent: schedules, the sender, messages and the links in them.

mod calendar;
mod held_up;
mod journeys;
mod links;
mod processes;
mod replicas;
mod rights;
mod runs;
mod smtp;
mod year;
