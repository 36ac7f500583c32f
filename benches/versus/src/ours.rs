//! Larder.

use anyhow::Result;
use axum::{Router, routing::get};
use larder::{SiteService, prelude::*};

fn cache(url: Option<&str>) -> Result<Cache> {
    Ok(larder::open(url.unwrap_or("memory:"))?)
}

/// `cache_page` around the handler.
pub fn page(url: Option<&str>) -> Result<Router> {
    Ok(Router::new().route("/page", get(crate::page).layer(cache_page(900).cache(&cache(url)?))))
}

/// The same with room for millions of pages.
pub fn large() -> Result<Router> {
    page(Some("memory:?max_bytes=16GiB&max_entries=4000000"))
}

/// The pair around the router.
pub fn pair(url: Option<&str>) -> Result<Router> {
    let routes = Router::new().route("/page", get(crate::page));
    Ok(larder::site(routes).cache(&cache(url)?).into_router())
}

/// The same with no router around it.
pub fn pair_service(url: Option<&str>) -> Result<SiteService> {
    let routes = Router::new().route("/page", get(crate::page)).route("/runs", get(crate::runs));
    Ok(larder::site(routes).cache(&cache(url)?).into_service())
}
