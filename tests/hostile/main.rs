//! Hostile and careless input to the program `smile-train`: nothing is lost, nobody hangs, and no machine is brought
//! down. Every run has a bound on its memory and on its time; the files are made by the tests themselves.
#![cfg(unix)]

mod archives;
mod bounded;
mod bytes;
mod careless;
mod folders;
mod outputs;
mod pictures;
mod terminal;
mod training;

#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../train/pictures.rs"]
mod generated;
