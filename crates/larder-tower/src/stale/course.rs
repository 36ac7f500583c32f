//! What to do with a stale page that was found.

use larder_http::{Freshness, Reason};

use super::renewal::{Begun, Renewals};
use super::{Behind, Renewal, Role, Shown, Stale};
use crate::engine::{Front, Visit};
use crate::lookup::Found;

impl Visit {
    /// Decides what is done with a request that found a stale page. `behind` is what it takes to make it anew behind the answer, if that can be.
    pub(crate) async fn course(mut self: Box<Self>, stale: Stale, behind: Option<Behind>) -> Front {
        let now = self.cache.clock().now();
        let standing = stale.standing(now);
        let settings = self.engine.settings();
        let registry = self.cache.attached::<Renewals>();
        let spared = registry.rests(&stale.page.meta.key, now);
        let passes = self.is_passing(&stale);
        let (at_once, reason) = match standing {
            // Only an early refresh finds a fresh page here.
            Freshness::Fresh => (true, Reason::EarlyRefresh),
            Freshness::StaleWhileRevalidate => (true, Reason::StaleWhileRevalidate),
            _ => (false, Reason::SoftTimeout),
        };
        let soft = settings.stale.soft_timeout;
        if spared || (at_once && passes) {
            return match standing {
                Freshness::Fresh => Front::Hit(stale.page),
                _ if spared => Front::Show(stale, Shown::Spared),
                _ => Front::Show(stale, Shown::Behind(Reason::HitForMiss)),
            };
        }
        if let Some(behind) = behind.filter(|_| at_once || (soft.is_some() && !passes)) {
            let over = match Renewal::begin(settings, &self.cache, &stale.page) {
                Begun::New(refresh) => {
                    let over = refresh.over();
                    behind.begin(&self, refresh);
                    Some(over)
                }
                Begun::UnderWay(over) => Some(over),
                Begun::Full => None,
            };
            match (over, at_once, soft) {
                (Some(_), true, _) => return Front::Show(stale, Shown::Behind(reason)),
                (None, true, _) if standing == Freshness::Fresh => return Front::Hit(stale.page),
                (None, true, _) => return Front::Show(stale, Shown::Behind(Reason::RefreshLimit)),
                (Some(over), false, Some(limit)) => {
                    let clock = self.cache.clock().clone();
                    let failed = tokio::select! {
                        failed = over.wait() => failed,
                        () = clock.sleep(limit) => return Front::Show(stale, Shown::TooSlow),
                    };
                    if let Ok(Found::Hit(page)) = self.look().await {
                        return Front::Renewed(page);
                    }
                    if let Some(status) = failed {
                        return Front::Show(stale, Shown::Failed(status));
                    }
                }
                (_, false, _) => {}
            }
        } else if standing == Freshness::Fresh {
            return Front::Hit(stale.page);
        }
        self.role = match self.role {
            Role::Early => Role::Ordinary,
            role => role,
        };
        self.past(stale).await
    }

    /// Whether answers for this page are known not to be storable.
    fn is_passing(&self, stale: &Stale) -> bool {
        let fields = stale.page.meta.vary.iter().cloned().collect();
        let traffic = self.cache.attached::<crate::landing::Traffic>();
        traffic.passes.key(&self.flight_keys(&fields).0, self.cache.clock().now())
    }
}
