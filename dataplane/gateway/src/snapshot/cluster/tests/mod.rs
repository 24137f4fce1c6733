//! What a replica does, without a cluster.

mod follow;
mod holdings;
mod operator;
