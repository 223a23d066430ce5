//! `smile-serve` as its users have it: the built program, asked over HTTP on loopback.

mod api;
mod broker;
mod cameras;
mod command;
mod security;
mod serve;
mod stub;
