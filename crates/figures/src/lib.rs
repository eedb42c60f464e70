//! Figures: measured in turns, so that what disturbs one disturbs the others, told as ratios, and drawn.
//!
//! Absolute times move with the machine and with whatever else runs on it. What is compared is therefore measured round by
//! round, and nothing here passes or fails by a time.

pub mod plot;
pub mod rounds;
