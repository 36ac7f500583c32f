//! What can happen, as data: drawn from a seed, written as a line, read back from it.

use std::fmt;
use std::str::FromStr;

/// How many keys a schedule plays on.
pub(super) const KEYS: usize = 2;
/// How many tags.
pub(super) const TAGS: usize = 2;

/// One kind of move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Looks a page up; on a miss joins a flight or leads one.
    Page,
    /// The same without a look, as a refresh behind does.
    Fill,
    /// `get_or_set`.
    Make,
    Get,
    Many,
    Set,
    Add,
    Touch,
    Delete,
    Invalidate,
    Clear,
    /// Goes on with something under way until others may come between.
    Step,
    /// Looks after it once: on a server, it is under way beside what comes.
    Poke,
    /// Ends it.
    Finish,
    /// A record or an entry is evicted.
    Lose,
    /// Everything is.
    Empty,
    Wait,
    /// A process dies with all that it has under way, and begins anew.
    Crash,
    /// A process lets go of its connections.
    Close,
}

/// What a number in a move means, by how many there are.
#[derive(Clone, Copy, Debug)]
enum Arg {
    Process,
    Key,
    /// A set of tags.
    Tags,
    /// The same, not empty.
    SomeTags,
    /// No fragment, or the one under a key.
    Fragment,
    Timeout,
    /// Which of what is under way.
    Doing,
    Record,
    Span,
}

use Arg::*;

impl Arg {
    fn bound(self) -> u64 {
        match self {
            Process => 2,
            Key => KEYS as u64,
            Tags => 1 << TAGS,
            SomeTags => (1 << TAGS) - 1,
            Fragment => 1 + KEYS as u64,
            Timeout => 4,
            Doing => 8,
            Record => (2 + TAGS + KEYS) as u64,
            Span => 3,
        }
    }
}

#[derive(Clone, Copy)]
struct Kind {
    what: What,
    name: &'static str,
    args: &'static [Arg],
    /// How often it is drawn.
    weight: u64,
}

const fn kind(what: What, name: &'static str, args: &'static [Arg], weight: u64) -> Kind {
    Kind { what, name, args, weight }
}

const KINDS: [Kind; 19] = [
    kind(What::Page, "page", &[Process, Key, Tags, Tags, Fragment, Timeout], 14),
    kind(What::Fill, "fill", &[Process, Key, Tags, Tags, Fragment, Timeout], 6),
    kind(What::Make, "make", &[Process, Key, Tags, Timeout], 3),
    kind(What::Get, "get", &[Process, Key], 4),
    kind(What::Many, "many", &[Process], 2),
    kind(What::Set, "set", &[Process, Key, Tags, Timeout], 2),
    kind(What::Add, "add", &[Process, Key, Tags, Timeout], 1),
    kind(What::Touch, "touch", &[Process, Key, Timeout], 1),
    kind(What::Delete, "delete", &[Process, Key], 1),
    kind(What::Invalidate, "invalidate", &[Process, SomeTags], 10),
    kind(What::Clear, "clear", &[Process], 1),
    kind(What::Step, "step", &[Doing], 50),
    kind(What::Poke, "poke", &[Doing], 3),
    kind(What::Finish, "finish", &[Doing], 3),
    kind(What::Lose, "lose", &[Record], 6),
    kind(What::Empty, "empty", &[], 1),
    kind(What::Wait, "wait", &[Span], 2),
    kind(What::Crash, "crash", &[Process], 1),
    kind(What::Close, "close", &[Process], 1),
];

/// A move: its kind and its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) what: What,
    pub(super) args: [usize; 6],
}

/// A schedule as one line.
pub(super) struct Line<'a>(pub(super) &'a [Move]);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, one) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            let kind = KINDS.iter().find(|kind| kind.what == one.what);
            let (name, arity) = kind.map_or(("?", 0), |kind| (kind.name, kind.args.len()));
            f.write_str(name)?;
            for arg in &one.args[..arity] {
                write!(f, " {arg}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Move {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
            let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            return Err(format!("{name:?} is no move; there are {}", known.join(", ")));
        };
        let numbers: Result<Vec<usize>, _> = words.map(str::parse).collect();
        let numbers = numbers.map_err(|error| format!("{text:?}: {error}"))?;
        if numbers.len() != kind.args.len() {
            return Err(format!("{text:?}: {name} takes {} numbers, {:?}", kind.args.len(), kind.args));
        }
        let mut args = [0; 6];
        for ((arg, number), kind) in args.iter_mut().zip(numbers).zip(kind.args) {
            // What is not there is taken round, as everywhere.
            *arg = number % usize::try_from(kind.bound()).unwrap_or(1);
        }
        Ok(Self { what: kind.what, args })
    }
}

/// A schedule that was written as a line.
pub(super) fn parse(line: &str) -> Result<Vec<Move>, String> {
    line.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
}

/// The schedule of a seed. Each plays with some of the moves only, and often on one key or by one process, so that what races meets.
pub(super) fn draw(seed: u64, length: usize) -> Vec<Move> {
    let mut random = Random(seed);
    let one_key = random.below(4) > 0;
    let one_process = random.below(3) == 0;
    let weights = KINDS.map(|kind| if kind.weight < 6 && random.below(3) > 0 { 0 } else { kind.weight });
    let all: u64 = weights.iter().sum();
    let mut draw = || {
        let mut at = random.below(all);
        let kind = KINDS.iter().zip(weights).find(|(_, weight)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        // The weights add up to what was drawn from.
        let kind = kind.map_or(&KINDS[0], |(kind, _)| kind);
        let mut args = [0; 6];
        for (arg, kind) in args.iter_mut().zip(kind.args) {
            let drawn = usize::try_from(random.below(kind.bound())).unwrap_or_default();
            *arg = match kind {
                Key if one_key => 0,
                Process if one_process => 0,
                _ => drawn,
            };
        }
        Move { what: kind.what, args }
    };
    (0..length).map(|_| draw()).collect()
}

/// SplitMix64: the same on every machine and in every version.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_back_as_it_was_written() {
        for seed in 0..200 {
            let moves = draw(seed, 50);
            assert_eq!(parse(&Line(&moves).to_string()), Ok(moves));
        }
    }

    #[test]
    fn a_seed_always_gives_the_same_schedule_and_another_one_another() {
        assert_eq!(draw(7, 40), draw(7, 40));
        assert_ne!(draw(7, 40), draw(8, 40));
    }

    #[test]
    fn every_move_is_drawn() {
        let moves: Vec<Move> = (0..50).flat_map(|seed| draw(seed, 100)).collect();
        for kind in &KINDS {
            assert!(moves.iter().any(|one| one.what == kind.what), "{}", kind.name);
        }
    }

    #[test]
    fn what_is_no_schedule_says_what_is_wrong() {
        for (line, why) in [("jump 1", "no move"), ("get 1", "takes 2 numbers"), ("get a b", "invalid digit")]
        {
            assert!(parse(line).unwrap_err().contains(why), "{line}");
        }
    }
}
