//! Looking for a page where that takes waiting. A hit needs hardly anything but the key, so what it takes to make a page is prepared when there is
//! none.

use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use larder_core::{Cache, UnixMillis};

use crate::admit::Facts;
use crate::engine::{Engine, Looked, Visit};
use crate::identity::Identity;
use crate::kept::Page;
use crate::landing::Traffic;
use crate::lookup::{Found, look_only};
use crate::stale::Role;

/// An admitted request, of which no more is known than what it asks for.
pub(crate) struct Seek {
    pub(crate) engine: Engine,
    /// A handle for this request: it costs one deadline at most.
    pub(crate) cache: Cache,
    pub(crate) identity: Identity,
    pub(crate) facts: Facts,
    pub(crate) began: UnixMillis,
    pub(crate) role: Role,
}

impl Seek {
    /// The stored page, if nothing else is to be done; or else what was found, if it was looked for.
    pub(crate) async fn hit(&mut self, headers: &HeaderMap) -> Result<Arc<Page>, Option<Looked>> {
        let Self { engine, cache, identity, facts, began, role } = self;
        // Of a HEAD there may be two pages.
        if facts.precondition || facts.refresh || facts.head || !role.is_ordinary() {
            return Err(None);
        }
        let landed = cache.attached_ref::<Traffic>().landed(identity);
        let limit = engine.settings().max_variants;
        let found = look_only(cache, identity, headers, limit, *began).await;
        if let Ok(Found::Hit(page)) = &found {
            if !engine.settings().stale.is_early(&page.meta, *began) {
                return Ok(Arc::clone(page));
            }
            // It is the one that makes this page anew early; the dice are thrown once.
            *role = Role::Early;
        }
        Err(Some(Looked { landed, found }))
    }

    /// With all that may be needed to make the page.
    pub(crate) fn visit(self, parts: &Parts, looked: Option<Looked>) -> Box<Visit> {
        let Self { engine, cache, identity, facts, began, role } = self;
        let mut visit = Visit::new(&engine, cache, identity, facts, role, began, parts);
        visit.looked = looked;
        visit
    }
}
