//! Policy decisions from config documents: an immutable [`RouteTable`] that is swapped as a whole.
//!
//! The table answers all policy questions of a request in memory: its route, the origin of the route, who may
//! use the route ([`Route::authorize`]), and which capabilities are offered under which names ([`Curation`]).
//!
//! *Architecture invariant:* no I/O, no clock, no interior mutability. A request holds one `Arc<RouteTable>`
//! from start to end.

mod access;
mod build;
mod builder_entries;
mod credential_subject;
mod curation;
mod name_set;
mod principal;
mod route_table;
mod table_builder;
mod uri_template;

pub use access::{RouteAccess, ToolRules};
pub use build::BuildError;
pub use credential_subject::CredentialSubject;
pub use curation::{CapabilityRules, Curation};
pub use name_set::NameSet;
pub use principal::{Principal, PrincipalId, PrincipalKind};
pub use route_table::{
    Gateway, IdentityProvider, Origin, OriginCredential, Route, RouteTable, RouteTableHandle, Workload,
    WorkloadAuth,
};
pub use table_builder::{DocumentRef, RejectedDocument, RouteTableBuilder};
pub use uri_template::expands_to;
