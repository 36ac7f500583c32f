//! One server: whatever is asked is one exchange with it.

use std::sync::Arc;

use larder_core::Error;
use redis::{Cmd, ServerErrorKind, Value};

use super::{Read, unanswered};
use crate::ask::{Answer, Ask, Found, mget};
use crate::connector::Connector;
use crate::error::mapped;
use crate::incarnation::Run;

/// One command.
pub(super) async fn read(
    server: &Arc<Connector>,
    entries: &[String],
    records: &[String],
) -> Result<Read, Error> {
    let link = server.link().await?;
    let names = entries.iter().chain(records).map(String::as_str);
    let answer = link.exchange(vec![mget(names)]).await.map_err(mapped)?.pop();
    let mut all = found(answer.ok_or_else(|| mapped(unanswered()))?, entries.len() + records.len())?;
    let records = all.split_off(entries.len());
    Ok(Read { entries: all, records })
}

/// What stands under as many names, out of the answer to one command.
pub(super) fn found(answer: Answer, count: usize) -> Result<Vec<Found>, Error> {
    let run = answer.run;
    let all: Vec<_> = answer.to()?;
    if all.len() != count {
        return Err(mapped(unanswered()));
    }
    Ok(all.into_iter().map(|bytes| Found { bytes, run }).collect())
}

/// One exchange, since a server does what it is told in order; one more if it does not know a script.
pub(super) async fn steps(
    server: &Arc<Connector>,
    first: &[Ask],
    then: &[Ask],
) -> Result<(Vec<Answer>, Vec<Answer>), Error> {
    if first.is_empty() && then.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let link = server.link().await?;
    let asks: Vec<&Ask> = first.iter().chain(then).collect();
    let mut answers: Vec<Option<Answer>> = asks.iter().map(|_| None).collect();
    let mut todo: Vec<usize> = (0..asks.len()).collect();
    for by_text in [false, true] {
        let (commands, places) = compiled(&asks, &todo, first.len(), link.run(), by_text);
        for (places, answer) in places.into_iter().zip(link.exchange(commands).await.map_err(mapped)?) {
            spread(places, answer, &mut answers);
        }
        let unknown =
            |i: &usize| answers[*i].as_ref().is_some_and(|answer| answer.is(ServerErrorKind::NoScript));
        let Some(at) = todo.iter().copied().find(|i| unknown(i)) else { break };
        // What comes after it has been done too early, so it is done again. Only what may be done twice is ever asked for like that.
        let again = |i: &usize| unknown(i) || (at < first.len() && *i >= first.len());
        todo = todo.iter().copied().filter(again).collect();
    }
    let mut answers = answers.into_iter().collect::<Option<Vec<_>>>().ok_or_else(|| mapped(unanswered()))?;
    let then = answers.split_off(first.len());
    Ok((answers, then))
}

/// The commands, and whose answers each of them gives: what is only to be read is read by one.
fn compiled(
    asks: &[&Ask],
    todo: &[usize],
    first: usize,
    run: Run,
    by_text: bool,
) -> (Vec<Cmd>, Vec<Vec<usize>>) {
    let (mut commands, mut places) = (Vec::new(), Vec::new());
    for phase in [0..first, first..asks.len()] {
        let here = todo.iter().copied().filter(|i| phase.contains(i));
        let (gets, others): (Vec<usize>, Vec<usize>) = here.partition(|i| asks[*i].as_get().is_some());
        if !gets.is_empty() {
            commands.push(mget(gets.iter().filter_map(|i| asks[*i].as_get())));
            places.push(gets);
        }
        for i in others {
            commands.push(asks[i].to_command(run, by_text && asks[i].is_script()));
            places.push(vec![i]);
        }
    }
    (commands, places)
}

fn spread(places: Vec<usize>, answer: Answer, answers: &mut [Option<Answer>]) {
    let run = answer.run;
    match (&places[..], answer.value) {
        ([_, ..], Ok(Value::Array(values))) if values.len() == places.len() => {
            for (i, value) in places.into_iter().zip(values) {
                answers[i] = Some(Answer { value: Ok(value), run });
            }
        }
        (_, value) => {
            for i in places {
                answers[i] = Some(Answer { value: value.clone(), run });
            }
        }
    }
}
