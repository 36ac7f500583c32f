//! A catalogue of courses: an API with search, filters and pages, an HTML page, and a login. What is cached, and how it is forgotten:
//!
//! | path | how it is cached |
//! |---|---|
//! | `GET /api/courses?search=&level=&subject=&page=&perpage=` | 15 minutes, tag `course_list`; one page for all spellings of a query |
//! | `GET /api/courses/{id}` | 15 minutes, tag `course:{id}` |
//! | `POST /api/courses` | drops the lists |
//! | `PUT`, `DELETE /api/courses/{id}` | drop that course and the lists, once the database has committed |
//! | `GET /` | not at all, but for its fragment "top authors": 500 s, until a course comes or goes |
//! | `/login`, `/logout` | never; the session is kept in the cache |
//!
//! Who is logged in sees which courses are theirs. So pages under a session are that session's alone, and all visitors without one share theirs:
//! Larder sees to it. Begin to read with [`app`], where the layers are mounted; `courses.rs` has the views, `database.rs` the queries.

mod app;
mod courses;
mod database;
mod error;
mod home;
mod login;
mod query;
mod run;

pub use app::{Courses, app};
pub use database::Database;
pub use run::{Args, run};
