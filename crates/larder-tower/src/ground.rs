//! Where a page that is to be stored comes down: its body on the way to the client, and its gate on the way to the store.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use larder_core::flight::Leader;
use larder_core::{Attachment, Fill, Key, Lease, UnixMillis};
use larder_http::{CacheStatus, Forward, Reason, StoredFlags, StoredMeta};

use crate::admit::Facts;
use crate::attach;
use crate::back::Plan;
use crate::body::{Drained, Reader, Resumed, SharedBody, drain_now};
use crate::detach;
use crate::engine::{Lead, Visit, say};
use crate::identity::{Identity, Variant};
use crate::landing::{Gate, Landed, LandedBody, Landing, Store, Task, Traffic, run_beside, run_soon};
use crate::outer::{Added, Outer};
use crate::passes::{PASS_ERROR_MILLIS, PASS_MILLIS};
use crate::respond;

/// What came of a response.
pub(crate) enum Settled {
    Done(Response<Body>),
    /// The store has to wait for something, and the answer says what came of it.
    Storing(Box<Storing>),
}

impl Lead {
    pub(crate) fn land(
        self: Box<Self>,
        mut parts: Parts,
        body: Body,
        mut plan: Plan,
        outer: Option<Outer>,
        now: UnixMillis,
    ) -> Settled {
        let Self { visit, forward, fill, traffic, flight, leader, attachment, lease, passed, .. } = *self;
        let body = attach::body(attachment.as_ref(), body);
        let facts = visit.facts;
        let is_part = plan.gateway.as_ref().is_some_and(|gateway| gateway.is_part);
        let own =
            plan.gateway.as_ref().and_then(|gateway| gateway.identity.as_ref()).unwrap_or(&visit.identity);
        let identity = match (facts.head, is_part) {
            (true, _) => own.head_twin(),
            (false, true) => own.part_twin(),
            (false, false) => own.clone(),
        };
        let variant = identity.variant(&plan.fields, &visit.headers, plan.widened);
        let credentialed = identity.is_credentialed() && !plan.widened;
        let mut status = CacheStatus::forward(forward);
        (status.stored, status.ttl) = (true, Some(plan.timing.ttl_secs(now)));
        status.detail = credentialed.then(|| facts.keyed());
        let (expected, added) = (plan.expected, plan.added);
        if let Some(gateway) = &mut plan.gateway {
            parts.headers = std::mem::take(&mut gateway.client);
        }
        let (max_body, max_fill) = {
            let settings = visit.engine.settings();
            (settings.max_body, settings.max_fill)
        };
        let ground = Ground {
            visit,
            fill,
            traffic,
            flight,
            leader,
            attachment,
            lease,
            passed,
            status: parts.status,
            identity,
            variant,
            credentialed,
            plan,
            now,
        };
        let client = |visit| Client { parts, status, facts, visit, now, added };

        if facts.head {
            // An empty body without a word about its length may be what a server left of one whose length nobody knew.
            let length = expected.filter(|length| *length > 0);
            drop(body);
            let (gate, visit) = ground.gate(LandedBody::Whole(Bytes::new()));
            return pass_gate(&gate, Some(Ok(Bytes::new())), outer).then(client(visit), Rest::Head(length));
        }
        match drain_now(body, max_body) {
            Drained::Whole(bytes) if expected.is_none_or(|expected| expected == bytes.len() as u64) => {
                let (gate, visit) = ground.gate(LandedBody::Whole(bytes.clone()));
                pass_gate(&gate, Some(Ok(bytes.clone())), outer).then(client(visit), Rest::Whole(bytes))
            }
            Drained::Whole(bytes) => {
                // Shorter or longer than it announced. It must not claim the length that it has: a server that believes it leaves the
                // connection open, and the client takes the next answer for the rest of this one.
                let visit = ground.each_for_itself(Reason::Truncated);
                let error = Some(axum::Error::new("the body is not as long as it announced"));
                let broken = Resumed { begun: [bytes].into(), trailer: None, error, rest: None };
                Settled::Done(client(visit).unstored(Reason::Truncated, forward, Body::new(broken)))
            }
            Drained::Unfit(reason, begun, rest, trailer, error) => {
                let visit = ground.each_for_itself(reason);
                let rest = Resumed { begun: begun.into(), trailer, error, rest: Some(rest) };
                Settled::Done(client(visit).unstored(reason, forward, Body::new(rest)))
            }
            Drained::Partly(begun, rest) => {
                // The gate knows the page, the page knows the body, the body tells the gate: a circle, cut when the body ends or is given up.
                let slot: Arc<std::sync::OnceLock<Arc<Gate>>> = Arc::default();
                let (on_end, on_orphan) = {
                    let slot = Arc::clone(&slot);
                    let on_end = Box::new(move |outcome: Result<Bytes, Reason>| {
                        if let Some(gate) = slot.get() {
                            run_soon(gate.ended(outcome));
                        }
                    });
                    // Whoever makes a page behind an answer reads it themselves, for as long as that may take.
                    let limit = ground.visit.role.renewal().is_none().then_some(max_fill);
                    let on_orphan = Box::new(move |body: SharedBody| match limit {
                        Some(limit) => detach::spawn(limit, body.finish()),
                        None => body.abandon(),
                    });
                    (on_end, on_orphan)
                };
                let shared = SharedBody::new(rest, begun, max_body, expected, on_end, on_orphan);
                let reader = shared.reader();
                let (gate, visit) = ground.gate(LandedBody::Coming(shared));
                // Before anybody can read, so before the end can come.
                let _ = slot.set(Arc::clone(&gate));
                pass_gate(&gate, None, outer).then(client(visit), Rest::Streamed(reader))
            }
        }
    }
}

/// All that is known of a page at its head.
struct Ground {
    visit: Box<Visit>,
    fill: Fill,
    traffic: Arc<Traffic>,
    flight: Key,
    leader: Option<Arc<Leader<Landing>>>,
    attachment: Option<Attachment>,
    lease: Option<Lease>,
    passed: bool,
    status: StatusCode,
    identity: Identity,
    variant: Variant,
    credentialed: bool,
    plan: Plan,
    now: UnixMillis,
}

impl Ground {
    /// The gate that the page has to pass.
    fn gate(self, body: LandedBody) -> (Arc<Gate>, Box<Visit>) {
        let Self { visit, plan, variant, identity, .. } = self;
        let (facts, settings) = (visit.facts, visit.engine.settings());
        let meta = StoredMeta {
            key: Bytes::copy_from_slice(variant.key().identity()),
            vary: plan.fields.iter().cloned().collect(),
            flags: StoredFlags {
                head_only: facts.head,
                widened: plan.widened,
                credentialed: self.credentialed,
            },
            timing: plan.timing,
            fill_ms: u32::try_from(self.now.saturating_sub(visit.began)).unwrap_or(u32::MAX),
            forms: Vec::new(),
        };
        let gateway = plan.gateway.as_deref();
        let (keep, parts) = (
            gateway.map(|gateway| gateway.keep),
            gateway.and_then(|gateway| gateway.parts(&visit, &plan.fields)).map(Box::new),
        );
        let landed = Arc::new(Landed {
            status: self.status,
            headers: plan.headers,
            fields: plan.fields,
            variant,
            widened: plan.widened,
            meta,
            body,
            shareable: gateway.is_none_or(|gateway| gateway.shareable),
        });
        let store = Store {
            cache: visit.cache.beside_requests(),
            identity,
            fill: self.fill,
            tags: plan.tags,
            attachment: self.attachment,
            limit: settings.max_variants,
            landed,
            leader: self.leader,
            lease: self.lease,
            passed: self.passed,
            route: visit.route(),
            keep,
            precompress: settings.precompress && keep.is_none() && !facts.head,
            parts,
            refresh: visit.role.renewal().cloned(),
            drives: visit.role.renewal().is_none().then_some(settings.max_fill),
        };
        (Gate::new(store, self.traffic, self.flight), visit)
    }

    /// Found out at once that it can't be stored: as in `release`.
    fn each_for_itself(self, reason: Reason) -> Box<Visit> {
        if let Some(leader) = &self.leader {
            leader.publish(Landing::Alone);
        }
        if !self.visit.facts.solo {
            let millis = if reason == Reason::Trailers { PASS_MILLIS } else { PASS_ERROR_MILLIS };
            let until = self.now.saturating_add(millis);
            self.traffic.passes.note(&self.flight, until);
            if let Some(lease) = &self.lease {
                lease.pass(until);
            }
        }
        self.visit
    }
}

/// How a page came before its gate.
enum Passed {
    /// Why it was not stored, if that is known already.
    Known(Result<(), Reason>),
    /// The store waits for something.
    Storing(Task),
}

/// Brings a page before the gate: approved at once, or when the outermost layer says so.
fn pass_gate(gate: &Arc<Gate>, body: Option<Result<Bytes, Reason>>, outer: Option<Outer>) -> Passed {
    if let Some(body) = body {
        run_soon(gate.ended(body));
    }
    match outer {
        None => match gate.approve() {
            Some(mut task) => match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(stored) => Passed::Known(stored),
                Poll::Pending => Passed::Storing(task),
            },
            None => Passed::Known(Ok(())),
        },
        Some(outer) => {
            let gate = Arc::clone(gate);
            outer.defer(Box::new(move |verdict| match verdict {
                Ok(()) => run_soon(gate.approve()),
                Err(reason) => gate.refuse(reason),
            }));
            Passed::Known(Ok(()))
        }
    }
}

impl Passed {
    fn then(self, client: Client, rest: Rest) -> Settled {
        match self {
            Self::Known(stored) => Settled::Done(client.told(stored).with(rest)),
            Self::Storing(task) => Settled::Storing(Box::new(Storing { task, client, rest })),
        }
    }
}

/// A page whose store has to wait for something.
pub(crate) struct Storing {
    task: Task,
    client: Client,
    rest: Rest,
}

impl Storing {
    pub(crate) async fn done(self: Box<Self>) -> Response<Body> {
        let Self { mut task, client, rest } = *self;
        // A store that takes longer than the request has time for goes on beside it, and what comes of it nobody can say yet.
        let stored = match client.visit.cache.while_patient(&mut task).await {
            Some(stored) => stored,
            None => {
                run_beside(task);
                Err(Reason::BackendError)
            }
        };
        client.told(stored).with(rest)
    }
}

/// What the client gets of a page that is being stored.
struct Client {
    parts: Parts,
    status: CacheStatus,
    facts: Facts,
    visit: Box<Visit>,
    now: UnixMillis,
    added: Added,
}

/// What follows the head.
enum Rest {
    /// Nothing; for HEAD, with the length that was said.
    Head(Option<u64>),
    Whole(Bytes),
    /// `None`: it broke at once.
    Streamed(Option<Reader>),
}

impl Client {
    /// What came of the store, where that is known before the head leaves.
    fn told(mut self, stored: Result<(), Reason>) -> Self {
        if let Err(reason) = stored {
            (self.status.stored, self.status.ttl) = (false, None);
            self.status.detail = Some(reason.as_str());
        }
        self
    }

    fn with(mut self, rest: Rest) -> Response<Body> {
        let body = match rest {
            Rest::Head(length) => {
                if let Some(length) = length {
                    let headers = &mut self.parts.headers;
                    headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
                }
                respond::bare(&self.parts.headers)
            }
            Rest::Whole(bytes) => Body::from(bytes),
            Rest::Streamed(Some(reader)) => Body::new(reader),
            // Never a clean end.
            Rest::Streamed(None) => {
                let error = Some(axum::Error::new("the body broke off"));
                Body::new(Resumed { error, ..Resumed::default() })
            }
        };
        self.finish(body)
    }

    fn finish(mut self, body: Body) -> Response<Body> {
        let headers = std::mem::take(&mut self.parts.headers);
        let (status, mut headers) =
            respond::conditioned_own(self.parts.status, headers, self.facts, &self.visit.headers, self.now);
        let body = if status == StatusCode::NOT_MODIFIED && self.parts.status != status {
            respond::unchanged(self.facts.coded)
        } else {
            body
        };
        self.status.append_to(&mut headers);
        (self.parts.status, self.parts.headers) = (status, headers);
        if self.facts.nested {
            self.parts.extensions.insert(self.added);
        }
        Response::from_parts(self.parts, body)
    }

    fn unstored(mut self, reason: Reason, forward: Forward, body: Body) -> Response<Body> {
        say(&mut self.parts.headers, forward, Some(reason));
        Response::from_parts(self.parts, body)
    }
}
