//! How a visit begins, and how most that find no page go on: they lead at once.

use std::sync::Arc;

use http::request::Parts;
use larder_core::flight::Joined;
use larder_core::{Cache, UnixMillis};

use crate::admit::Facts;
use crate::engine::{Engine, Lead, Visit};
use crate::identity::Identity;
use crate::labels::Labels;
use crate::landing::Traffic;
use crate::lookup::{Found, look_now};
use crate::stale::Role;

impl Visit {
    /// A request with this head that was admitted now.
    pub(crate) fn new(
        engine: &Engine,
        cache: Cache,
        identity: Identity,
        facts: Facts,
        role: Role,
        began: UnixMillis,
        parts: &Parts,
    ) -> Box<Self> {
        let extensions = &parts.extensions;
        Box::new(Self {
            engine: engine.clone(),
            cache,
            identity,
            facts,
            headers: Arc::new(parts.headers.clone()),
            began,
            enclosed: extensions.get().cloned().unwrap_or_default(),
            role,
            standby: None,
            route: extensions.get().cloned(),
            labels: Labels::of(engine.settings(), parts),
            looked: None,
        })
    }

    /// Leads, if that needs no waiting and nobody makes the page yet: the usual miss in a store of this process. Whatever else there is to do with a
    /// request, [`front`](Self::front) does, as if this had not been tried.
    pub(crate) fn lead_at_once(mut self: Box<Self>) -> Result<Box<Lead>, Box<Self>> {
        if !self.may_be_answered() || self.facts.head || self.cache.shares_fills() {
            return Err(self);
        }
        let traffic = self.cache.attached::<Traffic>();
        let landed = traffic.landed(&self.identity);
        let now = self.cache.clock().now();
        let found = look_now(&self.cache, &self.identity, &self.headers, self.limit(), now);
        let Some(Found::Miss(forward)) = found else { return Err(self) };
        let Some(fill) = self.cache.begin_now(&self.known_tags()) else { return Err(self) };
        self.began = self.cache.clock().now();
        let flight = self.own_flight(&self.last_fields());
        if let Some(passed) = self.waits_for_none(&traffic, &flight, &flight) {
            let mut lead = self.lead(forward, fill, traffic, flight, None);
            lead.passed = passed;
            return Ok(lead);
        }
        let joined = traffic.flights.join(&flight, fill.fence(), self.engine.settings().max_waiters);
        match joined {
            // Nobody has landed between our look and our lead.
            Joined::Lead(leader) if traffic.landed(&self.identity) == landed => {
                Ok(self.lead(forward, fill, traffic, flight, Some(Arc::new(leader))))
            }
            _ => Err(self),
        }
    }
}
