//! A cache for the results of tools that knows what each result depends on.
//!
//! What a result depends on is in its [key](CacheKeyBuilder) (the tool, its contract and program, the tenant, the variables, the arguments) or checked at each hit (the [versions](Versions) of the [resources](Resource) that were read).
//! So a hit is never stale, whoever changed the world in between.
//!
//! ```
//! use praxis_cache::{CacheKeyBuilder, NoVersions, Policy, RunId, ToolCache};
//! use serde_json::{Value, json};
//!
//! async fn word_count(text: &str) -> Result<Value, std::io::Error> {
//!     Ok(json!(text.split_whitespace().count()))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = ToolCache::builder().max_entries(1_000).build();
//! let keys = CacheKeyBuilder::new("word_count").contract(b"its digest");
//! let policy = Policy::pure(RunId::unique());
//! for round in 0..2 {
//!     let arguments = json!({"text": "to be or not to be"});
//!     let key = keys.key(arguments.as_object().expect("an object"))?;
//!     let outcome = cache
//!         .get_or_run(&key, &policy, &NoVersions, || word_count("to be or not to be"))
//!         .await?;
//!     assert_eq!(*outcome.value, json!(6));
//!     assert_eq!(outcome.cached, round == 1);
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod canonical;
mod clock;
mod entry;
mod error;
mod explain;
mod fill;
mod flight;
mod hit;
mod id_hasher;
mod index;
mod invalidations;
mod key;
mod memory_versions;
mod pattern;
mod policy;
mod resource;
mod service;
mod stats;
pub mod store;
mod sweeper;
mod sync;
mod tool_cache;

#[cfg(feature = "fs")]
mod file_versions;

pub use builder::ToolCacheBuilder;
pub use canonical::{MAX_DEPTH, MAX_KEY_BYTES};
pub use clock::{Clock, ManualClock, MonotonicClock, WallClock};
pub use entry::Entry;
pub use error::{Error, ErrorKind};
pub use explain::{Explanation, Freshness};
#[cfg(feature = "fs")]
pub use file_versions::FileVersions;
pub use fill::Fill;
pub use hit::{Hit, Outcome};
pub use key::{CacheKey, CacheKeyBuilder, KeyId, KeyRef};
pub use memory_versions::MemoryVersions;
pub use pattern::Pattern;
pub use policy::{Answer, Class, Policy, RunId};
pub use resource::{NoVersions, Resource, Stamp, Version, Versions};
pub use service::{CacheService, Category, ServiceStats, Weighted};
pub use stats::Stats;
#[cfg(feature = "moka")]
pub use store::MokaStore;
#[cfg(feature = "disk")]
pub use store::{DiskError, DiskErrorKind, DiskStore};
pub use store::{LayeredStore, MapStore, QuickStore, Store};
pub use sweeper::Sweeper;
pub use tool_cache::ToolCache;
