//! What is measured: a request each, through a router as an application builds it.
//!
//! `cargo xtask bench` counts the instructions and allocations of every [`Row`] and compares them with the committed
//! baseline; `cargo bench -p larder-benches` times the pieces. Both are explained on the page about performance.
//!
//! | where | what |
//! |---|---|
//! | `src/rows.rs` | the rows: name, router, request, and what each is compared with |
//! | `src/run.rs` | sending a row's requests, in one thread or several |
//! | `src/main.rs` | the program that callgrind and the allocation counter watch |
//! | `src/bin/scale.rs` | the program that looks at threads and at many pages |
//! | `src/bin/stores/` | the program that asks stores outside the process |
//! | `pieces/` | criterion: the pieces that a request is made of |
//! | `baseline.json` | what the rows cost when it was last saved |
//! | `versus/` | other caches, beside the workspace |
//! | `RESULTS.md`, `plots/` | what the commands found, with machine and date |

mod rows;
mod run;

pub use rows::{Page, Row, row};
pub use run::{Ready, aggregate, median};
