//! What is left of a schedule when everything is taken away that does not matter.

use super::Checker;
use super::moves::Move;

/// How often a shorter one is tried at most.
const TRIES: usize = 400;

/// The shortest schedule that still fails, as far as leaving moves out makes it shorter.
pub(super) async fn shrink(checker: &Checker, moves: &[Move], mut why: String) -> (Vec<Move>, String) {
    let (mut left, mut tries) = (moves.to_vec(), 0);
    let mut part = left.len().div_ceil(2);
    while part > 0 {
        let (mut at, mut shorter) = (0, false);
        while at < left.len() && tries < TRIES {
            tries += 1;
            let end = (at + part).min(left.len());
            let without: Vec<Move> = left[..at].iter().chain(&left[end..]).copied().collect();
            match checker.once(&without).await.0 {
                Some(wrong) => {
                    (left, why, shorter) = (without, wrong, true);
                }
                None => at = end,
            }
        }
        if tries >= TRIES {
            break;
        }
        part = if part == 1 && shorter { 1 } else { part / 2 };
    }
    (left, why)
}
