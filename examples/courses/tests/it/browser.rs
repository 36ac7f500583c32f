//! What two people see, each in a browser of their own.

use std::time::Duration;

use larder_tests::browser::Browser;
use larder_tests::browser::fantoccini::{Client, Locator};
use serde_json::json;

use super::Stage;

/// What a person can read.
async fn read(page: &Client, css: &str) -> String {
    page.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
}

async fn visit(page: &Client, stage: &Stage, path: &str) -> String {
    page.goto(&stage.url(path)).await.unwrap();
    read(page, "body").await
}

/// Goes to the form by the link, and is greeted.
async fn log_in(page: &Client, stage: &Stage, name: &str) {
    visit(page, stage, "/").await;
    page.find(Locator::LinkText("Log in")).await.unwrap().click().await.unwrap();
    for (field, text) in [("input[name=name]", name), ("input[name=password]", stage.password())] {
        let there = page.wait().at_most(Duration::from_secs(60)).for_element(Locator::Css(field)).await;
        there.unwrap().send_keys(text).await.unwrap();
    }
    page.find(Locator::Css("form button")).await.unwrap().click().await.unwrap();
    let greeted = format!("//p[starts-with(., 'Hello')]/b[text()='{name}']");
    page.wait().at_most(Duration::from_secs(60)).for_element(Locator::XPath(&greeted)).await.unwrap();
}

/// Sends a write from the page that is open, as a script on it would; its status.
async fn write(page: &Client, method: &str, path: &str, body: serde_json::Value) -> u64 {
    let script = "const [method, path, body, done] = arguments;
        fetch(path, { method, body, headers: { 'content-type': 'application/json' } })
            .then(answer => done(answer.status), error => done(String(error)));";
    let arguments = vec![json!(method), json!(path), json!(body.to_string())];
    let status = page.execute_async(script, arguments).await.unwrap();
    status.as_u64().unwrap_or_else(|| panic!("{status}"))
}

#[tokio::test]
async fn a_person_logs_in_changes_a_course_and_sees_it_at_once_and_another_sees_nothing_of_theirs() {
    let stage = Stage::in_memory().await;
    Browser::with(async |page| {
        assert!(visit(page, &stage, "/").await.contains("Log in"));
        log_in(page, &stage, "ada").await;
        assert_eq!(read(page, "#authors").await, "ada (4)\ngrace (4)\nlinus (4)");

        // Course 7 is hers. Each page is seen twice, so that it is in the cache, and could be in the browser's.
        for _ in 0..2 {
            assert!(visit(page, &stage, "/api/courses?page=2").await.contains("Machine learning"));
            let seven = visit(page, &stage, "/api/courses/7").await;
            assert!(seven.contains("Machine learning") && seven.contains("\"yours\":true"), "{seven}");
            assert!(visit(page, &stage, "/api/courses/8").await.contains("Linear algebra"));
        }
        assert!(
            !visit(page, &stage, "/api/courses").await.contains("Linear algebra"),
            "page 1 is not page 2"
        );

        let renamed = json!({ "title": "Deep learning", "level": "advanced", "subject": "programming" });
        assert_eq!(write(page, "PUT", "/api/courses/7", renamed).await, 200);
        let new = json!({ "title": "Ethics", "level": "beginner", "subject": "programming" });
        assert_eq!(write(page, "POST", "/api/courses", new).await, 201);

        assert!(visit(page, &stage, "/api/courses/7").await.contains("Deep learning"));
        assert!(visit(page, &stage, "/api/courses?page=2").await.contains("Deep learning"));
        assert!(visit(page, &stage, "/").await.contains("13 courses"));
        assert_eq!(read(page, "#authors").await, "ada (5)\ngrace (4)\nlinus (4)");
        // What another program does to the database is not seen: both are still the ones that were kept.
        stage.database.delete_behind(8).await.unwrap();
        stage.database.delete_behind(2).await.unwrap();
        assert!(visit(page, &stage, "/api/courses/8").await.contains("Linear algebra"));
        visit(page, &stage, "/").await;
        assert_eq!(read(page, "#authors").await, "ada (5)\ngrace (4)\nlinus (4)");

        // Meanwhile somebody else, who has seen nothing yet.
        Browser::with(async |other| {
            log_in(other, &stage, "grace").await;
            let seven = visit(other, &stage, "/api/courses/7").await;
            assert!(seven.contains("Deep learning") && seven.contains("\"yours\":false"), "{seven}");
            assert!(visit(other, &stage, "/").await.contains("Hello, grace"));
        })
        .await;

        assert!(visit(page, &stage, "/").await.contains("Hello, ada"));
        page.find(Locator::Css("form[action='/logout'] button")).await.unwrap().click().await.unwrap();
        let gone = Locator::LinkText("Log in");
        page.wait().at_most(Duration::from_secs(60)).for_element(gone).await.unwrap();
        assert!(visit(page, &stage, "/api/courses/7").await.contains("\"yours\":false"));
    })
    .await;
}
