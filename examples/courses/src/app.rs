//! The routes, and the layers around them: this is the part to copy.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use larder::prelude::*;
use larder::session::CacheStore;
use tower_sessions::SessionManagerLayer;

use crate::home::Templates;
use crate::{Database, courses, home, login, query};

/// A quarter of an hour.
const TIMEOUT: u64 = 60 * 15;

/// What the views need.
#[derive(Clone, Debug)]
pub struct Courses {
    /// Where the courses are.
    pub database: Database,
    /// Where pages and fragments are kept.
    pub cache: Cache,
    /// Where sessions are kept; clearing the pages must log nobody out.
    pub sessions: Cache,
    /// What everybody logs in with: this is an example.
    pub password: Arc<str>,
}

/// The whole application.
pub fn app(courses: Courses) -> Router {
    // For clients: what a browser kept for a quarter of an hour, no write here could make it forget.
    let ask_again = || cache_control().max_age(0);
    let api = Router::new()
        .route(
            "/api/courses",
            get(courses::list)
                // The outermost first.
                .layer((ask_again(), from_fn(query::canonical), cache_page(TIMEOUT).tags(["course_list"])))
                .merge(post(courses::create).layer(invalidates(["course_list"]))),
        )
        .route(
            "/api/courses/{id}",
            get(courses::detail).layer((ask_again(), cache_page(TIMEOUT))).merge(
                axum::routing::put(courses::update)
                    .delete(courses::delete)
                    .layer(invalidates(["course:{id}", "course_list"])),
            ),
        );
    let pages = Router::new()
        .route("/", get(home::home))
        .route("/login", get(login::form).post(login::login))
        .route("/logout", post(login::logout))
        .layer(never_cache());

    // On http://127.0.0.1 a browser keeps no cookie that is for https alone; serve it over https and leave this out.
    let sessions = SessionManagerLayer::new(CacheStore::new(&courses.sessions)).with_secure(false);
    let caches = CachesLayer::new(&courses.cache);
    let templates = Templates::new(&courses);
    api.merge(pages.layer(axum::Extension(templates)))
        .with_state(courses)
        .layer(sessions)
        // Outside the session layer: no page that leaves with a new session's cookie is kept.
        .layer(caches)
}
