//! The entrance: is a request one for the cache, what is it keyed on, and is its page at hand? Up to here nothing waits, and a hit goes no further.

use axum::body::Body;
use http::request::Parts;
use http::{Extensions, HeaderMap, Response};
use larder_core::UnixMillis;
use larder_http::Reason;

use crate::admit::{Facts, Hosts, admit_noting};
use crate::engine::Engine;
use crate::identity::{Identity, Whence};
use crate::lookup::{Near, look_near};
use crate::marks::Marks;
use crate::outer::{Outer, Waits};
use crate::respond;
use crate::seek::Seek;
use crate::session::OnRequest;
use crate::settings::{Level, Settings};
use crate::stale::Role;
use crate::which::{Chosen, Handle, choose};

/// What [`Engine::enter`] makes of a request.
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and a box would cost more than the copy"
)]
pub(crate) enum Entrance {
    /// A page was at hand.
    Hit(Response<Body>),
    /// Admitted; the store has to be asked.
    Seek(Seek),
    /// Not for the cache.
    Bypass(Reason),
}

/// A request that was admitted, sorted out; it was not looked for yet.
struct Sorted<'a> {
    cache: Handle<'a>,
    own_id: bool,
    marks: Marks<'a>,
    hosts: Hosts<'a>,
    facts: Facts,
    began: UnixMillis,
    role: Role,
}

impl Sorted<'_> {
    /// Whether a stored page may be its answer, whatever else there is.
    #[inline]
    fn may_be_answered(&self) -> bool {
        !self.facts.precondition && !self.facts.refresh && self.role.is_ordinary()
    }

    #[inline(always)]
    fn identity(&self, settings: &Settings, parts: &Parts) -> Identity {
        let whence = Whence::seen(&parts.uri, self.marks.original, self.hosts);
        Identity::of_whence(settings, &self.cache, self.own_id, parts, self.facts, &whence)
    }

    /// Puts the session into the identity; `Err`: it can't have one that tells it from others.
    #[inline(always)]
    fn complete(&mut self, identity: &mut Identity, extensions: &Extensions) -> Result<(), Reason> {
        if identity.is_refused() {
            return Err(Reason::KeyFnRefused);
        }
        if self.marks.session {
            let session = OnRequest::of(extensions);
            if session.is_new {
                return Err(Reason::SessionModified);
            }
            identity.see_session(&session, &mut self.facts);
        }
        Ok(())
    }
}

impl Engine {
    /// Sorts a request out, and answers it if that needs no waiting. With `answer` false it is only sorted out.
    pub(crate) fn enter(&self, parts: &Parts, has_body: bool, answer: bool) -> Entrance {
        let settings = self.settings();
        let mut sorted = match self.sort_out(parts, has_body) {
            Ok(sorted) => sorted,
            Err(reason) => return Entrance::Bypass(reason),
        };
        let mut identity = sorted.identity(settings, parts);
        if let Err(reason) = sorted.complete(&mut identity, &parts.extensions) {
            return Entrance::Bypass(reason);
        }
        if answer
            && sorted.may_be_answered()
            && let Some(near) = self.hit_now(&sorted, &identity, &parts.headers)
            && let Some(page) = near.hit()
        {
            if !settings.stale.is_early(&page.meta, sorted.began) {
                return Entrance::Hit(respond::from_stored(page, sorted.facts, &parts.headers, sorted.began));
            }
            sorted.role = Role::Early;
        }
        self.seek(sorted, identity, parts)
    }

    /// The answer to a request that has one in the cache which needs no waiting. Whatever else becomes of it, [`enter`](Self::enter) says.
    pub(crate) fn at_once(&self, parts: &Parts, has_body: bool) -> Option<Response<Body>> {
        // The dice are for who can make the page anew, and are thrown once.
        if self.settings().stale.throws_dice() {
            return None;
        }
        let mut sorted = self.sort_out(parts, has_body).ok()?;
        if !sorted.may_be_answered() {
            return None;
        }
        let mut identity = sorted.identity(self.settings(), parts);
        sorted.complete(&mut identity, &parts.extensions).ok()?;
        let near = self.hit_now(&sorted, &identity, &parts.headers)?;
        Some(respond::from_stored(near.hit()?, sorted.facts, &parts.headers, sorted.began))
    }

    #[inline(always)]
    fn sort_out<'a>(&'a self, parts: &'a Parts, has_body: bool) -> Result<Sorted<'a>, Reason> {
        let settings = self.settings();
        let mut hosts = Hosts::default();
        let Parts { method, headers, extensions, .. } = parts;
        let mut facts = admit_noting(method, headers, &settings.identity_headers, has_body, &mut hosts)?;
        facts.credentials |= settings.usual_identity_headers.iter().any(|name| headers.contains_key(name));
        // A site of zero seconds still stores the pages that say how long themselves, and a function may say it of any page.
        if settings.timeout.is_zero() && settings.level == Level::Page && settings.timeout_fn.is_none() {
            return Err(Reason::ZeroTimeout);
        }
        let marks = Marks::of(extensions);
        let Some(Chosen { cache, own_id }) = choose(settings, extensions) else {
            return Err(Reason::NoSuchCache);
        };
        (facts.nested, facts.refresh) = (marks.nested, marks.refresh);
        let began = cache.clock().now();
        let role = Role::marked(marks.renewing, settings);
        Ok(Sorted { cache, own_id, marks, hosts, facts, began, role })
    }

    #[inline(never)]
    fn seek(&self, sorted: Sorted<'_>, identity: Identity, parts: &Parts) -> Entrance {
        let Sorted { cache, facts, began, role, .. } = sorted;
        if self.settings().stale.refreshes()
            && let Some(outer) = parts.extensions.get::<Outer>()
        {
            outer.want_again();
        }
        let cache = match role {
            Role::Renewal(_) => cache.beside_requests(),
            _ => Waits::handle(&parts.extensions, &cache),
        };
        Entrance::Seek(Seek { engine: self.clone(), cache, identity, facts, began, role })
    }

    #[inline(always)]
    fn hit_now(&self, sorted: &Sorted<'_>, identity: &Identity, headers: &HeaderMap) -> Option<Near> {
        let Sorted { cache, began: now, .. } = sorted;
        let (limit, now) = (self.settings().max_variants, *now);
        let near = look_near(cache, identity, headers, limit, now)?;
        if near.hit().is_some() || !sorted.facts.head {
            return Some(near);
        }
        look_near(cache, &identity.head_twin(), headers, limit, now)
    }
}
