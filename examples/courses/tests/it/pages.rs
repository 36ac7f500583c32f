//! The page for people: the login, the greeting, and the fragment.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Stage, Visitor};

pub(crate) async fn a_login_lasts_until_the_logout_and_its_id_is_new(stage: &mut Stage) {
    let mut ada = stage.logged_in("ada").await;
    let first = ada.clone();
    assert!(ada.get("/").await.text.contains("Hello, <b>ada</b>"));

    // Who logs in again has another id, and the old one is nobody's.
    assert_eq!(ada.log_in("grace", stage.password()).await, StatusCode::SEE_OTHER);
    assert_ne!(ada.cookie, first.cookie);
    assert!(ada.get("/").await.text.contains("Hello, <b>grace</b>"));
    assert!(first.get("/").await.text.contains("Log in"));

    let before = ada.clone();
    assert!(before.get("/api/courses/2").await.json()["yours"] == true);
    assert_eq!(ada.log_out().await, StatusCode::SEE_OTHER);
    for visitor in [&ada, &before] {
        assert!(visitor.get("/").await.text.contains("Log in"));
        assert_eq!(visitor.rename(2, "x").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(ada.get("/api/courses/2").await.json()["yours"], false);
}

pub(crate) async fn a_wrong_password_is_no_login(stage: &mut Stage) {
    for (name, password) in [("ada", "wrong"), ("ada", ""), ("nobody", stage.password()), ("", "")] {
        let mut visitor = stage.anonymous();
        assert_eq!(visitor.log_in(name, password).await, StatusCode::FORBIDDEN, "{name:?}");
        assert_eq!(visitor.rename(1, "x").await.status, StatusCode::UNAUTHORIZED);
    }
}

/// What the fragment says.
async fn authors(visitor: &Visitor) -> String {
    let page = visitor.get("/").await.text;
    let (_, rest) = page.split_once("<ul id=\"authors\">").unwrap();
    let lines = rest.split_once("</ul>").unwrap().0.lines();
    lines
        .map(|line| line.replace("<li>", "").replace("</li>", ""))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

pub(crate) async fn the_top_authors_are_kept_until_a_course_comes_or_goes(stage: &mut Stage) {
    let (ada, nobody) = (stage.logged_in("ada").await, stage.anonymous());
    assert_eq!(authors(&nobody).await, "ada (4), grace (4), linus (4)");
    // What another program does is not seen until the time is over: this is how we know that it is kept.
    stage.database.delete_behind(1).await.unwrap();
    assert_eq!(authors(&nobody).await, "ada (4), grace (4), linus (4)");
    assert!(nobody.get("/").await.text.contains("11 courses"), "the rest of the page is new each time");

    let draft = json!({ "title": "Ethics", "level": "beginner", "subject": "programming" });
    for _ in 0..2 {
        ada.write(Method::POST, "/api/courses", draft.clone()).await;
    }
    assert_eq!(authors(&nobody).await, "ada (5), grace (4), linus (4)");
    ada.write(Method::DELETE, "/api/courses/4", json!(null)).await;
    assert_eq!(authors(&ada).await, "ada (4), grace (4), linus (4)");
}

pub(crate) async fn the_greeting_is_for_one_visitor_only(stage: &mut Stage) {
    let ada = stage.logged_in("ada").await;
    for _ in 0..2 {
        let page = ada.get("/").await;
        assert!(page.text.contains("Hello, <b>ada</b>") && !page.was_there());
        assert!(stage.anonymous().get("/").await.text.contains("Log in"));
    }
}

pub(crate) async fn what_a_title_says_is_shown_and_not_run(stage: &mut Stage) {
    let ada = stage.logged_in("ada").await;
    ada.rename(1, "<script>alert(1)</script>").await;
    let page = stage.anonymous().get("/").await.text;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
}
