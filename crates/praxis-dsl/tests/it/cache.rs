//! Checks that are remembered.

use std::sync::Arc;
use std::time::Duration;

use praxis_cache::{CacheService, ManualClock};
use praxis_dsl::{
    Catalog, CatalogDigest, CheckCache, Limits, ParameterKind, ToolSignature, parse_with,
};

#[test]
fn the_same_text_and_tools_are_checked_once() {
    let clock = Arc::new(ManualClock::default());
    let service = CacheService::with_clock(1 << 20, Duration::MAX, Arc::clone(&clock));
    let cache = CheckCache::with_service(Arc::new(service));
    let catalog = crate::catalog();
    let digest = CatalogDigest::of(&catalog);
    let hits = || cache.service().category_stats(CheckCache::CATEGORY).hits;
    let first = cache.check("CALL ping", digest, &catalog);
    assert!(Arc::ptr_eq(
        &first,
        &cache.check("CALL ping", digest, &catalog)
    ));
    assert_eq!(hits(), 1);

    let other = cache.check("CALL pnig", digest, &catalog);
    assert_eq!(other.checked().diagnostics.len(), 1);
    let none = Catalog::new();
    let empty = cache.check("CALL ping", CatalogDigest::of(&none), &none);
    assert!(empty.checked().program.is_none());
    assert_eq!(hits(), 1);

    clock.advance(CheckCache::TTL + Duration::from_secs(1));
    assert!(!Arc::ptr_eq(
        &first,
        &cache.check("CALL ping", digest, &catalog)
    ));
}

#[test]
fn what_is_too_large_is_not_taken_for_an_empty_program() {
    let limits = Limits {
        max_source_bytes: 4,
        ..Limits::DEFAULT
    };
    let (cache, catalog) = (CheckCache::new(1 << 20), crate::catalog());
    let digest = CatalogDigest::of(&catalog);
    let refused = cache.check_tree(&parse_with("CALL ping", &limits), digest, &catalog);
    assert!(refused.checked().has_errors());
    assert!(!cache.check("", digest, &catalog).checked().has_errors());
}

#[test]
fn a_digest_is_that_of_the_signatures() {
    let tool = |kind| ToolSignature::new("say").required("text", kind);
    let digest =
        |tools: Vec<ToolSignature>| CatalogDigest::of(&tools.into_iter().collect::<Catalog>());
    let text = digest(vec![tool(ParameterKind::Text), ToolSignature::new("ping")]);
    assert_eq!(
        text,
        digest(vec![ToolSignature::new("ping"), tool(ParameterKind::Text)])
    );
    assert_ne!(
        text,
        digest(vec![tool(ParameterKind::Any), ToolSignature::new("ping")])
    );
    assert_ne!(text, digest(vec![tool(ParameterKind::Text)]));
    let mut described = tool(ParameterKind::Text);
    described.description = "says it".to_owned();
    assert_ne!(text, digest(vec![described, ToolSignature::new("ping")]));
}
