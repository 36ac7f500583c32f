//! The nodes of a Redis Cluster: each question goes to the primary that has the key, all at once, one exchange a node.
//!
//! - Which node has what is asked for when it is first needed, and again when a node says that a key has moved or can't be reached; by one, at
//!   most ten times a second, while the others go on with what is known.
//! - `MOVED` and `ASK` are followed at once. What a node that can't be reached was asked is not asked again: a promoted replica is asked by those
//!   who come later.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use larder_core::Error;
use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, RedisConnectionInfo, RedisError, ServerErrorKind};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::slots::{Address, Slots, redirect, slot};
use super::{Place, unanswered};
use crate::ask::{Answer, Ask};
use crate::connector::Connector;
use crate::dial::Dial;
use crate::error::{mapped, no_runtime};
use crate::link::within;
use crate::target::Target;

/// How often a question is sent on to another node.
const ROUNDS: usize = 6;
/// What is known is taken for true for so long.
const LEAST: Duration = Duration::from_millis(100);
/// How many nodes are asked for the map at once.
const AT_ONCE: usize = 8;

type Outcome = Option<Result<(), RedisError>>;

pub(crate) struct Cluster {
    seeds: Vec<Address>,
    dial: Dial,
    settings: RedisConnectionInfo,
    connect_timeout: Duration,
    max_silence: Duration,
    turn: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Option<Arc<Slots>>,
    nodes: HashMap<Address, Arc<Connector>>,
    asking: Option<watch::Receiver<Outcome>>,
    asked: Option<Instant>,
    failed: Option<RedisError>,
}

/// One question on its way.
struct Way {
    at: usize,
    /// To whom an `ASK` sent it.
    to: Option<Address>,
    by_text: bool,
}

impl Cluster {
    pub(crate) fn new(
        seeds: impl IntoIterator<Item = (String, u16)>,
        dial: Dial,
        settings: RedisConnectionInfo,
        connect_timeout: Duration,
        max_silence: Duration,
    ) -> Self {
        let seeds = seeds.into_iter().map(|(host, port)| (host.into(), port)).collect();
        let (turn, state) = (AtomicUsize::new(0), Mutex::default());
        Self { seeds, dial, settings, connect_timeout, max_silence, turn, state }
    }

    /// One exchange with each node concerned, at the same time; one more for what has moved.
    pub(super) async fn step(self: &Arc<Self>, asks: Vec<Ask>) -> Result<Vec<Answer>, Error> {
        let mut answers: Vec<Option<Answer>> = asks.iter().map(|_| None).collect();
        let mut todo: Vec<Way> = (0..asks.len()).map(|at| Way { at, to: None, by_text: false }).collect();
        for _ in 0..ROUNDS {
            if todo.is_empty() {
                break;
            }
            let slots = self.slots().await?;
            let mut parts: Vec<(Address, Vec<Way>)> = Vec::new();
            for way in todo.drain(..) {
                let there = way.to.as_ref().or_else(|| slots.primary(slot(asks[way.at].name().as_bytes())));
                let Some(there) = there else {
                    self.doubt();
                    return Err(mapped((ErrorKind::ClusterConnectionNotFound, "no node has the key").into()));
                };
                match parts.iter_mut().find(|(node, _)| node == there) {
                    Some((_, part)) => part.push(way),
                    None => parts.push((there.clone(), vec![way])),
                }
            }
            let asked = parts.iter().map(|(node, part)| self.exchange(node, part, &asks));
            for ((node, part), done) in parts.iter().zip(join_all(asked).await) {
                let done = done.map_err(|error| {
                    self.doubt();
                    mapped(error)
                })?;
                for (way, answer) in part.iter().zip(done) {
                    match self.further(way, &answer, node) {
                        Some(way) => todo.push(way),
                        None => answers[way.at] = Some(answer),
                    }
                }
            }
        }
        let missing = || mapped((ErrorKind::ClusterConnectionNotFound, "a key moves all the time").into());
        answers.into_iter().collect::<Option<Vec<_>>>().ok_or_else(missing)
    }

    async fn exchange(
        self: &Arc<Self>,
        node: &Address,
        part: &[Way],
        asks: &[Ask],
    ) -> Result<Vec<Answer>, RedisError> {
        let runtime = Handle::try_current().map_err(std::io::Error::other)?;
        let link = self.node(node)?.linked(&runtime).await?;
        let mut commands = Vec::with_capacity(part.len());
        for way in part {
            if way.to.is_some() {
                commands.push(redis::cmd("ASKING"));
            }
            commands.push(asks[way.at].to_command(link.run(), way.by_text));
        }
        let mut answers = link.exchange(commands).await?.into_iter();
        let mut wanted = Vec::with_capacity(part.len());
        for way in part {
            if way.to.is_some() {
                answers.next();
            }
            wanted.push(answers.next().ok_or_else(unanswered)?);
        }
        Ok(wanted)
    }

    /// Where a question goes after this answer, if it does.
    fn further(self: &Arc<Self>, way: &Way, answer: &Answer, node: &Address) -> Option<Way> {
        let Err(error) = &answer.value else { return None };
        let ErrorKind::Server(kind) = error.kind() else { return None };
        match kind {
            ServerErrorKind::Moved => {
                let (slot, to) = redirect(error, node)?;
                if let Some(slots) = &mut self.state.lock().slots {
                    Arc::make_mut(slots).moved(slot, to);
                }
                self.doubt();
                Some(Way { to: None, ..*way })
            }
            ServerErrorKind::Ask => {
                let (_, to) = redirect(error, node)?;
                Some(Way { to: Some(to), ..*way })
            }
            ServerErrorKind::NoScript if !way.by_text => {
                Some(Way { to: way.to.clone(), by_text: true, ..*way })
            }
            ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain => {
                self.doubt();
                None
            }
            _ => None,
        }
    }

    /// The primary of a slot, or of the next one that has one; and where the way over all primaries goes on.
    pub(super) async fn place(self: &Arc<Self>, slot: u16) -> Result<Place, Error> {
        let slots = self.slots().await?;
        let lowest = slots.lowest();
        let here = slots.primary(slot).or_else(|| {
            let later = lowest.iter().find(|(first, _)| *first >= slot);
            later.or_else(|| lowest.first()).map(|(_, node)| *node)
        });
        let Some(node) = here else { return Err(mapped(unanswered())) };
        let at = lowest.iter().position(|(_, there)| *there == node);
        let next = at.and_then(|at| lowest.get(at + 1)).map(|(first, _)| *first);
        Ok(Place { server: self.node(node).map_err(mapped)?, next })
    }

    pub(super) fn close(&self) {
        for node in self.state.lock().nodes.drain() {
            node.1.close();
        }
    }

    /// The connector of a node.
    fn node(&self, address: &Address) -> Result<Arc<Connector>, RedisError> {
        let mut state = self.state.lock();
        if let Some(node) = state.nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let client = self.dial.client(&address.0, address.1, self.settings.clone())?;
        let node = Arc::new(Connector::new(Target::One(client), self.connect_timeout, self.max_silence));
        state.nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    /// Who has what, as far as it is known. The first who asks is waited for by all; after a failure nobody else waits.
    async fn slots(self: &Arc<Self>) -> Result<Arc<Slots>, Error> {
        let mut asking = {
            let mut state = self.state.lock();
            if let Some(slots) = &state.slots {
                return Ok(Arc::clone(slots));
            }
            let under_way = state.asking.as_ref().filter(|asking| asking.has_changed().is_ok());
            match (under_way, &state.failed) {
                (Some(_), Some(error)) => return Err(mapped(error.clone())),
                (Some(asking), None) => asking.clone(),
                (None, _) => self.begin(&mut state).ok_or_else(no_runtime)?,
            }
        };
        let outcome = asking.wait_for(Option::is_some).await.map_err(|_| no_runtime())?.clone();
        match (outcome, &self.state.lock().slots) {
            (_, Some(slots)) => Ok(Arc::clone(slots)),
            (Some(Err(error)), None) => Err(mapped(error)),
            _ => Err(mapped(unanswered())),
        }
    }

    /// What is known may be wrong: asks anew, unless somebody just did.
    fn doubt(self: &Arc<Self>) {
        let mut state = self.state.lock();
        let under_way = state.asking.as_ref().is_some_and(|asking| asking.has_changed().is_ok());
        if !under_way && state.asked.is_none_or(|asked| asked.elapsed() >= LEAST) {
            self.begin(&mut state);
        }
    }

    fn begin(self: &Arc<Self>, state: &mut State) -> Option<watch::Receiver<Outcome>> {
        let runtime = Handle::try_current().ok()?;
        let (done, asking) = watch::channel(None);
        state.asking = Some(asking.clone());
        state.asked = Some(Instant::now());
        let cluster = Arc::clone(self);
        runtime.spawn(async move {
            let outcome = cluster.learn().await;
            {
                let mut state = cluster.state.lock();
                state.failed = outcome.as_ref().err().cloned();
                state.asking = None;
            }
            // Nobody may be waiting.
            _ = done.send(Some(outcome));
        });
        Some(asking)
    }

    /// Asks for the map: the primaries that are known, and if none of them answers, everybody.
    async fn learn(self: &Arc<Self>) -> Result<(), RedisError> {
        let known = self.state.lock().slots.clone();
        let epoch = known.as_ref().map_or(0, |slots| slots.epoch);
        let mut primaries = known.as_ref().map(|slots| slots.primaries().to_vec()).unwrap_or_default();
        // So that it is not always the same ones that are asked first.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % primaries.len().max(1);
        primaries.rotate_left(turn);
        let mut others = known.as_ref().map(|slots| slots.replicas().to_vec()).unwrap_or_default();
        others.extend(self.seeds.iter().filter(|seed| !primaries.contains(seed)).cloned());
        let mut last = unanswered();
        let mut behind: Option<Slots> = None;
        for some in primaries.chunks(AT_ONCE).chain(others.chunks(AT_ONCE)) {
            let mut asked = JoinSet::new();
            for node in some {
                let (cluster, node) = (Arc::clone(self), node.clone());
                asked.spawn(async move { within(cluster.connect_timeout, cluster.map(&node)).await });
            }
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok(Ok(slots)) if slots.epoch >= epoch => {
                        self.take(slots);
                        return Ok(());
                    }
                    // A node that was cut off knows less than we do.
                    Ok(Ok(slots)) => {
                        if behind.as_ref().is_none_or(|best| best.epoch < slots.epoch) {
                            behind = Some(slots);
                        }
                    }
                    Ok(Err(error)) => last = error,
                    Err(error) => last = std::io::Error::other(error).into(),
                }
            }
        }
        // All of them: it is another Cluster by now.
        let slots = behind.ok_or(last)?;
        self.take(slots);
        Ok(())
    }

    async fn map(&self, node: &Address) -> Result<Slots, RedisError> {
        let runtime = Handle::try_current().map_err(std::io::Error::other)?;
        let link = self.node(node)?.linked(&runtime).await?;
        let ask = |what: &str| {
            let mut ask = Cmd::new();
            ask.arg("CLUSTER").arg(what);
            ask
        };
        let mut answers = link.exchange(vec![ask("SLOTS"), ask("INFO")]).await?.into_iter();
        let slots = answers.next().ok_or_else(unanswered)?.value?;
        let info = answers.next().and_then(|answer| answer.value.ok());
        let nonsense = || RedisError::from((ErrorKind::Parse, "the node does not know where the keys are"));
        Slots::parse(&slots, info.as_ref(), node).ok_or_else(nonsense)
    }

    fn take(&self, slots: Slots) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let is_there = |node: &Address| slots.nodes().chain(&self.seeds).any(|there| there == node);
        state.nodes.retain(|node, connector| {
            let stays = is_there(node);
            if !stays {
                connector.close();
            }
            stays
        });
        state.slots = Some(Arc::new(slots));
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}
