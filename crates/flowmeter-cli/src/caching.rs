//! The response cache of a run: settings and flags become the cache that nodes use.
//!
//! Never looks anything up itself.

use std::sync::Arc;

use flowmeter_workflow::response_cache::{Caching, ResponseCache, ResponseCacheConfig};

use crate::args::CachingArgs;
use crate::config::Config;
use crate::home::Home;

/// The cache as the settings want it. Touches nothing on disk.
pub(crate) fn responses(config: &Config, home: &Home) -> ResponseCache {
    ResponseCache::new(ResponseCacheConfig {
        ttl: config.cache.ttl,
        bytes_max: config.cache.max_size,
        ..ResponseCacheConfig::in_folder(home.responses())
    })
}

/// How nodes use the cache. Nodes may want it without any flag.
pub(crate) fn caching(args: CachingArgs, config: &Config, home: &Home) -> Caching {
    if args.no_cache {
        return Caching::default();
    }
    Caching {
        responses: Some(Arc::new(responses(config, home))),
        all: args.cache || config.cache.enabled,
    }
}
