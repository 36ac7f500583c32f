//! Whole requests, by rows.

use criterion::Criterion;
use larder_benches::{Ready, Row};

pub(crate) fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    for row in Row::ALL {
        let Ok(ready) = Ready::new(row) else { continue };
        let mut first = row.warm_up();
        // A hundred in one go, as going into the runtime is no part of a request.
        group.bench_function(format!("a hundred of {}", row.name), |b| {
            b.iter(|| {
                ready.send(first, 100);
                first += 100;
            });
        });
    }
    group.finish();
}
