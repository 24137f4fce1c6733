//! Tests of the cluster source without a cluster.

mod follow;
mod mirror;
mod operator;
mod replay;
