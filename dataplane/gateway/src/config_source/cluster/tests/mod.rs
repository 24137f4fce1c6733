//! What a replica does, without a cluster.

mod follow;
mod mirror;
mod operator;
