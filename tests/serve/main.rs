//! `smile-serve` as its users have it: the built program, asked over HTTP on loopback.

mod api;
mod broker;
mod browser;
mod cameras;
mod command;
mod fuzz;
#[cfg(feature = "kafka")]
mod kafka;
mod mosquitto;
mod page;
mod security;
mod serve;
mod stub;
