//! Where the route table comes from. A source has a contract, or its documents one by one; [`Publisher`] puts the table in place,
//! whole or not at all.
//!
//! ```text
//! folder    manifests on this machine, compiled in process      folder.rs, ids.rs, keys.rs, watch.rs
//! cluster   what an operator publishes                          cluster/
//! ```
//!
//! *Architecture invariant:* only the folder source knows the compiler, and nothing here knows a request.

pub(crate) mod cluster;
mod folder;
#[cfg(test)]
mod golden;
mod ids;
mod keys;
mod publish;
mod watch;

pub(crate) use folder::{Folder, Loaded, read_folder};
pub(crate) use keys::FolderKeys;
pub(crate) use publish::Publisher;
pub(crate) use watch::{Edits, watch};
