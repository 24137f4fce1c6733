//! The contract, as built for decisions: an immutable [`RouteTable`] that is swapped whole.
//!
//! Everything that a request asks of policy is answered from here, in memory, without I/O: which route, which origin behind it,
//! who may use it ([`Route::admit`]), which of the origin's names are offered and under what name ([`Curation`]).
//!
//! *Architecture invariant:* no I/O, no clock, no interior mutability. A request holds one `Arc<RouteTable>` from start to end.

mod admission;
mod assembly;
mod build;
mod curation;
mod holder;
mod names;
mod parts;
mod principal;
mod table;
mod template;

pub use admission::{Admission, ToolRules};
pub use assembly::{Assembly, Part, Problem};
pub use build::BuildError;
pub use curation::{Curation, KindRules};
pub use holder::Holder;
pub use names::NameSet;
pub use principal::{Principal, PrincipalId, PrincipalKind};
pub use table::{
    Gateway, IdentityProvider, Origin, OriginCredential, Route, RouteTable, Tables, Workload, WorkloadProof,
};
pub use template::expands_to;
