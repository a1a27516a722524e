//! Messages: telling and asking beside bare actix in one run, and what neighbours feel of a flood.
//!
//! `cargo bench --bench mailbox -- [rate|flood]`. Read the ratios; absolute figures are the machine's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot go on ends"
)]

#[path = "mailbox/flood.rs"]
mod flood;
#[path = "mailbox/rate.rs"]
mod rate;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let wants = |word: &str| words.is_empty() || words.iter().any(|wanted| wanted == word);
    if wants("rate") {
        rate::measure();
    }
    if wants("flood") {
        flood::measure();
    }
}
