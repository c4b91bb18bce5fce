//! Tests of schedules, the sender, messages and download links.

mod calendar;
mod handover;
mod held_up;
mod journeys;
mod languages;
mod links;
mod processes;
mod replicas;
mod rights;
mod runs;
mod smtp;
mod widening;
mod year;
mod zones;
