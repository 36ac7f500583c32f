//! The API's views. Whether they are cached is not their business; what they show is: they say under which tags it is to be forgotten.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use larder::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Courses;
use crate::database::Course;
use crate::error::ApiError;
use crate::login::{User, Visitor};
use crate::query::{ListQuery, Wanted};

/// A course as it is shown to this visitor.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    course: Course,
    /// Whether the visitor is its author: this is why two users must never see each other's page.
    yours: bool,
}

impl Shown {
    fn to(visitor: &Visitor, course: Course) -> Self {
        let yours = visitor.0.as_ref().is_some_and(|user| user.id == course.author_id);
        Self { course, yours }
    }
}

#[derive(Serialize)]
struct Listed {
    count: i64,
    page: i64,
    page_size: i64,
    results: Vec<Shown>,
}

pub(crate) async fn list(
    State(courses): State<Courses>,
    visitor: Visitor,
    ListQuery(wanted): ListQuery,
) -> Result<impl IntoResponse, ApiError> {
    let Wanted { page, perpage, .. } = wanted;
    let (count, found) = courses.database.list(&wanted).await?;
    // As Django's paginator: there is always a first page.
    if found.is_empty() && page > 1 {
        return Err(ApiError::NotFound);
    }
    let results = found.into_iter().map(|course| Shown::to(&visitor, course)).collect();
    Ok(Json(Listed { count, page, page_size: perpage, results }))
}

pub(crate) async fn detail(
    State(courses): State<Courses>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<impl IntoResponse, ApiError> {
    let course = courses.database.course(id).await?.ok_or(ApiError::NotFound)?;
    Ok((PageTags::new([format!("course:{id}")]), Json(Shown::to(&visitor, course))))
}

/// What a client sends of a course.
#[derive(Debug, Deserialize)]
pub(crate) struct Draft {
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) level: String,
    /// Its slug.
    pub(crate) subject: String,
}

pub(crate) async fn create(
    State(courses): State<Courses>,
    user: User,
    Json(draft): Json<Draft>,
) -> Result<impl IntoResponse, ApiError> {
    let id = courses.database.create(&user, &draft).await?;
    let created = courses.database.course(id).await?.ok_or(ApiError::NotFound)?;
    let location = [(header::LOCATION, format!("/api/courses/{id}"))];
    Ok((StatusCode::CREATED, location, Json(Shown::to(&Visitor(Some(user)), created))))
}

/// The answer leaves after the commit, and before that the route's `invalidates` layer forgets what was shown of the course.
pub(crate) async fn update(
    State(courses): State<Courses>,
    user: User,
    Path(id): Path<i64>,
    Json(draft): Json<Draft>,
) -> Result<impl IntoResponse, ApiError> {
    courses.database.update(&user, id, &draft).await?;
    let updated = courses.database.course(id).await?.ok_or(ApiError::NotFound)?;
    Ok(Json(Shown::to(&Visitor(Some(user)), updated)))
}

pub(crate) async fn delete(
    State(courses): State<Courses>,
    user: User,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiError> {
    courses.database.delete(&user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
